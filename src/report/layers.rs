//! The result of `mnist-train bench layers`.

use serde::Serialize;

use super::measured::Timed;
use crate::measure::machine::Environment;
use crate::measure::roofline::Roofline;
use crate::measure::statistics::Speedup;
use crate::simd::Isa;

/// Comparison of the speed of sets of primitives, layer by layer.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BenchLayers {
    /// Version of the schema, [`SCHEMA_VERSION`](super::SCHEMA_VERSION).
    pub schema: u32,
    /// Version of this program.
    pub version: &'static str,
    /// Machine, time and build of the program.
    pub environment: Environment,
    /// Vector instructions of the stages that can choose them.
    pub isa: Isa,
    /// Number of rounds; each round times every row of a layer once.
    pub rounds: usize,
    /// Whether the rounds are short, so that times are rough.
    pub quick: bool,
    /// Longest time of a call of naive that is repeated.
    pub call_budget_ms: f64,
    /// Origin of `source_ms`.
    pub source: &'static str,
    /// Share of the time of all processors that other processes used meanwhile; absent if the
    /// operating system does not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub share_of_others: Option<f64>,
    /// Limits of the machine, the best of a measurement before the first layer and one after the last.
    #[serde(flatten)]
    pub roofline: Roofline,
    /// Layers in the order of their table.
    pub layers: Vec<BenchLayer>,
}

/// Measurements of one layer.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BenchLayer {
    /// Name of the layer in the table of layers.
    pub name: &'static str,
    /// Text of the layer, like `conv32k5p2`.
    pub layer: String,
    /// Number of images of a call.
    pub batch_size: usize,
    /// Shape of one image's input.
    pub input: Vec<usize>,
    /// Shape of one image's output.
    pub output: Vec<usize>,
    /// Number of parameters.
    pub parameters: usize,
    /// Largest accepted difference from the results of naive, relative to the largest element of a
    /// tensor; absent if the bits are the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tolerance: Option<f64>,
    /// Line that gives the same convolution to benchdnn; absent for other layers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub benchdnn: Option<String>,
    /// Times of another program; absent if there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_ms: Option<SourceMs>,
    /// Measurements, the forward pass before the backward pass.
    pub rows: Vec<LayerRow>,
    /// Calls of naive that were made once and not timed again, because they take longer than the
    /// budget.
    pub too_long: Vec<OneCall>,
}

/// Times of another program in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct SourceMs {
    /// Time of a forward pass.
    pub forward: f64,
    /// Time of a backward pass; absent if the program has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backward: Option<f64>,
}

/// Direction of a pass of a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// Forward pass, in training.
    Forward,
    /// Backward pass, with the gradients of the parameters and of the input.
    Backward,
}

impl Direction {
    /// Both directions, in the order of a step.
    pub const ALL: [Self; 2] = [Self::Forward, Self::Backward];

    /// Name of the direction, `forward` or `backward`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Forward => "forward",
            Self::Backward => "backward",
        }
    }
}

/// Call that was made once.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct OneCall {
    /// Pass of the layer.
    pub pass: Direction,
    /// Name of the stage.
    pub stage: &'static str,
    /// Number of threads.
    pub threads: usize,
    /// Time of the call.
    pub call_ms: f64,
}

/// Measurements of one pass of a layer by the primitives of one stage.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LayerRow {
    /// Pass of the layer.
    pub pass: Direction,
    /// Name of the stage with these primitives.
    pub stage: &'static str,
    /// Number of threads.
    pub threads: usize,
    /// Times of the calls.
    #[serde(flatten)]
    pub timed: Timed,
    /// Floating-point operations of a call, two for each multiply-add; no others are counted.
    pub flops_per_call: usize,
    /// Bytes of activations and parameters of a call, each read or written once.
    pub bytes_per_call: usize,
    /// Rate of operations at the median time, in 10⁹ a second; absent if a call has no multiply-adds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gflops: Option<f64>,
    /// Instruction set of the peak that `gflops` is compared with.
    pub peak_isa: Isa,
    /// Largest rate of operations of as many threads, in 10⁹ a second; absent like `gflops`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peak_gflops: Option<f64>,
    /// Share of the peak, `gflops` / `peak_gflops`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peak_share: Option<f64>,
    /// Rate of memory traffic at the median time, in 10⁹ bytes a second, if the bytes of a call take
    /// longer at the largest rate of the memory than its operations take at the peak; else absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gbytes_per_second: Option<f64>,
    /// Speed relative to naive; absent for naive itself and if naive was not timed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub over_naive: Option<Speedup>,
    /// Speed relative to the same stage on one thread; absent on one thread.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub over_one_thread: Option<Speedup>,
}
