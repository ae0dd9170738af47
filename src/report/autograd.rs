//! The result of `mnist-train bench autograd`.

use serde::Serialize;

use super::measured::{Circumstances, Timed};
use crate::measure::roofline::Roofline;
use crate::measure::statistics::Speedup;

/// Speed of computations on the tape.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BenchAutograd {
    /// Machine, time and extent of the measurement.
    #[serde(flatten)]
    pub circumstances: Circumstances,
    /// Computations in the order of their table.
    pub rows: Vec<AutogradRow>,
    /// Work of the tape itself.
    pub bookkeeping: Vec<BookkeepingRow>,
    /// Limits of the machine on one thread, measured before the times.
    #[serde(flatten)]
    pub roofline: Roofline,
}

/// Times of one computation on the tape, in f32.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AutogradRow {
    /// Name of the computation.
    pub name: String,
    /// Kind of the computation: `operations`, `graphs`, `networks` or `accumulation`.
    pub group: &'static str,
    /// Number of elements of the first input.
    pub elements: usize,
    /// Recording of the computation on a new tape, which gives its result.
    pub forward: Timed,
    /// Recording of the computation, and gradients of the result with respect to all inputs.
    pub forward_backward: Timed,
    /// Time of `forward_backward` relative to `forward`.
    pub over_forward: Speedup,
}

/// Times of work that the tape does without a computation.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BookkeepingRow {
    /// What is done.
    pub name: &'static str,
    /// Times of the work.
    #[serde(flatten)]
    pub timed: Timed,
}
