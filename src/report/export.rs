//! Result of the export of a model.

use serde::Serialize;

/// Files of an exported model.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Export {
    /// Version of the schema, [`super::SCHEMA_VERSION`].
    pub schema: u32,
    /// Path of the model that was read.
    pub model: String,
    /// Text of the network: its layers in their order.
    pub architecture: String,
    /// Shape of one image.
    #[serde(skip)]
    pub input: Vec<usize>,
    /// Number of classes.
    #[serde(skip)]
    pub classes: usize,
    /// Number of weights and biases.
    pub parameters: usize,
    /// SHA-256 of the weights and biases, as in [`super::Done::weights_sha256`].
    pub weights_sha256: String,
    /// Kind of the dataset that the model was trained on; absent if its file does not say it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trained_on: Option<String>,
    /// Format of the file: `safetensors` or `onnx`.
    pub format: &'static str,
    /// Version of the operators of ONNX; absent in another format.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub opset: Option<i64>,
    /// Path of the file that was written.
    pub file: String,
    /// Size of that file.
    pub bytes: usize,
    /// Path of the file with the test images and the expected logits.
    pub test_file: String,
    /// Number of test images.
    pub test_images: usize,
    /// Kind of the dataset of the test images: `mnist`, `synthetic` or `custom`.
    pub dataset: String,
    /// Kind of the dataset in words.
    #[serde(skip)]
    pub dataset_description: String,
    /// Largest absolute value of an expected logit.
    pub largest_logit: f32,
    /// Path of the script that compares the logits of another program with the expected ones.
    pub script: String,
    /// Largest difference that the script accepts, relative to the largest logit.
    pub tolerance: f64,
}
