//! The JSON lines of `bench all`, as far as a trend shows them. docs/JSON.md has the fields.

use serde::Deserialize;

use crate::measure::key::MachineKey;

/// Result of `bench stages`.
#[derive(Deserialize)]
pub struct Stages {
    pub commit: Option<String>,
    pub architecture: String,
    pub rows: Vec<StageRow>,
}

/// Times of a stage.
#[derive(Deserialize)]
pub struct StageRow {
    pub stage: String,
    pub threads: usize,
    pub round_step_ms: Vec<f64>,
}

/// Result of `bench layers`.
#[derive(Deserialize)]
pub struct Layers {
    pub environment: Environment,
    pub isa: String,
    pub quick: bool,
    pub layers: Vec<Layer>,
}

/// Time, machine and build of a measurement.
#[derive(Deserialize)]
pub struct Environment {
    pub unix_seconds: u64,
    #[serde(flatten)]
    pub key: MachineKey,
}

/// Measurements of a layer.
#[derive(Deserialize)]
pub struct Layer {
    pub name: String,
    pub layer: String,
    pub input: Vec<usize>,
    pub batch_size: usize,
    pub rows: Vec<LayerRow>,
}

/// Times of a pass of a layer.
#[derive(Deserialize)]
pub struct LayerRow {
    pub pass: String,
    pub stage: String,
    pub threads: usize,
    pub round_call_ms: Vec<f64>,
}

/// Times of calls.
#[derive(Deserialize)]
pub struct Timed {
    pub round_call_ms: Vec<f64>,
}

/// Result of `bench autograd`.
#[derive(Deserialize)]
pub struct Autograd {
    pub rows: Vec<AutogradRow>,
    pub bookkeeping: Vec<BookkeepingRow>,
}

/// Times of a computation.
#[derive(Deserialize)]
pub struct AutogradRow {
    pub name: String,
    pub forward: Timed,
    pub forward_backward: Timed,
}

/// Times of work of the tape itself.
#[derive(Deserialize)]
pub struct BookkeepingRow {
    pub name: String,
    #[serde(flatten)]
    pub timed: Timed,
}

/// Result of `bench infer`.
#[derive(Deserialize)]
pub struct Infer {
    pub architecture: String,
    pub rows: Vec<InferRow>,
    pub widths: Vec<InferRow>,
    pub precisions: Vec<InferRow>,
}

/// Times of predictions; of some networks, or in some format.
#[derive(Deserialize)]
pub struct InferRow {
    pub hidden: Option<usize>,
    pub precision: Option<String>,
    pub threads: usize,
    pub batch_size: usize,
    #[serde(flatten)]
    pub timed: Timed,
}

/// Result of `bench memory`.
#[derive(Deserialize)]
pub struct Memory {
    pub architecture: String,
    pub rows: Vec<MemoryRow>,
}

/// Bytes with batches of one size.
#[derive(Deserialize)]
pub struct MemoryRow {
    pub batch_size: usize,
    pub training: Option<Bytes>,
    pub inference: Option<Bytes>,
    pub process_peak_bytes: Option<f64>,
}

/// Bytes that were allocated.
#[derive(Deserialize)]
pub struct Bytes {
    pub live_bytes: f64,
    pub peak_bytes: f64,
}
