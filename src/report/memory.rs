//! The result of `mnist-train bench memory`.

use serde::Serialize;

use crate::measure::machine::Environment;
use crate::measure::statistics::Line;

/// Memory of training and of predictions.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BenchMemory {
    /// Version of the schema, [`SCHEMA_VERSION`](super::SCHEMA_VERSION).
    pub schema: u32,
    /// Version of this program.
    pub version: &'static str,
    /// Machine, time and build of the program.
    pub environment: Environment,
    /// Text of the network: its layers in their order.
    pub architecture: String,
    /// Name of the stage.
    pub stage: &'static str,
    /// Number of threads of a step.
    pub threads: usize,
    /// Bytes of the weights and biases.
    pub parameter_bytes: u64,
    /// Bytes of the gradients.
    pub gradient_bytes: u64,
    /// Bytes of the moments that the optimizer keeps.
    pub moment_bytes: u64,
    /// Layers in order, from the image to the logits.
    pub layers: Vec<LayerMemory>,
    /// Measurements, the smallest batch first.
    pub rows: Vec<MemoryRow>,
    /// Live bytes of predictions as a linear function of the number of images; absent in a program
    /// that does not count bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inference_fit: Option<Line>,
    /// Live bytes of training as a linear function of the number of images; absent likewise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub training_fit: Option<Line>,
    /// Bytes that stay allocated after an engine has come, made a step, and gone; absent likewise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kept_bytes: Option<i64>,
}

/// Memory of one layer.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LayerMemory {
    /// Name of the layer.
    pub name: String,
    /// Text of the layer, like `conv32k5p2`.
    pub layer: String,
    /// Bytes of its weights and biases.
    pub parameter_bytes: u64,
    /// Bytes of the output for each image; 0 if the layer only changes the shape.
    pub output_bytes_per_image: u64,
    /// Bytes for each image that the forward pass keeps for the backward pass, beside the output.
    pub kept_bytes_per_image: u64,
}

/// Memory with batches of one size.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MemoryRow {
    /// Number of images of a batch.
    pub batch_size: usize,
    /// Bytes of training that the program expects: parameters, gradients, moments and activations.
    pub expected_bytes: u64,
    /// Bytes of the activations among these.
    pub activation_bytes: u64,
    /// Memory of an engine that has predicted a batch; absent in a program that does not count bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inference: Option<Bytes>,
    /// Memory of an engine that has made a step; absent likewise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub training: Option<Bytes>,
    /// Largest amount of memory in RAM of a separate process that trains two batches and converts a
    /// checkpoint to bytes; absent if the operating system does not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub process_peak_bytes: Option<u64>,
}

impl MemoryRow {
    /// Live bytes of training relative to those of a prediction, if both were counted.
    pub fn training_to_inference(&self) -> Option<f64> {
        let (training, inference) = self.training.zip(self.inference)?;
        Some(training.live_bytes as f64 / inference.live_bytes as f64)
    }
}

/// Memory that was allocated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Bytes {
    /// Bytes that are allocated afterwards.
    pub live_bytes: u64,
    /// Largest number of bytes that were allocated at once.
    pub peak_bytes: u64,
}
