//! A record as the baseline: the JSON that a measurement has written.
//!
//! The rounds of two runs are not pairs, so a record can decide only if the times of the runs lie
//! [apart](super::decision::Evidence::unpaired). No rows are decided if the record is of another
//! machine or build, and a row is not decided if the limits of the machine, which every measurement
//! also measures, were others than now: then the machine has changed, and maybe not the program.

use std::fmt;
use std::path::Path;

use serde_json::Value;

use super::decision::{self, Evidence, LEVEL};
use super::written::{RecordedRow, Written};
use super::{MOST_ROUNDS, report};
use crate::error::{Error, Result, printable, quoted};
use crate::measure::key::MachineKey;
use crate::measure::machine::Environment;
use crate::measure::statistics::Spread;
use crate::report::gate::{Gate, GateRow, Verdict};
use crate::report::recorded::{Peak, Stream};
use crate::report::text::numbers::{counted, digits};
use crate::report::{Event, SCHEMA_VERSION, json};

/// Times of a measurement, with its machine.
#[derive(Debug)]
pub struct Record {
    machine: MachineKey,
    peaks: Vec<Peak>,
    streams: Vec<Stream>,
    rows: Vec<RecordedRow>,
}

impl Record {
    /// Record of the measurement that prints `event`, from the JSON in `bytes`. `settings` is an object,
    /// whose fields the record must have too.
    ///
    /// # Errors
    /// The reason why the record cannot be a baseline.
    pub fn parse(bytes: &[u8], event: &str, settings: &Value) -> std::result::Result<Self, String> {
        let damaged = |problem: &dyn fmt::Display| {
            let problem = quoted(&problem.to_string());
            format!("is no record: {problem}: write it again with --record")
        };
        let value: Value = serde_json::from_slice(bytes).map_err(|error| damaged(&error))?;
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
        let written: Written = serde_json::from_value(value).map_err(|error| damaged(&error))?;
        let record = Self::of(written);
        let is_time = |ms: &f64| ms.is_finite() && *ms > 0.0;
        for RecordedRow { name, round_ms, .. } in &record.rows {
            let name = quoted(name);
            if !(1..=MOST_ROUNDS).contains(&round_ms.len()) {
                return Err(damaged(&format!("'{name}' has {} rounds", round_ms.len())));
            }
            if !round_ms.iter().all(is_time) {
                return Err(damaged(&format!("a time of '{name}' is not above 0")));
            }
        }
        Ok(record)
    }

    fn of(Written { environment, peaks, streams, rows }: Written) -> Self {
        Self { machine: environment, peaks, streams, rows: rows.recorded() }
    }

    /// Compares the measurement `new`, which has just been made, with this record at `path`.
    ///
    /// # Errors
    /// [`Error::InvalidData`] when the two have no row in common.
    pub fn compare(
        &self,
        path: &Path,
        new: &Self,
        max_regress: f64,
        environment: Environment,
    ) -> Result<Gate> {
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
        let most = pairs.iter().map(|(row, old)| row.round_ms.len().min(old.round_ms.len())).max();
        let enough = decision::enough_unpaired_rounds(pairs.len(), LEVEL);
        let too_few = || {
            let rows = counted(pairs.len(), "row");
            (most < Some(enough)).then(|| {
                format!("too few rounds: {rows} need {enough} and more, in the record and here")
            })
        };
        let other_machine = self.machine.difference(&new.machine).map(|(what, there, here)| {
            format!(
                "the record is of another machine or build; {what}: '{there}' in the record, '{here}' \
                 here"
            )
        });
        let undecidable = other_machine.or_else(too_few);
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
            let reason = self.reason(old, new, row, max_regress);
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
        if let (Some(there), Some(here)) = (&old.isa, &row.isa)
            && there != here
        {
            return Some(format!("{} in the record, {here} here", quoted(there)));
        }
        let changed = |there: f64, here: f64| {
            let ratio = there / here;
            !(ratio <= max_regress && ratio >= max_regress.recip())
        };
        let words = |what: &str, there: f64, here: f64| {
            let (there, here) = (digits(there), digits(here));
            format!("the machine has changed: {what} of {there} in the record, {here} here")
        };
        let concerns_row = |one: &&Peak| {
            one.threads == row.threads && row.isa.as_ref().is_none_or(|isa| *isa == one.isa)
        };
        let peaks = new.peaks.iter().filter(concerns_row);
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

/// Record of the measurement whose result is `event`.
///
/// # Panics
/// When it is the result of something else.
impl From<&Event> for Record {
    fn from(event: &Event) -> Self {
        Self::of(serde_json::from_str(&json::line(event)).expect("the result of a measurement"))
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Record of a layer on one thread and on two, with these times.
    fn layers(one: [f64; 10], two: [f64; 10]) -> Value {
        let row = |threads: usize, times: [f64; 10]| json!({"pass": "forward", "stage": "tiled", "threads": threads, "round_call_ms": times});
        let naive =
            json!({"pass": "forward", "stage": "naive", "threads": 1, "round_call_ms": [9.0]});
        let peak = |threads: usize| json!({"isa": "avx2", "precision": "f32", "threads": threads, "gflops": 50.0});
        json!({
            "event": "bench_layers",
            "schema": SCHEMA_VERSION,
            "quick": false,
            "isa": "avx2",
            "environment": {
                "cpu": "A", "architecture": "x86_64", "features": ["avx2"], "threads": 2,
                "rustc": "1", "rustflags": "", "release": true, "load_average": 0.5,
            },
            "peaks": [peak(1), peak(2)],
            "streams": [{"array_bytes": 10, "threads": 2, "gbytes_per_second": 9.0}],
            "layers": [{
                "name": "relu", "layer": "relu", "input": [512], "batch_size": 32,
                "rows": [naive, row(1, one), row(2, two)],
            }],
        })
    }

    const TIMES: [f64; 10] = [1.0, 1.01, 1.0, 1.02, 1.0, 1.0, 1.03, 1.0, 1.01, 1.0];

    fn parse(record: &Value) -> std::result::Result<Record, String> {
        let settings = json!({"quick": false});
        Record::parse(record.to_string().as_bytes(), "bench_layers", &settings)
    }

    fn compared(old: &Value, new: &Value) -> Gate {
        let [old, new] = [old, new].map(|record| parse(record).unwrap());
        old.compare(Path::new("record"), &new, 1.1, Environment::detect()).unwrap()
    }

    fn verdicts(gate: &Gate) -> Vec<Verdict> {
        gate.rows.iter().map(|row| row.verdict).collect()
    }

    #[test]
    fn rows_of_the_same_machine_are_decided_and_naive_is_none_of_them() {
        let old = layers(TIMES, TIMES);
        let gate = compared(&old, &layers(TIMES, TIMES.map(|ms| 1.5 * ms)));
        assert_eq!(verdicts(&gate), [Verdict::Passed, Verdict::Regressed]);
        assert_eq!(gate.verdict, Verdict::Regressed);
        let names: Vec<_> = gate.rows.iter().map(|row| &*row.row).collect();
        assert_eq!(names, ["relu forward, tiled, 1 thread", "relu forward, tiled, 2 threads"]);
        let gate = compared(&old, &layers(TIMES.map(|ms| ms / 1.5), TIMES));
        assert_eq!(verdicts(&gate), [Verdict::Improved, Verdict::Passed]);
        assert_eq!(gate.verdict, Verdict::Passed, "the worst of all rows");
    }

    #[test]
    fn another_machine_or_build_decides_nothing_and_says_which_part_differs() {
        let new = layers(TIMES, TIMES.map(|ms| 9.0 * ms));
        for (field, value, words) in [
            ("cpu", json!("B"), "the CPU: 'B' in the record, 'A' here"),
            ("threads", json!(4), "the number of threads: '4' in the record, '2' here"),
            ("rustc", json!("2"), "the compiler: '2'"),
            ("release", json!(false), "a release build: 'false'"),
        ] {
            let mut old = layers(TIMES, TIMES);
            old["environment"][field] = value;
            let gate = compared(&old, &new);
            assert_eq!(verdicts(&gate), [Verdict::Inconclusive; 2]);
            let reason = gate.undecidable.unwrap();
            assert!(reason.contains(words), "{reason}");
        }
        let mut busy = layers(TIMES, TIMES);
        busy["environment"]["load_average"] = json!(7.0);
        assert_eq!(compared(&busy, &new).undecidable, None, "the load is no part of the machine");
    }

    #[test]
    fn a_row_is_not_decided_if_its_instructions_or_its_machine_have_changed() {
        let new = layers(TIMES, TIMES.map(|ms| 9.0 * ms));
        let old = layers(TIMES, TIMES);
        let [passed, regressed] = [Verdict::Passed, Verdict::Regressed];
        let [mut wider, mut slower, mut memory] = [old.clone(), old.clone(), old.clone()];
        wider["isa"] = json!("avx512");
        slower["peaks"][0]["gflops"] = json!(40.0);
        memory["streams"][0]["gbytes_per_second"] = json!(12.0);
        let open = Verdict::Inconclusive;
        for (old, expected, words) in [
            (wider, [open; 2], "avx512 in the record, avx2 here"),
            (slower, [open, regressed], "GFLOP/s of 40.0 in the record, 50.0 here"),
            (memory, [passed, open], "GB/s of 12.0 in the record, 9.00 here"),
        ] {
            let gate = compared(&old, &new);
            assert_eq!(verdicts(&gate), expected);
            let reasons = gate.rows.iter().filter_map(|row| row.reason.as_ref());
            assert!(reasons.clone().count() > 0 && reasons.clone().all(|one| one.contains(words)));
        }
    }

    #[test]
    fn rows_that_one_of_the_two_lacks_are_named_and_not_decided() {
        let (old, mut new) = (layers(TIMES, TIMES), layers(TIMES, TIMES));
        new["layers"][0]["rows"][2]["threads"] = json!(3);
        let gate = compared(&old, &new);
        assert_eq!(gate.rows.len(), 1);
        assert_eq!(gate.only_new, ["relu forward, tiled, 3 threads"]);
        assert_eq!(gate.only_old, ["relu forward, tiled, 2 threads"]);
        // A row with the same name that computes something else is another row.
        new["layers"][0]["input"] = json!([1024]);
        let [old, new] = [old, new].map(|record| parse(&record).unwrap());
        let error = old.compare(Path::new("record"), &new, 1.1, Environment::detect()).unwrap_err();
        assert_eq!(error.exit_code(), 3);
        assert!(error.to_string().contains("record: has no row of this measurement"), "{error}");
    }

    #[test]
    fn what_is_no_record_of_the_measurement_is_refused_with_a_reason() {
        let good = layers(TIMES, TIMES);
        assert!(parse(&good).is_ok());
        for (field, value, words) in [
            ("event", json!("bench"), "event is \"bench\", expected \"bench_layers\""),
            ("schema", json!(99), "schema is 99, expected 1"),
            ("quick", json!(true), "other settings: quick is true, and here false"),
            ("layers", json!(7), "is no record: invalid type"),
            ("peaks", json!(null), "is no record: invalid type"),
        ] {
            let mut bad = good.clone();
            bad[field] = value;
            let reason = parse(&bad).unwrap_err();
            assert!(reason.contains(words), "{reason}");
        }
        for (times, words) in [
            (json!([]), "'relu forward, tiled, 1 thread' has 0 rounds"),
            (json!([1.0, 0.0]), "a time of 'relu forward, tiled, 1 thread' is not above 0"),
            (json!([1.0, "2"]), "is no record: invalid type"),
            (json!(vec![1.0; 1001]), "has 1001 rounds"),
        ] {
            let mut bad = good.clone();
            bad["layers"][0]["rows"][1]["round_call_ms"] = times;
            let reason = parse(&bad).unwrap_err();
            assert!(reason.contains(words), "{reason}");
        }
    }
}
