//! Datasets beside MNIST: by name, with other shapes and classes, with names of classes; and augmentation.

mod png_file;
mod program;

use std::fs;

use mnist_train::data::dataset::{DatasetKind, Split};
use mnist_train::data::files::{Part, locate};
use mnist_train::data::idx;
use mnist_train::data::known::{KNOWN, Known};
use mnist_train::data::picture::{self, Pictures};
use mnist_train::data::synthetic::{self, Characters};

use crate::program::{Run, Workplace, digits};

/// Flags of a short run.
const SHORT: &str = "--epochs 1 --batch-size 16 --json";

/// Saves `split` in `folder` as the files of MNIST whose names begin with `part`.
fn save(split: &Split, place: &Workplace, folder: &str, [images, labels]: [&str; 2]) {
    fs::create_dir_all(place.path(folder)).unwrap();
    fs::write(place.path(folder).join(images), split.images_file().concat()).unwrap();
    fs::write(place.path(folder).join(labels), split.labels_file()).unwrap();
}

const TRAIN: [&str; 2] = ["train-images-idx3-ubyte", "train-labels-idx1-ubyte"];
const TEST: [&str; 2] = ["t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"];

/// A dataset of bars: images of `sides` with a bright row or column for each of `classes`, which can
/// be told apart by a linear layer.
fn bars(count: usize, [rows, columns]: [usize; 2], classes: usize) -> Split {
    let labels: Vec<u16> = (0..count).map(|index| (index % classes) as u16).collect();
    let image = |label: &u16| {
        let first = usize::from(*label) * rows * columns / classes;
        (0..rows * columns).map(move |pixel| if pixel.abs_diff(first) < 5 { 255 } else { 0 })
    };
    let images = labels.iter().flat_map(image).collect();
    Split::new(images, [rows, columns], labels)
}

#[test]
fn letters_are_stored_as_emnist_stores_them_and_read_upright() {
    let place = Workplace::new();
    let written = Run::of(place.bare("data synthetic --letters --out letters --images 200 --json"));
    let files = written.last("data")["files"].as_array().unwrap().clone();
    assert_eq!(files[0]["name"], "emnist-letters-train-images-idx3-ubyte");
    assert_eq!(files[3]["name"], "emnist-letters-test-labels-idx1-ubyte");

    let drawn = synthetic::draw(Characters::Letters, synthetic::DEFAULT_SEED, [200, 10_000]);
    let path = |name: &str| place.path("letters").join(name);
    let stored = idx::read_images(&path("emnist-letters-train-images-idx3-ubyte")).unwrap();
    for (upright, stored) in drawn.train.images().chunks(784).zip(stored.pixels.chunks(784)) {
        let transposed = (0..784).map(|at| stored[at % 28 * 28 + at / 28]);
        assert!(transposed.eq(upright.iter().copied()));
    }
    let labels = idx::read_labels(&path("emnist-letters-train-labels-idx1-ubyte"), 27).unwrap();
    assert!(labels.iter().zip(drawn.train.labels()).all(|(stored, label)| *stored == label + 1));

    for named in [None, Known::find("emnist-letters")] {
        let files = locate(&place.path("letters"), named, &Part::ALL).unwrap();
        let read = files.read(files.format()).unwrap();
        assert_eq!((&read.train, &read.test), (&drawn.train, &drawn.test));
        assert_eq!(read.class_names[..2], ["A", "B"]);
        assert_eq!(read.class_names.len(), 26);
    }
}

#[test]
fn all_letters_are_recognized_by_their_checksums() {
    let counts = [synthetic::TRAIN_IMAGES, synthetic::TEST_IMAGES];
    let drawn = synthetic::draw(Characters::Letters, synthetic::DEFAULT_SEED, counts);
    assert_eq!(drawn.kind(), DatasetKind::SyntheticLetters);
    for label in 0..26 {
        let count = drawn.train.labels().iter().filter(|other| **other == label).count();
        // The mean is 2,308 and the standard deviation 47; five are allowed.
        assert!((2_073..=2_543).contains(&count), "{count} of letter {label}");
    }
}

#[test]
fn a_model_of_letters_names_them() {
    let place = Workplace::new();
    Run::of(place.bare("data synthetic --letters --out letters --images 2000 --json")).succeeds();
    let trained = Run::of(place.bare("--data letters --epochs 2 --json"));
    let start = trained.events()[0].clone();
    assert_eq!(start["architecture"], "conv32k5p2,relu,maxpool2,flatten,fc128,relu,fc26");
    assert_eq!(start["dataset"], "emnist-letters");
    let correct = trained.last("done")["test_correct"].as_u64().unwrap();
    assert!(correct > 6_000, "{correct} of 10,000");

    let eval = Run::of(place.bare("eval --data letters --json")).last("eval").clone();
    assert_eq!(eval["correct"], correct);
    assert_eq!(eval["class_names"][25], "Z");
    let text = Run::of(place.bare("eval --data letters")).stdout;
    assert!(text.contains("class  images   recall  precision  taken for\n    A  "), "{text}");
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");

    let test = synthetic::draw(Characters::Letters, synthetic::DEFAULT_SEED, [1, 20]).test.unwrap();
    let (sides, ink) = png_file::enlarged(test.image(0), 5, 24, [0, 0]);
    fs::write(place.path("letter.png"), png_file::grey(sides, &ink)).unwrap();
    let predicted = Run::of(place.bare("predict letter.png --json")).last("predict").clone();
    let first = &predicted["predictions"][0];
    let name = (b'A' + first["class"].as_u64().unwrap() as u8) as char;
    assert_eq!(first["name"], name.to_string());
    Run::of(place.bare("--resume --data letters --epochs 3")).succeeds();

    // The labels of letters begin with 1, so ten classes end with label 10.
    place.run("--epochs 1 --max-samples 64 --no-eval --model ten.bin").succeeds();
    let words = ["and the model's classes end with label 10: name other data with --data"];
    Run::of(place.bare("eval --model ten.bin --data letters")).fails(3, &words);
}

#[test]
fn images_of_any_shape_train_and_their_classes_have_names() {
    let place = Workplace::new();
    save(&bars(240, [20, 33], 3), &place, "bars", TRAIN);
    save(&bars(60, [20, 33], 3), &place, "bars", TEST);
    let long = "a name of more than forty characters, twice";
    fs::write(place.path("bars/classes.txt"), format!("one\n{long} 1\n{long} 2\n")).unwrap();
    let trained = Run::of(place.bare(&format!("--data bars {SHORT}")));
    assert_eq!(trained.events()[0]["stage"], "tiled");
    assert_eq!(
        trained.events()[0]["architecture"],
        "conv32k5p2,relu,maxpool2,flatten,fc128,relu,fc3"
    );
    assert_eq!(trained.last("done")["test_correct"], 60);
    let eval = Run::of(place.bare("eval --data bars"));
    let names = format!("\n0 one, 1 {long} 1,\n2 {long} 2\n");
    assert!(eval.fits_a_terminal().stdout.contains(&names));
    Run::of(place.bare(&format!("--dataset bars --arch flatten,fc3 --model b {SHORT}"))).succeeds();
    let layers = "--data bars --arch flatten,fc2 --model b";
    Run::of(place.bare(layers))
        .fails(3, &["label 2 at index 2", "end --arch with an output for each"]);
    // The model takes images of another shape.
    save(&bars(10, [28, 28], 3), &place, "other", TEST);
    Run::of(place.bare("eval --data other")).fails(3, &["28×28, and the model needs 20×33"]);
    let stage = "--data bars --stage live --model b";
    Run::of(place.bare(stage)).fails(2, &["stage live runs conv", "28x28 images alone"]);
}

#[test]
fn a_thousand_classes_need_labels_of_four_bytes() {
    let place = Workplace::new();
    save(&bars(1000, [32, 32], 1000), &place, "many", TRAIN);
    save(&bars(1000, [32, 32], 1000), &place, "many", TEST);
    let labels = fs::read(place.path("many").join(TRAIN[1])).unwrap();
    assert_eq!((&labels[..4], labels.len()), (&[0, 0, 12, 1][..], 8 + 4 * 1000));
    let many = Run::of(place.bare("--data many --batch-size 16"));
    many.fails(3, &["label 10 at index 10", "name all classes in classes.txt"]);
    let names: String = (0..1000).map(|class| format!("class {class}\n")).collect();
    fs::write(place.path("many/classes.txt"), names).unwrap();
    let trained = Run::of(place.bare(&format!("--data many --arch mlp {SHORT}")));
    assert_eq!(trained.events()[0]["architecture"], "flatten,fc128,relu,fc1000");
    Run::of(place.bare("eval --data many")).succeeds();
}

#[test]
fn a_dataset_that_was_named_is_never_replaced_by_another() {
    let place = Workplace::new();
    // The folder has digits under the names of MNIST's files, which are Fashion-MNIST's too.
    let folder = digits().display();
    let named = Run::of(place.bare(&format!("--dataset fashion --data {folder}")));
    named.fails(3, &["--dataset names Fashion-MNIST, and this is", "leave --dataset out"]);
    let missing = Run::of(place.bare("--dataset kmnist --data nowhere"));
    missing.fails(1, &["no such folder", "data fetch --dataset kmnist --data nowhere"]);
    let archive = Run::of(place.bare("--dataset emnist-letters"));
    archive.fails(1, &["missing emnist-letters-train-images", "gzip.zip, unpack it"]);
    let offline = Run::of(place.bare("--dataset kmnist --offline"));
    offline.fails(1, &["data/kmnist: no such folder", "--offline"]);
    let unknown = Run::of(place.bare("--dataset letters"));
    unknown.fails(2, &["neither a folder nor a dataset: choose mnist, fashion, kmnist, emnist-"]);
    fs::create_dir(place.path("some")).unwrap();
    let two = Run::of(place.bare("--dataset some --data some"));
    two.fails(2, &["there is no dataset 'some', and --data names a folder"]);
    let fetched = Run::of(place.bare("data fetch --dataset emnist-digits"));
    fetched.fails(1, &["missing emnist-digits-train-images", "gzip.zip"]);
}

#[test]
fn a_folder_with_several_splits_of_emnist_needs_a_name() {
    let place = Workplace::new();
    for known in KNOWN.iter().filter(|known| known.has_own_names()).take(2) {
        let names = [Part::TrainImages, Part::TrainLabels].map(|part| known.file_name(part));
        save(&bars(30, [28, 28], 10), &place, "several", names.each_ref().map(|name| &**name));
    }
    let flags = format!("--data several --no-eval {SHORT}");
    let words = ["several holds several datasets: choose emnist-balanced or emnist-byclass"];
    Run::of(place.bare(&flags)).fails(2, &words);
    let named = Run::of(place.bare(&format!("--dataset emnist-byclass {flags}")));
    assert!(named.events()[0]["architecture"].as_str().unwrap().ends_with("fc62"));
}

#[test]
fn files_that_cannot_be_a_dataset_are_refused_by_name() {
    let place = Workplace::new();
    let large = Split::new(vec![0; 257 * 257], [257, 257], vec![0]);
    save(&large, &place, "large", TRAIN);
    let refused = Run::of(place.bare("--data large --no-eval --batch-size 1"));
    refused.fails(3, &["images are 257×257, and the largest possible are 256×256"]);

    save(&bars(30, [28, 28], 10), &place, "data", TRAIN);
    for (text, words) in [
        (&b"one\n\nthree\n"[..], "data/classes.txt: line 2: the name is missing"),
        (b"one\none\n", "data/classes.txt: line 2: 'one' is the name of line 1 too"),
        (b"", "data/classes.txt: names fewer than two classes"),
        (b"\xff\xfe", "data/classes.txt: is not UTF-8"),
        (b"one\ntwo\n", "label 2 at index 2"),
    ] {
        fs::write(place.path("data/classes.txt"), text).unwrap();
        Run::of(place.bare("--no-eval --batch-size 1 --offline")).fails(3, &[words]);
    }
    // The labels of letters begin with 1.
    let letters = Known::find("emnist-letters").unwrap();
    let names = [Part::TrainImages, Part::TrainLabels].map(|part| letters.file_name(part));
    save(&bars(30, [28, 28], 10), &place, "zero", names.each_ref().map(|name| &**name));
    let zero = Run::of(place.bare("--data zero --no-eval --batch-size 1"));
    zero.fails(3, &["label 0 at index 0, and the labels of this dataset begin with 1"]);
}

/// Flags of a small network that trains in moments.
const SMALL: &str = "--arch flatten,fc16,relu,fc10 --batch-size 30 --json";

#[test]
fn a_resumed_run_and_any_number_of_threads_see_the_same_images() {
    let place = Workplace::new();
    let weights = |flags: &str| place.run(&format!("{SMALL} {flags}")).weights();
    let plain = weights("--epochs 3 --model plain");
    for kind in ["shift", "affine", "elastic"] {
        let flags = format!("--augment {kind} --model {kind}");
        weights(&format!("{flags} --epochs 2 --threads 1"));
        let resumed = weights(&format!("--model {kind} --resume --epochs 3 --threads 2"));
        let whole = weights(&format!("--augment {kind} --model whole --epochs 3 --threads 2"));
        assert_eq!(resumed, whole, "{kind}");
        assert_ne!(resumed, plain, "{kind}");
        let words = ["--augment is none and was", kind];
        place.run(&format!("--model {kind} --resume --augment none")).fails(2, &words);
    }
}

#[test]
fn the_picture_shows_the_originals_and_their_changes() {
    let place = Workplace::new();
    let drawn = place.run("data augmented --augment affine").succeeds();
    assert!(drawn.stdout.contains("wrote augmented.png: 12 training images"), "{}", drawn.stdout);
    let first = place.read("augmented.png");
    let Pictures::Png(sheet) = picture::parse(&first).unwrap() else {
        panic!("is a PNG");
    };
    // 12 rows and columns of 28 pixels, each shown as 2×2, with lines of 2 between them.
    assert_eq!(sheet.sides, [12 * 58 - 2, 12 * 58 - 2]);
    place.run("data augmented --augment affine").succeeds();
    assert_eq!(place.read("augmented.png"), first, "the same seed draws the same picture");
    place.run("data augmented --augment affine --seed 2").succeeds();
    assert_ne!(place.read("augmented.png"), first);
    fs::write(place.path("notes.png"), "my notes").unwrap();
    place.run("data augmented --out notes.png").fails(3, &["notes.png", "is not the picture"]);
    assert_eq!(place.read("notes.png"), b"my notes");
    Run::of(place.bare("data augmented --augment none")).rejects_flags(&["--augment", "elastic"]);
}
