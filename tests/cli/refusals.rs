//! Refusals of the program: their exit codes, their messages, and that no file is lost.

use std::fs;

use clap::builder::Str;
use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};
use mnist_train::bench::layers::cases::CASES;
use mnist_train::cli::Cli;
use mnist_train::data::{idx, synthetic};
use mnist_train::files::durable;
use mnist_train::model::checkpoint::{self, Model};
use mnist_train::model::mnist_cnn::MnistCnn;
use mnist_train::model::recipe::Recipe;
use mnist_train::simd::Isa;
use mnist_train::stages::STAGES;

use super::SHORT;
use super::program::{Run, TEST_IMAGES, TRAIN_IMAGES, Workplace, save};

#[test]
fn a_run_is_not_resumed_as_another_one() {
    let place = Workplace::new();
    place.run(&format!("{SHORT} --epochs 1")).succeeds();
    let saved = place.read("ckpt.bin");
    let refused = [
        ("--lr 0.01", &["--lr is 0.01 and was 0.001"][..]),
        ("--batch-size 32 --seed 5", &["--batch-size is 32 and was 64", "--seed is 5 and was 1"]),
        ("--max-samples 100", &["--max-samples is 100 and was 192"]),
        ("--init he", &["--init is he and was pytorch"]),
        ("--hidden 64 --lr 0.01", &["--hidden is 64 and was 128", "--lr is 0.01 and was 0.001"]),
        ("--channels 16", &["--channels is 16 and was 32"]),
        ("--kernel-size 3", &["--kernel-size is 3 and was 5"]),
    ];
    for (flags, words) in refused {
        let run = place.run(&format!("--resume --epochs 2 {flags}")).fails(2, words);
        assert_eq!(run.stdout, "");
    }
    let other = place.path("other");
    save(&synthetic::generate(2, TRAIN_IMAGES, TEST_IMAGES), &other);
    let mut command = place.bare("--resume --epochs 2 --offline");
    command.arg("--data").arg(&other);
    Run::of(command).fails(3, &["ckpt.bin was trained on other data: custom (SHA-256 "]);
    assert_eq!(place.read("ckpt.bin"), saved);
    place.run("--resume --epochs 2 --lr 0.001 --batch-size 64 --channels 32").succeeds();
}

#[test]
fn all_images_and_the_first_of_them_are_different_runs() {
    let place = Workplace::new();
    place.run("--epochs 1 --no-eval").succeeds();
    let words = ["--max-samples is 100 and was not given"];
    place.run("--resume --epochs 2 --max-samples 100").fails(2, &words);
}

#[test]
fn resuming_needs_a_whole_checkpoint() {
    let place = Workplace::new();
    place.run("--resume").fails(1, &["ckpt.bin: no such file to resume"]);
    assert_eq!(place.names(), [""; 0]);

    place.run(&format!("{SHORT} --epochs 1")).succeeds();
    let tensors = safetensors::SafeTensors::deserialize;
    let bytes = place.read("ckpt.bin");
    let checkpoint = tensors(&bytes).unwrap();
    let weights = checkpoint.iter().filter(|(name, _)| !name.starts_with("adam."));
    let weights = safetensors::serialize(weights, None).unwrap();
    fs::write(place.path("weights.safetensors"), &weights).unwrap();
    let words = ["weights.safetensors: holds weights alone", "--resume needs the whole checkpoint"];
    place.run("--resume --model weights.safetensors").fails(3, &words);
    assert_eq!(place.read("weights.safetensors"), weights);

    let of_weights = place.run("eval --json --model weights.safetensors").succeeds();
    let of_checkpoint = place.run("eval --json").succeeds();
    assert_eq!(of_weights.weights(), of_checkpoint.weights());
    for key in ["correct", "loss", "confusion"] {
        assert_eq!(of_weights.last("eval")[key], of_checkpoint.last("eval")[key]);
    }
    assert!(of_weights.last("eval").get("trained_on").is_none());
}

#[test]
fn refuses_flags_that_make_no_sense() {
    let place = Workplace::new();
    let above_zero = "must be a number from 1e-45 to 3.4e38";
    let refused = [
        ("--lr nan", above_zero),
        ("--lr -1", above_zero),
        ("--lr inf", above_zero),
        ("--lr 0", above_zero),
        ("--lr 1e39", above_zero),
        ("--lr fast", above_zero),
        ("--epochs 0", "must be a number from 0.001 to 1000000000;"),
        ("--batch-size 2.5", "must be a whole number, at least 1;"),
        ("--init-scale fc1", "must be names and factors, like fc1=2,conv1.bias=0, or none"),
        ("--kernel-size 4", "must be an odd number from 1 to 27"),
        ("--stage fastest", "there are naive, im2col, gemm"),
        ("--init ones", "invalid value 'ones'"),
        ("--epoch 1", "unexpected argument '--epoch'"),
    ];
    for (flags, words) in refused {
        let flag = flags.split(' ').next().unwrap();
        place.run(flags).rejects_flags(&[flag, words]);
    }
    // There always is one: no CPU has the instructions of two architectures.
    for isa in Isa::ALL.into_iter().filter(|isa| !isa.is_available()) {
        let words = ["--isa", "this CPU does not have it; it has portable"];
        place.run(&format!("--isa {isa}")).rejects_flags(&words);
    }
    for batch_size in [TRAIN_IMAGES + 1, usize::MAX] {
        let problem = format!("--batch-size {batch_size} is more than the {TRAIN_IMAGES}");
        place.run(&format!("--batch-size {batch_size}")).fails(2, &[&problem]);
    }
    let problem = format!("--max-samples {} is more than the {TRAIN_IMAGES}", TRAIN_IMAGES + 1);
    place.run(&format!("--max-samples {}", TRAIN_IMAGES + 1)).fails(2, &[&problem]);
    let words = ["--batch-size 64 is more than the 63"];
    place.run("--max-samples 63").fails(2, &words);
    assert_eq!(place.names(), [""; 0]);
}

#[test]
fn refuses_options_that_would_have_no_effect_or_no_stage() {
    let place = Workplace::new();
    for (flags, problem) in [
        ("--momentum 0.9", "--momentum: --optimizer adam has none: choose sgd"),
        ("--weight-decay 0.1", "--weight-decay: --optimizer adam has none: choose adamw"),
        ("--optimizer sgd --nesterov", "--nesterov: there is no momentum: add --momentum 0.9"),
        ("--optimizer sgd --beta2 0.9", "--beta2: --optimizer sgd has none: leave it out"),
        ("--schedule step --t-max 3", "--t-max: has no effect on --schedule step, only on cosine"),
        ("--gamma 0.5", "--gamma: has no effect on --schedule cosine, only on step, exponential"),
        ("--stage fused --optimizer sgd", "stage fused cannot train with --optimizer sgd"),
    ] {
        place.run(flags).fails(2, &[problem]);
    }
    assert_eq!(place.names(), [""; 0]);
}

/// Arguments that end in a flag that takes a number, for every such flag of `command` and of its
/// commands.
fn numeric_flags(command: &clap::Command, before: &str) -> Vec<String> {
    let is_number = |arg: &&clap::Arg| {
        let names = arg.get_value_names().unwrap_or_default();
        let is_number = |name: &Str| {
            !["FILE", "DIR", "NAME", "LAYERS", "TEXT", "RANGE", "PLACES", "FACTORS"]
                .contains(&name.as_str())
        };
        arg.get_action().takes_values() && names.iter().any(is_number)
    };
    let flags = command.get_arguments().filter(is_number).filter_map(clap::Arg::get_long);
    let mut all: Vec<_> = flags.map(|flag| format!("{before}--{flag}")).collect();
    for command in command.get_subcommands() {
        all.extend(numeric_flags(command, &format!("{before}{} ", command.get_name())));
    }
    all
}

#[test]
fn every_number_is_refused_outside_the_limits_that_the_error_names() {
    let place = Workplace::new();
    let flags = numeric_flags(&Cli::command(), "");
    assert!(flags.len() > 25 && flags.contains(&"bench stages --rounds".into()), "{flags:?}");
    for flag in &flags {
        let name = flag.split(' ').next_back().unwrap();
        let refused = |value: &str| {
            let run = place.bare(&format!("{flag} {value}"));
            Run::of(run).rejects_flags(&[name, "must be a"]).stderr
        };
        let limits = refused("-1");
        let largest = u64::MAX.to_string();
        let (least, most) = match limits.split_once(" from ") {
            Some((_, limits)) => limits.split_once(" to ").unwrap(),
            None => (limits.split_once(", at least ").unwrap().1, &*largest),
        };
        let [least, most] = [least, most].map(|limit| limit.split(';').next().unwrap());
        let limit = |text: &str| text.parse::<f64>().unwrap();
        for value in ["nan", "inf", "1e400"] {
            assert_eq!(refused(value).split("must be").last(), limits.split("must be").last());
        }
        for value in ["0", "18446744073709551615", "18446744073709551616", least, most] {
            let arguments = format!("mnist-train {flag} {value}");
            let parsed = Cli::try_parse_from(arguments.split(' '));
            let is_refused = parsed.is_err_and(|error| error.kind() == ErrorKind::ValueValidation);
            let is_between = limit(least) < limit(value) && limit(value) < limit(most);
            let is_inside = is_between || [least, most].contains(&value);
            assert_eq!(is_refused, !is_inside, "{arguments}: {limits}");
            if is_refused {
                refused(value);
            }
        }
    }
    let largest = ["checkpoint-every", "seed"].map(|flag| format!("--{flag} {}", u64::MAX));
    let largest = format!("{} --t-max 1000000000", largest.join(" "));
    place.run(&format!("{SHORT} --epochs 1 --no-eval {largest}")).succeeds();
    let largest = format!("--epochs 1000000000 --batch-size {}", u64::MAX);
    place.run(&largest).fails(2, &["is more than"]);
}

#[test]
fn words_of_other_programs_point_to_those_of_this_one() {
    let place = Workplace::new();
    fs::write(place.path("model"), "").unwrap();
    let resume = "--resume goes on from the file of --model: '--resume --model FILE'";
    for (arguments, tip) in [
        ("train --epochs 1", "training is the command without a name"),
        ("--epochs 1 train", "training is the command without a name"),
        ("--resume old.bin", resume),
        ("--epochs 3 --resume old.bin --lr 1e-3", resume),
        ("--resume=old.bin", resume),
        ("--wd 1e-4", "--l2"),
        ("--wd=1e-4", "--l2"),
        ("--best", "--model has the last epoch"),
        ("--lr-decay 0.9", "from --lr to --min-lr in --t-max epochs"),
        ("--output m", "training writes to --model"),
        ("-o m", "training writes to --model"),
        ("data synthetic --output d", "'data synthetic' to --out"),
        ("data synthetic --data d", "'data synthetic' writes to --out"),
        ("model", "'mnist-train eval FILE'"),
        ("--device cpu", "the CPU alone is used"),
        ("eval --device cuda", "the CPU alone is used"),
        // clap finds these by itself.
        ("--batchsize 32", "'--batch-size'"),
        ("--learning-rate 1e-3", "'--lr'"),
        ("--num-epochs 3", "'--epochs'"),
        ("evla", "'eval'"),
    ] {
        let run = Run::of(place.bare(arguments)).rejects_flags(&["; tip: ", tip, "see --help"]);
        assert_eq!(run.stderr.matches("tip: ").count(), 1, "{arguments}: {run:#?}");
    }
    for arguments in ["--resume --profile", "--resume eval", "eval --epochs 3", "eval one two"] {
        let run = Run::of(place.bare(arguments)).rejects_flags(&["see --help"]);
        assert!(!run.stderr.contains("tip: "), "{arguments}: {run:#?}");
    }
}

#[test]
fn a_stage_that_cannot_run_is_refused_before_anything_is_downloaded() {
    let place = Workplace::new();
    for verb in ["--epochs 1", "bench stages"] {
        let run = Run::of(place.bare(&format!("{verb} --stage fused --kernel-size 7")));
        run.fails(2, &["stage fused runs", "5x5"]);
    }
    assert_eq!(place.names(), [""; 0]);
}

#[test]
fn bench_refuses_before_it_measures() {
    let place = Workplace::new();
    for (flags, words) in [
        ("--stage gemm,fastest", "there are naive, im2col, gemm"),
        ("--rounds 0", "must be a whole number from 1 to 1000"),
    ] {
        let flag = flags.split(' ').next().unwrap();
        place.run(&format!("bench stages {flags}")).rejects_flags(&[flag, words]);
    }
    let help = Run::of(place.bare("bench"));
    assert!(help.code == 2 && help.stderr.contains("  stages     Check that"), "{help:#?}");
    let problem = format!("--batch-size 1000 is more than the {TRAIN_IMAGES} training images");
    place.run("bench stages --batch-size 1000").fails(2, &[&problem]);
    for flag in ["stages --record", "infer --csv"] {
        let nowhere = place.run(&format!("bench {flag} nowhere/file"));
        nowhere.fails(1, &["nowhere does not exist"]);
    }
    place.run("bench infer --record a --csv a").fails(2, &["--csv is the file of --record"]);
    assert_eq!(place.names(), [""; 0]);
}

#[test]
fn a_layer_that_does_not_exist_is_refused_in_one_line_that_names_all() {
    let place = Workplace::new();
    let all: Vec<_> = CASES.iter().map(|case| case.name).collect();
    let bench = |flags: &str| Run::of(place.bare(&format!("bench layers {flags}")));
    let words = ["conv3d", &format!("there are {}; see --help", all.join(", "))];
    bench("relu conv3d").rejects_flags(&words);
    bench("relu --filter conv").rejects_flags(&["cannot be used with"]);
    bench("--filter conv3d").fails(2, &["--filter: no layer contains conv3d"]);
    bench("--rounds 0").rejects_flags(&["--rounds", "from 1 to 1000"]);
    assert_eq!(place.names(), [""; 0]);
}

#[cfg(unix)]
#[test]
fn a_model_that_cannot_be_written_is_found_before_training() {
    let place = Workplace::new();
    fs::create_dir(place.path("folder")).unwrap();
    for (model, words) in [
        ("folder", &["folder is a directory"][..]),
        ("missing/m", &["missing/m", "folder missing does not exist"]),
        ("/dev/null", &["/dev/null is not a regular file"]),
        ("/proc/m", &["/proc/.m.mnist-train.lock: cannot write", "; choose a writable place with"]),
    ] {
        let run = place.run(&format!("--json --model {model}")).fails(1, words);
        assert_eq!(run.stdout, "", "found after training had begun");
    }
    assert_eq!(place.names(), ["folder"]);
}

#[cfg(unix)]
#[test]
fn a_save_that_fails_leaves_the_old_model_and_nothing_temporary() {
    let place = Workplace::new();
    place.run(&format!("{SHORT} --epochs 1")).succeeds();
    let saved = place.read("ckpt.bin");
    // The limit acts like a full disk: a file has at most a few hundred kB, and a model 9.7 MB.
    let train = place.command(&format!("{SHORT} --resume --epochs 2"));
    let mut shell = std::process::Command::new("sh");
    shell
        .args(["-c", "ulimit -f 1000; exec \"$@\"", "sh"])
        .arg(train.get_program())
        .args(train.get_args())
        .current_dir(train.get_current_dir().unwrap());
    let run = Run::of(shell).fails(
        1,
        &[
            ".ckpt.bin.mnist-train.tmp: cannot write: ",
            "; ckpt.bin is unchanged: free some space, or save elsewhere with --model",
        ],
    );
    assert_eq!(run.last("epoch")["epoch"], 1);
    assert_eq!(place.names(), ["ckpt.bin"]);
    assert_eq!(place.read("ckpt.bin"), saved);
}

#[test]
fn files_of_the_user_beside_a_model_stay() {
    let place = Workplace::new();
    let owned = ["m.lock", "m.tmp", "m.part", "m.previous.txt"];
    for name in owned {
        fs::write(place.path(name), "precious").unwrap();
    }
    place.run("--model m --resume").fails(1, &["m: no such file to resume"]);
    place.run("--model m --batch-size 9999").fails(2, &["--batch-size 9999 is more than"]);
    place.run("bench stages --record m --batch-size 9999").fails(2, &["--batch-size 9999"]);
    fs::write(place.path("m.previous"), "precious").unwrap();
    place.run("--model m").fails(3, &["m.previous: ", "it is not replaced: name another --model"]);
    assert_eq!(place.read("m.previous"), b"precious");
    fs::remove_file(place.path("m.previous")).unwrap();
    for _ in 0..2 {
        place.run(&format!("{SHORT} --epochs 1 --model m")).succeeds();
    }
    for name in owned {
        assert_eq!(place.read(name), b"precious", "{name}");
    }
    assert_eq!(place.names(), ["m", "m.lock", "m.part", "m.previous", "m.previous.txt", "m.tmp"]);
}

#[test]
fn nothing_but_an_earlier_record_is_replaced_by_a_record() {
    let place = Workplace::new();
    let bench = "bench stages --stage fused --rounds 1 --batch-size 4 --threads 1";
    place.run(&format!("{bench} --record bench.json")).succeeds();
    for (name, content) in [
        ("ckpt.bin", &b"\x80 a model"[..]),
        ("page.html", b"<html>"),
        ("other.json", br#"{"event":"done"}"#),
    ] {
        fs::write(place.path(name), content).unwrap();
        let run = place.run(&format!("{bench} --json --record {name}"));
        assert_eq!(run.stdout, "", "found after measuring");
        run.fails(3, &[name, "is not the record of an earlier run, and is not replaced"]);
        assert_eq!(place.read(name), content);
    }
    fs::write(place.path("empty"), "").unwrap();
    for name in ["bench.json", "empty"] {
        place.run(&format!("{bench} --record {name}")).succeeds();
        assert!(place.read(name).starts_with(br#"{"event":"bench""#));
    }
}

#[cfg(unix)]
#[test]
fn the_file_that_output_goes_to_is_not_replaced() {
    let place = Workplace::new();
    let bench = "bench stages --stage fused --rounds 1 --batch-size 4 --threads 1";
    for path in ["/dev/stdout", "out"] {
        let mut bench = place.command(&format!("{bench} --record {path}"));
        bench.stdout(fs::File::create(place.path("out")).unwrap());
        let run = bench.stderr(std::process::Stdio::piped()).spawn().unwrap();
        let run = run.wait_with_output().unwrap();
        let said = String::from_utf8(run.stderr).unwrap();
        let words = format!("error: {path} is where this program's output goes");
        assert!(run.status.code() == Some(1) && said.contains(&words), "{said}");
    }
    assert_eq!(place.names(), ["out"]);
}

#[test]
fn a_model_does_not_take_the_name_of_a_data_file() {
    let place = Workplace::new();
    fs::create_dir(place.path("data")).unwrap();
    for name in ["train-images-idx3-ubyte", "t10k-labels-idx1-ubyte.gz"] {
        for flags in ["--offline --model", "bench stages --offline --record"] {
            let run = Run::of(place.bare(&format!("{flags} ./data/{name}")));
            run.fails(2, &[name, "is the name of a data file in the data folder: name another"]);
        }
    }
    assert_eq!(fs::read_dir(place.path("data")).unwrap().count(), 0);
}

#[test]
fn a_run_that_diverges_says_where_and_keeps_the_last_good_model() {
    let place = Workplace::new();
    let diverging = format!("{SHORT} --lr 1e30");
    let nothing = [
        "epoch 0, step 1",
        "learning rate 1e30",
        "no checkpoint was written",
        "start anew with a lower --lr",
    ];
    place.run(&diverging).fails(4, &nothing);
    assert_eq!(place.names(), [""; 0]);

    place.run(&format!("{SHORT} --epochs 1")).succeeds();
    let good = place.read("ckpt.bin");
    let run = place.run(&diverging).fails(4, &nothing);
    assert_eq!(run.events().len(), 1, "the start and no result");
    assert_eq!(place.names(), ["ckpt.bin"]);
    assert_eq!(place.read("ckpt.bin"), good);

    // Epoch 0 has the learning rate 1e-3, epoch 1 has 1e12.
    let place = Workplace::new();
    let later = format!("{SHORT} --min-lr 1e12 --t-max 1");
    let words = ["epoch 1", "ckpt.bin still holds the last good checkpoint"];
    place.run(&later).fails(4, &words);
    let expected = Workplace::new();
    expected.run(&format!("{later} --epochs 1")).succeeds();
    assert_eq!(place.read("ckpt.bin"), expected.read("ckpt.bin"));
}

#[test]
fn the_remedy_of_a_run_that_diverges_is_its_cause() {
    for (flags, remedy) in [
        ("--l2 1e38", "start anew with a lower --l2"),
        ("--l2 1e25 --batch-size 32", "start anew with a lower --l2"),
        ("--lr 1e20 --l2 1e-2", "start anew with a lower --lr"),
        ("--min-lr 1e12 --t-max 1", "start anew with a lower --min-lr"),
        ("--eps 1e-45 --lr 1", "start anew with a higher --eps"),
    ] {
        let run = Workplace::new().run(&format!("{SHORT} --epochs 3 {flags}"));
        run.fails(4, &["training diverged", remedy]);
    }
}

#[test]
fn every_stage_notices_in_its_step_that_training_diverges() {
    let architecture = MnistCnn::default().architecture();
    // A stage that this CPU cannot run ends before its first step, as tests/bf16.rs checks.
    for stage in
        STAGES.iter().filter(|stage| !stage.isas(&architecture, &Recipe::default()).is_empty())
    {
        let place = Workplace::new();
        let train = format!("{SHORT} --stage {}", stage.name);
        // Weights of 1e30 give a loss that is not finite; weights of 10 give a loss that is too large.
        for (lr, what) in [("1e30", "a loss or weights that are not finite"), ("1e1", "loss ")] {
            let what = format!("training diverged: {what}");
            let place_in_run = format!("in epoch 0, step 1, at learning rate {lr}");
            let run = place.run(&format!("{train} --lr {lr}"));
            run.fails(4, &[&what, &place_in_run, "no checkpoint was written"]);
        }
        assert_eq!(place.names(), [""; 0], "{stage:?}");
    }
}

#[test]
fn weights_that_overflow_are_noticed_before_a_save_is_due() {
    let place = Workplace::new();
    // An epoch has one step, and no checkpoint is due for a long time.
    let overflowing = "--json --max-samples 64 --epochs 9 --checkpoint-every 9 --lr 3e38";
    let words = ["weights that are not finite in epoch 0, step 0, at", "rate 3e38"];
    place.run(overflowing).fails(4, &words);
    assert_eq!(place.names(), [""; 0]);
}

#[test]
fn weights_that_overflow_in_the_last_step_are_not_saved() {
    let place = Workplace::new();
    // The run has one step, so no later loss can show what it has done.
    let overflowing = "--json --max-samples 64 --epochs 1 --lr 3e38";
    let words = ["diverged", "epoch 0, step 0, at learning rate 3e38", "no checkpoint was written"];
    place.run(overflowing).fails(4, &words);
    assert_eq!(place.names(), [""; 0]);
}

#[test]
fn a_file_that_is_no_model_is_not_replaced_by_one() {
    let place = Workplace::new();
    for (name, content) in [("notes.txt", &b"more than eight bytes of notes"[..]), ("note", b"few")]
    {
        fs::write(place.path(name), content).unwrap();
        let run = place.run(&format!("{SHORT} --epochs 1 --model {name}"));
        assert_eq!(run.stdout, "", "found after training had begun");
        run.fails(3, &[name, "not a checkpoint", "it is not replaced: name another --model"]);
        assert_eq!(place.read(name), content);
    }
    // The file that `mktemp` makes is empty, so nothing in it can be lost.
    fs::write(place.path("empty"), "").unwrap();
    place.run(&format!("{SHORT} --epochs 1 --model empty")).succeeds();
    place.run("eval --model empty").succeeds();
}

#[test]
fn listing_files_that_are_not_valid_is_an_error_after_the_list() {
    let place = Workplace::new();
    fs::create_dir(place.path("d")).unwrap();
    fs::write(place.path("d/t10k-labels-idx1-ubyte"), "garbage").unwrap();
    let run = Run::of(place.bare("data --data d --json"));
    assert_eq!(run.last("data")["files"][3]["status"], "invalid");
    run.fails(3, &["d: not valid, as listed: t10k-labels-idx1-ubyte", "data fetch"]);
}

#[test]
fn listing_a_set_that_training_refuses_is_an_error_after_the_list() {
    let place = Workplace::new();
    let refused = |file: &str, content: Vec<u8>, words: &[&str]| {
        save(&synthetic::generate(1, 4, 2), &place.path("d"));
        Run::of(place.bare("data --data d")).succeeds();
        fs::write(place.path("d").join(file), content).unwrap();
        let listed = Run::of(place.bare("data --data d --json"));
        assert_eq!(listed.last("data")["files"].as_array().unwrap().len(), 4);
        listed.fails(3, words);
        Run::of(place.bare("--data d --batch-size 1")).fails(3, &words[1..]);
    };
    let labels = idx::labels_file(&[0; 5]);
    let words = ["do not belong together", "holds 4 images and d/train-labels-idx1-ubyte holds 5"];
    refused("train-labels-idx1-ubyte", labels, &words);
    let images = [idx::images_header(2, 32, 32), vec![0; 2 * 32 * 32]].concat();
    let words = ["not valid, as listed: t10k-images-idx3-ubyte", "t10k-images-idx3-ubyte"];
    refused("t10k-images-idx3-ubyte", images, &words);
    let listed = Run::of(place.bare("data --data d"));
    assert!(listed.stdout.contains("INVALID: d/t10k-images-idx3-ubyte: images are 32×32"));
}

#[test]
fn eval_refuses_numbers_of_shifted_copies_but_5_and_9() {
    let place = Workplace::new();
    place.run("eval --tta 7").fails(2, &["--tta 7", "5 or 9 shifted copies", "--tta-by elastic"]);
    // With other copies the next error is that of the missing model.
    place.run("eval --tta 7 --tta-by elastic").fails(1, &["ckpt.bin: cannot open"]);
}

#[test]
fn eval_refuses_files_that_are_not_models() {
    let place = Workplace::new();
    let missing = place.run("eval").fails(1, &["ckpt.bin: cannot open: no such file"]);
    assert!(!missing.stderr.contains("previous"), "{missing:#?}");
    fs::write(place.path("ckpt.bin"), "garbage and more garbage").unwrap();
    let run = place.run("eval --json").fails(3, &["ckpt.bin: ", "not a checkpoint"]);
    assert_eq!(run.stdout, "");
    place.run("--resume").fails(3, &["ckpt.bin: ", "not a checkpoint"]);
    assert_eq!(place.read("ckpt.bin"), b"garbage and more garbage");

    let words = "; the model before it is ckpt.bin.previous";
    fs::write(place.path("ckpt.bin.previous"), "").unwrap();
    place.run("--resume").fails(3, &["not a checkpoint", words]);
    fs::remove_file(place.path("ckpt.bin")).unwrap();
    for arguments in ["eval", "--resume"] {
        place.run(arguments).fails(1, &["ckpt.bin: cannot open: no such file", words]);
    }
}

#[test]
fn a_model_whose_outputs_overflow_is_unusable_and_not_merely_wrong() {
    let place = Workplace::new();
    place.run("--epochs 1 --max-samples 64 --no-eval").succeeds();
    let path = place.path("ckpt.bin");
    let (_, Model::Checkpoint(mut model)) = checkpoint::read(&path, None).unwrap() else {
        panic!("a checkpoint");
    };
    model.state.parameters.values_mut().fill(3e38);
    durable::replace(&path, &model.to_bytes()).unwrap();
    place.run("eval").fails(3, &["ckpt.bin", "loss is", "too large"]);
}
