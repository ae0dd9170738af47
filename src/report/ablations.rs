//! The result of `mnist-train bench ablations`.

use serde::Serialize;

use super::measured::{Circumstances, Timed};
use crate::measure::statistics::Speedup;
use crate::simd::Isa;

/// What the advice of performance guides is worth.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BenchAblations {
    /// Machine, time and extent of the measurement.
    #[serde(flatten)]
    pub circumstances: Circumstances,
    /// Number of threads of the predictions; all other work has one.
    pub threads: usize,
    /// Vector instructions of the predictions.
    pub isa: Isa,
    /// Advice in the order of its table.
    pub rows: Vec<AblationRow>,
}

/// The same work done as advised, and otherwise.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AblationRow {
    /// What the advice is about.
    pub name: &'static str,
    /// What is done as advised, and otherwise.
    pub ways: [&'static str; 2],
    /// Work as advised.
    pub advised: Timed,
    /// Work otherwise.
    pub otherwise: Timed,
    /// Speed of the work as advised relative to the other way.
    pub over_otherwise: Speedup,
}
