//! Held-out images, the best model, the end of patience, and `--batch-size auto`.

mod program;

use std::fs;

use mnist_train::model::checkpoint::{self, Checkpoint, Model};
use program::{Run, Workplace};
use serde_json::Value;

/// Flags of a run of short epochs with 100 held-out images.
const RUN: &str = "--json --max-samples 300 --batch-size 20 --validation 100";

/// Checkpoint in the file `name`.
fn read(place: &Workplace, name: &str) -> Checkpoint {
    match checkpoint::read(&place.path(name), None).unwrap().1 {
        Model::Checkpoint(checkpoint) => *checkpoint,
        Model::Weights(_) => panic!("the moments are missing"),
    }
}

/// Lines of a run's JSON that are results of an epoch, without their times.
fn epochs(stdout: &str) -> Vec<Value> {
    let lines = stdout.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let epochs = lines.filter(|line| line["event"] == "epoch");
    let timeless = epochs.map(|mut line| {
        let fields = line.as_object_mut().unwrap();
        fields.retain(|name, _| !["seconds", "images_per_second"].contains(&&**name));
        line
    });
    timeless.collect()
}

/// Number of correct validation images after each epoch.
fn validations(stdout: &str) -> Vec<u64> {
    epochs(stdout).iter().map(|line| line["validation_correct"].as_u64().unwrap()).collect()
}

/// The event with which a run begins.
fn first(run: &Run) -> Value {
    run.events().swap_remove(0)
}

/// Index of the first of the largest numbers.
fn first_largest(numbers: &[u64]) -> usize {
    let largest = numbers.iter().max().unwrap();
    numbers.iter().position(|number| number == largest).unwrap()
}

#[test]
fn the_held_out_images_are_the_last_and_nothing_trains_on_them() {
    let place = Workplace::new();
    let run = place.run(&format!("{RUN} --epochs 1 --no-eval")).succeeds();
    let start = first(&run);
    assert_eq!((&start["train_images"], &start["validation_images"]), (&300.into(), &100.into()));
    let epoch = &epochs(&run.stdout)[0];
    assert_eq!(epoch["validation_total"], 100);
    assert!(epoch["validation_loss"].as_f64().unwrap() > 0.0);
    // Other images are held out, the same are trained on.
    let weights = run.last("done")["weights_sha256"].clone();
    let other = RUN.replace("--validation 100", "--validation 3");
    for flags in [other, RUN.replace("--validation 100", "")] {
        let other = Workplace::new().run(&format!("{flags} --epochs 1 --no-eval")).succeeds();
        assert_eq!(other.last("done")["weights_sha256"], weights, "{flags}");
    }
}

#[test]
fn the_best_model_is_kept_and_a_resumed_run_goes_on_with_it() {
    let place = Workplace::new();
    let flags = format!("{RUN} --lr 0.02 --save-best --no-eval");
    let whole = place.run(&format!("{flags} --epochs 8")).succeeds();
    let correct = validations(&whole.stdout);
    let best = first_largest(&correct);
    assert!(correct[best] > correct[0], "there is something to keep: {correct:?}");
    let done = whole.last("done");
    assert_eq!(done["best_epoch"], best + 1);
    assert_eq!(done["best_validation_correct"], correct[best]);
    assert_eq!(done["best_model"], "ckpt.bin.best");
    let kept = read(&place, "ckpt.bin.best");
    assert_eq!(kept.metadata.position.epoch, best + 1);
    // The best model is the model of a run that ends there.
    let short = Workplace::new();
    let ended = short.run(&format!("{flags} --epochs {}", best + 1)).succeeds();
    assert_eq!(ended.last("done")["weights_sha256"], kept.state.parameters.sha256().to_string());

    let parts = Workplace::new();
    let first = parts.run(&format!("{flags} --epochs 3")).succeeds();
    let rest = parts.run("--resume --epochs 8 --save-best --no-eval --json").succeeds();
    let mut all = epochs(&first.stdout);
    all.extend(epochs(&rest.stdout));
    assert_eq!(all, epochs(&whole.stdout));
    assert_eq!(rest.last("done")["best_epoch"], best + 1);
    assert!(read(&parts, "ckpt.bin.best").state == kept.state);
    // A new run keeps the best model of the run before under another name.
    let before = fs::read(place.path("ckpt.bin.best")).unwrap();
    place.run(&format!("{flags} --epochs 1 --seed 2")).succeeds();
    assert_eq!(fs::read(place.path("ckpt.bin.best.previous")).unwrap(), before);
}

#[test]
fn a_run_ends_when_it_gets_no_better() {
    let place = Workplace::new();
    // At this rate the model is as good as it gets after few epochs.
    let flags = format!("{RUN} --lr 0.02 --no-eval");
    let run = place.run(&format!("{flags} --epochs 100 --patience 2")).succeeds();
    let correct = validations(&run.stdout);
    let epochs = correct.len();
    assert!(epochs < 100 && first_largest(&correct) + 3 == epochs, "{correct:?}");
    let words = format!("the run ends after epoch {epochs} of 100");
    assert!(run.stderr.contains(&words), "{}", run.stderr);
    assert_eq!(run.last("done")["epochs"], epochs);
    assert_eq!(read(&place, "ckpt.bin").metadata.position.epoch, epochs);
    // A run that was stopped in between ends after the same epoch.
    let parts = Workplace::new();
    parts.run(&format!("{flags} --epochs {} --patience 2", epochs - 1)).succeeds();
    let rest = parts.run("--resume --epochs 100 --patience 2 --no-eval --json").succeeds();
    assert_eq!(rest.last("done")["epochs"], epochs);
    assert_eq!(rest.last("done")["weights_sha256"], run.last("done")["weights_sha256"]);
    let again = parts.run("--resume --epochs 100 --patience 2 --no-eval --json").succeeds();
    assert_eq!(validations(&again.stdout), [0; 0]);
    // With more patience it goes on.
    let more = format!("--resume --epochs {} --patience 50 --no-eval --json", epochs + 1);
    assert_eq!(validations(&parts.run(&more).succeeds().stdout).len(), 1);
}

#[test]
fn a_size_of_the_batches_is_chosen_and_kept() {
    let place = Workplace::new();
    let flags = "--json --no-eval --epochs";
    let run = place.run(&format!("{flags} 1 --batch-size auto")).succeeds();
    assert!(run.stderr.contains("note: --batch-size auto takes 16: 25 steps"), "{}", run.stderr);
    assert_eq!(first(&run)["recipe"]["batch_size"], 16);
    let named = Workplace::new().run(&format!("{flags} 1 --batch-size 16")).succeeds();
    assert_eq!(named.last("done")["weights_sha256"], run.last("done")["weights_sha256"]);
    let more = place.run("--resume --epochs 2 --batch-size auto --no-eval --json").succeeds();
    assert_eq!(more.last("done")["steps"], 50);
}

#[test]
fn refuses_what_needs_held_out_images_and_too_many_of_them() {
    let place = Workplace::new();
    for (flags, problem) in [
        ("--patience 3", "--patience: there are no validation images: hold some out with"),
        ("--save-best", "--save-best: there are no validation images: hold some out with"),
        ("--validation 100000", "--validation 100000 leaves none of the"),
        ("--max-samples 350 --validation 100", "300 training images that --validation 100 leaves"),
        ("--accumulate 65", "--accumulate 65 is more than the 64 images of a batch"),
        ("--stage live --clip-norm 1", "stage live cannot train with --clip-norm"),
        ("--stage live --accumulate 2", "stage live cannot train with --accumulate"),
        ("--stage live --checkpoint-activations 2", "cannot train with --checkpoint-activations"),
    ] {
        place.run(flags).fails(2, &[problem]);
    }
    assert_eq!(place.names(), [""; 0]);
    fs::write(place.path("ckpt.bin.best"), "no model").unwrap();
    place.run("--validation 100 --save-best").fails(3, &["ckpt.bin.best: ", "not a checkpoint"]);
    assert_eq!(fs::read(place.path("ckpt.bin.best")).unwrap(), b"no model");
}

#[test]
fn a_resumed_run_may_keep_fewer_activations() {
    let place = Workplace::new();
    let flags = "--json --stage tiled --max-samples 300 --no-eval --arch lenet5";
    let whole = place.run(&format!("{flags} --epochs 2")).succeeds();
    place.run(&format!("{flags} --epochs 1")).succeeds();
    let rest = "--resume --epochs 2 --checkpoint-activations 3 --no-eval --json";
    let rest = place.run(rest).succeeds();
    assert_eq!(first(&rest)["recipe"]["checkpoint_activations"], 3);
    assert_eq!(rest.last("done")["weights_sha256"], whole.last("done")["weights_sha256"]);
}

#[test]
fn a_large_gradient_is_reported_once_unless_it_is_clipped() {
    let place = Workplace::new();
    let flags = "--json --no-eval --epochs 2 --arch mlp --optimizer sgd --lr 4";
    let run = place.run(flags).succeeds();
    let norms = epochs(&run.stdout);
    assert!(norms.iter().all(|line| line["gradient_norm"].as_f64().unwrap() > 0.0));
    let words = "--clip-norm 1 shortens long gradients";
    let clipped = place.run(&format!("{flags} --clip-norm 1")).succeeds();
    assert!(!clipped.stderr.contains(words));
    assert_eq!(run.stderr.matches(words).count(), 1, "{} {norms:?}", run.stderr);
}
