//! The result of `mnist-train bench budget`.

use serde::Serialize;

use super::measured::Circumstances;

/// Limits, and whether they are met.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BenchBudget {
    /// Machine, time and extent of the measurement.
    #[serde(flatten)]
    pub circumstances: Circumstances,
    /// Kind of the dataset: `mnist`, `synthetic` or `custom`.
    pub dataset: String,
    /// Limits in the order of their table.
    pub rows: Vec<BudgetRow>,
}

impl BenchBudget {
    /// Number of limits that are not met, with ours.
    pub fn failures(&self) -> usize {
        self.rows.iter().filter(|row| !row.passed).count()
    }
}

/// A limit of another document, and one of ours.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BudgetRow {
    /// What is limited.
    pub name: String,
    /// Document that the limit comes from.
    pub source: Source,
    /// Unit of the three values.
    pub unit: Unit,
    /// Measured value: a median, unless it is a number of bytes.
    pub value: f64,
    /// Limit of the document.
    pub limit: f64,
    /// Limit of ours: ten times the time or the bytes of a recorded run on two cores of a Xeon, or
    /// the limit of the document, if that is stricter.
    pub own_limit: f64,
    /// Factor by which the limit of the document is met: 2 for half of the time or twice the rate.
    pub factor: f64,
    /// Whether both limits are met.
    pub passed: bool,
}

/// Document with limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// The document about benchmarks of TenfloweRS's automatic differentiation.
    Autograd,
    /// The guide to the performance of a network in NumPy.
    Guide,
}

/// Unit of a limited value, and on which side of the limit the value must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// Calls a second, at least as many as the limit.
    PerSecond,
    /// Milliseconds, at most the limit.
    Milliseconds,
    /// Seconds, at most the limit.
    Seconds,
    /// Bytes, at most the limit.
    Bytes,
    /// Quotient of two times, at most the limit.
    Ratio,
}

impl Unit {
    /// Factor by which `value` meets `limit`; below 1 if it does not.
    pub fn factor(self, value: f64, limit: f64) -> f64 {
        match self {
            Self::PerSecond => value / limit,
            // Nothing at all is within every limit.
            _ if value == 0.0 => f64::INFINITY,
            _ => limit / value,
        }
    }
}
