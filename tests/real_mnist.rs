//! The whole program on the real MNIST. These tests need its folder in `MNIST_DATA`, so an ordinary
//! test run leaves them out. Run them by `MNIST_DATA=DIR cargo test -- --ignored`.

use std::env;
use std::path::Path;
use std::process::{Command, Output};

use mnist_train::data::files::{Part, locate};
use mnist_train::data::idx::images_header;
use mnist_train::model::mnist_cnn::MnistCnn;
use serde_json::Value;

mod png_file;

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

/// Number of pictures that the model in `folder` classifies as `labels` say, and number of those that
/// it is unsure of; `flags` name the files.
fn right_and_unsure(folder: &Path, labels: &[u16], flags: &str) -> [usize; 2] {
    let predict = Command::new(env!("CARGO_BIN_EXE_mnist-train"))
        .args("predict --top 1 --json".split(' '))
        .args(flags.split_whitespace())
        .current_dir(folder)
        .output()
        .expect("the program starts");
    assert!(predict.status.success(), "{}", String::from_utf8_lossy(&predict.stderr));
    let stdout = String::from_utf8(predict.stdout).expect("JSON is UTF-8");
    let events: Vec<Value> =
        stdout.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect();
    assert_eq!(events.len(), labels.len());
    let is_right = |(event, label): &(&Value, &u16)| event["predictions"][0]["class"] == **label;
    let is_unsure = |event: &&Value| event["unsure"] == true;
    [events.iter().zip(labels).filter(is_right).count(), events.iter().filter(is_unsure).count()]
}

/// Each image is enlarged five times, inverted, and shifted on a larger sheet. The bound was chosen
/// after the measurement that the test prints.
#[test]
#[ignore = "needs the real MNIST: MNIST_DATA=DIR cargo test -- --ignored"]
fn pictures_of_test_images_are_classified_almost_as_well_as_the_images() {
    const IMAGES: usize = 1000;
    let data = env::var_os("MNIST_DATA").expect("MNIST_DATA names the folder of the real MNIST");
    let format = MnistCnn::default().architecture().format();
    let test = locate(Path::new(&data), None, &Part::ALL).unwrap().read_test(format).unwrap().split;
    let labels = &test.labels()[..IMAGES];
    let folder = tempfile::tempdir().unwrap();
    last_event(folder.path(), "--epochs 1 --json");

    let mut files = String::new();
    for index in 0..IMAGES {
        let shift = [(index % 41) as isize - 20, (index % 31) as isize - 15];
        let (sides, ink) = png_file::enlarged(test.image(index), 5, 24, shift);
        let inverted: Vec<u8> = ink.iter().map(|ink| 255 - ink).collect();
        let name = format!("{index}.png");
        std::fs::write(folder.path().join(&name), png_file::grey(sides, &inverted)).unwrap();
        files = format!("{files} {name}");
    }
    let header = images_header(IMAGES, 28, 28);
    let images = [&header, &test.images()[..IMAGES * 28 * 28]].concat();
    std::fs::write(folder.path().join("images"), images).unwrap();

    let [plain, plain_unsure] = right_and_unsure(folder.path(), labels, "images");
    let [pictures, unsure] = right_and_unsure(folder.path(), labels, &files);
    println!(
        "of {IMAGES} images, right and unsure: as they are {plain}, {plain_unsure}; \
         as pictures {pictures}, {unsure}"
    );
    assert!(pictures + IMAGES * 15 / 1000 >= plain, "{pictures} of pictures, {plain} of images");
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
