//! Results as plain data, and one output format a file.
//!
//! An [`Event`] is what the program has to say on stdout: as text for people ([`text`]) or as one
//! line of JSON for programs ([`json`]). Field names are the schema, described in docs/JSON.md;
//! units stand in the names, and counts are counts of images.

pub mod bench;
#[cfg(feature = "profile")]
pub mod html;
pub mod json;
pub mod picture;
#[cfg(feature = "profile")]
pub mod profile;
pub mod text;

use serde::Serialize;

use crate::measure::machine::Machine;
use crate::model::recipe::Recipe;
use crate::simd::Isa;

/// The version of the schema: it grows when a field changes its meaning or goes away.
pub const SCHEMA_VERSION: u32 = 1;

/// One result.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// Training begins.
    Start(Start),
    /// An epoch is done.
    Epoch(Epoch),
    /// Training is done: always the last line of a run that succeeds.
    Done(Done),
    /// A model was evaluated.
    Eval(Eval),
    /// The layers of the network.
    Summary(Summary),
    /// The table of stages.
    Stages(Stages),
    /// What is in the data folder.
    Data(Data),
    /// Stages measured against each other.
    Bench(bench::Bench),
    /// Where the time of each stage goes.
    #[cfg(feature = "profile")]
    Profile(profile::Profile),
}

/// What a run is about to do.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Start {
    /// [`SCHEMA_VERSION`].
    pub schema: u32,
    /// Of this program.
    pub version: &'static str,
    /// `mnist`, `synthetic` or `custom`.
    pub dataset: String,
    /// The same for people.
    #[serde(skip)]
    pub dataset_description: String,
    /// Images to train on.
    pub train_images: usize,
    /// Images to test on.
    pub test_images: usize,
    /// Name of the stage.
    pub stage: String,
    /// Name of the engine.
    pub engine: String,
    /// Format of the factors of its products: `f32`, or `bf16`, which is not exact.
    pub products: &'static str,
    /// Vector instructions of its kernels, where the stage has kernels for several sets of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub isa: Option<Isa>,
    /// Threads of a step.
    pub threads: usize,
    /// The network on one line.
    pub architecture: String,
    /// Weights and biases.
    pub parameters: usize,
    /// Every hyperparameter.
    pub recipe: Recipe,
    /// Epochs that the run will have when it is done.
    pub epochs: usize,
    /// The epoch it begins with; above 0 when it is resumed.
    pub first_epoch: usize,
}

/// What an epoch came to.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Epoch {
    /// Counted from 0.
    pub epoch: usize,
    /// Mean over the training images, each under the weights before its step.
    pub loss: f64,
    /// Share in 0..=1, likewise.
    pub train_accuracy: f64,
    /// Test images classified correctly after the epoch; absent with `--no-eval`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub test_correct: Option<usize>,
    /// Test images.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub test_total: Option<usize>,
    /// Learning rate.
    pub lr: f64,
    /// Training alone.
    pub seconds: f64,
    /// Trained on.
    pub images_per_second: f64,
}

/// What a run came to.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Done {
    /// Training steps alone.
    pub train_seconds: f64,
    /// Finding, reading and checking the data.
    pub load_seconds: f64,
    /// Evaluation after the epochs.
    pub eval_seconds: f64,
    /// From the start of the program until now: loading, training, evaluating, saving.
    pub total_seconds: f64,
    /// The most memory that the process has had in RAM at once; absent where the operating system
    /// does not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peak_rss_bytes: Option<u64>,
    /// Absent with `--no-eval`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub test_correct: Option<usize>,
    /// Absent with `--no-eval`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub test_total: Option<usize>,
    /// Over the little-endian f32 of the weights and biases in canonical order.
    pub weights_sha256: String,
    /// Path of the checkpoint.
    pub model: String,
    /// Name of the stage.
    pub stage: String,
    /// See [`Start::products`].
    pub products: &'static str,
    /// Threads of a step.
    pub threads: usize,
    /// `mnist`, `synthetic` or `custom`.
    pub dataset: String,
    /// Epochs that the model has been trained for.
    pub epochs: usize,
    /// Steps, likewise.
    pub steps: u64,
}

/// How well a model does.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Eval {
    /// [`SCHEMA_VERSION`].
    pub schema: u32,
    /// Images classified correctly.
    pub correct: usize,
    /// Images.
    pub total: usize,
    /// correct / total.
    pub accuracy: f64,
    /// Mean cross-entropy.
    pub loss: f64,
    /// `confusion[label][predicted]` images.
    pub confusion: Vec<Vec<usize>>,
    /// For each class; `null` where nothing was predicted or is there.
    pub recall: Vec<Option<f64>>,
    /// For each class, likewise.
    pub precision: Vec<Option<f64>>,
    /// The most confidently wrong images.
    pub mistakes: Vec<Mistake>,
    /// The forward passes alone.
    pub seconds: f64,
    /// Of the forward passes.
    pub images_per_second: f64,
    /// `mnist`, `synthetic` or `custom`.
    pub dataset: String,
    /// The same for people.
    #[serde(skip)]
    pub dataset_description: String,
    /// What the model was trained on, when its file says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trained_on: Option<String>,
    /// The network on one line.
    pub architecture: String,
    /// Path of the model.
    pub model: String,
    /// See [`Done::weights_sha256`].
    pub weights_sha256: String,
    /// Name of the stage.
    pub stage: String,
    /// See [`Start::products`].
    pub products: &'static str,
    /// Threads of a forward pass.
    pub threads: usize,
}

/// An image classified wrongly.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Mistake {
    /// Which test image, counted from 0.
    pub index: usize,
    /// What it is.
    pub label: usize,
    /// What it was taken for.
    pub predicted: usize,
    /// Softmax probability of that.
    pub probability: f32,
}

/// The layers of a network.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Summary {
    /// [`SCHEMA_VERSION`].
    pub schema: u32,
    /// The network on one line.
    pub architecture: String,
    /// Images of the batch that the work is counted for.
    pub batch_size: usize,
    /// From the image to the logits.
    pub layers: Vec<SummaryLayer>,
    /// Weights and biases of all layers.
    pub parameters: usize,
}

/// One layer.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SummaryLayer {
    /// Name.
    pub name: String,
    /// Kind and geometry.
    pub layer: String,
    /// Shape of one image's output.
    pub output: String,
    /// Weights and biases.
    pub parameters: usize,
    /// Multiply-adds × 2 of a batch, forward.
    pub forward_flops: usize,
    /// Activations and parameters read and written once, forward.
    pub forward_bytes: usize,
    /// Likewise, backward.
    pub backward_flops: usize,
    /// Likewise, backward.
    pub backward_bytes: usize,
}

/// The table of stages.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Stages {
    /// [`SCHEMA_VERSION`].
    pub schema: u32,
    /// What they would run on.
    pub machine: Machine,
    /// Slowest first.
    pub stages: Vec<StageRow>,
}

/// One stage.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StageRow {
    /// What `--stage` takes.
    pub name: &'static str,
    /// In one line.
    pub idea: &'static str,
    /// Name of the engine.
    pub engine: &'static str,
    /// Format of the products.
    pub precision: &'static str,
    /// Whether a step is shared over threads.
    pub multithreaded: bool,
    /// What it starts from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub predecessor: Option<&'static str>,
    /// Whether `--stage` defaults to it.
    pub default: bool,
    /// Why it cannot train the default network here, if it cannot.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unmet: Option<String>,
}

/// What is in the data folder.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Data {
    /// [`SCHEMA_VERSION`].
    pub schema: u32,
    /// The folder.
    pub directory: String,
    /// The four files.
    pub files: Vec<DataFile>,
}

/// One file.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DataFile {
    /// The official name.
    pub name: &'static str,
    /// `mnist`, `synthetic`, `custom`, `missing`, `invalid` or `unreadable`.
    pub status: &'static str,
    /// Where it was found.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Images or labels in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<usize>,
    /// As it is stored.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// Of the uncompressed content.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// What is wrong with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}
