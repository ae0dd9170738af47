//! The command line: the name, default and help of every flag, each written once.

mod bench;
mod config;
mod data;
mod export;
mod gate;
mod predict;
mod profile;
mod recipe;
mod records;
mod report;
mod shared;
mod sweep;
mod train;
mod values;

use std::any::TypeId;
use std::fmt::Write;
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::slice;

use clap::builder::{PathBufValueParser, TypedValueParser};
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use clap_complete::Shell;

pub use self::bench::{
    BenchAblationsArgs, BenchAction, BenchAllArgs, BenchAutogradArgs, BenchBudgetArgs,
    BenchCommand, BenchInferArgs, BenchLayersArgs, BenchMemoryArgs, BenchStagesArgs, FileArgs,
};
pub use self::config::Failure;
use self::config::{Definition, complete};
pub use self::data::{AugmentedArgs, DataAction, DataCommand, FolderArgs};
pub use self::export::ExportArgs;
pub use self::gate::GateArgs;
pub use self::predict::PredictArgs;
#[cfg(feature = "profile")]
pub use self::profile::PerfFlamegraphArgs;
pub use self::profile::ProfileArgs;
pub use self::recipe::{OF_BENCH, OF_MEMORY, RecipeArgs};
pub use self::records::RecordsArgs;
pub use self::report::{ReportAction, ReportCommand, RunReportArgs, SpliceArgs, TrendArgs};
pub use self::shared::{ComputeArgs, DataArgs, MachineArgs, NetworkArgs, OutputArgs, network};
pub use self::sweep::{Point, SweepArgs};
pub use self::train::TrainArgs;
#[cfg(feature = "profile")]
use self::values::MOST_SECONDS;
use self::values::{MOST_COPIES, augment, number, path, probability, step, whole};
use crate::bench::child::Job;
use crate::data::augment::Augment;
use crate::error::{self, Error, quoted};
use crate::model::checkpoint::DEFAULT_FILE;
use crate::model::presets::{PRESETS, Preset};
use crate::model::recipe::Range;
use crate::nn::grammar::{LAYERS, LayerKind};
use crate::report::config::Setting;
use crate::training::evaluation::Averaging;

/// Train the MNIST CNN on the CPU
#[derive(Debug, Parser)]
#[command(
    name = "mnist-train",
    version,
    args_conflicts_with_subcommands = true,
    after_help = EXAMPLES,
    mut_args = checked,
    mut_subcommands = checked_command,
)]
pub struct Cli {
    /// Command to run instead of training.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// Flags that control a training run.
    #[command(flatten)]
    pub train: TrainArgs,
    /// Value of each flag of the training, and the place that sets it; empty for other commands.
    #[arg(skip)]
    pub settings: Vec<Setting>,
}

impl Cli {
    /// Command line of this process, with the settings that it gets from other places.
    ///
    /// # Errors
    /// The first flag or setting that is not valid.
    pub fn of_process() -> Result<Self, Failure> {
        let definition = Definition { command: Self::command, message: one_line };
        let (matches, settings) = complete(definition)?;
        let cli = Self::from_arg_matches(&matches).map_err(Failure::Clap)?;
        Ok(Self { settings, ..cli })
    }
}

/// Lets `--lr -1` be a number that is out of range, and not an unknown flag, and refuses a path that
/// begins with ~.
fn checked(arg: Arg) -> Arg {
    let takes_value = arg.get_action().takes_values();
    let arg = arg.allow_negative_numbers(takes_value);
    if arg.get_value_parser().type_id() != TypeId::of::<PathBuf>() {
        return arg;
    }
    let flag = arg.get_long().map(|long| format!("--{long} ")).unwrap_or_default();
    arg.value_parser(PathBufValueParser::new().try_map(path(flag)))
}

/// Does the same for the flags of `command` and of its own commands.
fn checked_command(command: clap::Command) -> clap::Command {
    command.mut_args(checked).mut_subcommands(checked_command)
}

const EXAMPLES: &str = "\
Examples:
  mnist-train --epochs 10               train, write ckpt.bin
  mnist-train --epochs 20 --resume      go on to 20 epochs
  mnist-train eval --model ckpt.bin     test the model
  mnist-train predict digit.png         classify a picture
  mnist-train --dataset fashion         train on other images
  mnist-train export --format onnx      write the model for other programs
  mnist-train --profile                 where time goes: profiles/index.html
  mnist-train --json > run.jsonl        one JSON object a line, see docs/JSON.md";

/// Commands of the program other than training.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Test a model: accuracy, confusion matrix, worst mistakes
    #[command(after_help = "Pixels become numbers from 0 to 1: pixels/255, no mean and deviation.")]
    Eval(EvalArgs),
    /// Classify pictures: PNG files, or images of IDX files
    #[command(after_help = predict::NOTES)]
    Predict(PredictArgs),
    /// Train with several seeds and values of flags, and show means and spread
    #[command(after_help = sweep::NOTES)]
    Sweep(SweepArgs),
    /// Measure what a named recipe reaches, and in how many seconds
    #[command(after_help = records::NOTES)]
    Records(RecordsArgs),
    /// Write a model for PyTorch or ONNX, with a script that checks it
    #[command(after_help = export::NOTES)]
    Export(ExportArgs),
    /// Show the layers: shapes, parameters, FLOP, bytes
    #[command(after_help = networks())]
    Summary(SummaryArgs),
    /// Check the gradients: backward passes, tape, central differences
    Gradcheck(GradcheckArgs),
    /// Show the stages that --stage can name
    Stages(OutputArgs),
    /// List the data files; download or generate data
    Data(DataCommand),
    /// Measure speed and memory, each result checked before
    Bench(BenchCommand),
    /// Write the page of a model: curves, mistakes, a pad to draw on; or other pages
    Report(ReportCommand),
    /// Show the settings of a training, and what sets each of them
    Config(ConfigCommand),
    /// Print the script by which a shell completes commands and flags
    Completions {
        /// Shell that reads the script
        shell: Shell,
    },
    /// Print the manual: a page in the format of man for each command
    Man,
    /// Train the images once and print the peak of memory; ends when stdin does
    #[command(hide = true)]
    PeakMemory(JobArgs),
    /// Train the profile's images repeatedly, for a profiler to sample
    #[cfg(feature = "profile")]
    #[command(hide = true)]
    CappedRun(CappedRunArgs),
    /// Draw a flamegraph of a capped run from the output of 'perf script'
    #[cfg(feature = "profile")]
    #[command(hide = true)]
    PerfFlamegraph(PerfFlamegraphArgs),
}

/// Text about the values of `--arch`.
fn networks() -> String {
    let mut text = "--arch lists the layers in their order, as in \
                    --arch conv16k3p1,relu,maxpool2,flatten,fc10:\n"
        .to_string();
    for LayerKind { example, idea, .. } in &LAYERS {
        _ = writeln!(text, "  {example:<14} {idea}");
    }
    text += "  res(…)         what stands in it, plus its own input\n\nNetworks with a name:\n";
    for Preset { name, idea, text: layers } in &PRESETS {
        _ = writeln!(text, "  {name:<14} {idea}\n  {:<14} {layers}", "");
    }
    text.trim_end().into()
}

/// Arguments of a child process that trains.
#[derive(Debug, Args)]
pub struct JobArgs {
    /// Job as one line of JSON: the network, its training and the stage
    #[arg(value_parser = Job::parse)]
    pub job: Job,
    /// Data that images are read from.
    #[command(flatten)]
    pub data: DataArgs,
}

/// Flags of a process that a profiler samples.
#[cfg(feature = "profile")]
#[derive(Debug, Args)]
pub struct CappedRunArgs {
    /// Sample call stacks and print them; ends when stdin does
    #[arg(long)]
    pub sampled: bool,
    /// Most seconds of passes; ten times as many while there is no sample
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = whole(1, Some(MOST_SECONDS)))]
    pub seconds: usize,
    /// Job that the process trains.
    #[command(flatten)]
    pub job: JobArgs,
}

/// Arguments of the command `config`.
#[derive(Debug, Args)]
pub struct ConfigCommand {
    /// What the command does.
    #[command(subcommand)]
    pub action: ConfigAction,
}

/// What the command `config` can do.
#[derive(Debug, Subcommand)]
pub enum ConfigAction {
    /// Print each setting with its value and what sets it; takes the flags of a training
    Show(Box<TrainArgs>),
}

/// Flags of the command `summary`.
#[derive(Debug, Args)]
pub struct SummaryArgs {
    /// Sizes of the network.
    #[command(flatten)]
    pub network: NetworkArgs,
    /// Hyperparameters that decide how much memory training takes.
    #[command(flatten)]
    pub recipe: RecipeArgs<OF_MEMORY>,
    /// Form of the output.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// Flags of the command `gradcheck`.
#[derive(Debug, Args)]
pub struct GradcheckArgs {
    /// Step of the central differences
    #[arg(long, value_name = "X", default_value = "1e-6", value_parser = step)]
    pub eps: f64,
    /// Absolute tolerance; for a tensor of small gradients, relative to the largest
    #[arg(long, value_name = "X", default_value = "1e-5", value_parser = tolerance)]
    pub atol: f64,
    /// Relative tolerance
    #[arg(long, value_name = "X", default_value = "1e-3", value_parser = tolerance)]
    pub rtol: f64,
    /// Compare one random projection of each tensor with a central difference, not its elements
    #[arg(long)]
    pub fast: bool,
    /// Most disagreeing elements that are listed with their three values
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = whole(0_usize, None))]
    pub max_failures: usize,
    /// Seed of the random parameters, images and samples
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = whole(0_u64, None))]
    pub seed: u64,
    /// Sizes of the network.
    #[command(flatten)]
    pub network: NetworkArgs,
    /// Form of the output.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// Parses a tolerance of the command `gradcheck`.
fn tolerance(text: &str) -> Result<f64, String> {
    number(text, Range::NotNegative)
}

/// Flags of the command `eval`.
#[derive(Debug, Args)]
pub struct EvalArgs {
    /// The model, as with --model
    #[arg(value_name = "FILE", conflicts_with = "model")]
    file: Option<PathBuf>,
    /// A checkpoint, or a safetensors file with the tensors of the network
    #[arg(long, value_name = "FILE", default_value = DEFAULT_FILE)]
    model: PathBuf,
    /// Network of a file with weights alone, unless the file names it or it is the default one
    #[arg(long, value_name = "LAYERS")]
    pub arch: Option<String>,
    /// Average the logits of each image over N copies, itself included: 5 or 9 shifted ones
    #[arg(long, value_name = "N", value_parser = whole(2_usize, Some(MOST_COPIES)))]
    tta: Option<usize>,
    /// Change of the copies: shift; or affine or elastic, half as strong as in training, with any number
    /// of copies
    #[arg(long, value_name = "NAME", requires = "tta", default_value = "shift")]
    #[arg(value_parser = augment(), hide_possible_values = true)]
    tta_by: Augment,
    /// Average only images whose predicted class has a probability below P
    #[arg(long, value_name = "P", requires = "tta", default_value_t = 1.0)]
    #[arg(value_parser = probability)]
    tta_below: f32,
    /// Data that images are read from.
    #[command(flatten)]
    pub data: DataArgs,
    /// Stage and its resources.
    #[command(flatten)]
    pub compute: ComputeArgs,
    /// Form of the output.
    #[command(flatten)]
    pub output: OutputArgs,
    /// Print only errors and the last line; with --json, all results
    #[arg(long, short, help_heading = "Output")]
    pub quiet: bool,
}

impl EvalArgs {
    /// File of the model.
    pub fn model(&self) -> &Path {
        self.file.as_deref().unwrap_or(&self.model)
    }

    /// Averaging over copies of the images, if it is wanted.
    ///
    /// # Errors
    /// [`Error::Usage`] when there are not so many copies of this kind.
    pub fn averaging(&self) -> error::Result<Option<Averaging>> {
        let Some(copies) = self.tta else { return Ok(None) };
        if self.tta_by == Augment::Shift && ![5, 9].contains(&copies) {
            return Err(Error::Usage(format!(
                "--tta {copies}: there are 5 or 9 shifted copies: choose one, or --tta-by elastic"
            )));
        }
        Ok(Some(Averaging { copies, by: self.tta_by, below: self.tta_below }))
    }
}

/// `text` for stderr: on a terminal, its lines are broken between words, as clap does in the help.
pub fn wrapped(text: &str) -> String {
    if !io::stderr().is_terminal() {
        return text.into();
    }
    let mut help = clap::Command::new("text").help_template("{about}").about(text.to_string());
    help.render_help().to_string().trim_end().into()
}

/// Message of `error` in one line, without the usage that clap appends.
pub fn one_line(mut error: clap::Error) -> String {
    let quotation = |(kind, value): (ContextKind, &ContextValue)| match value {
        ContextValue::String(text) => Some((kind, ContextValue::String(quoted(text)))),
        _ => None,
    };
    for (kind, value) in error.context().filter_map(quotation).collect::<Vec<_>>() {
        error.insert(kind, value);
    }
    if let Some(tip) = tip(&error) {
        error.remove(ContextKind::SuggestedArg);
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![tip.into()]));
    }
    let text = error.render().to_string();
    let paragraphs = text.trim_start_matches("error: ").split("\n\n").map(str::trim);
    let said: Vec<String> = paragraphs
        .filter(|part| !part.starts_with("Usage:") && !part.starts_with("For more"))
        .map(|part| part.lines().map(str::trim).collect::<Vec<_>>().join(" "))
        // Nobody means a flag to be the value of a positional argument.
        .filter(|part| !part.starts_with("tip: to pass "))
        .collect();
    format!("{}; see --help", said.join("; "))
}

/// Words and flags of other programs, and what this program has in their place.
const TIPS: [(&[&str], &str); 7] = [
    (&["train"], "training is the command without a name, as in 'mnist-train --epochs 10'"),
    (&["--best"], "--model has the last epoch, and --checkpoint-every says when it is written"),
    (&["--cuda", "--device", "--gpu"], "the CPU alone is used, as --stage and --threads say"),
    (&["--data"], "'data synthetic' writes to --out"),
    (
        &["--lr-decay", "--scheduler"],
        "--schedule names it; cosine falls from --lr to --min-lr in --t-max epochs",
    ),
    (
        &["--output", "-o"],
        "training writes to --model, 'bench stages' to --record, 'data synthetic' to --out",
    ),
    (&["--wd"], "the L2 factor of training is --l2, AdamW's decay is --weight-decay"),
];

/// Tip for the user of the word or flag that `error` refuses, if it is known better than by clap.
fn tip(error: &clap::Error) -> Option<&'static str> {
    let texts = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => slice::from_ref(text),
        Some(ContextValue::Strings(texts)) => texts,
        _ => &[],
    };
    let [flags, commands, flags_before] =
        [ContextKind::InvalidArg, ContextKind::InvalidSubcommand, ContextKind::PriorArg].map(texts);
    let is_no_command = |word: &String| Cli::command().find_subcommand(word).is_none();
    let with_value = match error.kind() {
        ErrorKind::TooManyValues => flags,
        // clap takes a word after a flag without a value for a command.
        ErrorKind::ArgumentConflict if commands.iter().any(is_no_command) => flags_before,
        _ => &[],
    };
    if with_value.iter().any(|flag| flag == "--resume") {
        return Some("--resume goes on from the file of --model: '--resume --model FILE'");
    }
    let words = || flags.iter().chain(commands);
    let known = TIPS.iter().find(|(slips, _)| words().any(|word| slips.contains(&&**word)));
    let is_file = commands.iter().any(|word| Path::new(word).is_file());
    known
        .map(|(_, tip)| *tip)
        .or(is_file.then_some("a model is tested with 'mnist-train eval FILE'"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::dataset::ImageFormat;
    use crate::model::init::Init;
    use crate::model::mnist_cnn::MnistCnn;
    use crate::model::recipe::Recipe;

    #[test]
    fn no_flags_give_the_default_recipe_and_network() {
        let cli = Cli::parse_from(["mnist-train"]);
        assert_eq!(Recipe::from(&cli.train.recipe), Recipe::default());
        let network = cli.train.network.architecture(ImageFormat::MNIST).unwrap();
        assert_eq!(network, MnistCnn::default().architecture());
    }

    #[test]
    fn every_hyperparameter_has_a_flag_and_its_default_in_the_help() {
        let help = Cli::command().term_width(200).render_help();
        let help = help.to_string();
        let flags = "--batch-size <N> [64], --lr <X> [1e-3], --min-lr <X> [1e-5], --t-max <X> [20], \
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
        Cli::command().debug_assert();
    }
}
