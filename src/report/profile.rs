//! The result of `mnist-train --profile`.

use serde::Serialize;

use super::bench::Bench;
use crate::engine::phases::Phase;
use crate::simd::Isa;

/// Profile of all stages: the share of each phase and function in the time.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Profile {
    /// Version of the schema, [`SCHEMA_VERSION`](super::SCHEMA_VERSION).
    pub schema: u32,
    /// Times of the same stages on the same images, measured without a sampler.
    pub ladder: Bench,
    /// Number of images of a pass.
    pub images_per_pass: usize,
    /// Number of images of the last batch of a pass, which may be smaller than the other batches.
    pub last_batch_images: usize,
    /// Requested number of samples in a second of CPU time.
    pub rate_hz: i32,
    /// Number of samples from which on a stage's shares are right to a few percent.
    pub enough_samples: usize,
    /// Profiles of the stages, in the order of the ladder.
    pub stages: Vec<ProfiledStage>,
    /// Stages whose profile failed.
    pub failures: Vec<ProfileFailure>,
    /// Path of the HTML page that shows the profile.
    #[serde(skip)]
    pub page: String,
}

/// Profile of one stage.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ProfiledStage {
    /// Name of the stage.
    pub stage: &'static str,
    /// Number of threads of a step.
    pub threads: usize,
    /// Vector instructions of the kernels; absent if the stage has no choice of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub isa: Option<Isa>,
    /// Number of passes over the images, each from the same weights.
    pub passes: usize,
    /// Number of call stacks that were sampled in the passes.
    pub samples: usize,
    /// Number of samples of each phase that has any.
    pub phases: Vec<PhaseSamples>,
    /// Number of samples of threads that waited for work.
    pub waiting_samples: usize,
    /// Number of samples that belong to no phase.
    pub other_samples: usize,
    /// Functions with the most samples of their own, without the samples of functions they call.
    pub top_functions: Vec<FunctionSamples>,
    /// File name of the flamegraph, in the folder of the profile.
    pub flamegraph: String,
    /// File name of the folded stacks, in the folder of the profile.
    pub folded: String,
    /// File name of the differential flamegraph; absent if the stage before was not profiled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub difference: Option<String>,
}

/// Number of samples of a phase.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PhaseSamples {
    /// Phase of a step.
    pub phase: Phase,
    /// Number of samples of all threads in the phase.
    pub samples: usize,
}

/// Number of samples of a function.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FunctionSamples {
    /// Name of the function, after its type or module.
    pub function: String,
    /// Number of samples in which it was the innermost function.
    pub samples: usize,
}

/// Stage whose profile failed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ProfileFailure {
    /// Name of the stage.
    pub stage: &'static str,
    /// Reason why the profile failed.
    pub reason: String,
}
