//! Training with several seeds and values of flags.

mod program;

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::program::{Run, Workplace};

const NETWORK: &str = "--arch flatten,fc8,relu,fc10 --batch-size 20 --threads 1 --epochs 2";

/// Events of the file `name`.
fn events(place: &Workplace, name: &str) -> Vec<Value> {
    let text = String::from_utf8(place.read(name)).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Text of a sweep, whose lines fit into a terminal.
fn text(sweep: Run) -> String {
    let Run { stdout, .. } = sweep.succeeds();
    assert!(stdout.lines().all(|line| line.chars().count() <= 80), "{stdout}");
    stdout
}

#[test]
fn each_run_has_the_weights_that_it_has_alone() {
    let place = Workplace::new();
    let sweep = place
        .run(&format!("sweep {NETWORK} --seeds 3,1..2 --lr 1e-3,2e-2 --out s --json"))
        .succeeds();
    let runs: Vec<Value> =
        sweep.events().into_iter().filter(|event| event["event"] == "sweep_run").collect();
    let order: Vec<_> = runs
        .iter()
        .map(|run| (run["seed"].as_u64().unwrap(), run["values"]["lr"].as_str().unwrap()))
        .collect();
    assert_eq!(
        order,
        [(1, "1e-3"), (1, "2e-2"), (2, "1e-3"), (2, "2e-2"), (3, "1e-3"), (3, "2e-2")]
    );
    for (seed, lr) in [(1, "1e-3"), (3, "2e-2")] {
        let alone = place
            .run(&format!("{NETWORK} --seed {seed} --lr {lr} --json --model {seed}"))
            .succeeds();
        let alone = alone.events();
        let file = events(&place, &format!("s/lr-{lr}-seed-{seed}.jsonl"));
        assert_eq!(file.len(), alone.len());
        for (file, alone) in file.iter().zip(&alone) {
            for field in [
                "event",
                "recipe",
                "dataset_sha256",
                "loss",
                "test_correct",
                "weights_sha256",
                "steps",
            ] {
                assert_eq!(file[field], alone[field], "{field}");
            }
        }
        let done = file.last().unwrap();
        assert!(done["weights_sha256"].is_string() && done["model"].is_null(), "{done}");
        let run = &runs[order.iter().position(|one| *one == (seed, lr)).unwrap()];
        assert_eq!(run["weights_sha256"], done["weights_sha256"]);
        assert_eq!(run["test_correct"], done["test_correct"]);
    }
    assert_eq!(place.names(), ["1", "3", "s"], "no model of the sweep is kept");
}

#[test]
fn the_table_has_the_mean_the_deviation_and_the_interval() {
    let place = Workplace::new();
    let sweep = place
        .run(&format!("sweep {NETWORK} --seeds 1..4 --validation 100 --out s --mark 5 --json"))
        .succeeds();
    let runs = sweep.events();
    let shares = |correct: &str, total: &str| -> Vec<f64> {
        let runs = runs.iter().filter(|run| run["event"] == "sweep_run");
        runs.map(|run| run[correct].as_f64().unwrap() / run[total].as_f64().unwrap()).collect()
    };
    let row = &sweep.last("sweep")["rows"][0];
    for (name, shares) in [
        ("test_accuracy", shares("test_correct", "test_total")),
        ("validation_accuracy", shares("validation_correct", "validation_total")),
    ] {
        let mean = shares.iter().sum::<f64>() / 4.0;
        let squares: f64 = shares.iter().map(|share| (share - mean).powi(2)).sum();
        let deviation = (squares / 3.0).sqrt();
        // 3.1824 is the 97.5th percentile of Student's t with three degrees of freedom.
        let reach = 3.182_446 * deviation / 2.0;
        let found = |field: &str| row[name][field].as_f64().unwrap();
        assert_eq!(row[name]["count"], 4);
        assert!((found("mean") - mean).abs() < 1e-12);
        assert!((found("deviation") - deviation).abs() < 1e-12);
        assert!((row[name]["interval"][0].as_f64().unwrap() - (mean - reach)).abs() < 1e-6);
        assert!((row[name]["interval"][1].as_f64().unwrap() - (mean + reach)).abs() < 1e-6);
    }
    assert!(row["chance"].as_f64().unwrap() < 0.5);
    // The same sweep again trains nothing, and its table says the same.
    let again =
        place.run(&format!("sweep {NETWORK} --seeds 1..4 --validation 100 --out s --mark 5"));
    let again = text(again);
    assert_eq!(again.matches("from an earlier run").count(), 4, "{again}");
    let mean = format!("{:.3}", 100.0 * row["test_accuracy"]["mean"].as_f64().unwrap());
    let last = again.lines().rev().nth(1).unwrap();
    assert!(last.starts_with("    4") && last.contains(&mean), "{last}");
}

#[test]
fn a_sweep_goes_on_where_it_was_interrupted() {
    let place = Workplace::new();
    let flags = format!("sweep {NETWORK} --seeds 1..400 --out s --json");
    let mut command = place.command(&flags);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.next().unwrap().unwrap().contains("sweep_run"));
    Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    let printed = 1 + lines.count();
    let ended = child.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(130));
    let message = String::from_utf8(ended.stderr).unwrap();
    let expected = format!("interrupted after {printed} of 400 runs; go on with the same command");
    assert!(message.contains(&expected), "{message}");
    let finished = || {
        let names = fs::read_dir(place.path("s")).unwrap();
        names
            .filter(|name| {
                name.as_ref().unwrap().file_name().to_string_lossy().starts_with("seed-")
            })
            .count()
    };
    assert_eq!(finished(), printed);
    let again =
        place.run(&format!("sweep {NETWORK} --seeds 1..{} --out s", printed + 1)).succeeds();
    assert_eq!(again.stdout.matches("from an earlier run").count(), printed);
    assert_eq!(finished(), printed + 1);
}

#[test]
fn a_run_that_diverges_is_a_result() {
    let place = Workplace::new();
    let flags = format!("sweep {NETWORK} --seeds 1..2 --lr 1e-3,1e30 --out s");
    for _ in 0..2 {
        let sweep = text(place.run(&flags));
        assert!(sweep.contains("lr 1e30, seed 2: diverged"), "{sweep}");
        assert!(sweep.contains("2 runs diverged"), "{sweep}");
    }
    let file = events(&place, "s/lr-1e30-seed-1.jsonl");
    let message = file.last().unwrap()["message"].as_str().unwrap();
    assert!(message.starts_with("training diverged: "), "{message}");
}

#[test]
fn a_file_of_another_run_is_neither_used_nor_replaced() {
    let place = Workplace::new();
    let flags = format!("sweep {NETWORK} --seeds 1 --out s");
    place.run(&flags).succeeds();
    let before = place.read("s/seed-1.jsonl");
    place
        .run(&format!("{flags} --l2 1e-3"))
        .fails(3, &["s/seed-1.jsonl", "l2 was 0.0001 and is 0.001", "--out"]);
    let mut other = place.bare(&format!("{flags} --offline --data"));
    other.arg(place.path("digits"));
    let draw = place.bare("data synthetic --images 300 --out digits");
    Run::of(draw).succeeds();
    Run::of(other).fails(3, &["s/seed-1.jsonl", "was", "--out"]);
    assert_eq!(place.read("s/seed-1.jsonl"), before);
    for content in ["", "my notes\n", "{\"event\":\"start\"}\n"] {
        fs::write(place.path("s/seed-1.jsonl"), content).unwrap();
        place.run(&flags).fails(3, &["s/seed-1.jsonl", "--out"]);
        assert_eq!(place.read("s/seed-1.jsonl"), content.as_bytes());
    }
    let cut = &before[..before.len() / 2];
    fs::write(place.path("s/seed-1.jsonl"), cut).unwrap();
    place.run(&flags).fails(3, &["s/seed-1.jsonl", "has no lines of a run"]);
}

#[test]
fn a_combination_that_is_not_possible_is_refused_before_any_run() {
    let place = Workplace::new();
    for (flags, words) in [
        ("--seeds 5..1", &["--seeds", "5..1", "1..40"][..]),
        ("--seeds x", &["--seeds"]),
        ("--seeds 1..90000 --lr 1,2", &["180000 runs", "100000"]),
        ("--lr 1e-3,fast", &["--lr", "fast"]),
        ("--model m", &["--model"]),
        ("--optimizer adam,sgd --beta1 0.5", &["--beta1", "sgd"]),
        ("--arch mlp --arch fc10,relu", &["--arch"]),
        ("--arch mlp --hidden 16", &["--arch", "--hidden"]),
        ("--out --seeds 1", &["--out"]),
    ] {
        place.run(&format!("sweep {flags}")).rejects_flags(words);
    }
    assert!(place.names().is_empty());
    fs::write(place.path("file"), "").unwrap();
    place.run("sweep --out file/s").fails(1, &["file", "--out"]);
}

#[test]
fn recipes_are_measured_side_by_side_and_go_on() {
    let place = Workplace::new();
    let records = |seeds: &str| {
        let run = place.run(&format!("records 99.3 --seeds {seeds} --out r --json")).succeeds();
        let (record, events) = (run.last("record"), run.events());
        let runs = events.into_iter().filter(|event| event["event"] == "record_run");
        (runs.collect::<Vec<_>>(), record)
    };
    let (runs, record) = records("1..2");
    let names = ["one epoch", "99", "99.3"];
    let found: Vec<_> =
        runs.iter().map(|run| (run["recipe"].clone(), run["seed"].clone())).collect();
    let expected = [1, 2].iter().flat_map(|seed| names.map(|name| (name.into(), (*seed).into())));
    assert_eq!(found, expected.collect::<Vec<_>>());
    // Each of them is the training that the recipe is alone.
    let alone = Workplace::new();
    let alone = alone.run("--recipe 99.3 --seed 2 --json").succeeds();
    assert_eq!(runs[5]["weights_sha256"], alone.weights());
    assert_eq!(runs[5]["test_correct"], alone.last("done")["test_correct"]);
    let averaged = place.run("--recipe 99 --seed 1 --model m --json").succeeds();
    assert_eq!(runs[1]["weights_sha256"], averaged.weights());
    let averaged = place.run("eval --model m --tta 9 --tta-below 0.8 --json").succeeds();
    let averaged = averaged.last("eval");
    assert_eq!(runs[1]["averaged"]["test_correct"], averaged["correct"]);
    assert_eq!(runs[1]["averaged"]["images"], averaged["tta"]["averaged"]);
    for run in &runs {
        let seconds = |name: &str| run[name].as_f64().unwrap();
        assert!(seconds("train_seconds") < seconds("clock_seconds"), "{run}");
        assert!(seconds("clock_seconds") < seconds("process_seconds"), "{run}");
    }
    let rows = record["rows"].as_array().unwrap();
    assert!(rows.iter().map(|row| &row["recipe"]).eq(&names), "{record}");
    assert_eq!((&rows[0]["mark"], &rows[2]["mark"]), (&Value::Null, &0.993.into()));
    let accuracies =
        [2, 5].map(|index: usize| runs[index]["test_correct"].as_f64().unwrap() / 150.0);
    let mean = rows[2]["accuracy"]["mean"].as_f64().unwrap();
    assert!((accuracies.iter().sum::<f64>() / 2.0 - mean).abs() < 1e-9, "{record}");
    assert_eq!(place.names(), ["m", "r"], "no other model is kept");
    let elastic = place.run("eval --model m --tta 3 --tta-by elastic --json").succeeds();
    let tta = &elastic.last("eval")["tta"];
    assert_eq!((&tta["copies"], &tta["by"]), (&3.into(), &"elastic".into()));
    assert_eq!(tta["averaged"], elastic.last("eval")["total"]);

    // The same again with a third seed trains that alone, and keeps the results that are there. A seed
    // that lacks a run is trained again.
    let before = place.read("r/runs.jsonl");
    records("3");
    let all = place.read("r/runs.jsonl");
    let cut = all.trim_ascii_end().iter().rposition(|byte| *byte == b'\n').unwrap() + 1;
    fs::write(place.path("r/runs.jsonl"), &all[..cut]).unwrap();
    let (more, record) = records("1..3");
    assert!(more.iter().map(|run| &run["recipe"]).eq(&names) && more[0]["seed"] == 3, "{more:?}");
    assert_eq!(record["rows"][1]["accuracy"]["count"], 3);
    assert!(place.read("r/runs.jsonl").starts_with(&before));
    // Runs by other threads may not be mixed with them: they would have other times.
    let other = place.run("records 99.3 --seeds 4 --threads 1 --isa portable --out r");
    other.fails(3, &["r/runs.jsonl", "other settings", "--out"]);
    let text = text(place.run("records 99.3 --seeds 1..3 --out r"));
    assert!(text.contains("99.3          3"), "{text}");
    // Runs whose settings are unknown are not mixed with others either.
    let runs = String::from_utf8(place.read("r/runs.jsonl")).unwrap();
    let runs: Vec<_> = runs.lines().filter(|line| line.contains("record_run")).collect();
    fs::write(place.path("r/runs.jsonl"), runs.join("\n")).unwrap();
    place.run("records 99.3 --out r").fails(3, &["r/runs.jsonl", "other settings", "--out"]);
    fs::write(place.path("r/runs.jsonl"), "{}\n").unwrap();
    place.run("records 99.3 --out r").fails(3, &["r/runs.jsonl", "line 1", "--out"]);
    place.run("records source").fails(2, &["source", "there are 99, 99.3, 99.5"]);
}
