//! The rows of measurements as comma-separated values (RFC 4180, with line feeds).

use std::fmt::Display;

use super::Event;
use super::ablations::BenchAblations;
use super::autograd::BenchAutograd;
use super::bench::{Bench, BenchRow};
use super::budget::{BenchBudget, Unit};
use super::infer::{BenchInfer, InferRow};
use super::layers::BenchLayers;
use super::measured::Timed;
use super::memory::{BenchMemory, MemoryRow};
use crate::measure::statistics::Spread;

/// Titles of the columns.
pub const HEADING: &str = "suite,row,threads,unit,median,mad,min,allocations,bytes\n";

/// One row: a value that was measured.
struct Row {
    suite: &'static str,
    name: String,
    /// Number of threads, if the row has one.
    threads: Option<usize>,
    unit: &'static str,
    median: f64,
    /// Spread of the value, if it was measured in rounds.
    spread: Option<Spread>,
    /// Number of allocations of a call, if it was counted.
    allocations: Option<f64>,
    /// Bytes of these allocations, if they were counted.
    bytes: Option<f64>,
}

impl Row {
    /// Row of a value that was measured once.
    fn value(suite: &'static str, name: String, unit: &'static str, median: f64) -> Self {
        let (threads, spread, allocations, bytes) = (None, None, None, None);
        Self { suite, name, threads, unit, median, spread, allocations, bytes }
    }

    /// Row of the time of a call in milliseconds.
    fn time(
        suite: &'static str,
        name: String,
        threads: impl Into<Option<usize>>,
        ms: Spread,
        allocations: Option<f64>,
        bytes: Option<f64>,
    ) -> Self {
        let (threads, spread) = (threads.into(), Some(ms));
        Self { threads, spread, allocations, bytes, ..Self::value(suite, name, "ms", ms.median) }
    }

    fn timed(
        suite: &'static str,
        name: String,
        threads: impl Into<Option<usize>>,
        timed: &Timed,
    ) -> Self {
        let Timed { call_ms, allocations_per_call, allocated_bytes_per_call, .. } = timed;
        let allocated = (*allocations_per_call, *allocated_bytes_per_call);
        Self::time(suite, name, threads, *call_ms, allocated.0, allocated.1)
    }

    fn line(self) -> String {
        let (mad, min) = self.spread.map(|spread| (spread.mad, spread.min)).unzip();
        let fields = [
            self.suite.into(),
            format!("\"{}\"", self.name.replace('"', "\"\"")),
            known(self.threads),
            self.unit.into(),
            self.median.to_string(),
            known(mad),
            known(min),
            known(self.allocations),
            known(self.bytes),
        ];
        fields.join(",") + "\n"
    }
}

/// Results of measurements as a heading and one line for each row. Other events have no rows.
pub fn lines(events: &[Event]) -> String {
    let lines = events.iter().flat_map(rows).map(Row::line);
    HEADING.to_string() + &lines.collect::<String>()
}

fn rows(event: &Event) -> Vec<Row> {
    match event {
        Event::Bench(bench) => of_stages(bench),
        Event::BenchLayers(bench) => of_layers(bench),
        Event::BenchAutograd(bench) => of_tape(bench),
        Event::BenchInfer(bench) => of_predictions(bench),
        Event::BenchAblations(bench) => of_advice(bench),
        Event::BenchMemory(bench) => of_memory(bench),
        Event::BenchBudget(bench) => of_limits(bench),
        _ => Vec::new(),
    }
}

/// Text of a value; nothing if there is none.
fn known<T: Display>(value: Option<T>) -> String {
    value.map(|value| value.to_string()).unwrap_or_default()
}

fn of_stages(bench: &Bench) -> Vec<Row> {
    let row = |row: &BenchRow| {
        let allocations = row.allocations_per_step;
        Row::time("stages", row.stage.into(), row.threads, row.step_ms, allocations, None)
    };
    bench.rows.iter().map(row).collect()
}

fn of_layers(bench: &BenchLayers) -> Vec<Row> {
    let mut rows = Vec::new();
    for layer in &bench.layers {
        rows.extend(layer.rows.iter().map(|row| {
            let name = format!("{} {}, {}", layer.name, row.pass.name(), row.stage);
            Row::timed("layers", name, row.threads, &row.timed)
        }));
    }
    rows
}

fn of_tape(bench: &BenchAutograd) -> Vec<Row> {
    let mut rows = Vec::new();
    for row in &bench.rows {
        rows.push(Row::timed("autograd", format!("{}, forward", row.name), None, &row.forward));
        let both = format!("{}, forward and backward", row.name);
        rows.push(Row::timed("autograd", both, None, &row.forward_backward));
    }
    let itself = bench.bookkeeping.iter();
    rows.extend(itself.map(|row| Row::timed("autograd", row.name.into(), None, &row.timed)));
    rows
}

fn of_predictions(bench: &BenchInfer) -> Vec<Row> {
    let row = |what: String, row: &InferRow| {
        let name = format!("{what}batch {}", row.batch_size);
        Row::timed("infer", name, row.threads, &row.timed)
    };
    let of_batches = bench.rows.iter().map(|one| row(String::new(), one));
    let of_widths =
        bench.widths.iter().map(|one| row(format!("hidden {}, ", one.hidden), &one.row));
    let of_formats =
        bench.precisions.iter().map(|one| row(format!("{}, ", one.precision), &one.row));
    of_batches.chain(of_widths).chain(of_formats).collect()
}

fn of_advice(bench: &BenchAblations) -> Vec<Row> {
    let rows =
        bench.rows.iter().flat_map(|row| row.ways.iter().zip([&row.advised, &row.otherwise]));
    rows.map(|(&way, timed)| Row::timed("ablations", way.into(), None, timed)).collect()
}

fn of_memory(bench: &BenchMemory) -> Vec<Row> {
    let of_batch = |row: &MemoryRow| {
        let values = [
            ("training, live", row.training.map(|bytes| bytes.live_bytes)),
            ("training, peak", row.training.map(|bytes| bytes.peak_bytes)),
            ("inference, live", row.inference.map(|bytes| bytes.live_bytes)),
            ("inference, peak", row.inference.map(|bytes| bytes.peak_bytes)),
            ("process, peak", row.process_peak_bytes),
        ];
        let batch = row.batch_size;
        values.into_iter().filter_map(move |(what, bytes)| {
            Some(Row::value("memory", format!("batch {batch}, {what}"), "bytes", bytes? as f64))
        })
    };
    bench.rows.iter().flat_map(of_batch).collect()
}

fn of_limits(bench: &BenchBudget) -> Vec<Row> {
    let unit = |unit| match unit {
        Unit::PerSecond => "1/s",
        Unit::Milliseconds => "ms",
        Unit::Seconds => "s",
        Unit::Bytes => "bytes",
        Unit::Ratio => "1",
    };
    let rows = bench.rows.iter();
    rows.map(|row| Row::value("budget", row.name.clone(), unit(row.unit), row.value)).collect()
}
