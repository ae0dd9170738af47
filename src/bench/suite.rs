//! A suite: rows that can be timed one by one, as often as somebody asks.
//!
//! The gate asks for its rows in turn, in the processes of several programs. It finds the same row in
//! each of them by its name.

use super::timing::{Case, Protocol};
use crate::error::Result;

/// Rows of a measurement.
pub trait Suite {
    /// Durations of the turns, and the fewest rounds.
    fn protocol(&self) -> Protocol;

    /// Compares the results of every row with the reference.
    ///
    /// # Errors
    /// When a result is wrong; then no row may be timed.
    fn check(&self) -> Result<()>;

    /// All rows, in the order of the report.
    fn rows(&self) -> Vec<Row<'_>>;
}

/// Work that is timed under a name.
pub struct Row<'a> {
    /// Name of the row, which no other row of the suite has.
    pub name: String,
    /// Work of the row.
    pub case: Box<dyn Case + 'a>,
}
