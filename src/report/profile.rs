//! What `mnist-train --profile` has to say.

use serde::Serialize;

use super::bench::{Bench, BenchRow};
use crate::engine::phases::Phase;
use crate::simd::Isa;

/// Where the time of each stage goes.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Profile {
    /// [`SCHEMA_VERSION`](super::SCHEMA_VERSION).
    pub schema: u32,
    /// The same stages on the same images, measured while nobody sampled them.
    pub ladder: Bench,
    /// Images of a pass.
    pub images_per_pass: usize,
    /// Images of the last batch of a pass, which may be cut.
    pub last_batch_images: usize,
    /// Samples a second of CPU time that were asked for.
    pub rate_hz: i32,
    /// Samples of a stage from which on its shares can be trusted to a few percent.
    pub enough_samples: usize,
    /// In the order of the ladder.
    pub stages: Vec<ProfiledStage>,
    /// Stages whose profile did not come about.
    pub failures: Vec<ProfileFailure>,
    /// Path of the page that shows all of it.
    #[serde(skip)]
    pub page: String,
}

impl Profile {
    /// What was measured of `stage` while nobody sampled it.
    ///
    /// # Panics
    /// When it is of another profile.
    pub fn row(&self, stage: &ProfiledStage) -> &BenchRow {
        let is_it = |row: &&BenchRow| (row.stage, row.threads) == (stage.stage, stage.threads);
        self.ladder.rows.iter().find(is_it).expect("what is profiled is measured")
    }
}

/// The profile of one stage.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ProfiledStage {
    /// Name.
    pub stage: &'static str,
    /// Threads of a step.
    pub threads: usize,
    /// Vector instructions, of stages that can choose.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub isa: Option<Isa>,
    /// Times that all images were trained on from the same weights.
    pub passes: usize,
    /// Call stacks that were met in them.
    pub samples: usize,
    /// Samples of each phase that has any.
    pub phases: Vec<PhaseSamples>,
    /// Samples of threads that had nothing to do.
    pub waiting_samples: usize,
    /// Samples that belong to no phase.
    pub other_samples: usize,
    /// Functions with the most samples of their own, without those of what they call.
    pub top_functions: Vec<FunctionSamples>,
    /// File of the flamegraph, in the folder of the profile.
    pub flamegraph: String,
    /// File of the folded stacks.
    pub folded: String,
    /// File of the differential flamegraph, where the stage before was profiled too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub difference: Option<String>,
}

/// Samples of a phase.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PhaseSamples {
    /// Which.
    pub phase: Phase,
    /// Of all threads.
    pub samples: usize,
}

/// Samples of a function.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FunctionSamples {
    /// Type or module, and name.
    pub function: String,
    /// In which it was the innermost function.
    pub samples: usize,
}

/// A stage without a profile.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ProfileFailure {
    /// Name.
    pub stage: &'static str,
    /// What happened.
    pub reason: String,
}
