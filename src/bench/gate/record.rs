//! A record as the baseline: the JSON that a measurement has written.
//!
//! The rounds of two runs are not pairs, so a record can decide only if the times of the runs lie
//! [apart](super::decision::Evidence::unpaired). No rows are decided if the record is of another
//! machine or build, and a row is not decided if the limits of the machine, which every measurement
//! also measures, were others than now: then the machine has changed, and maybe not the program.

use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use super::decision::{self, Evidence, LEVEL};
use super::report;
use crate::bench::contestant;
use crate::bench::layers::{REFERENCE, row_name};
use crate::error::{Error, Result, printable, quoted};
use crate::measure::machine::Environment;
use crate::measure::statistics::Spread;
use crate::report::gate::{Gate, GateRow, Verdict};
use crate::report::text::numbers::digits;
use crate::report::{Event, SCHEMA_VERSION, json};

/// Times of a measurement, with its machine.
#[derive(Debug)]
pub struct Record {
    machine: Machine,
    peaks: Vec<Peak>,
    streams: Vec<Stream>,
    rows: Vec<RecordedRow>,
}

/// Machine and build of a measurement. The clock frequency is no part of it, because it changes all
/// the time.
#[derive(Debug, PartialEq, Deserialize)]
struct Machine {
    cpu: Option<String>,
    architecture: String,
    features: Vec<String>,
    threads: usize,
    rustc: String,
    rustflags: String,
    release: bool,
}

impl Machine {
    /// Words about the first difference from the machine and build `here`, if there is one.
    fn difference(&self, here: &Self) -> Option<String> {
        let text = |machine: &Self| {
            let Self { cpu, architecture, features, threads, rustc, rustflags, release } = machine;
            [
                ("the CPU", cpu.clone().unwrap_or_else(|| "unknown".into())),
                ("the architecture", architecture.clone()),
                ("the vector extensions", features.join(" ")),
                ("the number of threads", threads.to_string()),
                ("the compiler", rustc.clone()),
                ("the compiler's flags", rustflags.clone()),
                ("a release build", release.to_string()),
            ]
        };
        let pairs = text(self).into_iter().zip(text(here));
        let mut different = pairs.filter(|(there, here)| there != here);
        different.next().map(|((what, there), (_, here))| {
            format!("{what}: '{}' in the record, '{}' here", quoted(&there), quoted(&here))
        })
    }
}

/// Times of a row of a record.
#[derive(Debug)]
struct RecordedRow {
    name: String,
    /// What the row computes, which its name does not say.
    problem: String,
    isa: String,
    threads: usize,
    round_ms: Vec<f64>,
}

#[derive(Debug, Deserialize)]
struct Peak {
    isa: String,
    precision: String,
    threads: usize,
    gflops: f64,
}

#[derive(Debug, Deserialize)]
struct Stream {
    array_bytes: usize,
    threads: usize,
    gbytes_per_second: f64,
}

/// Fields of the two kinds of measurements that a comparison needs.
#[derive(Debug, Deserialize)]
struct Written {
    environment: Machine,
    peaks: Vec<Peak>,
    streams: Vec<Stream>,
    isa: Option<String>,
    #[serde(default)]
    layers: Vec<WrittenLayer>,
    #[serde(default)]
    rows: Vec<WrittenStage>,
}

#[derive(Debug, Deserialize)]
struct WrittenLayer {
    name: String,
    layer: String,
    input: Vec<usize>,
    batch_size: usize,
    rows: Vec<WrittenPass>,
}

#[derive(Debug, Deserialize)]
struct WrittenPass {
    pass: String,
    stage: String,
    threads: usize,
    round_call_ms: Vec<f64>,
}

#[derive(Debug, Deserialize)]
struct WrittenStage {
    stage: String,
    threads: usize,
    peak_isa: String,
    round_step_ms: Vec<f64>,
}

impl Record {
    /// Record of the measurement that prints `event`, from the JSON in `bytes`. `settings` is an object,
    /// whose fields the record must have too.
    ///
    /// # Errors
    /// The reason why the record cannot be a baseline.
    pub fn parse(bytes: &[u8], event: &str, settings: &Value) -> std::result::Result<Self, String> {
        let damaged = |error| format!("is no record: {error}: write it again with --record");
        let value: Value = serde_json::from_slice(bytes).map_err(damaged)?;
        for (field, expected) in [("event", event.into()), ("schema", SCHEMA_VERSION.into())] {
            let expected: Value = expected;
            if value[field] != expected {
                let found = quoted(&value[field].to_string());
                return Err(format!(
                    "is no record of this measurement: {field} is {found}, expected {expected}: write \
                     one with --record"
                ));
            }
        }
        if let Some((field, found, expected)) = first_difference("", &value, settings) {
            return Err(format!(
                "is a record with other settings: {field} is {}, and here {}: choose the same",
                quoted(&found.to_string()),
                quoted(&expected.to_string()),
            ));
        }
        let written: Written = serde_json::from_value(value).map_err(damaged)?;
        let record = Self::of(written);
        let is_time = |ms: &f64| ms.is_finite() && *ms > 0.0;
        let bad = |row: &&RecordedRow| row.round_ms.is_empty() || !row.round_ms.iter().all(is_time);
        if record.rows.iter().any(|row| row.round_ms.len() > super::MOST_ROUNDS) {
            return Err("is no record: it has too many rounds: write it again with --record".into());
        }
        match record.rows.iter().find(bad) {
            None => Ok(record),
            Some(RecordedRow { name, .. }) => {
                let name = quoted(name);
                Err(format!(
                    "is no record: the times of '{name}' are none: write it again with --record"
                ))
            }
        }
    }

    fn of(Written { environment, peaks, streams, isa, layers, rows }: Written) -> Self {
        let of_layer = |layer: WrittenLayer| {
            let isa = isa.clone().unwrap_or_default();
            let WrittenLayer { name, layer, input, batch_size, rows } = layer;
            let measured = rows.into_iter().filter(|row| row.stage != REFERENCE.stage.name);
            measured.map(move |WrittenPass { pass, stage, threads, round_call_ms }| RecordedRow {
                name: row_name(&name, &pass, &stage, threads),
                problem: format!("{layer} on {input:?}, {batch_size}"),
                isa: isa.clone(),
                threads,
                round_ms: round_call_ms,
            })
        };
        let of_stage = |WrittenStage { stage, threads, peak_isa, round_step_ms }| RecordedRow {
            name: contestant::name(&stage, threads),
            problem: String::new(),
            isa: peak_isa,
            threads,
            round_ms: round_step_ms,
        };
        let rows = rows.into_iter().map(of_stage);
        let rows = layers.into_iter().flat_map(of_layer).chain(rows).collect();
        Self { machine: environment, peaks, streams, rows }
    }

    /// Compares the measurement `new`, which has just been made, with this record at `path`.
    ///
    /// # Errors
    /// [`Error::InvalidData`] when the two have no row in common.
    pub fn compare(
        &self,
        path: &Path,
        new: &Event,
        max_regress: f64,
        environment: Environment,
    ) -> Result<Gate> {
        let written = serde_json::from_str(&json::line(new)).expect("an event of a measurement");
        let new = Self::of(written);
        let has = |rows: &[RecordedRow], row: &RecordedRow| {
            rows.iter().any(|other| other.name == row.name && other.problem == row.problem)
        };
        let only = |rows: &[RecordedRow], others: &[RecordedRow]| -> Vec<String> {
            rows.iter().filter(|row| !has(others, row)).map(|row| row.name.clone()).collect()
        };
        let (only_new, only_old) = (only(&new.rows, &self.rows), only(&self.rows, &new.rows));
        let of_old = |row| self.rows.iter().find(|old| has(std::slice::from_ref(*old), row));
        let pairs: Vec<_> = new.rows.iter().filter_map(|row| Some((row, of_old(row)?))).collect();
        if pairs.is_empty() {
            return Err(Error::InvalidData(format!(
                "{}: has no row of this measurement: measure the same rows",
                printable(path)
            )));
        }
        let other_machine = self.machine.difference(&new.machine);
        let undecidable = other_machine
            .map(|difference| format!("the record is of another machine or build; {difference}"));
        let evidence = |(row, old): &(&RecordedRow, &RecordedRow)| {
            Evidence::unpaired(&row.round_ms, &old.round_ms, max_regress)
        };
        let evidence: Vec<_> = pairs.iter().map(evidence).collect();
        let verdicts = decision::verdicts(&evidence, LEVEL);
        let decided = pairs.iter().zip(&evidence).zip(verdicts);
        let row = |((&(row, old), evidence), verdict): (
            (&(&RecordedRow, &RecordedRow), &Evidence),
            _,
        )| {
            let reason = self.reason(old, &new, row, max_regress);
            let is_open = undecidable.is_some() || reason.is_some();
            GateRow {
                row: row.name.clone(),
                verdict: if is_open { Verdict::Inconclusive } else { verdict },
                rounds: row.round_ms.len(),
                old_ms: Spread::of(&old.round_ms).median,
                new_ms: Spread::of(&row.round_ms).median,
                ratio: evidence.ratio,
                noise: None,
                reason: reason.filter(|_| undecidable.is_none()),
            }
        };
        let rows = decided.map(row).collect();
        let gate = report(path, "record", max_regress, environment, rows);
        Ok(Gate { undecidable, only_new, only_old, ..gate })
    }

    /// Reason why `old`, a row of this record, cannot decide about `row`, the same row of `new`.
    fn reason(
        &self,
        old: &RecordedRow,
        new: &Self,
        row: &RecordedRow,
        max_regress: f64,
    ) -> Option<String> {
        if old.isa != row.isa {
            return Some(format!("{} in the record, {} here", quoted(&old.isa), row.isa));
        }
        let changed = |there: f64, here: f64| {
            let ratio = there / here;
            !(ratio <= max_regress && ratio >= max_regress.recip())
        };
        let words = |what: &str, there: f64, here: f64| {
            let (there, here) = (digits(there), digits(here));
            format!("the machine has changed: {what} of {there} in the record, {here} here")
        };
        let peaks =
            new.peaks.iter().filter(|one| (&one.isa, one.threads) == (&row.isa, row.threads));
        let peak = peaks.filter_map(|here| {
            let is_it = |one: &&Peak| {
                (&one.isa, &one.precision, one.threads)
                    == (&here.isa, &here.precision, here.threads)
            };
            let there = self.peaks.iter().find(is_it)?.gflops;
            changed(there, here.gflops).then(|| words("GFLOP/s", there, here.gflops))
        });
        let streams = new.streams.iter().filter(|one| one.threads == row.threads);
        let stream = streams.filter_map(|here| {
            let is_it =
                |one: &&Stream| (one.array_bytes, one.threads) == (here.array_bytes, here.threads);
            let there = self.streams.iter().find(is_it)?.gbytes_per_second;
            let here = here.gbytes_per_second;
            changed(there, here).then(|| words("GB/s", there, here))
        });
        peak.chain(stream).next()
    }
}

/// Name of the first field of `expected` that `found` has not or with another value, with the two
/// values. The fields of objects in objects are compared too.
fn first_difference(name: &str, found: &Value, expected: &Value) -> Option<(String, Value, Value)> {
    match expected {
        Value::Object(fields) => fields.iter().find_map(|(field, expected)| {
            let name = if name.is_empty() { field.clone() } else { format!("{name}.{field}") };
            first_difference(&name, &found[field], expected)
        }),
        expected => (found != expected).then(|| (name.into(), found.clone(), expected.clone())),
    }
}
