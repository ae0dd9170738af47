//! Flags of the command `bench`.

use std::fmt::Write;
use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::gate::GateArgs;
use super::recipe::{OF_BENCH, RecipeArgs};
use super::shared::{ComputeArgs, DataArgs, MachineArgs, NetworkArgs, OutputArgs};
use super::values::{MOST_EPOCH, MOST_ROUNDS, stage, whole};
use crate::bench::effort::Effort;
use crate::bench::layers::cases::{self, CASES, LayerCase};
use crate::error::{self, Error, quoted};
use crate::report::text::numbers::counted;
use crate::stages::Stage;

/// Arguments of the command `bench`.
#[derive(Debug, Args)]
pub struct BenchCommand {
    /// Measurement that the command makes.
    #[command(subcommand)]
    pub action: BenchAction,
}

/// Measurements that the command `bench` can make.
#[derive(Debug, Subcommand)]
pub enum BenchAction {
    /// Check that stages agree, then time them against each other
    Stages(BenchStagesArgs),
    /// Check single layers against naive, then time their forward and backward passes
    #[command(after_help = layers())]
    Layers(BenchLayersArgs),
    /// Check computations on the tape, then time them, and their gradients
    Autograd(BenchAutogradArgs),
    /// Check predictions against naive, then time batches and single calls
    Infer(BenchInferArgs),
    /// Do the same work as performance guides advise and otherwise, and time both
    Ablations(BenchAblationsArgs),
    /// Count the bytes of training and of predictions, by layers and by sizes of the batch
    Memory(BenchMemoryArgs),
    /// Compare times and bytes with limits; the exit code is 5 if one is not met
    Budget(BenchBudgetArgs),
    /// Make all measurements one after the other, and write one report; the exit code is as of budget
    All(BenchAllArgs),
}

/// Text about the names of the layers that `bench layers` measures.
fn layers() -> String {
    let mut text = "Layers:\n".to_string();
    for LayerCase { name, layer, input, batch, .. } in &CASES {
        let sizes: Vec<_> = input.iter().map(usize::to_string).collect();
        let images = counted(*batch, "image");
        _ = writeln!(text, "  {name:<17} {layer:<14} on {}, {images}", sizes.join("x"));
    }
    text.trim_end().into()
}

/// Flags of the command `bench layers`.
#[derive(Debug, Args)]
pub struct BenchLayersArgs {
    /// Layers to measure, from the list below [default: all]
    #[arg(value_name = "NAME", value_parser = cases::named)]
    names: Vec<&'static LayerCase>,
    /// Measure the layers whose name or text in the list below contains TEXT
    #[arg(long, value_name = "TEXT", conflicts_with = "names")]
    filter: Option<String>,
    /// Duration of the measurement.
    #[command(flatten)]
    pub effort: EffortArgs,
    /// Files for the results.
    #[command(flatten)]
    pub files: FileArgs,
    /// Flags of the comparison with a baseline.
    #[command(flatten)]
    pub gate: GateArgs,
    /// Resources that stages may use.
    #[command(flatten)]
    pub machine: MachineArgs,
    /// Form of the output.
    #[command(flatten)]
    pub output: OutputArgs,
}

impl BenchLayersArgs {
    /// Layers that the flags choose, in the order of the table.
    ///
    /// # Errors
    /// [`Error::Usage`] when they choose none.
    pub fn cases(&self) -> error::Result<Vec<&'static LayerCase>> {
        let is_chosen = |case: &&LayerCase| match &self.filter {
            Some(text) => case.name.contains(text) || case.layer.contains(text),
            None => self.names.is_empty() || self.names.contains(case),
        };
        let cases: Vec<_> = CASES.iter().filter(is_chosen).collect();
        if cases.is_empty() {
            let text = quoted(self.filter.as_deref().unwrap_or_default());
            let problem = format!("--filter: no layer contains {text}");
            return Err(Error::Usage(format!("{problem}: see 'mnist-train help bench layers'")));
        }
        Ok(cases)
    }
}

/// Flags of the command `bench autograd`.
#[derive(Debug, Args)]
pub struct BenchAutogradArgs {
    /// Measure the computations whose name contains TEXT [default: all]
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    pub filter: String,
    /// Duration of the measurement.
    #[command(flatten)]
    pub effort: EffortArgs,
    /// Files for the results.
    #[command(flatten)]
    pub files: FileArgs,
    /// Flags of the comparison with a baseline.
    #[command(flatten)]
    pub gate: GateArgs,
    /// Form of the output.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// Flags of the command `bench infer`.
#[derive(Debug, Args)]
pub struct BenchInferArgs {
    /// Duration of the measurement.
    #[command(flatten)]
    pub effort: EffortArgs,
    /// Files for the results.
    #[command(flatten)]
    pub files: FileArgs,
    /// Flags of the comparison with a baseline.
    #[command(flatten)]
    pub gate: GateArgs,
    /// Layers or sizes of the network.
    #[command(flatten)]
    pub network: NetworkArgs,
    /// Data that images are read from.
    #[command(flatten)]
    pub data: DataArgs,
    /// Resources of a prediction.
    #[command(flatten)]
    pub machine: MachineArgs,
    /// Form of the output.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// Flags of the command `bench ablations`.
#[derive(Debug, Args)]
pub struct BenchAblationsArgs {
    /// Duration of the measurement.
    #[command(flatten)]
    pub effort: EffortArgs,
    /// Files for the results.
    #[command(flatten)]
    pub files: FileArgs,
    /// Resources of the predictions.
    #[command(flatten)]
    pub machine: MachineArgs,
    /// Form of the output.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// Flags of the command `bench memory`.
#[derive(Debug, Args)]
pub struct BenchMemoryArgs {
    /// Files for the results.
    #[command(flatten)]
    pub files: FileArgs,
    /// Layers or sizes of the network.
    #[command(flatten)]
    pub network: NetworkArgs,
    /// Data that images are read from.
    #[command(flatten)]
    pub data: DataArgs,
    /// Stage and its resources.
    #[command(flatten)]
    pub compute: ComputeArgs,
    /// Form of the output.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// Flags of the command `bench budget`.
#[derive(Debug, Args)]
pub struct BenchBudgetArgs {
    /// Duration of the measurement.
    #[command(flatten)]
    pub effort: EffortArgs,
    /// Files for the results.
    #[command(flatten)]
    pub files: FileArgs,
    /// Data that images are read from.
    #[command(flatten)]
    pub data: DataArgs,
    /// Resources of a step and of a prediction.
    #[command(flatten)]
    pub machine: MachineArgs,
    /// Form of the output.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// Flags of the command `bench all`.
#[derive(Debug, Args)]
pub struct BenchAllArgs {
    /// Folder for the report; an earlier report there is replaced
    #[arg(long, value_name = "DIR", default_value = "bench-report", help_heading = "Output")]
    pub out: PathBuf,
    /// Duration of the measurements. If they are quick, stages are left out.
    #[command(flatten)]
    pub effort: EffortArgs,
    /// Data that images are read from.
    #[command(flatten)]
    pub data: DataArgs,
    /// Resources of the measurements.
    #[command(flatten)]
    pub machine: MachineArgs,
    /// Form of the output.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// Flags of the files that a measurement writes.
#[derive(Debug, Args)]
#[command(next_help_heading = "Output")]
pub struct FileArgs {
    /// Also write the JSON to FILE
    #[arg(long, value_name = "FILE")]
    pub record: Option<PathBuf>,
    /// Also write the rows to FILE, as comma-separated values
    #[arg(long, value_name = "FILE")]
    pub csv: Option<PathBuf>,
}

/// Flags of the duration of a measurement.
#[derive(Debug, Clone, Copy, Args)]
pub struct EffortArgs {
    /// Number of rounds; each round times every row of a group once [default: 10, or 3 if --quick]
    #[arg(long, value_name = "N", value_parser = whole(1, Some(MOST_ROUNDS)))]
    rounds: Option<usize>,
    /// Make short rounds, which show that everything runs; the times are rough
    #[arg(long)]
    quick: bool,
}

impl EffortArgs {
    /// Duration of the measurement.
    pub fn effort(&self) -> Effort {
        if self.quick { Effort::Quick } else { Effort::Whole }
    }

    /// Number of rounds.
    pub fn rounds(&self) -> usize {
        self.rounds.unwrap_or_else(|| self.effort().rounds())
    }
}

/// Flags of the command `bench stages`.
#[derive(Debug, Args)]
pub struct BenchStagesArgs {
    /// Stages to measure, see 'mnist-train stages' [default: all]
    #[arg(long = "stage", value_name = "NAME", value_delimiter = ',', value_parser = stage)]
    pub stages: Vec<&'static Stage>,
    /// Number of rounds; each round times every stage once
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = whole(1, Some(MOST_ROUNDS)))]
    pub rounds: usize,
    /// Epoch whose steps are timed, after those before it are trained: zeros grow with training
    #[arg(long, value_name = "E", default_value_t = 0, value_parser = whole(0, Some(MOST_EPOCH)))]
    pub epoch: usize,
    /// Hyperparameters that can be chosen. All others have their defaults.
    #[command(flatten)]
    pub recipe: RecipeArgs<OF_BENCH>,
    /// Files for the results.
    #[command(flatten)]
    pub files: FileArgs,
    /// Flags of the comparison with a baseline.
    #[command(flatten)]
    pub gate: GateArgs,
    /// Sizes of the network.
    #[command(flatten)]
    pub network: NetworkArgs,
    /// Data that images are read from.
    #[command(flatten)]
    pub data: DataArgs,
    /// Resources that stages may use.
    #[command(flatten)]
    pub machine: MachineArgs,
    /// Form of the output.
    #[command(flatten)]
    pub output: OutputArgs,
}
