//! What the page of a run shows, as plain data.

use crate::data::classes;
use crate::data::dataset::TestSet;
use crate::measure::machine::Environment;
use crate::model::architecture::Architecture;
use crate::model::checkpoint::Metadata;
use crate::model::parameters::Parameters;
use crate::training::evaluation::Evaluation;

/// Number of test images with which the page checks its own network.
pub const CHECKED: usize = 10;

/// What the page of a run shows.
pub struct RunReport<'a> {
    /// Path of the model.
    pub model: String,
    /// Network of the model.
    pub architecture: &'a Architecture,
    /// Weights and biases.
    pub parameters: &'a Parameters,
    /// Recipe and history of the training; `None` for a file with weights alone.
    pub metadata: Option<&'a Metadata>,
    /// Images on which the model was tested.
    pub test: &'a TestSet,
    /// Name of each class; empty if the names are the numbers from 0.
    pub class_names: Vec<String>,
    /// Result on the test images.
    pub evaluation: &'a Evaluation,
    /// Note that the test images are not of the dataset of the training, if that is so.
    pub other_data: Option<String>,
    /// Logits of the first test images, (at most [`CHECKED`], classes).
    pub logits: Vec<f32>,
    /// Name of the stage that computed them.
    pub stage: &'static str,
    /// Number of threads of the stage.
    pub threads: usize,
    /// Machine of the test, and the time.
    pub environment: Environment,
}

impl RunReport<'_> {
    /// Name of a class.
    pub fn class(&self, class: usize) -> String {
        classes::name(&self.class_names, class).into()
    }

    /// Number of classes.
    pub fn classes(&self) -> usize {
        self.architecture.classes()
    }
}
