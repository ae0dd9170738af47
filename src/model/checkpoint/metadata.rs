//! Metadata of a checkpoint: everything in it but the tensors, checked as it is read.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::error::{CheckpointError, ParseResult, expect};
use super::format::{FORMAT_VERSION, RUNAWAY_LOSS, architecture_1};
use super::history::{self, EpochRecord};
use crate::error::quoted;
use crate::model::architecture::Architecture;
use crate::model::mnist_cnn::MnistCnn;
use crate::model::presets;
use crate::model::recipe::{Field, Recipe};
use crate::nn::shape::ImageShape;
use crate::optim::Optimizer;
use crate::optim::adam::Adam;

/// Metadata of a checkpoint: everything in it but the tensors.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Metadata {
    /// Format version of the file: [`FORMAT_VERSION`] of the program that wrote it.
    pub format_version: u32,
    /// Text of the network, as [`Architecture`] displays it.
    pub architecture: String,
    /// Shape of the images that the network takes, (C, H, W). A file of version 1
    /// does not name it; it is always (1, 28, 28) there.
    #[serde(default = "mnist_image")]
    pub input: [usize; 3],
    /// Names of the optimizer's slots. A file of version 1 does not name them; they are always
    /// Adam's there.
    #[serde(default = "adam_slots")]
    pub slots: Vec<String>,
    /// Hyperparameters of the training.
    pub recipe: Recipe,
    /// Dataset of the training.
    pub dataset: DatasetIdentity,
    /// Name of the stage that trained the model last.
    pub stage: String,
    /// Vector instructions that the stage used, if it can choose them. Files of an early version do
    /// not name them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub isa: Option<String>,
    /// Place in the run at which the state was saved.
    pub position: Position,
    /// Result of the validations so far; absent before the first one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validation: Option<Validation>,
    /// Results of the epochs so far, at most the last [`history::MOST_EPOCHS`] of them; files of an
    /// early version have none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<EpochRecord>,
    /// Number of steps that the optimizer has taken, t.
    pub steps: u64,
    /// SHA-256 over the JSON of this metadata with this field empty, followed by the data of all
    /// tensors in the order of their names.
    pub content_sha256: String,
}

impl Metadata {
    /// Metadata of a model of `architecture` that `stage` will train with `recipe`, before the
    /// first step. The dataset has no name yet.
    pub fn new(architecture: &Architecture, recipe: Recipe, stage: &str) -> Self {
        let ImageShape { channels, height, width } = architecture.input().as_image();
        Self {
            format_version: FORMAT_VERSION,
            architecture: architecture.to_string(),
            input: [channels, height, width],
            slots: Optimizer::from(&recipe).slots().iter().map(ToString::to_string).collect(),
            recipe,
            dataset: DatasetIdentity::default(),
            stage: stage.into(),
            isa: None,
            position: Position::default(),
            validation: None,
            history: Vec::new(),
            steps: 0,
            content_sha256: String::new(),
        }
    }

    /// Metadata with the same content in the version that this program writes; `architecture` is
    /// the network that it describes.
    pub(super) fn upgraded(self, architecture: &Architecture) -> Self {
        let architecture = architecture.to_string();
        Self { format_version: FORMAT_VERSION, architecture, ..self }
    }

    pub(super) fn to_json(&self) -> String {
        serde_json::to_string(self).expect("plain data")
    }
}

/// Dataset that a model was trained on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DatasetIdentity {
    /// Name of the dataset, as [`crate::data::dataset::DatasetKind::name`] gives it.
    pub name: String,
    /// SHA-256 of the dataset, from [`crate::data::dataset::Dataset::sha256s`].
    pub sha256: String,
    /// Name of each class; empty if the names are the numbers from 0.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub class_names: Vec<String>,
}

/// Place in a run, between two steps.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Position {
    /// Number of complete epochs.
    pub epoch: usize,
    /// Number of batches of the next epoch that are done.
    pub batch: usize,
    /// Sum of the losses of the images in the batches of the next epoch that are done.
    pub loss: f64,
    /// Number of images in the batches of the next epoch that were classified correctly.
    pub correct: usize,
    /// Sum of the norms of the gradients of the batches of the next epoch that are done; 0 if the
    /// engine does not measure them.
    #[serde(default)]
    pub gradient_norm: f64,
}

impl Position {
    /// Number of whole epochs, and of batches of the next one, after which a run of `epochs` epochs ends.
    /// A fraction ends after a whole number of the epoch's `batches`, and a run has at least one batch.
    pub fn end(epochs: f64, batches: usize) -> (usize, usize) {
        let (whole, part) = (epochs.floor() as usize, epochs.fract());
        match (part * batches as f64).round() as usize {
            0 if whole == 0 => (0, 1),
            all if all == batches => (whole + 1, 0),
            some => (whole, some),
        }
    }
}

/// Result of the validations of a run, each after an epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Validation {
    /// Number of epochs after which the last validation was made.
    pub epoch: usize,
    /// Number of epochs after which most images were classified correctly, for the first time.
    pub best_epoch: usize,
    /// Number of validation images that were then classified correctly.
    pub best_correct: usize,
}

impl Validation {
    /// Result of the validations after a further one, after `epoch` epochs, with `correct` images.
    pub fn after(before: Option<Self>, epoch: usize, correct: usize) -> Self {
        match before {
            Some(best) if best.best_correct >= correct => Self { epoch, ..best },
            _ => Self { epoch, best_epoch: epoch, best_correct: correct },
        }
    }
}

fn mnist_image() -> [usize; 3] {
    [1, 28, 28]
}

fn adam_slots() -> Vec<String> {
    Adam::SLOTS.map(String::from).to_vec()
}

/// Metadata from its `json`, in any version that this program knows. Version 1 describes the
/// network in words, which [`architecture`] compares with the shapes of the tensors.
///
/// # Errors
/// The first problem that is found.
pub fn parse(json: &str) -> ParseResult<Metadata> {
    let invalid = |problem: String| CheckpointError::Metadata(problem);
    let value: Value = serde_json::from_str(json)
        .map_err(|error| invalid(format!("no JSON from column {} on", error.column())))?;
    // The version is checked first, because a newer version may have any fields.
    match value["format_version"].as_u64() {
        Some(found) if found > u64::from(FORMAT_VERSION) => {
            return Err(CheckpointError::NewerVersion { found });
        }
        Some(found) => {
            let expected = format!("1 to {FORMAT_VERSION}");
            expect(found > 0, "format_version", found, expected)?;
        }
        None => return Err(invalid("no whole number in field format_version".into())),
    }
    let metadata: Metadata = serde_path_to_error::deserialize(&value)
        .map_err(|error| invalid(format!("field {}", quoted(&error.to_string()))))?;
    let expected = Optimizer::from(&metadata.recipe).slots().join(", ");
    let slots = metadata.slots.join(", ");
    expect(slots == expected, "slots", quoted(&slots), expected)?;
    check_values(&metadata)?;
    Ok(metadata)
}

/// Network that `metadata` describes. `sizes` gives the sizes of the network according to the
/// shapes of the tensors.
///
/// # Errors
/// When the description is not valid, or the tensors have other sizes.
pub fn architecture(
    metadata: &Metadata,
    sizes: impl FnOnce() -> ParseResult<MnistCnn>,
) -> ParseResult<Architecture> {
    if metadata.format_version > 1 {
        let network = presets::network_for(&metadata.architecture, metadata.input);
        return network.map_err(|problem| {
            CheckpointError::Metadata(format!("field architecture: {}", quoted(&problem)))
        });
    }
    let network = sizes()?;
    let expected = architecture_1(network);
    if metadata.architecture != expected {
        let found = metadata.architecture.clone();
        return Err(CheckpointError::Architecture { found, expected });
    }
    Ok(network.architecture())
}

/// Refuses hyperparameters that the command line refuses too, and a place that no run reaches. No
/// run writes such a file, but a person can.
fn check_values(metadata: &Metadata) -> ParseResult<()> {
    if let Some((Field { name, valid, .. }, found)) = metadata.recipe.invalid() {
        let field = format!("recipe.{name}");
        return Err(CheckpointError::Value { field, found, expected: valid.to_string() });
    }
    if let Some(problem) = metadata.recipe.contradiction() {
        return Err(CheckpointError::Metadata(format!("field recipe: {problem}")));
    }
    check_validation(metadata)?;
    let Position { epoch, batch, loss, correct, gradient_norm } = metadata.position;
    let (epoch, batch) = (epoch as u64, batch as u64);
    let is_norm = gradient_norm.is_finite() && gradient_norm >= 0.0;
    expect(is_norm, "position.gradient_norm", gradient_norm, "a number from 0 on")?;
    match metadata.recipe.max_samples {
        Some(images) => check_place(metadata, images)?,
        None => {
            // The number of images is not known here, but every epoch has the same number of
            // batches.
            let before = metadata.steps.checked_sub(batch);
            let possible = before.is_some_and(|before| match epoch {
                0 => before == 0,
                _ => before % epoch == 0 && before / epoch > batch,
            });
            let of_a_run = format!("those of {epoch} whole epochs and {batch} batches");
            expect(possible && metadata.steps < u64::MAX, "steps", metadata.steps, of_a_run)?;
        }
    }
    let seen = batch.checked_mul(metadata.recipe.batch_size as u64);
    expect(seen.is_some(), "position.batch", batch, "as many as can be counted")?;
    let seen = seen.unwrap_or_default();
    let at_most = format!("at most the {seen} images of the batches that are done");
    expect(correct as u64 <= seen, "position.correct", correct, at_most)?;
    let largest = RUNAWAY_LOSS * seen as f64;
    let at_most = format!("at most {largest:e} in {seen} images");
    expect(loss.abs() <= largest, "position.loss", loss, at_most)?;
    history::check(&metadata.history, metadata.position.epoch)
}

/// Refuses results of validations that no run has.
fn check_validation(metadata: &Metadata) -> ParseResult<()> {
    let Some(Validation { epoch, best_epoch, best_correct }) = metadata.validation else {
        return Ok(());
    };
    let epochs = metadata.position.epoch;
    let at_most = format!("at most the {epochs} epochs that are done");
    expect((1..=epochs).contains(&epoch), "validation.epoch", epoch, at_most)?;
    let at_most = format!("from 1 to {epoch}");
    expect((1..=epoch).contains(&best_epoch), "validation.best_epoch", best_epoch, at_most)?;
    let images = metadata.recipe.validation.unwrap_or_default();
    let at_most = format!("at most the {images} validation images");
    expect(best_correct <= images, "validation.best_correct", best_correct, at_most)
}

/// Refuses a place that no run on `images` images reaches.
///
/// # Errors
/// The field with its value and the expected value.
pub fn check_place(metadata: &Metadata, images: usize) -> ParseResult<()> {
    let Position { epoch, batch, .. } = metadata.position;
    let batches = images.div_ceil(metadata.recipe.batch_size);
    let fewer = format!("less than the {batches} of an epoch");
    expect(batch < batches, "position.batch", batch, fewer)?;
    let steps = (epoch as u64).saturating_mul(batches as u64).saturating_add(batch as u64);
    let expected = format!("{steps} after {epoch} epochs and {batch} batches");
    expect(metadata.steps == steps && steps < u64::MAX, "steps", metadata.steps, expected)
}
