//! The flags of `--profile` and of what it runs.

use std::path::PathBuf;

use clap::Args;

use super::values::positive;
#[cfg(feature = "profile")]
use super::values::stage;
#[cfg(feature = "profile")]
use crate::stages::Stage;

/// The flags of profiling.
#[derive(Debug, Args)]
#[command(next_help_heading = "Profile")]
pub struct ProfileArgs {
    /// Instead of training, draw flamegraphs of all stages, or of --stage, on 1000 images
    #[arg(long, conflicts_with_all = [
        "epochs", "max_samples", "resume", "model", "checkpoint_every", "no_eval",
    ])]
    pub profile: bool,
    /// Folder for graphs, figures and index.html
    #[arg(long, value_name = "DIR", default_value = "profiles", requires = "profile")]
    pub profile_out: PathBuf,
    /// Seconds after which no other pass of a stage is begun, if there is any sample
    #[arg(long, value_name = "N", default_value_t = 30, value_parser = positive)]
    #[arg(requires = "profile")]
    pub profile_seconds: usize,
}

/// The flags of a graph of perf's samples, which come from stdin.
#[cfg(feature = "profile")]
#[derive(Debug, Args)]
pub struct PerfFlamegraphArgs {
    /// The stage that was recorded
    #[arg(long, value_name = "NAME", value_parser = stage)]
    pub stage: &'static Stage,
    /// What perf counted
    #[arg(long, value_name = "NAME")]
    pub event: String,
    /// The graph; the folded stacks stand beside it
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
}
