//! Flags of the comparison of a measurement with a baseline.

use std::path::PathBuf;

use clap::Args;

use super::values::{MOST_SECONDS, whole};

/// Flags of the comparison with a baseline.
#[derive(Debug, Args)]
#[command(next_help_heading = "Gate")]
pub struct GateArgs {
    /// Compare with FILE: a record of this measurement, or a program, another build of this one
    #[arg(long, value_name = "FILE")]
    pub baseline: Option<PathBuf>,
    /// Largest accepted ratio of the new time to the old time of a row
    #[arg(long, value_name = "X", default_value = "1.10", value_parser = ratio)]
    #[arg(requires = "baseline")]
    pub max_regress: f64,
    /// With a program: seconds in which a row that is not decided gets more rounds
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = whole(1, Some(MOST_SECONDS)))]
    #[arg(requires = "baseline")]
    pub seconds: usize,
    /// Time the rows that requests on stdin name, for the process that compares
    #[arg(long, hide = true)]
    pub serve: bool,
}

/// Parses the largest accepted ratio of two times.
fn ratio(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(ratio) if (1.001..=1000.0).contains(&ratio) => Ok(ratio),
        _ => Err("must be a number from 1.001 to 1000".into()),
    }
}
