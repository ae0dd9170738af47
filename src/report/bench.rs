//! The result of `mnist-train bench stages`.

use serde::Serialize;

use crate::engine::phases::Phase;
use crate::measure::machine::Environment;
use crate::measure::roofline::Roofline;
use crate::measure::statistics::{Speedup, Spread};
use crate::model::recipe::Recipe;
use crate::simd::Isa;

/// Comparison of the speed of stages.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Bench {
    /// Version of the schema, [`SCHEMA_VERSION`](super::SCHEMA_VERSION).
    pub schema: u32,
    /// Version of this program.
    pub version: &'static str,
    /// Machine, time and build of the program.
    pub environment: Environment,
    /// Git commit of the working folder; absent without `--record`, `--profile` or `bench all`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// Kind of the dataset: `mnist`, `synthetic` or `custom`.
    pub dataset: String,
    /// Kind of the dataset in words.
    #[serde(skip)]
    pub dataset_description: String,
    /// Number of images of an epoch.
    pub train_images: usize,
    /// Text of the network: its layers in their order.
    pub architecture: String,
    /// Number of weights and biases.
    pub parameters: usize,
    /// Hyperparameters of the training.
    pub recipe: Recipe,
    /// Number of rounds; each round measures every row once.
    pub repeats: usize,
    /// Epoch whose steps were measured.
    pub epoch: usize,
    /// Share of the time of all processors that other processes used during the rounds; absent if
    /// the operating system does not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub share_of_others: Option<f64>,
    /// Floating-point operations of all layers in a step, whether a stage executes them or not; a
    /// multiply-add is two.
    pub dense_flops_per_step: usize,
    /// Bytes of the activations, parameters, gradients and moments of a step, each read or written
    /// once.
    pub tensor_bytes_per_step: usize,
    /// Limits of the machine, the best of all rounds.
    #[serde(flatten)]
    pub roofline: Roofline,
    /// Measurements of the stages, in the order of the ladder.
    pub rows: Vec<BenchRow>,
}

impl Bench {
    /// Measurements of the stage called `stage` on `threads` threads.
    ///
    /// # Panics
    /// When there are none.
    pub fn row(&self, stage: &str, threads: usize) -> &BenchRow {
        let is_it = |row: &&BenchRow| (row.stage, row.threads) == (stage, threads);
        self.rows.iter().find(is_it).expect("the stage was measured")
    }
}

/// Measurements of one stage on a number of threads.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BenchRow {
    /// Name of the stage.
    pub stage: &'static str,
    /// Number of threads of a step.
    pub threads: usize,
    /// Format of the factors of matrix products, `f32` or `bf16`.
    pub precision: &'static str,
    /// Largest difference of a batch's mean loss from the loss of naive, in the first ten steps.
    pub loss_deviation: f64,
    /// Largest difference of the loss that is accepted in the last of these steps.
    pub loss_tolerance: f64,
    /// Number of steps that are timed in each round.
    pub round_steps: usize,
    /// Number of images of a round. If it is smaller than an epoch, the time of an epoch is scaled
    /// from it.
    pub round_images: usize,
    /// Mean time of a step in each round.
    pub round_step_ms: Vec<f64>,
    /// Median, minimum and spread of `round_step_ms`.
    pub step_ms: Spread,
    /// Median, minimum and spread of the time of all steps of an epoch.
    pub epoch_seconds: Spread,
    /// Training speed at the median time.
    pub images_per_second: f64,
    /// Floating-point operations that a step executes; a multiply-add is two.
    pub flops_per_step: f64,
    /// Rate of executed operations at the median time, in 10⁹ a second.
    pub gflops: f64,
    /// Instruction set of the peak that `gflops` is compared with.
    pub peak_isa: Isa,
    /// Largest rate of operations of as many threads, in 10⁹ a second; absent if the CPU has no
    /// instructions for the format.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peak_gflops: Option<f64>,
    /// Share of the peak, `gflops` / `peak_gflops`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peak_share: Option<f64>,
    /// Rate in 10⁹ operations a second, if a step had executed all of `dense_flops_per_step`.
    pub dense_equivalent_gflops: f64,
    /// Number of memory allocations in a step; absent in a program that does not count them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allocations_per_step: Option<f64>,
    /// Largest amount of memory in RAM of a separate process that trains two batches and converts a
    /// checkpoint to bytes; absent if the operating system does not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peak_rss_bytes: Option<u64>,
    /// Speed relative to naive, the first stage; absent for naive itself and if naive was not
    /// measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub over_naive: Option<Speedup>,
    /// Speed relative to the stage from which this one starts, on the same number of threads, or on
    /// one thread if that stage uses only one; absent if it was not measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub over_previous: Option<Speedup>,
    /// Speed relative to the same stage on one thread; absent if this was not measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub over_one_thread: Option<Speedup>,
    /// Phases of a step, measured in extra steps with a clock.
    pub phases: Vec<BenchPhase>,
    /// Time of an extra step that belongs to no phase, summed over threads: waiting.
    pub waiting_thread_ms: f64,
    /// Mean time of an extra step.
    pub phases_step_ms: f64,
}

impl BenchRow {
    /// Name of the peak: its instruction set, followed by the precision unless it is `f32`.
    pub fn peak_name(&self) -> String {
        match self.precision {
            "f32" => self.peak_isa.to_string(),
            precision => format!("{} {precision}", self.peak_isa),
        }
    }
}

/// Time and operations of one phase of a step.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BenchPhase {
    /// Phase of a step.
    pub phase: Phase,
    /// Time of the phase in a step, summed over threads.
    pub thread_ms: f64,
    /// Floating-point operations that the phase executes in a step.
    pub flops: f64,
}
