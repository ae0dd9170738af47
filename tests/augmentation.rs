//! Training on augmented images.

mod program;

use std::fs;

use mnist_train::data::picture::{self, Pictures};

use crate::program::{Run, Workplace};

const NETWORK: &str = "--arch flatten,fc16,relu,fc10 --batch-size 30 --json";

#[test]
fn a_resumed_run_and_any_number_of_threads_see_the_same_images() {
    let place = Workplace::new();
    let weights = |flags: &str| place.run(&format!("{NETWORK} {flags}")).weights();
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
