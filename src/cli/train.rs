//! The flags of a training.

use std::path::PathBuf;

use clap::Args;

use super::profile::ProfileArgs;
use super::recipe::RecipeArgs;
use super::shared::{ComputeArgs, DataArgs, NetworkArgs, OutputArgs};
use super::values::{number, whole};
use crate::model::checkpoint::DEFAULT_FILE;
use crate::model::recipe::Range;
use crate::model::recipes::NamedRecipe;
use crate::training::trainer::DEFAULT_EPOCHS;

/// Identifier of the flag of the named recipe, which the command line expands into flags.
pub const NAMED: &str = "named";

/// Flags that control a training run.
#[derive(Debug, Args)]
pub struct TrainArgs {
    /// File with settings: TOML, or a checkpoint; flags and MNIST_* variables come first
    #[arg(long, value_name = "FILE", help_heading = "Training")]
    pub config: Option<PathBuf>,
    /// Set of settings, of which other flags can change each: source, 99, 99.3, or 99.5
    #[arg(id = NAMED, long = "recipe", value_name = "NAME", value_parser = NamedRecipe::names())]
    #[arg(hide_possible_values = true, default_value = "source", help_heading = "Training")]
    pub named: String,
    /// Total number of epochs, also a fraction, including those before --resume
    #[arg(long, value_name = "X", default_value_t = DEFAULT_EPOCHS, help_heading = "Training")]
    #[arg(value_parser = |text: &str| number(text, Range::Epochs))]
    pub epochs: f64,
    /// Hyperparameters of the training.
    #[command(flatten)]
    pub recipe: RecipeArgs,
    /// Sizes of the network.
    #[command(flatten)]
    pub network: NetworkArgs,
    /// Begin with the weights in FILE: a checkpoint, or a safetensors file of any program
    #[arg(long, value_name = "FILE", conflicts_with_all = ["resume", "init", "init_scale"], help_heading = "Model")]
    pub init_from: Option<PathBuf>,
    /// Go on exactly where the run that wrote --model stopped, with its hyperparameters and network
    #[arg(long, help_heading = "Model")]
    pub resume: bool,
    /// File to write the model to; --resume goes on from it
    #[arg(long, value_name = "FILE", default_value = DEFAULT_FILE, help_heading = "Model")]
    pub model: PathBuf,
    /// Write the model every N epochs, and at the end
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = whole(1_usize, None))]
    #[arg(help_heading = "Model")]
    pub checkpoint_every: usize,
    /// Most models of earlier runs that stay beside --model, as FILE.previous, FILE.previous.2 …
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = whole(0_usize, None))]
    #[arg(help_heading = "Model")]
    pub keep_previous: usize,
    /// Keep the model with the best validation so far, as FILE.best
    #[arg(long, help_heading = "Model")]
    pub save_best: bool,
    /// End the run after E epochs without a better validation
    #[arg(long, value_name = "E", value_parser = whole(1_usize, None), help_heading = "Training")]
    pub patience: Option<usize>,
    /// Classify the test images every N epochs, and at the end
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = whole(1_usize, None))]
    #[arg(conflicts_with = "no_eval", help_heading = "Model")]
    pub eval_every: usize,
    /// Do not classify the test images; their files may be missing
    #[arg(long, help_heading = "Model")]
    pub no_eval: bool,
    /// Also write a row for each epoch to this file, as CSV; docs/REPORT.md has the columns
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub log: Option<PathBuf>,
    /// Also write events for TensorBoard into this folder
    #[arg(long, value_name = "DIR", help_heading = "Output")]
    pub tensorboard: Option<PathBuf>,
    /// Data that images are read from.
    #[command(flatten)]
    pub data: DataArgs,
    /// Stage and its resources.
    #[command(flatten)]
    pub compute: ComputeArgs,
    /// Flags that profile the stages instead of training.
    #[command(flatten)]
    pub profile: ProfileArgs,
    /// Form of the output.
    #[command(flatten)]
    pub output: OutputArgs,
    /// Print only errors and the last line; with --json, all results
    #[arg(long, short, help_heading = "Output")]
    pub quiet: bool,
}
