//! The comparison of this program with a baseline, by real processes.

#![cfg(unix)]

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use serde_json::{Value, json};

mod program;

use program::{Run, Workplace};

/// Measurement that takes a second.
const BENCH: &str = "bench layers relu --quick --threads 2";

/// Writes a program into `place` that executes the lines of `script`.
fn script(place: &Workplace, name: &str, script: &str) -> PathBuf {
    let path = place.path(name);
    fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
    path
}

/// Lines of a program that serves the row `relu forward, tiled, 1 thread` and the row `gone`, and
/// answers the request for the time of a call with the line `time`.
fn serving(time: &str) -> String {
    format!(
        r#"echo '{{"rows":["relu forward, tiled, 1 thread","gone"]}}'
        while read -r request; do
            case $request in
                '"check"') echo '"checked"' ;;
                '{{"calls"'*) echo '{{"calls":1}}' ;;
                *) {time} ;;
            esac
        done"#
    )
}

/// Compares this program, with these `flags`, with the program or record called `baseline`.
fn compare(place: &Workplace, flags: &str, baseline: &str) -> Run {
    Run::of(place.bare(&format!("{BENCH} {flags} --baseline {baseline}")))
}

fn verdicts(gate: &Value) -> Vec<&str> {
    gate["rows"].as_array().unwrap().iter().map(|row| row["verdict"].as_str().unwrap()).collect()
}

#[test]
fn a_program_is_never_slower_than_itself() {
    let place = Workplace::new();
    let this = env!("CARGO_BIN_EXE_mnist-train");
    let run = compare(&place, "--seconds 1 --json", this);
    assert!([0, 6].contains(&run.code), "{run:#?}");
    assert_eq!(run.events().len(), 1);
    let gate = run.last("gate");
    assert_eq!((&gate["kind"], &gate["max_regress"]), (&"program".into(), &1.1.into()));
    let names: Vec<_> = gate["rows"].as_array().unwrap().iter().map(|row| &row["row"]).collect();
    let expected = ["forward", "backward"].map(|pass| {
        ["1 thread", "2 threads"].map(|threads| format!("relu {pass}, tiled, {threads}"))
    });
    assert_eq!(names, expected.concat().iter().collect::<Vec<_>>());
    assert!(!verdicts(&gate).contains(&"regressed"), "{gate}");
    for row in gate["rows"].as_array().unwrap() {
        // Four rows need eleven rounds.
        assert!(row["rounds"].as_u64().unwrap() >= 11, "{row}");
        for ratio in [&row["ratio"], &row["noise"]] {
            let [low, median, high] =
                ["low", "median", "high"].map(|key| ratio[key].as_f64().unwrap());
            assert!(0.0 < low && low <= median && median <= high, "{row}");
        }
    }
    assert_eq!([&gate["only_new"], &gate["only_old"]], [&json!([]), &json!([])]);
    assert_eq!(place.names(), [""; 0]);
}

#[test]
fn stages_are_compared_too() {
    let place = Workplace::new();
    let flags = "bench stages --stage fused --batch-size 4 --threads 1 --rounds 1 --seconds 1";
    let run =
        place.run(&format!("{flags} --json --baseline {}", env!("CARGO_BIN_EXE_mnist-train")));
    assert!([0, 6].contains(&run.code), "{run:#?}");
    assert_eq!(run.last("gate")["rows"][0]["row"], "fused, 1 thread");
}

#[test]
fn a_program_that_was_faster_is_a_regression_and_a_slower_one_an_improvement() {
    let place = Workplace::new();
    script(&place, "faster", &serving(r#"echo '{"nanoseconds":1}'"#));
    script(&place, "slower", &serving(r#"echo '{"nanoseconds":1000000000}'"#));

    let run = compare(&place, "--json", "faster");
    let gate = run.last("gate");
    let words = ["1 of 1 row regressed: a call takes more than 1.1 times as long"];
    run.fails(5, &words);
    assert_eq!((&gate["verdict"], verdicts(&gate)), (&"regressed".into(), vec!["regressed"]));
    assert_eq!(gate["only_old"], json!(["gone"]));
    assert_eq!(gate["only_new"].as_array().unwrap().len(), 3);

    let run = compare(&place, "", "slower").succeeds().fits_a_terminal();
    for words in ["\nimproved:\nrelu forward, tiled, 1 thread ", "\n1 improved\n", "not compared"] {
        assert!(run.stdout.contains(words), "{run:#?}");
    }
}

#[test]
fn a_baseline_that_is_none_is_one_line_that_names_it() {
    let place = Workplace::new();
    compare(&place, "", "missing").fails(1, &["missing: cannot open: no such file"]);
    compare(&place, "", ".").fails(1, &[".: cannot open: is a directory"]);
    fs::write(place.path("text"), "fast").unwrap();
    compare(&place, "", "text").fails(3, &["text: is no baseline: name a file that --record"]);
    Run::of(place.bare("bench layers --seconds 3")).rejects_flags(&["--baseline"]);
    script(&place, "program", "");
    for flag in ["--record", "--csv"] {
        let both = compare(&place, &format!("{flag} file"), "program");
        both.fails(2, &[&format!("{flag}: a comparison with a program is no record")]);
    }
    assert_eq!(place.names(), ["program", "text"]);
}

#[test]
fn a_program_that_does_not_serve_is_one_line_that_names_it() {
    let place = Workplace::new();
    let remedy = "name a build of mnist-train whose 'bench' has --baseline";
    let rows = r#"echo '{"rows":["relu forward, tiled, 1 thread"]}'"#;
    for (name, lines, words) in [
        ("silent", "exit 0", "silent: does not serve its rows: it ended without a word"),
        (
            "older",
            "echo \"error: unexpected argument '--serve' found; see --help\" >&2; exit 2",
            "older: does not serve its rows: it said 'unexpected argument '--serve' found",
        ),
        (
            "killed",
            "kill -9 $$",
            "killed: does not serve its rows: its process was ended by signal 9",
        ),
        ("rubbish", "echo hello", "rubbish: says 'hello', expected the names of its rows"),
        ("endless", "yes hello | tr -d '\\n'", "endless: says 'hellohello"),
        (
            "other",
            r#"echo '{"rows":["jump"]}'; read -r x; echo '"checked"'"#,
            "other: has no row of this program",
        ),
    ] {
        let path = script(&place, name, lines);
        compare(&place, "", path.to_str().unwrap()).fails(1, &[words, remedy]);
    }
    for (name, lines, words) in [
        (
            "wrong",
            format!("{rows}; read -r x; echo 'error: layer relu is wrong' >&2; exit 1"),
            "wrong: stopped while its rows were timed: it said 'layer relu is wrong'",
        ),
        (
            "crashing",
            serving("kill -11 $$"),
            "crashing: stopped while its rows were timed: its process was ended by signal 11",
        ),
        (
            "timeless",
            serving(r#"echo '{"nanoseconds":0}'"#),
            r#"timeless: says '{"nanoseconds":0}', expected a time"#,
        ),
    ] {
        let path = script(&place, name, &lines);
        compare(&place, "", path.to_str().unwrap()).fails(1, &[words]);
    }
    fs::write(place.path("format"), b"\x7fELF nothing").unwrap();
    fs::set_permissions(place.path("format"), Permissions::from_mode(0o755)).unwrap();
    compare(&place, "", "format").fails(1, &["format: cannot run it: exec format error"]);
}

#[test]
fn a_record_decides_on_the_same_machine_alone() {
    let place = Workplace::new();
    let record = format!("{BENCH} --rounds 12 --record record.json --json");
    let run = Run::of(place.bare(&record)).succeeds();
    assert_eq!(place.read("record.json"), run.stdout.as_bytes());
    let record = run.last("bench_layers");
    let write =
        |name: &str, record: &Value| fs::write(place.path(name), record.to_string()).unwrap();
    // Times of which all are shorter, also those of calls that another program held up, and no limits of the
    // machine with which it could have changed.
    let mut faster = record.clone();
    for row in faster["layers"][0]["rows"].as_array_mut().unwrap() {
        for ms in row["round_call_ms"].as_array_mut().unwrap() {
            *ms = (1e-9 * ms.as_f64().unwrap()).into();
        }
    }
    faster["peaks"] = json!([]);
    faster["streams"] = json!([]);
    write("faster.json", &faster);
    let run = compare(&place, "--rounds 12 --json", "faster.json");
    let events = run.events();
    assert_eq!(events[0]["event"], "bench_layers");
    assert_eq!(verdicts(&run.last("gate")), ["regressed"; 4]);
    run.fails(5, &["4 of 4 rows regressed"]);

    let mut elsewhere = faster.clone();
    elsewhere["environment"]["cpu"] = "Another CPU".into();
    write("elsewhere.json", &elsewhere);
    let run = compare(&place, "--rounds 12", "elsewhere.json").fits_a_terminal();
    let words = run.stdout.replace("\n  ", " ");
    assert!(words.contains("another machine or build; the CPU: 'Another CPU' in the"), "{words}");
    run.fails(6, &["4 of 4 rows inconclusive: name a program as"]);

    let too_few = compare(&place, "--json", "faster.json");
    let reason = too_few.last("gate")["undecidable"].as_str().unwrap().to_string();
    assert!(reason.contains("9 and more"), "{reason}");
    too_few.fails(6, &[]);
}

#[test]
fn the_rows_of_a_record_are_those_that_a_program_serves() {
    let place = Workplace::new();
    for bench in [
        "bench stages --stage fused,gemm --rounds 1 --batch-size 4 --threads 2",
        "bench layers relu softmax --quick --rounds 1 --threads 2",
        "bench autograd --filter matmul --quick --rounds 1",
        "bench infer --arch lenet5 --quick --rounds 1 --threads 2",
    ] {
        let run = |flags: &str| match bench.contains("stages") || bench.contains("infer") {
            true => place.run(&format!("{bench} {flags}")),
            false => Run::of(place.bare(&format!("{bench} {flags}"))),
        };
        let served = run("--serve").succeeds().stdout;
        let served: Value = serde_json::from_str(&served).unwrap();
        run("--record record.json").succeeds();
        let compared = run("--baseline record.json --json");
        let gate = compared.last("gate");
        let rows = gate["rows"].as_array().unwrap().iter().map(|row| row["row"].clone());
        assert_eq!(Value::from_iter(rows), served["rows"]);
        assert!(gate["undecidable"].as_str().unwrap().contains("too few rounds"), "{gate}");
        compared.fails(6, &["inconclusive"]);
        fs::remove_file(place.path("record.json")).unwrap();
    }
}

#[test]
fn a_record_of_something_else_is_refused_before_anything_is_measured() {
    let place = Workplace::new();
    let bench = "bench stages --stage fused --rounds 1 --batch-size 4 --threads 1";
    place.run(&format!("{bench} --record stages.json")).succeeds();
    let refused = |flags: &str, baseline: &str, words: &str| {
        let run = place.run(&format!("{flags} --json --baseline {baseline}"));
        assert_eq!(run.stdout, "", "found after measuring");
        run.fails(3, &[baseline, words]);
    };
    let other = bench.replace("--batch-size 4", "--batch-size 8");
    refused(&other, "stages.json", "other settings: recipe.batch_size is 4, and here 8");
    let of_stages = "no record of this measurement: event is \"bench\", expected \"bench_layers\"";
    let whole = fs::read_to_string(place.path("stages.json")).unwrap();
    let layers = |baseline: &str| compare(&place, "--json", baseline);
    layers("stages.json").fails(3, &[of_stages]);
    fs::write(place.path("cut.json"), &whole[..whole.len() / 2]).unwrap();
    refused(bench, "cut.json", "is no record: EOF while parsing");
    fs::write(place.path("hole.json"), whole.replace("\"peaks\"", "\"peeks\"")).unwrap();
    refused(bench, "hole.json", "is no record: missing field `peaks`");
    let times = whole.replace("\"round_step_ms\":[", "\"round_step_ms\":[-1.0,");
    fs::write(place.path("times.json"), times).unwrap();
    refused(bench, "times.json", "is no record: a time of 'fused, 1 thread' is not above 0");
}
