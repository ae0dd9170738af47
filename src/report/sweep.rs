//! Results of a sweep: of each run, and of all runs with the same values of flags.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::measure::statistics::Sample;

/// Names and values of the flags that have several values in a sweep.
pub type Values = BTreeMap<String, String>;

/// Result of one run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SweepRun {
    /// Version of the schema, [`SCHEMA_VERSION`](super::SCHEMA_VERSION).
    pub schema: u32,
    /// Flags that have several values in the sweep, with those of this run.
    pub values: Values,
    /// Seed of the run.
    pub seed: u64,
    /// Path of the file with the lines of the run.
    pub file: String,
    /// Whether the file was there, so that nothing was trained.
    pub reused: bool,
    /// Message of a run that diverged; then the other fields are absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub diverged: Option<String>,
    /// What the run has reached.
    #[serde(flatten)]
    pub reached: Option<Reached>,
}

/// What a run has reached.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Reached {
    /// Test images that are classified correctly after the last epoch; absent with `--no-eval`.
    #[serde(flatten)]
    pub test: Option<Test>,
    /// Validation images that are classified correctly after the last epoch; absent without
    /// `--validation`.
    #[serde(flatten)]
    pub validation: Option<Validation>,
    /// Duration of the training steps.
    pub train_seconds: f64,
    /// Duration of all evaluations.
    pub eval_seconds: f64,
    /// SHA-256 of the weights and biases.
    pub weights_sha256: String,
}

/// Number of test images.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Test {
    /// Images classified correctly.
    pub test_correct: usize,
    /// All images.
    pub test_total: usize,
}

/// Number of validation images.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Validation {
    /// Images classified correctly.
    pub validation_correct: usize,
    /// All images.
    pub validation_total: usize,
}

/// Results of all runs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Sweep {
    /// Version of the schema, [`SCHEMA_VERSION`](super::SCHEMA_VERSION).
    pub schema: u32,
    /// Folder of the files.
    pub folder: String,
    /// Kind of the dataset, as in [`Start::dataset`](super::Start::dataset).
    pub dataset: String,
    /// Accuracy that the means are compared with, 0 to 1; absent without `--mark`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mark: Option<f64>,
    /// Runs with the same values, in the order of the flags.
    pub rows: Vec<SweepRow>,
}

/// Results of the runs with the same values.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SweepRow {
    /// Flags that have several values in the sweep, with those of these runs.
    pub values: Values,
    /// Text of the network.
    pub architecture: String,
    /// Number of weights and biases.
    pub parameters: usize,
    /// Number of runs that diverged; the other fields leave them out.
    pub diverged: usize,
    /// Share of the test images that are classified correctly, 0 to 1; absent with `--no-eval`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub test_accuracy: Option<Sample>,
    /// Share of the validation images that are classified correctly, 0 to 1; absent without
    /// `--validation`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub validation_accuracy: Option<Sample>,
    /// Probability of so high a mean by chance, if the accuracy is the mark: of the test images, or
    /// else of the validation images (Student's t-test, one-sided).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chance: Option<f64>,
    /// Durations of the training steps of a run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub train_seconds: Option<Sample>,
}
