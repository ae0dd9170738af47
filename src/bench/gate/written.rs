//! The fields of the JSON of measurements that a comparison with a record needs.

use serde::Deserialize;

use crate::bench::layers::{REFERENCE, row_name};
use crate::bench::{autograd, contestant, infer};
use crate::measure::key::MachineKey;
use crate::report::recorded::{
    Autograd, AutogradRow, BookkeepingRow, Infer, InferRow, Layer, LayerRow, Peak, StageRow,
    Stages, Stream, Timed,
};

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
    Stages(Stages),
    #[serde(rename = "bench_layers")]
    Layers { isa: String, layers: Vec<Layer> },
    #[serde(rename = "bench_autograd")]
    Autograd(Autograd),
    #[serde(rename = "bench_infer")]
    Infer(Infer),
}

impl WrittenRows {
    pub fn recorded(self) -> Vec<RecordedRow> {
        match self {
            Self::Stages(Stages { rows, .. }) => rows.into_iter().map(of_stage).collect(),
            Self::Layers { isa, layers } => {
                layers.into_iter().flat_map(|layer| of_layer(layer, &isa)).collect()
            }
            Self::Autograd(Autograd { rows, bookkeeping }) => {
                let of_program = |AutogradRow { name, forward, forward_backward }| {
                    [(false, forward), (true, forward_backward)].map(|(backward, times)| {
                        of_tape(autograd::row_name(&name, backward), times)
                    })
                };
                let of_work = |BookkeepingRow { name, timed }| of_tape(name, timed);
                let rows = rows.into_iter().flat_map(of_program);
                rows.chain(bookkeeping.into_iter().map(of_work)).collect()
            }
            Self::Infer(Infer { isa, rows, widths, precisions, .. }) => {
                let rows = rows.into_iter().chain(widths).chain(precisions);
                rows.map(|row| of_predictions(row, &isa)).collect()
            }
        }
    }
}

fn of_stage(StageRow { stage, threads, peak_isa, round_step_ms }: StageRow) -> RecordedRow {
    RecordedRow {
        name: contestant::name(&stage, threads),
        problem: String::new(),
        isa: Some(peak_isa),
        threads,
        round_ms: round_step_ms,
    }
}

fn of_layer(layer: Layer, isa: &str) -> impl Iterator<Item = RecordedRow> {
    let Layer { name, layer, input, batch_size, rows } = layer;
    let measured = rows.into_iter().filter(|row| row.stage != REFERENCE.stage.name);
    measured.map(move |LayerRow { pass, stage, threads, round_call_ms }| RecordedRow {
        name: row_name(&name, &pass, &stage, threads),
        problem: format!("{layer} on {input:?}, {batch_size}"),
        isa: Some(isa.into()),
        threads,
        round_ms: round_call_ms,
    })
}

/// Row called `name` of the tape, which has one thread and the instructions of the compiler.
fn of_tape(name: String, Timed { round_call_ms: round_ms }: Timed) -> RecordedRow {
    RecordedRow { name, problem: String::new(), isa: None, threads: 1, round_ms }
}

fn of_predictions(row: InferRow, isa: &str) -> RecordedRow {
    let InferRow { hidden, precision, threads, batch_size, timed } = row;
    let name = match (hidden, precision) {
        (Some(hidden), _) => infer::width_name(hidden, threads),
        (None, Some(precision)) => infer::format_name(&precision, threads),
        (None, None) => infer::batch_name(batch_size, threads),
    };
    let round_ms = timed.round_call_ms;
    RecordedRow { name, problem: String::new(), isa: Some(isa.into()), threads, round_ms }
}
