//! The page of `mnist-train report trend`: how the results of `bench all` have changed from record to
//! record.

mod page;
pub mod record;
mod spark;

use std::collections::HashMap;

use self::record::{Record, Row, RowId};
use crate::report::date;

/// Text in every page, by which an earlier page is recognized.
pub const MARK: &str = "mnist-train report trend";

/// Factor between the medians of two records above which a change is a step.
const STEP: f64 = 1.10;

/// Records of one machine and build, and what has changed.
#[derive(Debug)]
pub struct Trend {
    /// Records in the order of time.
    records: Vec<Record>,
    /// Reasons why records are left out, each with the record.
    left_out: Vec<String>,
    /// Rows in the order of the newest record, followed by the rows that it no longer has.
    lines: Vec<Line>,
}

/// One row over the records.
#[derive(Debug)]
struct Line {
    id: RowId,
    points: Vec<Point>,
    steps: Vec<Step>,
}

/// Value of a row in a record.
#[derive(Debug)]
struct Point {
    /// Index of the record.
    record: usize,
    row: Row,
}

/// Change from one record to the next that has the row.
#[derive(Debug)]
struct Step {
    /// Index of the record with the new value.
    record: usize,
    /// New median divided by the old one.
    ratio: f64,
}

impl Trend {
    /// Trend over those of `records` whose machine, build and settings are those of the first.
    ///
    /// # Errors
    /// The reason why there is none: fewer than two records are left.
    ///
    /// # Panics
    /// When `records` is empty.
    pub fn of(records: Vec<Record>) -> Result<Self, String> {
        let difference = |record: &Record| record.difference(&records[0]);
        let differences: Vec<_> = records.iter().map(difference).collect();
        let (mut kept, mut left_out) = (Vec::new(), Vec::new());
        for (record, difference) in records.into_iter().zip(differences) {
            match difference {
                None => kept.push(record),
                Some(difference) => left_out.push(format!("{}: {difference}", record.name)),
            }
        }
        if kept.len() < 2 {
            let others = left_out.first().map(|one| format!("; left out {one}"));
            return Err(format!(
                "a trend needs two records of one machine, and there is only {}{}",
                kept[0].name,
                others.unwrap_or_default(),
            ));
        }
        kept.sort_by_key(|record| record.unix_seconds);
        Ok(Self { lines: lines(&kept), records: kept, left_out })
    }

    /// Number of records that are compared.
    pub fn records(&self) -> usize {
        self.records.len()
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.lines.len()
    }

    /// Words about the machine and the build of all records.
    fn machine(&self) -> String {
        self.records[0].machine()
    }

    /// Reasons why records are left out, each with the record.
    pub fn left_out(&self) -> &[String] {
        &self.left_out
    }

    /// Steps of all rows in words, the largest first.
    pub fn steps(&self) -> Vec<String> {
        let mut steps: Vec<(&Line, &Step)> = Vec::new();
        for line in &self.lines {
            steps.extend(line.steps.iter().map(|step| (line, step)));
        }
        let size = |step: &Step| step.ratio.ln().abs();
        steps.sort_by(|(_, a), (_, b)| size(b).total_cmp(&size(a)));
        steps.into_iter().map(|(line, step)| self.words(line, step)).collect()
    }

    fn words(&self, line: &Line, step: &Step) -> String {
        let Step { record, ratio } = *step;
        let [larger, smaller] = line.id.suite.words();
        let (factor, word) = if ratio > 1.0 { (ratio, larger) } else { (ratio.recip(), smaller) };
        let Record { commit, unix_seconds, .. } = &self.records[record];
        let commit = commit.as_ref().map(|commit| format!("commit {commit}, "));
        format!(
            "{}: {factor:.2}× {word} in record {} ({}{})",
            line.id.name,
            record + 1,
            commit.unwrap_or_default(),
            date::of(*unix_seconds),
        )
    }

    /// The page: one text of HTML, which loads nothing else.
    pub fn page(&self) -> String {
        page::text(self)
    }
}

/// Rows of all `records`, which are in the order of time, with their steps.
fn lines(records: &[Record]) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    let mut places = HashMap::new();
    for (record, Record { rows, .. }) in records.iter().enumerate().rev() {
        for row in rows {
            let place = *places.entry(&row.id).or_insert_with(|| {
                lines.push(Line { id: row.id.clone(), points: Vec::new(), steps: Vec::new() });
                lines.len() - 1
            });
            lines[place].points.push(Point { record, row: row.clone() });
        }
    }
    for line in &mut lines {
        line.points.reverse();
        line.steps = line.points.windows(2).filter_map(|pair| step(&pair[0], &pair[1])).collect();
    }
    lines
}

/// Step from `old` to `new`, if it is one: the intervals of the medians lie apart, and the medians by
/// more than [`STEP`].
fn step(old: &Point, new: &Point) -> Option<Step> {
    let ratio = new.row.median / old.row.median;
    let (before, after) = (old.row.interval, new.row.interval);
    let is_known = before.is_confident && after.is_confident;
    let is_apart = after.low > before.high || after.high < before.low;
    let is_large = ratio.max(ratio.recip()) > STEP;
    (is_known && is_apart && is_large).then_some(Step { record: new.record, ratio })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// Results with a layer of these times, recorded at `seconds`.
    fn results(seconds: u64, times: &[f64]) -> Vec<Value> {
        let row = |times: &[f64]| json!({"pass": "forward", "stage": "tiled", "threads": 2, "round_call_ms": times});
        vec![
            json!({
                "event": "bench_layers", "schema": 1, "isa": "avx2", "quick": false,
                "environment": {
                    "cpu": "A", "architecture": "x86_64", "features": ["avx2"], "threads": 2,
                    "rustc": "1", "rustflags": "", "release": true, "unix_seconds": seconds,
                },
                "layers": [{
                    "name": "relu", "layer": "relu", "input": [512], "batch_size": 32,
                    "rows": [row(times)],
                }],
            }),
            json!({"event": "bench_autograd", "schema": 1, "rows": [], "bookkeeping": []}),
            json!({
                "event": "bench_infer", "schema": 1, "architecture": "fc10", "isa": "avx2", "rows": [],
                "widths": [], "precisions": [],
            }),
            json!({"event": "bench_ablations", "schema": 1, "rows": []}),
            json!({
                "event": "bench_memory", "schema": 1, "architecture": "fc10",
                "rows": [{
                    "batch_size": 64, "training": {"live_bytes": 8e6, "peak_bytes": 9e6},
                }],
            }),
            json!({"event": "bench_budget", "schema": 1}),
        ]
    }

    fn record(name: &str, results: &[Value]) -> Result<Record, String> {
        let lines: Vec<_> = results.iter().map(Value::to_string).collect();
        Record::parse(name.into(), &lines.join("\n"))
    }

    fn trend(times: &[&[f64]]) -> Trend {
        let at = |(n, times): (usize, &&[f64])| record("r", &results(n as u64, times)).unwrap();
        Trend::of(times.iter().enumerate().map(at).collect()).unwrap()
    }

    const FAST: [f64; 8] = [1.0, 1.01, 1.0, 1.02, 1.0, 1.0, 1.03, 1.0];

    #[test]
    fn a_step_is_large_and_its_intervals_lie_apart() {
        let slow = FAST.map(|ms| 1.3 * ms);
        let little = FAST.map(|ms| 1.08 * ms);
        let mut wide = slow;
        wide[..2].fill(0.9);
        for (new, expected) in [
            (
                slow,
                &[
                    "relu forward, tiled, 2 threads: 1.30× slower in record 2 (1970-01-01 00:00 UTC)",
                ][..],
            ),
            (
                FAST.map(|ms| ms / 1.25),
                &[
                    "relu forward, tiled, 2 threads: 1.25× faster in record 2 (1970-01-01 00:00 UTC)",
                ],
            ),
            (little, &[]),
            (wide, &[]),
        ] {
            assert_eq!(trend(&[&FAST, &new, &new]).steps(), expected);
        }
        // Five rounds have no interval of 95 %.
        assert!(trend(&[&FAST, &slow[..5]]).steps().is_empty());
    }

    #[test]
    fn records_are_in_the_order_of_time_and_the_largest_step_is_first() {
        let (mut old, mut new) = (results(60, &FAST), results(120, &FAST.map(|ms| 1.2 * ms)));
        old.push(json!({"event": "bench", "schema": 1, "architecture": "fc10", "rows": []}));
        let bench = json!({
            "event": "bench", "schema": 1, "architecture": "fc10", "commit": "abc",
            "rows": [{"stage": "naive", "threads": 1, "peak_isa": "avx2", "round_step_ms": FAST}],
        });
        new.push(bench);
        new[4]["rows"][0]["training"]["live_bytes"] = json!(4e6);
        let records = [record("new", &new), record("old", &old)].map(Result::unwrap);
        let trend = Trend::of(records.into()).unwrap();
        assert_eq!(trend.records.iter().map(|one| &one.name).collect::<Vec<_>>(), ["old", "new"]);
        assert_eq!((trend.records(), trend.rows()), (2, 4), "naive is in one record alone");
        let expected = [
            "batch 64, training, live: 2.00× smaller in record 2 (commit abc, 1970-01-01 00:02 UTC)",
            "relu forward, tiled, 2 threads: 1.20× slower in record 2 (commit abc, 1970-01-01 00:02 UTC)",
        ];
        assert_eq!(trend.steps(), expected);
    }

    #[test]
    fn a_row_that_computes_something_else_is_another_row() {
        let mut new = results(1, &FAST.map(|ms| 9.0 * ms));
        new[0]["layers"][0]["input"] = json!([1024]);
        let records = [record("a", &results(0, &FAST)), record("b", &new)].map(Result::unwrap);
        let trend = Trend::of(records.into()).unwrap();
        assert_eq!((trend.rows(), trend.steps().len()), (4, 0));
    }

    #[test]
    fn records_of_another_machine_or_other_settings_are_left_out_with_the_reason() {
        for (place, value, words) in [
            ("/environment/cpu", json!("B"), "other: the CPU is 'B' there, and 'A' in first"),
            ("/environment/threads", json!(4), "other: the number of threads is '4' there"),
            ("/environment/rustc", json!("2"), "other: the compiler is '2' there"),
            ("/isa", json!("portable"), "other: --isa is 'portable' there"),
            ("/quick", json!(true), "other: --quick is 'true' there"),
        ] {
            let mut other = results(0, &FAST);
            *other[0].pointer_mut(place).unwrap() = value;
            let records = || {
                let other = record("other", &other).unwrap();
                vec![record("first", &results(1, &FAST)).unwrap(), other]
            };
            let error = Trend::of(records()).unwrap_err();
            assert!(error.starts_with("a trend needs two records of one machine, and"), "{error}");
            assert!(error.contains(words), "{error}");
            let mut three = records();
            three.push(record("third", &results(2, &FAST)).unwrap());
            let trend = Trend::of(three).unwrap();
            assert_eq!(trend.records(), 2);
            assert!(trend.left_out()[0].contains(words), "{:?}", trend.left_out());
        }
    }

    #[test]
    fn what_is_no_record_is_refused_with_a_reason() {
        let good = results(0, &FAST);
        assert!(record("good", &good).is_ok());
        let layer = "/layers/0/rows/0/round_call_ms";
        for (event, place, value, words) in [
            (0, "/schema", json!(9), "its schema is 9"),
            (0, "/event", json!("bench"), "it has no event 'bench_layers'"),
            (0, "/layers", json!(7), "layers: invalid type"),
            (0, layer, json!([]), "'relu forward, tiled, 2 threads' has 0 rounds"),
            (0, layer, json!(vec![1.0; 1001]), "has 1001 rounds"),
            (0, layer, json!([1.0, -1.0]), "is not above 0"),
            (4, "/rows/0/training/live_bytes", json!(0), "a value of 'batch 64, training, live'"),
        ] {
            let mut bad = good.clone();
            *bad[event].pointer_mut(place).unwrap() = value;
            let reason = record("bad", &bad).unwrap_err();
            assert!(reason.contains(words), "{reason}");
            assert!(reason.starts_with("is no result of 'bench all': "), "{reason}");
        }
        assert!(Record::parse("text".into(), "hello").unwrap_err().contains("expected value"));
        assert!(Record::parse("empty".into(), "").unwrap_err().contains("it has no event"));
    }

    #[test]
    fn the_page_has_a_plot_for_each_row_and_escapes_names() {
        let mut results = [results(0, &FAST), results(1, &FAST.map(|ms| 2.0 * ms))];
        for one in &mut results {
            one[0]["layers"][0]["name"] = json!("<b>&\"relu\"");
        }
        let records = results.iter().map(|one| record("a<b", one).unwrap()).collect();
        let page = Trend::of(records).unwrap().page();
        assert_eq!(page.matches("<svg class=\"plot\"").count(), 3);
        assert!(page.contains(MARK) && page.contains("2.00× slower in record 2"));
        assert!(!page.contains("<b>&") && !page.contains("a<b"));
        for part in page.split("<svg").skip(1) {
            let svg = format!("<svg{}</svg>", part.split_once("</svg>").unwrap().0);
            let parsed = roxmltree::Document::parse(&svg);
            assert!(parsed.is_ok(), "{parsed:?} in {svg}");
        }
    }
}
