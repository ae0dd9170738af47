//! What the results of the measurements of the command `bench` have in common.

use serde::Serialize;

use crate::measure::machine::Environment;
use crate::measure::statistics::Spread;

/// Circumstances of a measurement.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Circumstances {
    /// Version of the schema, [`SCHEMA_VERSION`](super::SCHEMA_VERSION).
    pub schema: u32,
    /// Version of this program.
    pub version: &'static str,
    /// Machine, time and build of the program.
    pub environment: Environment,
    /// Number of rounds; each round times every row of a group once.
    pub rounds: usize,
    /// Whether the rounds are short, so that times are rough.
    pub quick: bool,
    /// Share of the time of all processors that other processes used meanwhile; absent if the
    /// operating system does not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub share_of_others: Option<f64>,
}

/// Times of the calls of one row, and the memory that they allocated.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Timed {
    /// Number of calls that are timed in each round.
    pub round_calls: usize,
    /// Mean time of a call in each round.
    pub round_call_ms: Vec<f64>,
    /// Median, minimum and spread of `round_call_ms`.
    pub call_ms: Spread,
    /// Number of memory allocations in a call; absent in a program that does not count them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allocations_per_call: Option<f64>,
    /// Bytes of these allocations; absent like their number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allocated_bytes_per_call: Option<f64>,
}
