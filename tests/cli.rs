//! The program as a user runs it: its output, its files, and its refusals (`cli/refusals.rs`).

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::Stdio;

use mnist_train::data::dataset::Split;
use mnist_train::data::synthetic;
use mnist_train::model::checkpoint::{self, Model};
use mnist_train::simd::{self, Isa};
use serde_json::Value;

mod program;
#[path = "cli/refusals.rs"]
mod refusals;

use program::{Run, TEST_IMAGES, TRAIN_IMAGES, Workplace, digits};

/// Flags of a short run, with three steps in an epoch.
const SHORT: &str = "--max-samples 192 --json";

#[track_caller]
fn assert_has(event: &Value, keys: &str) {
    for key in keys.split_whitespace() {
        assert!(event.get(key).is_some(), "no {key} in {event}");
    }
}

#[test]
fn a_model_is_trained_evaluated_resumed_and_evaluated() {
    let place = Workplace::new();
    let first = place.run("--epochs 5 --json").succeeds();
    assert_eq!(place.names(), ["ckpt.bin"]);
    assert_eq!(first.events().len(), 7, "{first:#?}");
    let trained = first.last("done");
    let tested = place.run("eval --json").succeeds().last("eval");
    assert_eq!(tested["correct"], trained["test_correct"]);
    assert_eq!(tested["weights_sha256"], trained["weights_sha256"]);
    assert!(tested["correct"].as_u64().unwrap() > 60, "learned nothing: {tested}");

    let second = place.run("--resume --epochs 6 --json").succeeds();
    let resumed = second.last("done");
    assert_eq!(second.events().len(), 3, "{second:#?}");
    assert_ne!(resumed["weights_sha256"], trained["weights_sha256"]);
    let tested = place.run("eval --json").succeeds().last("eval");
    assert_eq!(tested["weights_sha256"], resumed["weights_sha256"]);
    assert_eq!(place.names(), ["ckpt.bin"], "the same run needs no copy");
}

#[test]
fn json_has_the_promised_keys_on_stdout_and_nothing_else() {
    let place = Workplace::new();
    let run = place.run("--epochs 2 --json --threads 2").succeeds();
    let events = run.events();
    let kinds: Vec<_> = events.iter().map(|event| event["event"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["start", "epoch", "epoch", "done"]);
    assert_has(
        &events[0],
        "schema version dataset train_images test_images stage engine threads architecture \
         parameters recipe epochs first_epoch",
    );
    for (number, event) in events[1..3].iter().enumerate() {
        assert_has(
            event,
            "loss train_accuracy test_correct test_total lr seconds images_per_second",
        );
        assert_eq!(event["epoch"], number);
    }
    assert_has(
        &events[3],
        "train_seconds load_seconds eval_seconds total_seconds test_correct weights_sha256 epochs",
    );
    assert_eq!(events[3].get("peak_rss_bytes").is_some(), cfg!(target_os = "linux"));
    assert_eq!(events[0]["schema"], 1);
    assert_eq!(events[0]["parameters"], 805_066);
    assert_eq!(events[0]["recipe"]["batch_size"], 64);
    for (key, value) in [
        ("test_total", Value::from(TEST_IMAGES)),
        ("model", "ckpt.bin".into()),
        ("stage", events[0]["stage"].clone()),
        ("threads", 2.into()),
        ("dataset", "custom".into()),
        ("steps", (2 * TRAIN_IMAGES.div_ceil(64)).into()),
    ] {
        assert_eq!(events[3][key], value, "{key}");
    }

    let eval = place.run("eval --json").succeeds().last("eval");
    assert_has(
        &eval,
        "schema correct total accuracy loss confusion recall precision mistakes seconds \
         images_per_second dataset trained_on model weights_sha256 stage threads",
    );
    let rows = eval["confusion"].as_array().unwrap();
    let counts = rows.iter().flat_map(|row| row.as_array().unwrap());
    let diagonal = (0..10).map(|class| rows[class][class].as_u64().unwrap()).sum::<u64>();
    assert_eq!(counts.map(|count| count.as_u64().unwrap()).sum::<u64>(), TEST_IMAGES as u64);
    assert_eq!(eval["correct"], diagonal);

    for (verb, keys) in [
        ("summary", "schema architecture batch_size layers parameters"),
        ("stages", "schema machine stages"),
        ("data", "schema directory files"),
    ] {
        let run = Run::of(place.bare(&format!("{verb} --json"))).succeeds();
        assert_has(&run.last(verb), keys);
        assert_eq!(run.events().len(), 1);
    }
}

#[test]
fn gradcheck_says_whether_gradients_agree_and_how_much_it_compared() {
    let place = Workplace::new();
    let check = |flags: &str| {
        let sizes = "--channels 2 --kernel-size 3 --hidden 5";
        Run::of(place.bare(&format!("gradcheck {sizes} {flags}")))
    };
    let fast = check("--fast --json --seed 7").succeeds();
    let found = fast.last("gradcheck");
    let keys =
        "schema architecture images seed eps atol rtol fast tensors primitives failures passed";
    assert_has(&found, keys);
    assert_eq!(
        (&found["passed"], &found["seed"], fast.events().len()),
        (&true.into(), &7.into(), 1)
    );
    let keys =
        "name shape elements checked kinks backward_tape backward_central tape_central passed";
    assert_has(&found["tensors"][6], keys);
    assert_eq!(found["tensors"][6]["shape"], serde_json::json!([5, 1, 28, 28]));
    assert_has(
        &found["primitives"][0],
        "stage threads from_tape from_sum_of_images repeats as_on_one_thread passed",
    );

    let text = check("").succeeds();
    assert!(text.stdout.contains(" 18 of 18 ") && text.stdout.contains(" 1,000 of 3,920 "));
    assert!(text.stdout.ends_with("\nall gradients agree\n"), "{text:#?}");
    // With so long a step and no tolerance, no element seems to have a derivative.
    let refused = check("--eps 1e-2 --atol 0 --rtol 0 --fast");
    let refused = refused.fails(1, &["gradients do not agree: conv1.weight, "]);
    assert!(refused.stdout.ends_with("gradients do NOT agree\n"), "{refused:#?}");
}

#[test]
fn three_epochs_are_one_epoch_and_two_more() {
    let (whole, parts) = (Workplace::new(), Workplace::new());
    let expected = whole.run(&format!("{SHORT} --epochs 3")).succeeds();
    parts.run(&format!("{SHORT} --epochs 1")).succeeds();
    let resumed = parts.run("--resume --epochs 3 --json").succeeds();
    assert_eq!(resumed.weights(), expected.weights());
    assert_eq!(resumed.last("done")["steps"], expected.last("done")["steps"]);
    assert_eq!(parts.read("ckpt.bin"), whole.read("ckpt.bin"));
    for epoch in [1, 2] {
        let (part, whole) = (&resumed.events()[epoch], &expected.events()[epoch + 1]);
        for key in ["epoch", "loss", "train_accuracy", "test_correct", "lr"] {
            assert_eq!(part[key], whole[key], "epoch {epoch}, {key}");
        }
    }
}

#[test]
fn a_run_may_end_and_go_on_within_an_epoch() {
    let (whole, parts) = (Workplace::new(), Workplace::new());
    let validated = format!("{SHORT} --validation 100");
    let expected = whole.run(&format!("{validated} --epochs 2")).succeeds();
    let short = parts.run(&format!("{validated} --epochs 0.8")).succeeds();
    let (start, epoch, done) = (&short.events()[0], &short.events()[1], short.last("done"));
    assert_eq!((&start["epochs"], &epoch["epoch"]), (&0.8.into(), &0.into()));
    let steps = done["steps"].as_u64().unwrap();
    let of_an_epoch = expected.last("done")["steps"].as_u64().unwrap() / 2;
    assert_eq!(steps, (0.8 * of_an_epoch as f64).round() as u64);
    assert_eq!(done["epochs"], steps as f64 / of_an_epoch as f64);
    assert_eq!(done["test_correct"], epoch["test_correct"]);
    assert!(epoch["validation_correct"].as_u64() > Some(0), "{epoch}");
    assert_eq!(parts.run("eval --json").succeeds().last("eval")["correct"], done["test_correct"]);
    parts.run("report --out page.html").succeeds();
    let page = String::from_utf8(parts.read("page.html")).unwrap();
    assert!(page.contains(&format!("0 epochs and a part of the next, {steps} steps")), "{page}");
    fs::remove_file(parts.path("page.html")).unwrap();
    let nothing = parts.run("--resume --epochs 0.8").succeeds();
    assert!(nothing.stderr.contains("nothing to do"), "{nothing:#?}");
    let resumed = parts.run("--resume --epochs 2 --json").succeeds();
    assert_eq!(resumed.weights(), expected.weights());
    assert_eq!(parts.read("ckpt.bin"), whole.read("ckpt.bin"));
    let best = "--epochs 1.5 --validation 100 --save-best";
    whole.run(best).fails(2, &["--save-best", "choose a whole number of --epochs"]);
}

#[test]
fn a_network_of_other_sizes_is_trained_resumed_and_evaluated() {
    let sizes = "--channels 16 --kernel-size 3 --hidden 32";
    let (whole, parts) = (Workplace::new(), Workplace::new());
    let expected = whole.run(&format!("{SHORT} {sizes} --epochs 2")).succeeds();
    assert_eq!(expected.events()[0]["parameters"], 160 + 16 * 196 * 32 + 32 + 330);
    parts.run(&format!("{SHORT} {sizes} --epochs 1")).succeeds();
    let resumed = parts.run("--resume --epochs 2 --json").succeeds();
    assert_eq!(resumed.weights(), expected.weights());
    assert_eq!(parts.read("ckpt.bin"), whole.read("ckpt.bin"));
    whole.run(&format!("--resume --epochs 3 {sizes}")).succeeds();
    whole.run("--resume --epochs 3 --hidden 128").fails(2, &["--hidden is 128 and was 32"]);

    let evaluated = parts.run("eval --json").succeeds();
    assert_eq!(evaluated.weights(), expected.weights());
    let architecture = &evaluated.last("eval")["architecture"];
    let summary = Run::of(parts.bare(&format!("summary --json {sizes}"))).succeeds();
    assert_eq!(*architecture, summary.last("summary")["architecture"]);
    assert_eq!(*architecture, expected.events()[0]["architecture"]);
}

#[test]
fn a_network_of_any_layers_is_trained_resumed_and_evaluated() {
    let text = "conv6k5p2,res(relu),maxpool3p1,flatten,fc12,sigmoid,fc10";
    let (whole, parts) = (Workplace::new(), Workplace::new());
    let arch = format!("--arch {text}");
    let expected = whole.run(&format!("{SHORT} {arch} --epochs 2")).succeeds();
    assert_eq!(expected.events()[0]["architecture"], text);
    let note = "trains; live, several times faster, runs other networks:\n";
    assert!(expected.stderr.contains(note), "{}", expected.stderr);
    parts.run(&format!("{SHORT} {arch} --epochs 1")).succeeds();
    let resumed = parts.run("--resume --epochs 2 --json").succeeds();
    assert_eq!(resumed.weights(), expected.weights());
    assert_eq!(parts.read("ckpt.bin"), whole.read("ckpt.bin"));
    whole.run(&format!("--resume --epochs 3 {arch}")).succeeds();
    let other = "--arch is flatten,fc10 and was conv6k5p2,res(relu),";
    whole.run("--resume --epochs 4 --arch flatten,fc10").fails(2, &[other]);
    let no_size = "--hidden is 12 and was no size of its network";
    whole.run("--resume --epochs 4 --hidden 12").fails(2, &[no_size]);
    whole.run("--arch default --hidden 12").fails(2, &["cannot be used with", "--hidden"]);

    let evaluated = parts.run("eval --json").succeeds();
    assert_eq!(evaluated.weights(), expected.weights());
    assert_eq!(evaluated.last("eval")["architecture"], text);
    let summary = Run::of(parts.bare(&format!("summary --json {arch}"))).succeeds();
    assert_eq!(summary.last("summary")["architecture"], text);

    let bytes = parts.read("ckpt.bin");
    let checkpoint = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let weights = checkpoint.iter().filter(|(name, _)| !name.starts_with("adam."));
    let weights = weights.map(|(name, tensor)| (format!("module.{name}"), tensor));
    fs::write(parts.path("w"), safetensors::serialize(weights, None).unwrap()).unwrap();
    let of_weights = parts.run(&format!("eval w --json {arch}")).succeeds();
    assert_eq!(of_weights.weights(), expected.weights());
    parts.run("eval w").fails(3, &["tensor module.fc1.weight has shape [12, 600]"]);
    let few = "the network has 5 classes, and there are 10 digits: give its last layer as many";
    let untrained = whole.bare("--offline --arch flatten,fc5 --model m");
    Run::of(untrained).fails(2, &[few]);
    let extra = "tensor module.conv1.bias does not belong to this network";
    parts.run("eval w --arch flatten,fc4,fc4,fc10").fails(3, &[extra]);
}

#[test]
fn the_smallest_network_and_the_largest_kernel_are_trained() {
    for sizes in
        ["--channels 1 --kernel-size 1 --hidden 1", "--channels 3 --kernel-size 27 --hidden 2"]
    {
        let place = Workplace::new();
        let trained = place.run(&format!("{SHORT} --epochs 1 {sizes}")).succeeds();
        assert_eq!(place.run("eval --json").succeeds().weights(), trained.weights());
    }
}

#[test]
fn any_number_of_threads_gives_the_same_weights() {
    let weights = [1, 2, 3, 7].map(|threads| {
        let run =
            Workplace::new().run(&format!("{SHORT} --epochs 1 --threads {threads}")).succeeds();
        assert_eq!(run.last("done")["threads"], threads);
        run.weights()
    });
    assert!(weights.iter().all(|other| *other == weights[0]), "{weights:?}");
    let other_seed = Workplace::new().run(&format!("{SHORT} --epochs 1 --seed 2")).succeeds();
    assert_ne!(other_seed.weights(), weights[0]);
}

#[test]
fn a_run_that_goes_on_in_another_way_says_so() {
    let place = Workplace::new();
    let change = "the weights will agree to rounding, not bit for bit";
    place.run(&format!("{SHORT} --epochs 1 --stage fused --isa portable")).succeeds();
    let model = place.read("ckpt.bin");
    let widest = Isa::detect();
    let resume = |flags: &str, words: &str| {
        let run = place.run(&format!("--resume --json --no-eval --epochs 2 {flags}")).succeeds();
        let note = format!("note: trained so far {words}:\n{change}\n");
        assert!(run.stderr.contains(&note), "{words}: {}", run.stderr);
        fs::write(place.path("ckpt.bin"), &model).unwrap();
        run.events()[0]["isa"].clone()
    };
    if widest != Isa::Portable {
        let words = format!("with portable, going on with {widest}");
        assert_eq!(resume(&format!("--isa {widest}"), &words), widest.name());
    }
    assert_eq!(resume("--stage sparse", "by stage fused, going on with sparse"), "portable");
    resume("--stage gemm", "by stage fused, going on with gemm");

    // This checkpoint looks as if a newer version had written it.
    let (_, Model::Checkpoint(mut newer)) =
        checkpoint::read(&place.path("ckpt.bin"), None).unwrap()
    else {
        panic!("a checkpoint");
    };
    newer.metadata.isa = Some("avx9\u{1b}[2J".into());
    fs::write(place.path("ckpt.bin"), newer.to_bytes()).unwrap();
    let words = format!("with avx9\\u{{1b}}[2J, going on with {widest}");
    assert_eq!(resume("", &words), widest.name());
}

#[test]
fn a_finished_run_has_nothing_to_do() {
    let place = Workplace::new();
    let weights = place.run(&format!("{SHORT} --epochs 2")).succeeds().weights();
    let saved = place.read("ckpt.bin");
    for epochs in [1, 2] {
        let again = place.run(&format!("{SHORT} --resume --epochs {epochs}")).succeeds();
        assert!(again.stderr.contains("nothing to do"), "{again:#?}");
        assert_eq!(again.weights(), weights);
        assert_eq!(again.last("done")["epochs"], 2);
    }
    assert_eq!(place.read("ckpt.bin"), saved);
}

#[test]
fn a_new_run_keeps_the_model_that_was_there() {
    let place = Workplace::new();
    place.run(&format!("{SHORT} --epochs 1 --model m")).succeeds();
    let first = place.read("m");
    let second = place.run(&format!("{SHORT} --epochs 2 --model m --seed 2")).succeeds();
    assert!(second.stderr.contains("now m.previous"), "{second:#?}");
    assert_eq!(place.names(), ["m", "m.previous"]);
    assert_eq!(place.read("m.previous"), first);
    assert_ne!(place.read("m"), first);

    let second = place.read("m");
    let run = format!("{SHORT} --epochs 1 --model m --seed 3 --keep-previous");
    let third = place.run(&format!("{run} 1")).succeeds();
    assert!(third.stderr.contains("the oldest one is gone, which was m.previous"), "{third:#?}");
    assert_eq!(place.names(), ["m", "m.previous"]);
    assert_eq!(place.read("m.previous"), second);
    let fourth = place.run(&format!("{run} 0")).succeeds();
    assert!(!fourth.stderr.contains("previous"), "{fourth:#?}");
    assert_eq!(place.read("m.previous"), second);
}

#[test]
fn a_reader_that_goes_away_does_not_stop_training() {
    let place = Workplace::new();
    let mut command = place.command(&format!("{SHORT} --epochs 2"));
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut first = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut first).unwrap();
    assert!(first.contains("\"start\""), "{first}");
    assert!(child.wait().unwrap().success());
    let expected = Workplace::new().run(&format!("{SHORT} --epochs 2")).succeeds();
    let written = place.run("eval --json").succeeds();
    assert_eq!(written.weights(), expected.weights());
}

#[test]
fn an_error_that_nobody_reads_still_has_its_exit_code() {
    let place = Workplace::new();
    for (arguments, code) in [("eval --model missing", 1), ("--max-samples 9", 2)] {
        let mut command = place.command(arguments);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stderr.take());
        assert_eq!(child.wait().unwrap().code(), Some(code), "{arguments}");
    }
}

#[test]
fn files_get_no_terminal_codes_and_quiet_means_results_alone() {
    let place = Workplace::new();
    let train = "--epochs 1 --max-samples 192";
    for arguments in [train, "eval", "--resume --epochs 1", "summary", "stages", "--help"] {
        let on_digits = ["eval", train].contains(&arguments) || arguments.contains("--resume");
        let mut command = if on_digits { place.command(arguments) } else { place.bare(arguments) };
        command.env("TERM", "xterm-256color").env("CLICOLOR", "1");
        let run = Run::of(command).succeeds();
        for stream in [&run.stdout, &run.stderr] {
            let code = stream.chars().find(|c| c.is_control() && *c != '\n');
            assert_eq!(code, None, "{arguments}: {stream:?}");
        }
        assert!(!run.stdout.is_empty());
    }
    let whole = place.run(&format!("{train} --model whole")).succeeds();
    for (flags, last) in [("--quiet", "test images classified correctly"), ("-q", "correctly")] {
        let quiet = place.run(&format!("{train} {flags}")).succeeds();
        assert_eq!((quiet.stderr.as_str(), quiet.stdout.lines().count()), ("", 1), "{quiet:#?}");
        assert!(quiet.stdout.trim_end().ends_with(last), "{quiet:#?}");
        assert!(whole.stdout.ends_with(&quiet.stdout), "{whole:#?}");
    }
    let quiet = place.run(&format!("{train} --no-eval -q")).succeeds();
    assert!(quiet.stdout.starts_with("training steps ") && quiet.stdout.lines().count() == 1);
    assert_eq!(place.run(&format!("{train} -q --json")).succeeds().events().len(), 3);
}

#[test]
fn help_is_a_command_too() {
    let place = Workplace::new();
    let help = |arguments: &str| Run::of(place.bare(arguments)).succeeds().stdout;
    assert_eq!(help("help"), help("--help"));
    for command in ["eval", "bench stages", "data fetch"] {
        assert_eq!(help(&format!("help {command}")), help(&format!("{command} --help")));
    }
}

#[test]
fn a_model_is_evaluated_by_its_name_alone_and_the_accuracy_is_the_last_line() {
    let place = Workplace::new();
    let trained = place.run(&format!("{SHORT} --epochs 1 --model m")).succeeds();
    for name in ["m", "--model m"] {
        let evaluated = place.run(&format!("eval {name} --json")).succeeds();
        assert_eq!(evaluated.weights(), trained.weights());
        assert_eq!(evaluated.last("eval")["model"], "m");
        assert_eq!(evaluated.stderr, "");
    }
    let last = place.run("eval m").succeeds().stdout.lines().last().unwrap().to_string();
    let correct = trained.last("done")["test_correct"].as_u64().unwrap();
    assert!(last.starts_with(&format!("{correct} of {TEST_IMAGES} correct, ")), "{last}");
    place.run("eval m --model other").rejects_flags(&["'[FILE]' cannot be used with '--model"]);
}

#[test]
fn weights_without_a_recipe_are_evaluated_with_a_note_on_how_pixels_are_scaled() {
    let place = Workplace::new();
    place.run(&format!("{SHORT} --epochs 1")).succeeds();
    let (_, model) = checkpoint::read(&place.path("ckpt.bin"), None).unwrap();
    let weights = model.parameters().iter().map(|(spec, values)| {
        let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<_>>();
        (spec.name.clone(), spec.shape.clone(), bytes)
    });
    let weights: Vec<_> = weights.collect();
    let views = weights.iter().map(|(name, shape, bytes)| {
        let dtype = safetensors::Dtype::F32;
        (name, safetensors::tensor::TensorView::new(dtype, shape.clone(), bytes).unwrap())
    });
    fs::write(place.path("weights"), safetensors::serialize(views, None).unwrap()).unwrap();
    let said = |run: Run| run.succeeds().stderr.contains("pixels/255");
    assert!(said(place.run("eval weights")));
    assert!(!said(place.run("eval")), "the checkpoint is this program's own");
    assert!(Run::of(place.bare("eval --help")).succeeds().stdout.contains("pixels/255"));
}

#[test]
fn a_run_of_every_optimizer_is_resumed_to_the_same_bits() {
    for (flags, stage, slots) in [
        ("--optimizer adamw", "live", &["adam.m", "adam.v"][..]),
        ("--optimizer sgd", "tiled", &[]),
        ("--optimizer sgd --momentum 0.9 --nesterov", "tiled", &["sgd.v"]),
    ] {
        let whole = Workplace::new();
        let train = format!("--max-samples 192 --no-eval --json {flags}");
        let run = whole.run(&format!("{train} --epochs 2")).succeeds();
        assert_eq!(run.last("done")["stage"], stage);
        let is_said = run.stderr.contains("cannot train with --optimizer");
        assert_eq!(is_said, stage == "tiled", "{}", run.stderr);
        let parts = Workplace::new();
        parts.run(&format!("{train} --epochs 1")).succeeds();
        let resumed = parts.run("--resume --epochs 2 --no-eval --json").succeeds();
        assert_eq!(resumed.weights(), run.weights());
        let bytes = parts.read("ckpt.bin");
        let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
        for slot in ["adam.m", "adam.v", "sgd.v"] {
            let name = format!("{slot}.fc1.weight");
            assert_eq!(file.tensor(&name).is_ok(), slots.contains(&slot), "{flags}: {slot}");
        }
        parts.run("eval --json").succeeds();
    }
}

#[test]
fn what_the_flags_do_not_get_is_said() {
    let place = Workplace::new();
    let train = "--epochs 1 --max-samples 64 --no-eval";
    let notes = |flags: &str| place.run(&format!("{train} {flags}")).succeeds().stderr;
    let threads = notes("--threads 1000 --stage parallel");
    assert!(threads.contains("note: of 1000 threads, stage parallel uses 14 at most"), "{threads}");
    assert!(notes("--threads 3 --stage im2col").contains("stage im2col uses 1 at most"));
    let evaluated = place.run("eval --threads 15").succeeds().stderr;
    assert!(evaluated.contains("of 15 threads, stage live uses 14"), "{evaluated}");
    for (sizes, nearest) in [
        ("--channels 1 --kernel-size 1", "--channels 16 --kernel-size 3"),
        ("--channels 20 --kernel-size 3", "--channels 16 --kernel-size 3"),
        ("--channels 25", "--channels 32 --kernel-size 5"),
        ("--kernel-size 9", "--channels 32 --kernel-size 5"),
    ] {
        let run = place.run(&format!("{train} --hidden 4 {sizes}")).succeeds();
        let said = run.fits_a_terminal().stderr;
        assert!(said.contains("note: stage tiled trains, because no faster stage"), "{said}");
        assert!(said.contains(&format!("live, several times faster, runs {nearest}\n")), "{said}");
    }
    let no_notes = |flags: &str| {
        let said = notes(flags);
        assert!(!said.contains("note: "), "{flags}: {said}");
    };
    no_notes("--threads 14");
    no_notes("--threads 1 --channels 16 --kernel-size 3");
    no_notes("--channels 20 --stage gemm --threads 20");
}

#[test]
fn a_learning_rate_that_will_rise_again_is_said() {
    let place = Workplace::new();
    let train = "--max-samples 64 --no-eval";
    let says = |flags: &str| {
        let run = place.run(&format!("{train} {flags}")).succeeds().fits_a_terminal();
        run.stderr.contains("note: after epoch 2 the learning rate rises again")
    };
    assert!(!says("--t-max 2 --epochs 3"));
    assert!(says("--t-max 2 --epochs 4 --resume"));
    assert!(says("--t-max 2 --epochs 4"));
    assert!(!says("--t-max 3 --epochs 4"));
    assert!(!says("--t-max 2 --epochs 4 --min-lr 1e-3"), "it is constant");
    let help = Run::of(place.bare("--help")).succeeds().stdout;
    let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(help.contains("with cosine the rate then rises again"), "{help}");
    assert!(!says("--t-max 2 --epochs 4 --schedule linear"), "it stays");
    let cycle = place.run(&format!("{train} --epochs 2 --schedule onecycle")).succeeds();
    assert!(cycle.stderr.contains("the run ends before the cycle of 20 epochs does"));
}

/// The run has as many images as MNIST, 60,000 + 10,000, so its numbers have their real width.
#[test]
fn what_is_printed_fits_a_terminal_of_80_columns() {
    let place = Workplace::new();
    let fits = |arguments: &str| {
        let mut command = place.bare(arguments);
        command.env("COLUMNS", "80"); // Only the help is wrapped to this width.
        Run::of(command).succeeds().fits_a_terminal()
    };
    fits("data synthetic --out digits");
    let trained = fits("--data digits --epochs 1");
    assert!(trained.stdout.contains("SYNTHETIC digits (not MNIST), 60,000 + 10,000 images"));
    fits("--data digits --epochs 1 --stage gemm --max-samples 640 --model other");
    assert!(fits("--data digits --epochs 1 --model other").stderr.contains("other.previous"));
    assert!(fits("--data digits --resume --epochs 1").stderr.contains("nothing to do"));
    assert!(fits("eval --data digits").stdout.contains("most confidently wrong\n"));
    place.run("--epochs 1 --model few --stage gemm").succeeds().fits_a_terminal();
    let resumed = place.run("--resume --epochs 2 --model few --stage im2col").succeeds();
    assert!(resumed.fits_a_terminal().stderr.contains("not bit for bit"));
    for arguments in [
        "data --data digits",
        "data",
        "stages",
        "summary",
        "summary --channels 256 --kernel-size 27 --hidden 1024",
        "gradcheck --fast",
        "gradcheck --channels 2 --kernel-size 3 --hidden 5",
        "gradcheck --help",
        "--help",
        "bench stages --help",
        "bench layers --help",
        "bench autograd --help",
        "bench infer --help",
        "bench ablations --help",
        "bench memory --help",
        "bench budget --help",
        "report trend --help",
        "report splice --help",
        "predict --help",
        "export --help",
        "bench memory --data digits",
    ] {
        fits(arguments);
    }
}

#[test]
fn without_evaluation_there_are_no_test_results() {
    let place = Workplace::new();
    let without = place.run(&format!("{SHORT} --epochs 1 --no-eval")).succeeds();
    for event in &without.events()[1..] {
        assert!(event.get("test_correct").is_none(), "{event}");
    }
    let with = place.run(&format!("{SHORT} --epochs 1")).succeeds();
    assert_eq!(with.weights(), without.weights());
    let text = place.run("--max-samples 192 --epochs 1 --no-eval").succeeds();
    assert!(!text.stdout.contains("test images classified"), "{text:#?}");
    let epoch = text.stdout.lines().find(|line| line.starts_with("    0 ")).unwrap();
    assert_eq!(epoch.matches(" - ").count(), 2, "neither a share nor a count: {epoch}");
}

#[test]
fn max_samples_takes_the_first_images() {
    let place = Workplace::new();
    let some = place.run("--json --epochs 1 --max-samples 70 --no-eval").succeeds();
    assert_eq!(some.events()[0]["train_images"], 70);
    assert_eq!(some.last("done")["steps"], 2, "the last batch is smaller");
    let every = format!("--json --epochs 1 --no-eval --max-samples {TRAIN_IMAGES}");
    let every = place.run(&every).succeeds();
    let all = place.run("--json --epochs 1 --no-eval").succeeds();
    assert_eq!(all.weights(), every.weights());
    assert_ne!(all.weights(), some.weights());
}

#[test]
fn without_data_it_trains_on_synthetic_digits_and_says_so_everywhere() {
    let place = Workplace::new();
    let arguments = "--offline --epochs 1 --max-samples 64 --no-eval";
    let text = Run::of(place.bare(arguments)).succeeds();
    assert!(text.stderr.contains("NOT MNIST"), "{text:#?}");
    assert!(text.stderr.contains("SYNTHETIC"), "{text:#?}");
    assert!(text.stdout.starts_with("data: SYNTHETIC digits (not MNIST)"), "{text:#?}");

    let json = Run::of(place.bare(&format!("{arguments} --json --quiet"))).succeeds();
    assert!(json.stderr.contains("NOT MNIST"), "quiet does not hide it: {json:#?}");
    assert_eq!(json.events()[0]["dataset"], "synthetic");
    assert_eq!(json.last("done")["dataset"], "synthetic");

    let other = place.run("eval --json").succeeds();
    assert_eq!(other.last("eval")["trained_on"], "synthetic");
    assert_eq!(other.last("eval")["dataset"], "custom");
    assert!(other.stderr.contains("trained on synthetic, tested on custom"), "{other:#?}");
}

#[test]
fn a_model_on_another_set_of_the_users_own_is_noticed() {
    let place = Workplace::new();
    place.run(&format!("{SHORT} --epochs 1")).succeeds();
    let same = place.run("eval").succeeds();
    assert!(!same.stderr.contains("note: trained on"), "{same:#?}");
    let mut inverted = synthetic::generate(1, 30, 40);
    for split in [&mut inverted.train, inverted.test.as_mut().unwrap()] {
        let pixels = split.images().iter().map(|pixel| 255 - pixel).collect();
        *split = Split::new(pixels, split.sides(), split.labels().to_vec());
    }
    program::save(&inverted, &place.path("paper"));
    let other = Run::of(place.bare("eval --data paper")).succeeds().fits_a_terminal();
    let said =
        ["note: trained on custom data (", "tested on other custom data (", "are bright, as in"];
    assert!(said.iter().all(|words| other.stderr.contains(words)), "{other:#?}");
    // Without the training set it is not known which set it is.
    fs::remove_file(place.path("paper/train-labels-idx1-ubyte")).unwrap();
    let alone = Run::of(place.bare("eval --data paper")).succeeds();
    assert!(!alone.stderr.contains("note: trained on"), "{alone:#?}");
}

#[test]
fn training_without_evaluation_needs_no_test_files() {
    let place = Workplace::new();
    let [images, labels] = ["t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"];
    program::save(&synthetic::generate(1, 70, 40), &place.path("digits"));
    let move_away = |name: &str| fs::rename(place.path("digits").join(name), place.path(name));
    let run = |arguments: &str| Run::of(place.bare(&format!("{arguments} --data digits --json")));
    run("--epochs 1 --no-eval --model whole").succeeds();
    move_away(images).unwrap();
    run("--epochs 1").fails(1, &[&format!("digits: missing {images} (also")]);
    fs::write(place.path("digits").join(images), "damaged").unwrap();
    run("--epochs 1").fails(3, &[&format!("digits/{images}: ")]);
    run("--epochs 1 --no-eval --model damaged").succeeds();
    fs::remove_file(place.path("digits").join(images)).unwrap();
    move_away(labels).unwrap();
    let first = run("--epochs 1 --no-eval").succeeds();
    assert_eq!((&first.events()[0]["test_images"], first.events().len()), (&0.into(), 3));
    run("bench stages --stage im2col --rounds 1 --batch-size 4").succeeds();
    let words = ["was trained on other data: custom (SHA-256 ", "resume on the same files"];
    run("--resume --epochs 2 --no-eval --model whole").fails(3, &words);
    run("--resume --epochs 2 --no-eval").succeeds();

    // The run goes on when the files are there.
    for name in [images, labels] {
        fs::rename(place.path(name), place.path("digits").join(name)).unwrap();
    }
    let done = run("--resume --epochs 3").succeeds().last("done");
    assert_eq!(done["test_total"], 40);
    let evaluated = run("eval").succeeds();
    assert!(!evaluated.stderr.contains("note: trained on"), "{evaluated:#?}");
    run("--resume --epochs 4 --no-eval --model damaged").succeeds();
}

#[test]
fn synthetic_sets_have_the_size_that_was_asked_for() {
    let place = Workplace::new();
    let draw = "data synthetic --out digits --images 70 --json";
    let files = Run::of(place.bare(draw)).succeeds().last("data")["files"].clone();
    let counts: Vec<_> = (0..4).map(|file| files[file]["count"].as_u64()).collect();
    assert_eq!(counts, [Some(70), Some(70), Some(10_000), Some(10_000)]);
    assert_eq!(files[0]["status"], "custom", "a size of its own is a set of its own");
    let train = "--data digits --epochs 1 --no-eval --json";
    let trained = Run::of(place.bare(train)).succeeds();
    assert_eq!(trained.events()[0]["train_images"], 70);
    let refused = "data synthetic --out other --images 0";
    Run::of(place.bare(refused)).rejects_flags(&["--images", "from 1 to 10000000"]);
}

#[test]
fn a_run_begins_with_the_weights_of_a_file() {
    let place = Workplace::new();
    let first = place.run("--epochs 1 --batch-size 20 --model first --json");
    // A step so small that no weight changes.
    let still = "--epochs 1 --batch-size 20 --lr 1e-30 --min-lr 0 --l2 0 --model second \
                 --keep-previous 0 --json";
    let second = place.run(&format!("{still} --init-from first"));
    assert_eq!(second.last("done")["weights_sha256"], first.last("done")["weights_sha256"]);
    let random = place.run(still);
    assert_ne!(random.last("done")["weights_sha256"], first.last("done")["weights_sha256"]);
    let missing = place.run("--batch-size 20 --init-from nowhere");
    missing.fails(1, &["nowhere: cannot open"]);
    let other = place.run("--batch-size 20 --hidden 64 --init-from first --model other");
    other.fails(3, &["first: tensor fc1.weight has shape [128, 6272], expected [64, 6272]"]);
    for flag in ["--resume", "--init he"] {
        place.run(&format!("--init-from first {flag}")).fails(2, &["cannot be used with"]);
    }
    assert_eq!(place.names(), ["first", "second"]);
}

#[test]
fn an_unfinished_synthetic_set_is_completed_by_the_same_command_only() {
    let place = Workplace::new();
    let digits = place.path("digits");
    let draw = |images: usize| {
        Run::of(place.bare(&format!("data synthetic --out digits --images {images}")))
    };
    let files =
        || ["train-images-idx3-ubyte", "t10k-labels-idx1-ubyte"].map(|name| digits.join(name));
    draw(10).succeeds();
    let whole = files().map(|path| fs::read(path).unwrap());
    // A run that is killed between two renames leaves the folder in this state.
    fs::rename(&files()[1], digits.join(".t10k-labels-idx1-ubyte.mnist-train.tmp")).unwrap();
    draw(11).fails(1, &["digits: holds train-images-idx3-ubyte already"]);
    assert!(!files()[1].exists());
    draw(10).succeeds();
    assert_eq!(files().map(|path| fs::read(path).unwrap()), whole);
    draw(10).fails(1, &["digits: holds train-images-idx3-ubyte already"]);
    assert_eq!(fs::read_dir(&digits).unwrap().count(), 4, "nothing temporary is left");
}

#[cfg(unix)]
#[test]
fn a_synthetic_set_that_cannot_be_written_leaves_nothing() {
    let place = Workplace::new();
    let draw = place.bare("data synthetic --out digits --images 10");
    let mut shell = std::process::Command::new("sh");
    // There is room for the images to train on, but not for the images to test on.
    shell
        .args(["-c", "ulimit -f 1000; exec \"$@\"", "sh"])
        .arg(draw.get_program())
        .args(draw.get_args())
        .current_dir(draw.get_current_dir().unwrap());
    Run::of(shell).fails(1, &[".t10k-images-idx3-ubyte.mnist-train.tmp: cannot write"]);
    assert_eq!(place.names(), [""; 0]);
    fs::write(place.path("digits"), "mine").unwrap();
    let words = ["digits: is not a folder: name another with --out"];
    Run::of(place.bare("data synthetic --out digits --images 10")).fails(1, &words);
    assert_eq!(place.read("digits"), b"mine");
}

#[cfg(unix)]
#[test]
fn synthetic_sets_are_not_written_through_links() {
    let place = Workplace::new();
    fs::create_dir(place.path("digits")).unwrap();
    fs::write(place.path("victim"), "precious").unwrap();
    let link = place.path("digits/.train-images-idx3-ubyte.mnist-train.tmp");
    std::os::unix::fs::symlink(place.path("victim"), &link).unwrap();
    Run::of(place.bare("data synthetic --out digits --images 10")).succeeds();
    assert_eq!(place.read("victim"), b"precious");
    assert_eq!(fs::read_dir(place.path("digits")).unwrap().count(), 4);
    assert!(!place.path("digits/train-images-idx3-ubyte").is_symlink());
}

#[test]
fn the_data_folder_can_come_from_the_environment() {
    let place = Workplace::new();
    let mut command = place.bare(&format!("{SHORT} --epochs 1 --offline"));
    command.env("MNIST_DATA", digits());
    assert_eq!(Run::of(command).succeeds().last("done")["dataset"], "custom");
    let mut command = place.bare("--offline");
    command.env("MNIST_DATA", place.path("missing"));
    Run::of(command).fails(1, &["missing", "no such folder"]);
}

#[test]
fn a_home_folder_that_the_shell_did_not_expand_is_named_as_the_reason() {
    let place = Workplace::new();
    for (arguments, remedy) in [
        ("data --data=~/digits", "write --data ~/digits, or the home folder in full"),
        ("data fetch --data=~bo/x", "write --data ~bo/x, or"),
        ("data synthetic --images 1 --out=~", "write --out ~, or"),
        ("eval ~/m", "without quotes: write ~/m, or"),
        ("eval --data=~/digits --offline --model m", "write --data ~/digits, or"),
        ("--offline --data=~/digits", "write --data ~/digits, or"),
        ("--offline --model=~/m", "write --model ~/m, or"),
        ("--profile --profile-out=~/p", "write --profile-out ~/p, or"),
        ("bench stages --offline --record=~/b", "write --record ~/b, or"),
    ] {
        Run::of(place.bare(arguments)).rejects_flags(&["'~", remedy]);
    }
    assert_eq!(place.names(), [""; 0]);
    let hint = "~ is no home folder here: write $HOME";
    let mut command = place.bare("data");
    command.env("MNIST_DATA", "~/digits");
    Run::of(command).fails(1, &["~/digits: no such folder", hint]);
    Run::of(place.bare("data --data digits")).fails(1, &["digits: no such folder"]);
    Run::of(place.bare("data")).succeeds();
}

#[test]
fn stages_are_benchmarked_against_each_other() {
    let place = Workplace::new();
    let flags = "bench stages --stage gemm,im2col --rounds 2 --batch-size 4 --threads 2";
    let run = place.run(&format!("{flags} --json --record bench.json")).succeeds();
    assert_eq!(place.read("bench.json"), run.stdout.as_bytes());
    let parts = ["comparing losses with naive's", "measuring the memory of each stage"];
    let said: Vec<_> = run.stderr.lines().filter(|line| !line.starts_with("note: ")).collect();
    assert_eq!(said[..2], parts);
    assert_eq!(said[2..4], ["measuring the limits of the machine", "preparing im2col, 1 thread"]);
    assert_eq!(place.names(), ["bench.json"]);
    let bench = run.last("bench");
    assert_has(
        &bench,
        "schema version environment dataset train_images architecture recipe repeats epoch \
         dense_flops_per_step tensor_bytes_per_step peaks streams",
    );
    assert_has(
        &bench["environment"],
        "architecture features threads cpu kernel load_average unix_seconds rustc rustflags release",
    );
    assert_eq!(bench["dense_flops_per_step"], 4 * 2 * 3_666_688);
    for peak in bench["peaks"].as_array().unwrap() {
        assert_has(peak, "isa precision threads gflops");
    }
    for stream in bench["streams"].as_array().unwrap() {
        assert_has(stream, "threads array_bytes gbytes_per_second");
    }

    let rows = bench["rows"].as_array().unwrap();
    let name = |row: &Value| (row["stage"].as_str().unwrap().to_string(), row["threads"].clone());
    let names: Vec<_> = rows.iter().map(name).collect();
    let expected = [("im2col", 1), ("gemm", 1), ("gemm", 2)];
    assert_eq!(names, expected.map(|(stage, threads)| (stage.to_string(), threads.into())));
    for row in rows {
        assert_has(
            row,
            "precision loss_deviation loss_tolerance round_steps round_images images_per_second \
             gflops peak_isa peak_gflops peak_share dense_equivalent_gflops allocations_per_step \
             phases waiting_thread_ms phases_step_ms",
        );
        assert_eq!(row["round_step_ms"].as_array().unwrap().len(), 2);
        for times in ["step_ms", "epoch_seconds"] {
            assert_has(&row[times], "median min mad");
        }
        let deviation = row["loss_deviation"].as_f64().unwrap();
        assert!(deviation <= row["loss_tolerance"].as_f64().unwrap(), "{row}");
        assert_eq!(row["flops_per_step"], 4.0 * 2.0 * 3_666_688.0, "layerwise skips nothing");
        for phase in row["phases"].as_array().unwrap() {
            assert_has(phase, "phase thread_ms flops");
        }
        assert_eq!(row.get("peak_rss_bytes").is_some(), cfg!(target_os = "linux"));
    }
    assert!(rows[0].get("over_naive").is_none(), "naive was not measured");
    assert!(rows[0].get("over_previous").is_none(), "nor was naive");
    assert_has(&rows[1]["over_previous"], "median low high");
    assert_has(&rows[2]["over_one_thread"], "median low high");
    assert_eq!(rows[2]["over_one_thread"]["inconclusive"], true, "two rounds decide nothing");

    let flags = flags.replace("gemm,im2col", "naive,gemm,fused");
    let table = place.run(&flags).succeeds().fits_a_terminal().stdout;
    for words in ["ms/step", "s/epoch", "of peak", "allocs", "waiting", "inconclusive"] {
        assert!(table.contains(words), "no {words} in {table}");
    }
}

#[test]
fn a_step_of_all_stages_but_gemm_allocates_nothing() {
    let place = Workplace::new();
    let (stages, expected) = if simd::has_bf16() {
        ("naive,im2col,tiled,fused,parallel,sparse,live,bf16", 13)
    } else {
        ("naive,im2col,tiled,fused,parallel,sparse,live", 11)
    };
    let flags = format!("bench stages --stage {stages} --rounds 1 --threads 2 --json");
    let bench = place.run(&flags).succeeds().last("bench");
    let rows = bench["rows"].as_array().unwrap();
    assert_eq!(rows.len(), expected);
    for row in rows {
        assert_eq!(row["allocations_per_step"], 0.0, "{row}");
    }
    // All kinds of layers.
    for network in [
        "patches7,pos,res(layernorm,attn7),lstm8,softmax,mean,fc10",
        "channels,conv1d4k3,sigmoid,avgpool2,globalmaxpool,fc10",
        "rows,last,tanh,fc10",
        "conv3k3s2,batchnorm,gelu,maxpool3s2p1,res(dropout0.5,relu),globalavgpool,flatten,fc10",
    ] {
        let flags = "bench stages --stage tiled,naive --rounds 1 --threads 2 --json";
        let bench = place.run(&format!("{flags} --batch-size 16 --arch {network}")).succeeds();
        for row in bench.last("bench")["rows"].as_array().unwrap() {
            assert_eq!(row["allocations_per_step"], 0.0, "{network}: {row}");
        }
    }
}

#[test]
fn layers_are_benchmarked_forward_and_backward() {
    let place = Workplace::new();
    let bench = |flags: &str| {
        let flags = format!("bench layers --quick --threads 2 {flags} --json");
        let run = Run::of(place.bare(&flags)).succeeds();
        assert_eq!(run.events().len(), 1);
        let said: Vec<_> = run.stderr.lines().filter(|line| !line.starts_with("note: ")).collect();
        assert_eq!(said[0], "measuring the limits of the machine");
        assert!(said[1].ends_with(" with naive, layer 1 of 3"), "{said:?}");
        let bench = run.last("bench_layers");
        assert_has(
            &bench,
            "schema version environment isa call_budget_ms source peaks streams handovers",
        );
        assert_eq!((&bench["rounds"], &bench["quick"]), (&3.into(), &true.into()));
        for layer in bench["layers"].as_array().unwrap() {
            assert_has(layer, "name layer batch_size input output parameters");
            let of = |list: &str| {
                let key =
                    |row: &Value| format!("{} {} {}", row["pass"], row["stage"], row["threads"]);
                layer[list].as_array().unwrap().iter().map(key).collect::<Vec<_>>()
            };
            let mut measured = [of("rows"), of("too_long")].concat();
            measured.sort();
            let each = |pass| {
                ["\"naive\" 1", "\"tiled\" 1", "\"tiled\" 2"].map(|row| format!("\"{pass}\" {row}"))
            };
            assert_eq!(measured, ["backward", "forward"].map(each).concat());
            for call in layer["too_long"].as_array().unwrap() {
                assert!(call["call_ms"].as_f64() > bench["call_budget_ms"].as_f64(), "{call}");
            }
            for row in layer["rows"].as_array().unwrap() {
                assert_has(row, "round_calls flops_per_call bytes_per_call peak_isa");
                assert_has(&row["call_ms"], "median min mad");
                assert_eq!(row["round_call_ms"].as_array().unwrap().len(), 3);
                assert_eq!(row["allocations_per_call"], 0.0, "{row}");
                let multiplies = row["flops_per_call"] != 0;
                for key in ["gflops", "peak_gflops", "peak_share"] {
                    assert_eq!(
                        row[key].as_f64().is_some_and(|rate| rate > 0.0),
                        multiplies,
                        "{row}"
                    );
                }
                if !multiplies {
                    assert!(row["gbytes_per_second"].as_f64().unwrap() > 0.0, "{row}");
                }
            }
        }
        bench["layers"].as_array().unwrap().clone()
    };

    let layers = bench("--filter conv1d");
    let [conv1d, first, second] = &layers[..] else { panic!("{layers:?}") };
    assert_eq!([&first["name"], &second["name"]], ["signal-conv1", "signal-conv2"]);
    assert_eq!(conv1d["layer"], "conv1d128k3p1");
    assert_eq!(conv1d["benchdnn"], "mb8ic64iw256oc128ow256kw3pw1n\"conv1d\"");
    assert_eq!(conv1d["source_ms"]["forward"], 125.889_948);
    assert!(conv1d.get("tolerance").is_none(), "{conv1d}");
    for row in conv1d["rows"].as_array().unwrap() {
        let products = 8 * 256 * 128 * 64 * 3;
        let of_pass = if row["pass"] == "forward" { 1 } else { 2 };
        assert_eq!(row["flops_per_call"], of_pass * 2 * products, "{row}");
    }

    let layers = bench("softmax relu last");
    let names: Vec<_> = layers.iter().map(|layer| &layer["name"]).collect();
    assert_eq!(names, ["softmax", "relu", "last"], "the order of the table");
    assert_eq!(layers[0]["tolerance"], 1e-5);
    for layer in &layers[1..] {
        assert!(layer.get("tolerance").is_none() && layer.get("benchdnn").is_none(), "{layer}");
        assert!(layer.get("source_ms").is_none(), "{layer}");
    }
    for row in layers[1]["rows"].as_array().unwrap() {
        assert_eq!(row.get("over_naive").is_some(), row["stage"] == "tiled", "{row}");
        assert_eq!(row.get("over_one_thread").is_some(), row["threads"] == 2, "{row}");
    }

    let flags = "bench layers --quick --threads 2 lenet5-conv2 maxpool lstm";
    let table = Run::of(place.bare(flags)).succeeds();
    let table = table.fits_a_terminal().stdout;
    for words in [
        "maxpool: maxpool2 on 32x16x16, 4 images\n",
        "lstm: lstm256 on 1x128, 16 images, to 1e-5\n",
        "mb64ic6ih14oc16oh10kh5n\"lenet5-conv2\"",
        "its machine is unknown:\n  maxpool         forward    348 µs, backward    503 µs\n",
    ] {
        assert!(table.contains(words), "no {words} in {table}");
    }
}

#[test]
fn computations_on_the_tape_are_benchmarked_with_and_without_gradients() {
    let place = Workplace::new();
    let run = Run::of(place.bare("bench autograd --quick --json")).succeeds();
    let bench = run.last("bench_autograd");
    assert_has(&bench, "schema version environment");
    assert_eq!((&bench["rounds"], &bench["quick"]), (&3.into(), &true.into()));
    let rows = bench["rows"].as_array().unwrap();
    for row in rows {
        assert_has(row, "name group elements over_forward");
        for pass in ["forward", "forward_backward"] {
            assert_eq!(row[pass]["round_call_ms"].as_array().unwrap().len(), 3);
            for key in ["round_calls", "allocations_per_call", "allocated_bytes_per_call"] {
                assert!(row[pass][key].as_f64().unwrap() > 0.0, "{row}");
            }
        }
    }
    let of = |group: &str| rows.iter().filter(|row| row["group"] == group).count();
    let groups = ["operations", "graphs", "networks", "accumulation"];
    assert_eq!(groups.map(of), [14 * 4, 7, 6, 11]);
    assert_eq!(bench["bookkeeping"].as_array().unwrap().len(), 5);
    let few = Run::of(place.bare("bench autograd --quick --filter matmul")).succeeds();
    let few = few.fits_a_terminal().stdout;
    assert!(few.contains("matmul 100x100") && !few.contains("relu"), "{few}");
    let none = Run::of(place.bare("bench autograd --filter matmull"));
    none.fails(2, &["--filter: no computation has such a name"]);
}

#[test]
fn predictions_are_benchmarked_by_batch_width_and_format() {
    let place = Workplace::new();
    let run = place.run("bench infer --quick --threads 2 --json --arch lenet5").succeeds();
    let bench = run.last("bench_infer");
    assert_has(&bench, "schema version environment dataset parameters isa test_images");
    assert_eq!((&bench["stage"], &bench["epochs"]), (&"tiled".into(), &0.into()));
    let rows = |list: &str| bench[list].as_array().unwrap().clone();
    let keys: Vec<_> = rows("rows")
        .iter()
        .map(|row| (row["threads"].clone(), row["batch_size"].clone()))
        .collect();
    let batches = [1, 4, 8, 16, 32, 64, 128, 256];
    let expected =
        [1, 2].into_iter().flat_map(|threads| batches.map(|n| (threads.into(), n.into())));
    assert_eq!(keys, expected.collect::<Vec<(Value, Value)>>());
    let hidden: Vec<_> = rows("widths").iter().map(|row| row["hidden"].clone()).collect();
    assert_eq!(hidden, [128, 256, 512, 1024]);
    assert_eq!(rows("precisions")[0]["precision"], "f32");
    assert!(bench.get("without_bf16").is_some() || rows("precisions").len() == 2, "{bench}");
    for row in [rows("rows"), rows("widths"), rows("precisions")].concat() {
        assert_eq!(row["allocations_per_call"], 0.0, "{row}");
        let latency = |key: &str| row["latency"][key].as_f64().unwrap();
        let percentiles = ["p50_ms", "p95_ms", "p99_ms"].map(latency);
        assert!(percentiles.is_sorted() && percentiles[0] > 0.0, "{row}");
        assert!(latency("calls") >= 3.0, "{row}");
    }
}

#[test]
fn advice_is_measured_beside_the_opposite() {
    let place = Workplace::new();
    let flags = "bench ablations --quick --threads 2 --csv rows.csv";
    let run = Run::of(place.bare(&format!("{flags} --json"))).succeeds();
    let bench = run.last("bench_ablations");
    assert_has(&bench, "schema version environment threads isa rounds quick");
    let rows = bench["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 6);
    for row in rows {
        assert_has(row, "name advised otherwise");
        assert_has(&row["over_otherwise"], "median low high inconclusive");
    }
    let bytes = |index: usize, way: &str| rows[index][way]["allocated_bytes_per_call"].as_f64();
    // What is reused is not allocated.
    for (index, elements) in [(2, 64 * 32 * 28 * 28), (4, 805_066)] {
        assert_eq!(bytes(index, "advised"), Some(0.0), "{}", rows[index]);
        assert_eq!(bytes(index, "otherwise"), Some(4.0 * f64::from(elements)), "{}", rows[index]);
    }
    let table = String::from_utf8(place.read("rows.csv")).unwrap();
    let lines: Vec<_> = table.lines().collect();
    assert_eq!(lines.len(), 1 + 2 * 6);
    assert!(lines[0].starts_with("suite,row,threads,unit,median,"), "{table}");
    assert!(lines[1].starts_with("ablations,\"64 images in one batch\",,ms,"), "{table}");
    let text = Run::of(place.bare(flags)).succeeds().fits_a_terminal().stdout;
    assert!(text.contains("read memory in its order"), "{text}");
    fs::write(place.path("rows.csv"), "mine").unwrap();
    let refused = Run::of(place.bare(flags));
    assert_eq!(refused.stdout, "", "found after measuring");
    refused.fails(3, &["rows.csv: is not the table of an earlier run"]);
}

#[test]
fn memory_is_counted_by_layers_and_grows_in_a_line_with_the_batch() {
    let place = Workplace::new();
    let run = place.run("bench memory --threads 2 --json --arch lenet5").succeeds();
    let bench = run.last("bench_memory");
    assert_has(&bench, "schema version environment architecture stage threads");
    let parameters = bench["parameter_bytes"].as_u64().unwrap();
    let layers = bench["layers"].as_array().unwrap();
    let of_layers = layers.iter().map(|layer| layer["parameter_bytes"].as_u64().unwrap());
    assert_eq!(of_layers.sum::<u64>(), parameters);
    assert_eq!(bench["gradient_bytes"], parameters);
    assert_eq!(bench["moment_bytes"], 2 * parameters);
    for row in bench["rows"].as_array().unwrap() {
        let live = |what: &str| row[what]["live_bytes"].as_f64().unwrap();
        let [training, expected] = [live("training"), row["expected_bytes"].as_f64().unwrap()];
        assert!(expected <= training, "a lower estimate: {row}");
        // Packed weights and other buffers of the stage are not expected.
        let close = 0.85 * training <= expected;
        assert!(close || row["batch_size"].as_u64().unwrap() < 128, "{row}");
        assert!(live("inference") <= training, "{row}");
    }
    for fit in ["inference_fit", "training_fit"] {
        assert!(bench[fit]["r_squared"].as_f64().unwrap() > 0.99, "{bench}");
    }
    assert_eq!(bench["kept_bytes"], 0, "every byte is given back");
}

#[test]
fn limits_are_compared_with_what_was_measured() {
    let place = Workplace::new();
    let run = place.run("bench budget --quick --threads 2 --json");
    let bench = run.last("bench_budget");
    let rows = bench["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 7 + 1 + 2 + 3 + 4 * 2 + 3);
    for row in rows {
        assert_has(row, "name source");
        let number = |key: &str| row[key].as_f64().unwrap();
        let [value, limit, own_limit] = ["value", "limit", "own_limit"].map(number);
        let factor = |limit: f64| match row["unit"].as_str().unwrap() {
            "per_second" => value / limit,
            _ => limit / value,
        };
        assert!(value > 0.0 && (factor(limit) - number("factor")).abs() < 1e-9, "{row}");
        assert!(factor(own_limit) <= factor(limit), "ours is the stricter one: {row}");
        assert_eq!(row["passed"], factor(own_limit) >= 1.0, "{row}");
    }
    // The speed of this build on this machine decides the exit code.
    let failed = rows.iter().filter(|row| row["passed"] == false).count();
    match failed {
        0 => _ = run.succeeds(),
        _ => _ = run.fails(5, &[&format!("{failed} of {} limits are not met", rows.len())]),
    }
}
