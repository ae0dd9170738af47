//! The JSON of measurements, read again: the fields that a trend and a comparison with a record need.
//! docs/JSON.md has all fields.

use serde::Deserialize;

use crate::measure::key::MachineKey;

/// Result of `bench stages`.
#[derive(Debug, Deserialize)]
pub struct Stages {
    pub commit: Option<String>,
    pub architecture: String,
    pub rows: Vec<StageRow>,
}

/// Times of a stage.
#[derive(Debug, Deserialize)]
pub struct StageRow {
    pub stage: String,
    pub threads: usize,
    pub peak_isa: String,
    pub round_step_ms: Vec<f64>,
}

/// Result of `bench layers`.
#[derive(Debug, Deserialize)]
pub struct Layers {
    pub environment: Environment,
    pub isa: String,
    pub quick: bool,
    pub layers: Vec<Layer>,
}

/// Time, machine and build of a measurement.
#[derive(Debug, Deserialize)]
pub struct Environment {
    pub unix_seconds: u64,
    #[serde(flatten)]
    pub key: MachineKey,
}

/// Measurements of a layer.
#[derive(Debug, Deserialize)]
pub struct Layer {
    pub name: String,
    pub layer: String,
    pub input: Vec<usize>,
    pub batch_size: usize,
    pub rows: Vec<LayerRow>,
}

/// Times of a pass of a layer.
#[derive(Debug, Deserialize)]
pub struct LayerRow {
    pub pass: String,
    pub stage: String,
    pub threads: usize,
    pub round_call_ms: Vec<f64>,
}

/// Times of calls.
#[derive(Debug, Deserialize)]
pub struct Timed {
    pub round_call_ms: Vec<f64>,
}

/// Result of `bench autograd`.
#[derive(Debug, Deserialize)]
pub struct Autograd {
    pub rows: Vec<AutogradRow>,
    pub bookkeeping: Vec<BookkeepingRow>,
}

/// Times of a computation.
#[derive(Debug, Deserialize)]
pub struct AutogradRow {
    pub name: String,
    pub forward: Timed,
    pub forward_backward: Timed,
}

/// Times of work of the tape itself.
#[derive(Debug, Deserialize)]
pub struct BookkeepingRow {
    pub name: String,
    #[serde(flatten)]
    pub timed: Timed,
}

/// Result of `bench infer`.
#[derive(Debug, Deserialize)]
pub struct Infer {
    pub architecture: String,
    pub isa: String,
    pub rows: Vec<InferRow>,
    pub widths: Vec<InferRow>,
    pub precisions: Vec<InferRow>,
}

/// Times of predictions; of some networks, or in some format.
#[derive(Debug, Deserialize)]
pub struct InferRow {
    pub hidden: Option<usize>,
    pub precision: Option<String>,
    pub threads: usize,
    pub batch_size: usize,
    #[serde(flatten)]
    pub timed: Timed,
}

/// Result of `bench ablations`.
#[derive(Debug, Deserialize)]
pub struct Ablations {
    pub rows: Vec<AblationRow>,
}

/// Times of the same work, done in two ways.
#[derive(Debug, Deserialize)]
pub struct AblationRow {
    pub ways: [String; 2],
    pub advised: Timed,
    pub otherwise: Timed,
}

/// Result of `bench memory`.
#[derive(Debug, Deserialize)]
pub struct Memory {
    pub architecture: String,
    pub rows: Vec<MemoryRow>,
}

/// Bytes with batches of one size.
#[derive(Debug, Deserialize)]
pub struct MemoryRow {
    pub batch_size: usize,
    pub training: Option<Bytes>,
    pub inference: Option<Bytes>,
    pub process_peak_bytes: Option<f64>,
}

/// Bytes that were allocated.
#[derive(Debug, Deserialize)]
pub struct Bytes {
    pub live_bytes: f64,
    pub peak_bytes: f64,
}

/// Largest rate of arithmetic.
#[derive(Debug, Deserialize)]
pub struct Peak {
    pub isa: String,
    pub precision: String,
    pub threads: usize,
    pub gflops: f64,
}

/// Largest rate of memory traffic.
#[derive(Debug, Deserialize)]
pub struct Stream {
    pub threads: usize,
    pub array_bytes: usize,
    pub gbytes_per_second: f64,
}
