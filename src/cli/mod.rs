//! Every flag once: its name, default and help.

mod profile;
mod recipe;
mod values;

use std::env;
use std::path::{Path, PathBuf};

use clap::error::{ContextKind, ContextValue};
use clap::{Arg, Args, Parser, Subcommand};
use serde::Serialize;

#[cfg(feature = "profile")]
pub use self::profile::PerfFlamegraphArgs;
pub use self::profile::ProfileArgs;
pub use self::recipe::RecipeArgs;
use self::values::{
    MOST_IMAGES, MOST_ROUNDS, MOST_THREADS, isa, kernel_size, positive, stage, up_to,
};
use crate::bench::child::Job;
use crate::data::synthetic;
use crate::engine::compute::Compute;
use crate::error::{self, Error, quoted};
use crate::measure::machine;
use crate::model::architecture::Architecture;
use crate::model::mnist_cnn::MnistCnn;
use crate::simd::Isa;
use crate::stages::Stage;

/// Train the MNIST CNN on the CPU
#[derive(Debug, Parser)]
#[command(
    name = "mnist-train",
    version,
    args_conflicts_with_subcommands = true,
    disable_help_subcommand = true,
    after_help = EXAMPLES,
    mut_args = negative_numbers,
)]
pub struct Cli {
    /// What to do instead of training.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// How to train.
    #[command(flatten)]
    pub train: TrainArgs,
}

/// Lets `--lr -1` be a number that is out of range, and not an unknown flag.
fn negative_numbers(arg: Arg) -> Arg {
    let takes_value = arg.get_action().takes_values();
    arg.allow_negative_numbers(takes_value)
}

const EXAMPLES: &str = "\
Examples:
  mnist-train --epochs 10               train, write ckpt.bin
  mnist-train --epochs 20 --resume      go on to 20 epochs
  mnist-train eval --model ckpt.bin     test the model
  mnist-train --data ~/fashion-mnist    train on other 28x28 images
  mnist-train --profile                 where time goes: profiles/index.html
  mnist-train --json > run.jsonl        one JSON object a line, see docs/JSON.md";

/// A verb.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Test a model: accuracy, confusion matrix, worst mistakes
    Eval(EvalArgs),
    /// Show the layers: shapes, parameters, FLOP, bytes
    Summary(SummaryArgs),
    /// Show the stages that --stage can name
    Stages(OutputArgs),
    /// Show what data is there; download or generate it
    Data(DataCommand),
    /// Measure stages against each other
    Bench(BenchCommand),
    /// Train the images once and print the peak of memory; ends when stdin does
    #[command(hide = true)]
    PeakMemory(JobArgs),
    /// Train the profile's images again and again, for a profiler to look at
    #[cfg(feature = "profile")]
    #[command(hide = true)]
    CappedRun(CappedRunArgs),
    /// Draw a flamegraph of what 'perf script' prints of a capped run
    #[cfg(feature = "profile")]
    #[command(hide = true)]
    PerfFlamegraph(PerfFlamegraphArgs),
}

/// What a process of its own is to train.
#[derive(Debug, Args)]
pub struct JobArgs {
    /// What is trained, and by which stage, as one line of JSON
    #[arg(value_parser = Job::parse)]
    pub job: Job,
    /// Where images come from.
    #[command(flatten)]
    pub data: DataArgs,
}

/// The flags of a process that is looked at.
#[cfg(feature = "profile")]
#[derive(Debug, Args)]
pub struct CappedRunArgs {
    /// Sample call stacks and print them; ends when stdin does
    #[arg(long)]
    pub sampled: bool,
    /// Seconds after which no other pass is begun, if there is any sample
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = positive)]
    pub seconds: usize,
    /// What is trained.
    #[command(flatten)]
    pub job: JobArgs,
}

/// The flags of training.
#[derive(Debug, Args)]
pub struct TrainArgs {
    /// Epochs to train in all
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = positive)]
    #[arg(help_heading = "Training")]
    pub epochs: usize,
    /// Hyperparameters.
    #[command(flatten)]
    pub recipe: RecipeArgs,
    /// The sizes of the network.
    #[command(flatten)]
    pub network: NetworkArgs,
    /// Go on from --model exactly where it stopped; hyperparameters and network are taken from it
    #[arg(long, help_heading = "Model")]
    pub resume: bool,
    /// The file to write, and to go on from with --resume
    #[arg(long, value_name = "FILE", default_value = "ckpt.bin", help_heading = "Model")]
    pub model: PathBuf,
    /// Write the model every N epochs, and at the end
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = positive)]
    #[arg(help_heading = "Model")]
    pub checkpoint_every: usize,
    /// Do not classify the test images after each epoch
    #[arg(long, help_heading = "Model")]
    pub no_eval: bool,
    /// Where images come from.
    #[command(flatten)]
    pub data: DataArgs,
    /// What computes.
    #[command(flatten)]
    pub compute: ComputeArgs,
    /// What to do instead of training to an end.
    #[command(flatten)]
    pub profile: ProfileArgs,
    /// What is printed.
    #[command(flatten)]
    pub output: OutputArgs,
    /// Only errors and results, no narration and no progress bar
    #[arg(long, help_heading = "Output")]
    pub quiet: bool,
}

/// The flags of the network's sizes; one that is not given is that of the default network.
#[derive(Debug, Clone, Copy, Args, Serialize)]
#[command(next_help_heading = "Network")]
pub struct NetworkArgs {
    /// Channels of the convolution [default: 32]
    #[arg(long, value_name = "C", value_parser = up_to(MnistCnn::LARGEST.channels))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channels: Option<usize>,
    /// Side of the convolution's kernel, odd [default: 5]
    #[arg(long, value_name = "K", value_parser = kernel_size)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kernel_size: Option<usize>,
    /// Features of the hidden linear layer [default: 128]
    #[arg(long, value_name = "H", value_parser = up_to(MnistCnn::LARGEST.hidden))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hidden: Option<usize>,
}

impl From<&NetworkArgs> for MnistCnn {
    fn from(args: &NetworkArgs) -> Self {
        let default = Self::default();
        Self {
            channels: args.channels.unwrap_or(default.channels),
            kernel_size: args.kernel_size.unwrap_or(default.kernel_size),
            hidden: args.hidden.unwrap_or(default.hidden),
        }
    }
}

impl NetworkArgs {
    /// The layers of the network.
    pub fn architecture(&self) -> Architecture {
        MnistCnn::from(self).architecture()
    }
}

/// The flags of the summary.
#[derive(Debug, Args)]
pub struct SummaryArgs {
    /// The sizes of the network.
    #[command(flatten)]
    pub network: NetworkArgs,
    /// What is printed.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// The flags of evaluation.
#[derive(Debug, Args)]
pub struct EvalArgs {
    /// A checkpoint, or a safetensors file with the six tensors of the network
    #[arg(long, value_name = "FILE", default_value = "ckpt.bin")]
    pub model: PathBuf,
    /// Where images come from.
    #[command(flatten)]
    pub data: DataArgs,
    /// What computes.
    #[command(flatten)]
    pub compute: ComputeArgs,
    /// What is printed.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// Where images come from.
#[derive(Debug, Args)]
#[command(next_help_heading = "Data")]
pub struct DataArgs {
    /// Folder with the four IDX files [env: MNIST_DATA] [default: data, downloaded if empty]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Never download
    #[arg(long)]
    pub offline: bool,
}

impl DataArgs {
    /// The folder that somebody named, if anybody did.
    pub fn directory(&self) -> Option<PathBuf> {
        named_directory(self.data.as_deref())
    }
}

/// The folder from the flag, else from `MNIST_DATA`; a variable that is set to nothing names none.
fn named_directory(flag: Option<&Path>) -> Option<PathBuf> {
    let variable = || env::var_os("MNIST_DATA").filter(|value| !value.is_empty());
    flag.map(Path::to_path_buf).or_else(|| variable().map(PathBuf::from))
}

/// Measurements.
#[derive(Debug, Args)]
#[command(arg_required_else_help = false)] // An error in one line, like every other.
pub struct BenchCommand {
    /// What is measured.
    #[command(subcommand)]
    pub action: BenchAction,
}

/// What to measure.
#[derive(Debug, Subcommand)]
pub enum BenchAction {
    /// Check that stages agree, then time them against each other
    Stages(BenchStagesArgs),
}

/// The flags of `bench stages`.
#[derive(Debug, Args)]
pub struct BenchStagesArgs {
    /// Which stages, see 'mnist-train stages' [default: all]
    #[arg(long = "stage", value_name = "NAME", value_delimiter = ',', value_parser = stage)]
    pub stages: Vec<&'static Stage>,
    /// Rounds in which each is timed once
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = up_to(MOST_ROUNDS))]
    pub repeats: usize,
    /// The hyperparameters that can be chosen; the others have their defaults.
    #[command(flatten)]
    pub recipe: RecipeArgs<true>,
    /// Also write the JSON to FILE [default: profiles/ladder/bench.json]
    #[arg(long, value_name = "FILE", num_args = 0..=1, help_heading = "Output")]
    #[arg(default_missing_value = "profiles/ladder/bench.json")]
    pub record: Option<PathBuf>,
    /// Which network.
    #[command(flatten)]
    pub network: NetworkArgs,
    /// Where images come from.
    #[command(flatten)]
    pub data: DataArgs,
    /// What stages may use.
    #[command(flatten)]
    pub machine: MachineArgs,
    /// What is printed.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// What computes.
#[derive(Debug, Args)]
#[command(next_help_heading = "Machine")]
pub struct ComputeArgs {
    /// How a step is executed, see 'mnist-train stages' [default: the fastest exact one]
    #[arg(long, value_name = "NAME", value_parser = stage)]
    pub stage: Option<&'static Stage>,
    /// What it may use.
    #[command(flatten)]
    machine: MachineArgs,
}

impl ComputeArgs {
    /// The stage that was asked for, else `otherwise`, else the fastest exact one for
    /// `architecture`.
    ///
    /// # Errors
    /// [`Error::Usage`] when it cannot run.
    pub fn stage(
        &self,
        otherwise: Option<&'static Stage>,
        architecture: &Architecture,
    ) -> error::Result<&'static Stage> {
        let fastest = || Stage::fastest_exact(architecture);
        let stage = self.stage.or(otherwise).unwrap_or_else(fastest);
        if let Some(unmet) = stage.unmet(architecture, self.compute().isa) {
            return Err(Error::Usage(format!("{unmet}: choose another with --stage")));
        }
        if self.machine.isa.is_some() && !stage.vectorized {
            let problem = format!("--isa: stage {} has no kernels to choose from", stage.name);
            return Err(Error::Usage(format!("{problem}: leave it out")));
        }
        Ok(stage)
    }

    /// What a stage may compute with.
    pub fn compute(&self) -> Compute {
        self.machine.compute()
    }

    /// The vector instructions that were asked for.
    pub fn isa(&self) -> Option<Isa> {
        self.machine.isa
    }
}

/// What a stage may use.
#[derive(Debug, Args)]
#[command(next_help_heading = "Machine")]
pub struct MachineArgs {
    /// Threads [default: all]
    #[arg(long, value_name = "N", value_parser = up_to(MOST_THREADS))]
    threads: Option<usize>,
    /// Vector instructions: portable, avx2 or avx512 [default: the widest that the CPU has]
    #[arg(long, value_name = "NAME", value_parser = isa)]
    isa: Option<Isa>,
}

impl MachineArgs {
    /// What a stage may compute with.
    pub fn compute(&self) -> Compute {
        let threads = self.threads.unwrap_or_else(machine::threads);
        Compute { threads, isa: self.isa.unwrap_or_else(Isa::detect) }
    }
}

/// What is printed.
#[derive(Debug, Clone, Copy, Args)]
#[command(next_help_heading = "Output")]
pub struct OutputArgs {
    /// Results as JSON, one object a line
    #[arg(long)]
    pub json: bool,
}

/// The data folder.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct DataCommand {
    /// What to do instead of listing what is there.
    #[command(subcommand)]
    pub action: Option<DataAction>,
    /// Which folder.
    #[command(flatten)]
    pub folder: FolderArgs,
    /// What is printed.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// A folder to look at or to fill.
#[derive(Debug, Args)]
pub struct FolderArgs {
    /// The folder [env: MNIST_DATA] [default: data]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
}

impl FolderArgs {
    /// The folder, `default` if nobody named one.
    pub fn directory(&self, default: &str) -> PathBuf {
        named_directory(self.data.as_deref()).unwrap_or_else(|| default.into())
    }
}

/// What to do about data.
#[derive(Debug, Subcommand)]
pub enum DataAction {
    /// Download MNIST; mirrors can be named in MNIST_MIRRORS
    Fetch {
        /// Which folder to download into.
        #[command(flatten)]
        folder: FolderArgs,
        /// What is printed.
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Write the built-in synthetic digits as four IDX files
    Synthetic {
        /// The folder to write into
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
        /// How many to train on, all different; as many to test on as MNIST has
        #[arg(long, value_name = "N", default_value_t = synthetic::TRAIN_IMAGES)]
        #[arg(value_parser = up_to(MOST_IMAGES))]
        images: usize,
        /// What is printed.
        #[command(flatten)]
        output: OutputArgs,
    },
}

/// What `error` says of the command line, without the usage that follows it.
pub fn one_line(mut error: clap::Error) -> String {
    let quotation = |(kind, value): (ContextKind, &ContextValue)| match value {
        ContextValue::String(text) => Some((kind, ContextValue::String(quoted(text)))),
        _ => None,
    };
    for (kind, value) in error.context().filter_map(quotation).collect::<Vec<_>>() {
        error.insert(kind, value);
    }
    let text = error.render().to_string();
    let paragraphs = text.trim_start_matches("error: ").split("\n\n").map(str::trim);
    let said: Vec<String> = paragraphs
        .filter(|part| !part.starts_with("Usage:") && !part.starts_with("For more"))
        .map(|part| part.lines().map(str::trim).collect::<Vec<_>>().join(" "))
        .collect();
    format!("{}; see --help", said.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::init::Init;
    use crate::model::recipe::Recipe;

    #[test]
    fn no_flags_give_the_default_recipe_and_network() {
        let cli = Cli::parse_from(["mnist-train"]);
        assert_eq!(Recipe::from(&cli.train.recipe), Recipe::default());
        assert_eq!(MnistCnn::from(&cli.train.network), MnistCnn::default());
    }

    #[test]
    fn every_hyperparameter_has_a_flag_and_its_default_in_the_help() {
        let help = <Cli as clap::CommandFactory>::command().term_width(200).render_help();
        let help = help.to_string();
        let flags = "--batch-size <N> [64], --lr <X> [1e-3], --min-lr <X> [1e-5], --t-max <N> [20], \
                     --l2 <X> [1e-4], --beta1 <X> [0.9], --beta2 <X> [0.999], --eps <X> [1e-8], \
                     --seed <N> [1], --init <NAME> [pytorch], --channels <C> [32], \
                     --kernel-size <K> [5], --hidden <H> [128]";
        for flag in flags.split(", ") {
            let (flag, default) = flag.strip_suffix(']').unwrap().split_once(" [").unwrap();
            let line = help.lines().find(|line| line.contains(flag)).expect(flag);
            assert!(line.ends_with(&format!("[default: {default}]")), "{line}");
        }
        let cli = Cli::parse_from(["mnist-train", "--lr=2", "--init=he", "--max-samples=3"]);
        let expected =
            Recipe { lr: 2.0, init: Init::He, max_samples: Some(3), ..Recipe::default() };
        assert_eq!(Recipe::from(&cli.train.recipe), expected);
    }

    #[test]
    fn the_definition_of_the_command_line_is_consistent() {
        <Cli as clap::CommandFactory>::command().debug_assert();
    }
}
