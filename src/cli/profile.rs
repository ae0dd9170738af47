//! The flags of `--profile` and of the commands that it uses.

use std::path::PathBuf;

use clap::Args;

#[cfg(feature = "profile")]
use super::values::stage;
use super::values::{MOST_SECONDS, whole};
#[cfg(feature = "profile")]
use crate::stages::Stage;

/// Flags that profile the stages instead of training.
#[derive(Debug, Args)]
#[command(next_help_heading = "Profile")]
pub struct ProfileArgs {
    /// Instead of training, draw flamegraphs of all stages, or of --stage, on 1000 images
    #[arg(long, conflicts_with_all = [
        "epochs", "max_samples", "resume", "model", "checkpoint_every", "keep_previous", "no_eval",
        "save_best", "patience",
    ])]
    pub profile: bool,
    /// Folder for graphs, figures and index.html
    #[arg(long, value_name = "DIR", default_value = "profiles", requires = "profile")]
    pub profile_out: PathBuf,
    /// Most seconds to sample a stage, after about half a minute of comparing and timing; ten times as
    /// many while there is no sample
    #[arg(long, value_name = "N", default_value_t = 30, value_parser = whole(1, Some(MOST_SECONDS)))]
    #[arg(requires = "profile")]
    pub profile_seconds: usize,
}

/// Flags of a graph of perf's samples, which come from stdin.
#[cfg(feature = "profile")]
#[derive(Debug, Args)]
pub struct PerfFlamegraphArgs {
    /// Stage that perf has recorded
    #[arg(long, value_name = "NAME", value_parser = stage)]
    pub stage: &'static Stage,
    /// Event that perf has counted
    #[arg(long, value_name = "NAME")]
    pub event: String,
    /// File for the graph; the folded stacks are written next to it
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
}
