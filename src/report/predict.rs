//! Result of the classification of a picture.

use serde::Serialize;

/// Classes that a model predicts for a picture.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Predict {
    /// Version of the schema, [`super::SCHEMA_VERSION`].
    pub schema: u32,
    /// Path of the file, `-` for stdin.
    pub file: String,
    /// Number of pictures in the file.
    pub pictures: usize,
    /// Index of the picture in the file, counted from 0.
    pub index: usize,
    /// Whether the picture has no ink; then nothing is predicted.
    pub blank: bool,
    /// Whether the largest probability is below the threshold, or the picture is blank.
    pub unsure: bool,
    /// The most probable classes, the most probable first.
    pub predictions: Vec<Prediction>,
    /// Image that the network gets, as lines of text; empty if the picture is blank.
    #[serde(skip)]
    pub image: Vec<String>,
}

/// Class with its probability.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Prediction {
    /// Number of the class.
    pub class: usize,
    /// Name of the class.
    pub name: String,
    /// Softmax probability of the class.
    pub probability: f32,
}
