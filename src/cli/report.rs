//! Flags of the command `report`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::shared::{ComputeArgs, DataArgs};
use crate::model::checkpoint::DEFAULT_FILE;

/// Arguments of the command `report`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct ReportCommand {
    /// What the command writes instead of the page of a run.
    #[command(subcommand)]
    pub action: Option<ReportAction>,
    /// Flags of the page of a run.
    #[command(flatten)]
    pub page: RunReportArgs,
}

/// Flags of the command `report` itself.
#[derive(Debug, Args)]
pub struct RunReportArgs {
    /// A checkpoint, or a safetensors file with the tensors of the network
    #[arg(long, value_name = "FILE", default_value = DEFAULT_FILE)]
    pub model: PathBuf,
    /// Network of a file with weights alone, unless the file names it or it is the default one
    #[arg(long, value_name = "LAYERS")]
    pub arch: Option<String>,
    /// Page to write; an earlier page of this command is replaced
    #[arg(long, value_name = "FILE", default_value = "report.html")]
    pub out: PathBuf,
    /// Data that the test images are read from.
    #[command(flatten)]
    pub data: DataArgs,
    /// Stage and its resources.
    #[command(flatten)]
    pub compute: ComputeArgs,
}

/// What the command `report` can write.
#[derive(Debug, Subcommand)]
pub enum ReportAction {
    /// Write a page that shows how the results of 'bench all' have changed, and marks steps
    Trend(TrendArgs),
    /// Write the tables of Markdown documents again, from the records in profiles/ beside them
    #[command(after_help = MARKERS)]
    Splice(SpliceArgs),
}

const MARKERS: &str = "\
A table stands between two lines, and its name says which table it is:
  <!-- BEGIN bench layers: mnist-train bench all --out profiles/suite -->
  <!-- END bench layers -->
'bench NAME' is a table of the report in profiles/suite.";

/// Flags of the command `report trend`.
#[derive(Debug, Args)]
pub struct TrendArgs {
    /// Results of 'bench all': its folders, or its JSON in files; two and more of one machine
    #[arg(value_name = "FOLDER", required = true)]
    pub records: Vec<PathBuf>,
    /// Page to write; an earlier page of this command is replaced
    #[arg(long, value_name = "FILE", default_value = "trend.html")]
    pub out: PathBuf,
}

/// Flags of the command `report splice`.
#[derive(Debug, Args)]
pub struct SpliceArgs {
    /// Documents; all stay as they are if a table of one of them cannot be made
    #[arg(value_name = "FILE", required = true)]
    pub documents: Vec<PathBuf>,
}
