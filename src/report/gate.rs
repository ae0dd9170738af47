//! The result of a measurement with `--baseline`: whether this program is as fast as another build of
//! it, row by row.

use serde::Serialize;

use crate::measure::machine::Environment;
use crate::measure::statistics::Speedup;

/// Comparison of this program with a baseline.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Gate {
    /// Version of the schema, [`SCHEMA_VERSION`](super::SCHEMA_VERSION).
    pub schema: u32,
    /// Version of this program.
    pub version: &'static str,
    /// Machine, time and build of this program.
    pub environment: Environment,
    /// Path of the baseline.
    pub baseline: String,
    /// Kind of the baseline: `program` or `record`.
    pub kind: &'static str,
    /// Largest accepted ratio of the new time to the old time.
    pub max_regress: f64,
    /// Worst verdict of all rows, in the order regressed, inconclusive, passed, improved.
    pub verdict: Verdict,
    /// Reason why no row can be decided; absent if rows can be decided.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub undecidable: Option<String>,
    /// Rows that both have, in the order of the measurement.
    pub rows: Vec<GateRow>,
    /// Names of the rows that the baseline lacks.
    pub only_new: Vec<String>,
    /// Names of the rows that this program lacks, or did not measure.
    pub only_old: Vec<String>,
}

/// Times of a row in both programs, and the decision.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct GateRow {
    /// Name of the row.
    pub row: String,
    /// Decision about the row.
    pub verdict: Verdict,
    /// Number of rounds of this program.
    pub rounds: usize,
    /// Median time of a call of the baseline.
    pub old_ms: f64,
    /// Median time of a call of this program.
    pub new_ms: f64,
    /// Ratio of the new time to the old time.
    pub ratio: Ratio,
    /// Ratio of the times of two processes of the baseline; absent if the baseline is a record.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub noise: Option<Ratio>,
    /// Reason why the row is not decided, if it is not the ratio.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Decision about a row. From the best one to the worst one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The old time is more than the accepted ratio above the new time.
    Improved,
    /// The ratio is below the accepted one.
    Passed,
    /// The rounds show neither.
    Inconclusive,
    /// The ratio is above the accepted one.
    Regressed,
}

impl Verdict {
    /// All verdicts, from the worst one to the best one.
    pub const ALL: [Self; 4] = [Self::Regressed, Self::Inconclusive, Self::Improved, Self::Passed];

    /// Name of the verdict, like `regressed`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Improved => "improved",
            Self::Passed => "passed",
            Self::Inconclusive => "inconclusive",
            Self::Regressed => "regressed",
        }
    }
}

/// Ratio of two times, the median of the rounds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Ratio {
    /// Median of the ratios, or ratio of the medians if the rounds are not paired.
    pub median: f64,
    /// Lower end of the 95 % interval of the median.
    pub low: f64,
    /// Upper end of the 95 % interval of the median.
    pub high: f64,
}

impl Ratio {
    /// Ratio of the times `new` to the times `old` in the same rounds.
    ///
    /// # Panics
    /// When there are no rounds, or the two differ in length.
    pub fn paired(new: &[f64], old: &[f64]) -> Self {
        // The speedup of the old program over the new one.
        let Speedup { median, low, high, .. } = Speedup::of(old, new);
        Self { median, low, high }
    }
}
