//! The whole program on the real MNIST. These tests need its folder in `MNIST_DATA`, so an ordinary
//! test run leaves them out. Run them by `MNIST_DATA=DIR cargo test -- --ignored`.

use std::env;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

/// Runs the program in `folder`.
fn run(folder: &Path, arguments: &str) -> Output {
    let data = env::var_os("MNIST_DATA").expect("MNIST_DATA names the folder of the real MNIST");
    Command::new(env!("CARGO_BIN_EXE_mnist-train"))
        .args(arguments.split_whitespace())
        .arg("--data")
        .arg(Path::new(&data).canonicalize().expect("MNIST_DATA is a folder"))
        .current_dir(folder)
        .output()
        .expect("the program starts")
}

/// Runs the program in `folder` and returns its last JSON line.
fn last_event(folder: &Path, arguments: &str) -> Value {
    let output = run(folder, arguments);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let stdout = String::from_utf8(output.stdout).expect("JSON is UTF-8");
    serde_json::from_str(stdout.lines().last().expect("a result")).expect("a line of JSON")
}

#[test]
#[ignore = "needs the real MNIST: MNIST_DATA=DIR cargo test -- --ignored"]
fn one_epoch_of_gemm_reaches_97_5_percent_and_eval_agrees() {
    let folder = tempfile::tempdir().unwrap();
    let done = last_event(folder.path(), "--epochs 1 --stage gemm --json");
    assert_eq!(done["dataset"], "mnist");
    assert_eq!(done["test_total"], 10_000);
    let correct = done["test_correct"].as_u64().unwrap();
    assert!(correct >= 9750, "{correct} of 10,000 after one epoch");

    let eval = last_event(folder.path(), "eval --json");
    assert_eq!(eval["correct"], correct);
    assert_eq!(eval["weights_sha256"], done["weights_sha256"]);
    let confusion: u64 = eval["confusion"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|row| row.as_array().unwrap())
        .map(|count| count.as_u64().unwrap())
        .sum();
    assert_eq!(confusion, 10_000);
}

#[test]
#[ignore = "needs the real MNIST: MNIST_DATA=DIR cargo test -- --ignored"]
fn a_learning_rate_of_ten_diverges_and_keeps_the_last_good_model() {
    let folder = tempfile::tempdir().unwrap();
    let model = folder.path().join("ckpt.bin");
    last_event(folder.path(), "--epochs 1 --max-samples 6400 --json");
    let good = std::fs::read(&model).unwrap();
    let output = run(folder.path(), "--epochs 1 --lr 10");
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(4), "{error}");
    assert!(error.contains("training diverged: loss ") && error.contains("lower --lr"), "{error}");
    assert_eq!(std::fs::read(&model).unwrap(), good);
}
