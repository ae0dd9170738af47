//! The fields of the JSON of measurements that a comparison with a record needs.

use serde::Deserialize;

use crate::bench::layers::{REFERENCE, row_name};
use crate::bench::{autograd, contestant, infer};
use crate::measure::key::MachineKey;

/// Times of a row of a record.
#[derive(Debug)]
pub struct RecordedRow {
    pub name: String,
    /// What the row computes, if its name does not say it.
    pub problem: String,
    /// Vector instructions of the row, unless the compiler has chosen them.
    pub isa: Option<String>,
    pub threads: usize,
    pub round_ms: Vec<f64>,
}

#[derive(Debug, Deserialize)]
pub struct Peak {
    pub isa: String,
    pub precision: String,
    pub threads: usize,
    pub gflops: f64,
}

#[derive(Debug, Deserialize)]
pub struct Stream {
    pub array_bytes: usize,
    pub threads: usize,
    pub gbytes_per_second: f64,
}

/// Fields of a measurement that a comparison needs.
#[derive(Debug, Deserialize)]
pub struct Written {
    pub environment: MachineKey,
    pub peaks: Vec<Peak>,
    pub streams: Vec<Stream>,
    #[serde(flatten)]
    pub rows: WrittenRows,
}

/// Rows of each kind of measurement.
#[derive(Debug, Deserialize)]
#[serde(tag = "event")]
pub enum WrittenRows {
    #[serde(rename = "bench")]
    Stages { rows: Vec<WrittenStage> },
    #[serde(rename = "bench_layers")]
    Layers { isa: String, layers: Vec<WrittenLayer> },
    #[serde(rename = "bench_autograd")]
    Autograd { rows: Vec<WrittenProgram>, bookkeeping: Vec<WrittenWork> },
    #[serde(rename = "bench_infer")]
    Infer {
        isa: String,
        rows: Vec<WrittenBatch>,
        widths: Vec<WrittenWidth>,
        precisions: Vec<WrittenPrecision>,
    },
}

#[derive(Debug, Deserialize)]
pub struct WrittenLayer {
    name: String,
    layer: String,
    input: Vec<usize>,
    batch_size: usize,
    rows: Vec<WrittenPass>,
}

#[derive(Debug, Deserialize)]
pub struct WrittenPass {
    pass: String,
    stage: String,
    threads: usize,
    round_call_ms: Vec<f64>,
}

#[derive(Debug, Deserialize)]
pub struct WrittenStage {
    stage: String,
    threads: usize,
    peak_isa: String,
    round_step_ms: Vec<f64>,
}

#[derive(Debug, Deserialize)]
pub struct WrittenProgram {
    name: String,
    forward: WrittenTimes,
    forward_backward: WrittenTimes,
}

#[derive(Debug, Deserialize)]
pub struct WrittenWork {
    name: String,
    #[serde(flatten)]
    times: WrittenTimes,
}

#[derive(Debug, Deserialize)]
pub struct WrittenTimes {
    round_call_ms: Vec<f64>,
}

#[derive(Debug, Deserialize)]
pub struct WrittenBatch {
    threads: usize,
    batch_size: usize,
    round_call_ms: Vec<f64>,
}

#[derive(Debug, Deserialize)]
pub struct WrittenWidth {
    hidden: usize,
    #[serde(flatten)]
    batch: WrittenBatch,
}

#[derive(Debug, Deserialize)]
pub struct WrittenPrecision {
    precision: String,
    #[serde(flatten)]
    batch: WrittenBatch,
}

impl WrittenRows {
    pub fn recorded(self) -> Vec<RecordedRow> {
        match self {
            Self::Stages { rows } => rows.into_iter().map(RecordedRow::from).collect(),
            Self::Layers { isa, layers } => {
                layers.into_iter().flat_map(|layer| layer.recorded(&isa)).collect()
            }
            Self::Autograd { rows, bookkeeping } => {
                let of_program = |WrittenProgram { name, forward, forward_backward }| {
                    [(false, forward), (true, forward_backward)].map(|(backward, times)| {
                        times.recorded(autograd::row_name(&name, backward))
                    })
                };
                let of_work = |WrittenWork { name, times }| times.recorded(name);
                let rows = rows.into_iter().flat_map(of_program);
                rows.chain(bookkeeping.into_iter().map(of_work)).collect()
            }
            Self::Infer { isa, rows, widths, precisions } => {
                let of_batch = |batch: WrittenBatch| {
                    let name = infer::batch_name(batch.batch_size, batch.threads);
                    batch.recorded(name, &isa)
                };
                let of_width = |WrittenWidth { hidden, batch }| {
                    let name = infer::width_name(hidden, batch.threads);
                    batch.recorded(name, &isa)
                };
                let of_precision = |WrittenPrecision { precision, batch }| {
                    let name = infer::format_name(&precision, batch.threads);
                    batch.recorded(name, &isa)
                };
                let batches = rows.into_iter().map(of_batch);
                let widths = widths.into_iter().map(of_width);
                batches.chain(widths).chain(precisions.into_iter().map(of_precision)).collect()
            }
        }
    }
}

impl From<WrittenStage> for RecordedRow {
    fn from(WrittenStage { stage, threads, peak_isa, round_step_ms }: WrittenStage) -> Self {
        Self {
            name: contestant::name(&stage, threads),
            problem: String::new(),
            isa: Some(peak_isa),
            threads,
            round_ms: round_step_ms,
        }
    }
}

impl WrittenLayer {
    fn recorded(self, isa: &str) -> impl Iterator<Item = RecordedRow> {
        let Self { name, layer, input, batch_size, rows } = self;
        let measured = rows.into_iter().filter(|row| row.stage != REFERENCE.stage.name);
        measured.map(move |WrittenPass { pass, stage, threads, round_call_ms }| RecordedRow {
            name: row_name(&name, &pass, &stage, threads),
            problem: format!("{layer} on {input:?}, {batch_size}"),
            isa: Some(isa.into()),
            threads,
            round_ms: round_call_ms,
        })
    }
}

impl WrittenTimes {
    /// Row called `name` of the tape, which has one thread and the instructions of the compiler.
    fn recorded(self, name: String) -> RecordedRow {
        let round_ms = self.round_call_ms;
        RecordedRow { name, problem: String::new(), isa: None, threads: 1, round_ms }
    }
}

impl WrittenBatch {
    fn recorded(self, name: String, isa: &str) -> RecordedRow {
        let Self { threads, round_call_ms: round_ms, .. } = self;
        RecordedRow { name, problem: String::new(), isa: Some(isa.into()), threads, round_ms }
    }
}
