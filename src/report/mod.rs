//! Results of commands as plain data, and their output formats, one in each file.
//!
//! An [`Event`] is a result that the program prints to stdout: as text for people ([`text`]) or as
//! one line of JSON for programs ([`json`]). The field names are the schema, which docs/JSON.md
//! describes. They contain the units; a count without a unit counts images.

pub mod ablations;
pub mod autograd;
pub mod bench;
pub mod budget;
pub mod config;
pub mod csv;
pub mod date;
pub mod documents;
pub mod export;
pub mod gate;
pub mod gradcheck;
#[cfg(feature = "profile")]
pub mod html;
pub mod infer;
pub mod json;
pub mod layers;
pub mod log;
pub mod measured;
pub mod memory;
pub mod picture;
pub mod predict;
#[cfg(feature = "profile")]
pub mod profile;
pub mod record;
// Without pages there is no trend, and a comparison with a record needs less.
#[cfg_attr(not(feature = "plots"), expect(dead_code))]
pub(crate) mod recorded;
#[cfg(feature = "plots")]
pub mod run;
pub mod suite;
pub mod sweep;
pub mod tensorboard;
pub mod text;
#[cfg(feature = "plots")]
pub mod trend;

use serde::Serialize;

use crate::data::augment::Augment;
use crate::measure::machine::Machine;
use crate::model::checkpoint::EpochRecord;
use crate::model::recipe::{Recipe, serialize_plain};
use crate::ranks::Traffic;
use crate::simd::Isa;
use crate::training::observer::EpochReport;

/// Version of the schema. It is increased when a field changes its meaning or is removed.
pub const SCHEMA_VERSION: u32 = 1;

/// A result that is printed to stdout.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// Description of a run, printed when training begins.
    Start(Start),
    /// Result of an epoch.
    Epoch(Epoch),
    /// Result of a run; the last line of every run that succeeds.
    Done(Done),
    /// Result of a run whose weights are of no use; the last line of its file in a sweep.
    Diverged(Diverged),
    /// Result of a run of a sweep.
    SweepRun(sweep::SweepRun),
    /// Results of all runs of a sweep.
    Sweep(sweep::Sweep),
    /// Result of a run of a recipe.
    RecordRun(record::RecordRun),
    /// Results of all runs of recipes.
    Record(record::Record),
    /// Result of the evaluation of a model.
    Eval(Eval),
    /// Classes that a model predicts for a picture.
    Predict(predict::Predict),
    /// Settings of a training.
    Config(config::Config),
    /// Files of an exported model.
    Export(export::Export),
    /// Layers of the network.
    Summary(Summary),
    /// Stages of the ladder, and whether they can run on this machine.
    Stages(Stages),
    /// Files in the data folder.
    Data(Data),
    /// Check of the gradients of a network.
    Gradcheck(gradcheck::Gradcheck),
    /// Comparison of the stages' speed.
    Bench(Box<bench::Bench>),
    /// Comparison of the speed of layers.
    BenchLayers(Box<layers::BenchLayers>),
    /// Speed of computations on the tape.
    BenchAutograd(Box<autograd::BenchAutograd>),
    /// Speed of predictions.
    BenchInfer(Box<infer::BenchInfer>),
    /// Memory of training and of predictions.
    BenchMemory(Box<memory::BenchMemory>),
    /// What the advice of performance guides is worth.
    BenchAblations(Box<ablations::BenchAblations>),
    /// Limits, and whether they are met.
    BenchBudget(Box<budget::BenchBudget>),
    /// Comparison of this program with a baseline.
    Gate(Box<gate::Gate>),
    /// Profile of the stages.
    #[cfg(feature = "profile")]
    Profile(Box<profile::Profile>),
}

/// Description of a run that begins.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Start {
    /// Version of the schema, [`SCHEMA_VERSION`].
    pub schema: u32,
    /// Version of this program.
    pub version: &'static str,
    /// Kind of the dataset: `mnist`, `synthetic` or `custom`.
    pub dataset: String,
    /// Kind of the dataset in words.
    #[serde(skip)]
    pub dataset_description: String,
    /// SHA-256 of the dataset, as in the checkpoint.
    pub dataset_sha256: String,
    /// Number of images to train on.
    pub train_images: usize,
    /// Number of images held out of the training; absent without `--validation`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub validation_images: Option<usize>,
    /// Number of images to test on.
    pub test_images: usize,
    /// Name of the stage.
    pub stage: String,
    /// Name of the engine.
    pub engine: String,
    /// Format of the factors of matrix products: `f32`, or `bf16`, which is not exact.
    pub products: &'static str,
    /// Vector instructions of the kernels; absent if the stage has no choice of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub isa: Option<Isa>,
    /// Number of threads of a step, on rank 0.
    pub threads: usize,
    /// Number of processes that share the training; absent if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ranks: Option<usize>,
    /// Text of the network: its layers in their order.
    pub architecture: String,
    /// Number of weights and biases.
    pub parameters: usize,
    /// Hyperparameters of the run.
    pub recipe: Recipe,
    /// Number of epochs after which the run ends, counted from the beginning of training; a fraction
    /// ends within an epoch.
    #[serde(serialize_with = "serialize_plain")]
    pub epochs: f64,
    /// Epoch with which the run begins; above 0 when it is resumed.
    pub first_epoch: usize,
}

/// Result of an epoch.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Epoch {
    /// Results that checkpoints keep.
    #[serde(flatten)]
    pub record: EpochRecord,
    /// Duration of the training steps in this process.
    pub seconds: f64,
    /// Training speed in this process.
    pub images_per_second: f64,
}

impl From<&EpochReport> for Epoch {
    fn from(report: &EpochReport) -> Self {
        let EpochReport { record, duration, images } = report;
        let seconds = duration.as_secs_f64();
        Self { record: record.clone(), seconds, images_per_second: *images as f64 / seconds }
    }
}

/// Result of a run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Done {
    /// Duration of the training steps in this process.
    pub train_seconds: f64,
    /// Duration of finding, reading and checking the data.
    pub load_seconds: f64,
    /// Duration of all evaluations.
    pub eval_seconds: f64,
    /// Duration from the images in memory to the last prediction: preparing, training, evaluating.
    pub clock_seconds: f64,
    /// Duration from the start of the program until now: loading, training, evaluating, saving.
    pub total_seconds: f64,
    /// Largest amount of memory that the process has had in RAM; absent if the operating system
    /// does not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peak_rss_bytes: Option<u64>,
    /// Number of test images classified correctly in the last evaluation; absent with `--no-eval`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub test_correct: Option<usize>,
    /// Number of test images; absent with `--no-eval`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub test_total: Option<usize>,
    /// Number of epochs after which most validation images were classified correctly; absent without
    /// `--validation`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub best_epoch: Option<usize>,
    /// Number of validation images classified correctly after that epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub best_validation_correct: Option<usize>,
    /// Path of the checkpoint after that epoch; absent without `--save-best`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub best_model: Option<String>,
    /// SHA-256 of the weights and biases, as little-endian f32 in canonical order.
    pub weights_sha256: String,
    /// Path of the checkpoint; absent in a sweep, which keeps no models.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Name of the stage.
    pub stage: String,
    /// Format of the factors of matrix products, as in [`Start::products`].
    pub products: &'static str,
    /// Number of threads of a step.
    pub threads: usize,
    /// Kind of the dataset: `mnist`, `synthetic` or `custom`.
    pub dataset: String,
    /// Number of epochs that the model has been trained for, with the part of an epoch that is not whole.
    #[serde(serialize_with = "serialize_plain")]
    pub epochs: f64,
    /// Number of steps that the model has been trained for.
    pub steps: u64,
    /// Messages of the training steps to other processes; absent if there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ranks: Option<Exchanged>,
}

/// Messages of rank 0 to other ranks in the training steps.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Exchanged {
    /// Number of ranks.
    pub count: usize,
    /// Time in exchanges, waiting for partners included.
    pub exchange_seconds: f64,
    /// Number of exchanges.
    pub exchanges: u64,
    /// Number of bytes that were sent.
    pub sent_bytes: u64,
}

impl Exchanged {
    /// Messages between `count` ranks that cost `traffic`.
    pub fn new(count: usize, traffic: Traffic) -> Self {
        let Traffic { duration, bytes, exchanges } = traffic;
        Self { count, exchange_seconds: duration.as_secs_f64(), exchanges, sent_bytes: bytes }
    }
}

/// Result of a run that diverged.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Diverged {
    /// Message that says where and how.
    pub message: String,
}

/// Result of the evaluation of a model on the test images.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Eval {
    /// Version of the schema, [`SCHEMA_VERSION`].
    pub schema: u32,
    /// Number of test images classified correctly.
    pub correct: usize,
    /// Number of test images.
    pub total: usize,
    /// Share of the images classified correctly, 0 to 1.
    pub accuracy: f64,
    /// Mean cross-entropy of the images.
    pub loss: f64,
    /// Name of each class; empty if the names are the numbers from 0.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub class_names: Vec<String>,
    /// Number of images with each label and prediction: `confusion[label][predicted]`.
    pub confusion: Vec<Vec<usize>>,
    /// Recall of each class: share of its images that are classified correctly; `null` if the class
    /// has no images.
    pub recall: Vec<Option<f64>>,
    /// Precision of each class: share of its predictions that are correct; `null` if it was never
    /// predicted.
    pub precision: Vec<Option<f64>>,
    /// Averaging over copies of the images; absent without `--tta`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tta: Option<TestTimeAugmentation>,
    /// Images classified wrongly with the highest probabilities, the most confident mistake first.
    pub mistakes: Vec<Mistake>,
    /// Duration of the evaluation.
    pub seconds: f64,
    /// Speed of the evaluation.
    pub images_per_second: f64,
    /// Kind of the dataset: `mnist`, `synthetic` or `custom`.
    pub dataset: String,
    /// Kind of the dataset in words.
    #[serde(skip)]
    pub dataset_description: String,
    /// Kind of the dataset that the model was trained on; absent if its file does not say it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trained_on: Option<String>,
    /// Text of the network: its layers in their order.
    pub architecture: String,
    /// Path of the model.
    pub model: String,
    /// SHA-256 of the weights and biases, as in [`Done::weights_sha256`].
    pub weights_sha256: String,
    /// Name of the stage.
    pub stage: String,
    /// Format of the factors of matrix products, as in [`Start::products`].
    pub products: &'static str,
    /// Number of threads of a forward pass.
    pub threads: usize,
}

/// Test-time augmentation: logits that are means over several copies of an image.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct TestTimeAugmentation {
    /// Number of copies of an image, itself included.
    pub copies: usize,
    /// Change of the copies.
    pub by: Augment,
    /// Probability of the predicted class from which on an image has no copies.
    pub below: f32,
    /// Number of images that had copies.
    pub averaged: usize,
}

/// Image that was classified wrongly.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Mistake {
    /// Index of the test image, counted from 0.
    pub index: usize,
    /// Label of the image.
    pub label: usize,
    /// Class that the model predicts.
    pub predicted: usize,
    /// Softmax probability of the predicted class.
    pub probability: f32,
    /// Image as lines of text.
    #[serde(skip)]
    pub picture: Vec<String>,
}

/// Layers of a network.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Summary {
    /// Version of the schema, [`SCHEMA_VERSION`].
    pub schema: u32,
    /// Text of the network: its layers in their order.
    pub architecture: String,
    /// Number of images of the batch for which operations and bytes are counted.
    pub batch_size: usize,
    /// Layers in order, from the image to the logits.
    pub layers: Vec<SummaryLayer>,
    /// Number of weights and biases of all layers.
    pub parameters: usize,
    /// Name of the stage that trains the network if none is named.
    pub stage: &'static str,
    /// Bytes that training takes at least by that stage: parameters, gradients, what the optimizer
    /// keeps, and activations.
    pub training_bytes: u64,
    /// Bytes of the activations, and of their gradients, among these.
    pub activation_bytes: u64,
}

/// One layer of a network.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SummaryLayer {
    /// Name of the layer.
    pub name: String,
    /// Text of the layer, like `conv32k5p2`.
    pub layer: String,
    /// Shape of one image's output.
    pub output: String,
    /// Number of weights and biases.
    pub parameters: usize,
    /// Floating-point operations of the forward pass of a batch; a multiply-add is two.
    pub forward_flops: usize,
    /// Bytes of activations and parameters that the forward pass reads and writes, each once.
    pub forward_bytes: usize,
    /// Floating-point operations of the backward pass of a batch; a multiply-add is two.
    pub backward_flops: usize,
    /// Bytes of activations and parameters that the backward pass reads and writes, each once.
    pub backward_bytes: usize,
}

/// Stages of the ladder, and whether they can run on this machine.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Stages {
    /// Version of the schema, [`SCHEMA_VERSION`].
    pub schema: u32,
    /// Machine on which the stages would run.
    pub machine: Machine,
    /// Stages in the order of the ladder, the slowest first.
    pub stages: Vec<StageRow>,
}

/// One stage of the ladder.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StageRow {
    /// Name of the stage, the value of `--stage`.
    pub name: &'static str,
    /// Idea of the stage on one line.
    pub idea: &'static str,
    /// Name of the engine.
    pub engine: &'static str,
    /// Format of the factors of matrix products, `f32` or `bf16`.
    pub precision: &'static str,
    /// Whether several threads share a step.
    pub multithreaded: bool,
    /// Name of the stage from which this one starts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub predecessor: Option<&'static str>,
    /// Whether the stage is the default of `--stage`.
    pub default: bool,
    /// Reason why the stage cannot train the default network on this machine, if it cannot.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unmet: Option<String>,
}

/// Files in the data folder.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Data {
    /// Version of the schema, [`SCHEMA_VERSION`].
    pub schema: u32,
    /// Path of the folder.
    pub directory: String,
    /// The four files of the dataset.
    pub files: Vec<DataFile>,
}

/// One file of a dataset.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DataFile {
    /// Official name of the file.
    pub name: String,
    /// Status of the file: the name of its dataset, `synthetic`, `custom`, `missing`, `invalid` or `unreadable`.
    pub status: &'static str,
    /// Path of the file; absent unless it is valid.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Number of images or labels in the file; absent unless it is valid.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<usize>,
    /// Size of the file on the disk; absent unless it is valid.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// SHA-256 of the uncompressed content; absent unless the file is valid.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// Error message of an invalid or unreadable file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}
