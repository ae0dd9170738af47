//! The steps of trends and their page, with records of one layer and of the memory.

use serde_json::{Value, json};

use super::page::{self, MARK};
use super::record::Record;
use super::steps::Trend;

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
            &["relu forward, tiled, 2 threads: 1.30× slower in record 2 (1970-01-01 00:00 UTC)"][..],
        ),
        (
            FAST.map(|ms| ms / 1.25),
            &["relu forward, tiled, 2 threads: 1.25× faster in record 2 (1970-01-01 00:00 UTC)"],
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
    assert_eq!((trend.records.len(), trend.lines.len()), (2, 4), "naive is in one record alone");
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
    assert_eq!((trend.lines.len(), trend.steps().len()), (4, 0));
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
        assert_eq!(trend.records.len(), 2);
        assert!(trend.left_out[0].contains(words), "{:?}", trend.left_out);
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
    let page = page::text(&Trend::of(records).unwrap());
    assert_eq!(page.matches("<svg class=\"plot\"").count(), 3);
    assert!(page.contains(MARK) && page.contains("2.00× slower in record 2"));
    assert!(!page.contains("<b>&") && !page.contains("a<b"));
    for part in page.split("<svg").skip(1) {
        let svg = format!("<svg{}</svg>", part.split_once("</svg>").unwrap().0);
        let parsed = roxmltree::Document::parse(&svg);
        assert!(parsed.is_ok(), "{parsed:?} in {svg}");
    }
}
