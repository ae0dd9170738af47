//! What `mnist-train bench stages` has to say.

use serde::Serialize;

use crate::engine::phases::Phase;
use crate::measure::machine::Environment;
use crate::measure::roofline::Roofline;
use crate::measure::statistics::{Speedup, Spread};
use crate::model::recipe::Recipe;
use crate::simd::Isa;

/// Stages measured against each other.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Bench {
    /// [`SCHEMA_VERSION`](super::SCHEMA_VERSION).
    pub schema: u32,
    /// Of this program.
    pub version: &'static str,
    /// Where and when.
    pub environment: Environment,
    /// Of the working folder, for a record that is kept in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// `mnist`, `synthetic` or `custom`.
    pub dataset: String,
    /// The same for people.
    #[serde(skip)]
    pub dataset_description: String,
    /// Images of an epoch.
    pub train_images: usize,
    /// The network on one line.
    pub architecture: String,
    /// Weights and biases.
    pub parameters: usize,
    /// Every hyperparameter.
    pub recipe: Recipe,
    /// Rounds.
    pub repeats: usize,
    /// Of the time of all processors during the rounds, what others used; absent where the system
    /// does not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub share_of_others: Option<f64>,
    /// Multiply-adds × 2 of all layers in a step, whether a stage does them or not.
    pub dense_flops_per_step: usize,
    /// Activations, parameters, gradients and moments of a step, each read or written once.
    pub tensor_bytes_per_step: usize,
    /// The machine's limits, the best of all rounds.
    #[serde(flatten)]
    pub roofline: Roofline,
    /// In the order of the ladder.
    pub rows: Vec<BenchRow>,
}

/// One stage on a number of threads.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BenchRow {
    /// Name of the stage.
    pub stage: &'static str,
    /// Threads of a step.
    pub threads: usize,
    /// Format of the products.
    pub precision: &'static str,
    /// Largest difference of a batch's mean loss from naive's over the first ten steps.
    pub loss_deviation: f64,
    /// The largest that is accepted.
    pub loss_tolerance: f64,
    /// Steps that are timed in each round.
    pub round_steps: usize,
    /// Images of these steps; with fewer than an epoch has, times of an epoch are scaled from them.
    pub round_images: usize,
    /// Time of a step, the mean of each round.
    pub round_step_ms: Vec<f64>,
    /// Likewise, over the rounds.
    pub step_ms: Spread,
    /// Time of the steps of an epoch.
    pub epoch_seconds: Spread,
    /// At the median time.
    pub images_per_second: f64,
    /// Multiply-adds × 2 that a step executed.
    pub flops_per_step: f64,
    /// 10⁹ executed operations a second at the median time.
    pub gflops: f64,
    /// Instructions that the peak is that of.
    pub peak_isa: Isa,
    /// 10⁹ operations a second that as many threads do at most; absent where the CPU has no
    /// instructions for the format.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peak_gflops: Option<f64>,
    /// `gflops` / `peak_gflops`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peak_share: Option<f64>,
    /// What `gflops` would be if all of `dense_flops_per_step` had been executed.
    pub dense_equivalent_gflops: f64,
    /// Absent in a program that does not count them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allocations_per_step: Option<f64>,
    /// Of a process that trains two batches and puts a checkpoint into bytes; absent where the
    /// operating system does not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peak_rss_bytes: Option<u64>,
    /// Over the first stage of the ladder; absent for itself and where that was not measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub over_naive: Option<Speedup>,
    /// Over the stage that this one starts from, on as many threads or else as many as it uses.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub over_previous: Option<Speedup>,
    /// Over itself on one thread.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub over_one_thread: Option<Speedup>,
    /// Where the time of a step goes, measured on steps of their own.
    pub phases: Vec<BenchPhase>,
    /// Time of such a step, of all threads together, that belongs to no phase: waiting.
    pub waiting_thread_ms: f64,
    /// Mean time of such a step, in which a clock for the phases runs.
    pub phases_step_ms: f64,
}

impl BenchRow {
    /// What the peak is that of: instructions, with the format of products that are not of f32.
    pub fn peak_name(&self) -> String {
        match self.precision {
            "f32" => self.peak_isa.to_string(),
            precision => format!("{} {precision}", self.peak_isa),
        }
    }
}

/// A part of a step.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BenchPhase {
    /// Which.
    pub phase: Phase,
    /// Of a step, all threads together.
    pub thread_ms: f64,
    /// Operations executed in a step.
    pub flops: f64,
}
