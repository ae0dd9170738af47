//! The result of `mnist-train bench infer`.

use serde::Serialize;

use super::measured::{Circumstances, Timed};
use crate::measure::roofline::Roofline;
use crate::simd::Isa;

/// Time in milliseconds below which the prediction of one image counts as immediate.
pub const REAL_TIME_MS: f64 = 1.0;
/// Figures of NeuralLayers for batches of 1, 16, 64 and 128: images a second, milliseconds an image.
pub const SOURCE: [(usize, usize, f64); 4] =
    [(1, 1_245, 0.80), (16, 8_932, 0.11), (64, 18_456, 0.05), (128, 22_134, 0.04)];

/// Speed of predictions.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BenchInfer {
    /// Machine, time and extent of the measurement.
    #[serde(flatten)]
    pub circumstances: Circumstances,
    /// Kind of the dataset: `mnist`, `synthetic` or `custom`.
    pub dataset: String,
    /// Kind of the dataset in words.
    #[serde(skip)]
    pub dataset_description: String,
    /// Text of the network: its layers in their order.
    pub architecture: String,
    /// Number of weights and biases.
    pub parameters: usize,
    /// Name of the stage that predicts.
    pub stage: &'static str,
    /// Vector instructions of the stages that can choose them.
    pub isa: Isa,
    /// Number of epochs for which the network was trained before.
    pub epochs: usize,
    /// Number of test images.
    pub test_images: usize,
    /// Predictions of batches of several sizes, on one thread and on all.
    pub rows: Vec<InferRow>,
    /// Predictions by networks of several widths, which were not trained.
    pub widths: Vec<WidthRow>,
    /// Predictions with products in several formats, f32 first.
    pub precisions: Vec<PrecisionRow>,
    /// Reason why bf16 was not measured; absent if it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub without_bf16: Option<String>,
    /// Limits of the machine on one thread and on all, measured before the times.
    #[serde(flatten)]
    pub roofline: Roofline,
}

/// Speed of the predictions of a batch.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct InferRow {
    /// Number of threads of a prediction.
    pub threads: usize,
    /// Number of images of a batch.
    pub batch_size: usize,
    /// Images a second at the median time.
    pub images_per_second: f64,
    /// Median time of a batch, divided by its number of images.
    pub ms_per_image: f64,
    /// Times of single calls.
    pub latency: Latency,
    /// Times of the batches.
    #[serde(flatten)]
    pub timed: Timed,
}

/// Distribution of the times of single calls.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Latency {
    /// Number of calls, each of one batch.
    pub calls: usize,
    /// Median time of a call.
    pub p50_ms: f64,
    /// Time that 95 % of the calls do not exceed.
    pub p95_ms: f64,
    /// Time that 99 % of the calls do not exceed.
    pub p99_ms: f64,
}

/// Speed of the default network with another number of hidden units.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct WidthRow {
    /// Number of hidden units.
    pub hidden: usize,
    /// Number of weights and biases.
    pub parameters: usize,
    /// Speed of the predictions.
    #[serde(flatten)]
    pub row: InferRow,
}

/// Speed and accuracy with products in one format.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PrecisionRow {
    /// Format of the factors of matrix products, `f32` or `bf16`.
    pub precision: &'static str,
    /// Name of the stage.
    pub stage: &'static str,
    /// Number of test images classified correctly.
    pub test_correct: usize,
    /// Speed of the predictions.
    #[serde(flatten)]
    pub row: InferRow,
}
