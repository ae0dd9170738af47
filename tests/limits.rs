//! Limits on memory, threads and the size of files: the process ends with one line and exit code 1,
//! and it uses no more memory than its input justifies.

#![cfg(target_os = "linux")]

use std::env;
use std::fs::{self, File};
use std::io::Write;
use std::process::Command;

use flate2::Compression;
use flate2::write::GzEncoder;
use mnist_train::bench::child::Job;
use mnist_train::data::dataset::ImageFormat;
use mnist_train::data::files::Part;
use mnist_train::data::idx::images_header;
use mnist_train::measure::roofline::Roofline;
use mnist_train::model::mnist_cnn::MnistCnn;
use mnist_train::model::presets;
use mnist_train::model::recipe::Recipe;
use mnist_train::stages::Stage;

mod program;

use program::{Run, Workplace, digits};

const SHORT: &str = "--epochs 1 --max-samples 64 --no-eval --json";

/// `command` with a `limit`, in the words of the shell's `ulimit`.
fn limited(command: &Command, limit: &str) -> Command {
    let mut shell = Command::new("sh");
    shell
        .args(["-c", &format!("ulimit {limit}; exec \"$@\""), "sh"])
        .arg(command.get_program())
        .args(command.get_args())
        .current_dir(command.get_current_dir().unwrap());
    shell
}

/// Smallest limit on the address space, in KiB, under which the program starts and has `STACK` left:
/// the loader of the operating system and the growth of a stack are ended by a signal.
fn least_address_space(place: &Workplace) -> u64 {
    const STACK: u64 = 2_000;
    let starts = |kibibytes: &u64| {
        let version = limited(&place.bare("--version"), &format!("-v {kibibytes}"));
        assert_cmd::Command::from_std(version).output().unwrap().status.success()
    };
    (8_000..100_000).step_by(1_000).find(starts).expect("the program starts") + STACK
}

#[test]
fn too_little_memory_is_an_error_and_no_abort() {
    let train = format!("{SHORT} --threads 2");
    let mut refused = 0;
    let least = least_address_space(&Workplace::new());
    let more = [4_000, 14_000, 29_000, 49_000, 134_000, 184_000, 284_000, 2_000_000];
    for kibibytes in [0].into_iter().chain(more).map(|more| least + more) {
        let place = Workplace::new();
        let run = Run::of(limited(&place.command(&train), &format!("-v {kibibytes}")));
        if run.code == 0 {
            continue;
        }
        refused += 1;
        let run = run.fails(1, &[]);
        let error = run.stderr.lines().last().unwrap();
        let expected = ["out of memory", "cannot start"];
        assert!(expected.iter().any(|words| error.contains(words)), "{kibibytes}: {error}");
    }
    assert!(refused >= 3, "only {refused} were refused");
}

#[test]
fn too_few_threads_are_an_error_and_no_panic() {
    let place = Workplace::new();
    // Each thread has 2 MiB for its stack.
    let many = place.command(&format!("{SHORT} --threads 1000 --stage gemm"));
    let run = Run::of(limited(&many, "-v 600000"));
    run.fails(1, &["cannot start 1000 threads: ", "choose fewer with --threads", "ulimit -u"]);
    assert_eq!(place.names(), [""; 0]);
}

#[test]
fn a_small_stack_in_the_environment_is_not_for_the_threads_of_the_program() {
    let place = Workplace::new();
    let job = program::line(&Job { stage: "gemm".into(), threads: 2, ..Job::default() });
    for arguments in [
        "--epochs 1 --max-samples 128 --json --threads 2 --stage gemm".into(),
        "--epochs 1 --max-samples 128 --json --threads 2 --stage parallel".into(),
        "eval --threads 2".into(),
        format!("capped-run --seconds 1 {job}"),
    ] {
        let mut command = place.command(&arguments);
        command.env("RUST_MIN_STACK", "1");
        let run = Run::of(command);
        // The capped run has no parent.
        assert!(run.code == 0 || run.stderr.contains("stdin has ended"), "{arguments}: {run:#?}");
    }
    let mut drawn = place.bare("data synthetic --out digits --images 10");
    drawn.env("RUST_MIN_STACK", "1");
    Run::of(drawn).succeeds();
}

/// The test runs itself again in a separate process. A stack of 64 MiB is refused long before a
/// small allocation.
#[test]
fn the_limits_of_the_machine_are_not_measured_with_fewer_threads() {
    const NAME: &str = "the_limits_of_the_machine_are_not_measured_with_fewer_threads";
    const AGAIN: &str = "MNIST_TRAIN_TEST_AGAIN";
    if env::var_os(AGAIN).is_some() {
        let error = Roofline::measure(&[1, 64]).unwrap_err();
        assert_eq!(error.exit_code(), 1);
        assert!(error.to_string().starts_with("cannot start 64 threads: "), "{error}");
        return;
    }
    let mut again = Command::new(env::current_exe().unwrap());
    again.args(["--exact", NAME, "--test-threads=1"]).current_dir(env!("CARGO_MANIFEST_DIR"));
    let mut again = limited(&again, "-v 1500000");
    again.env(AGAIN, "1").env("RUST_MIN_STACK", (64 << 20).to_string());
    let run = Run::of(again).succeeds();
    assert!(run.stdout.contains("1 passed"), "{run:#?}");
}

#[test]
fn a_run_takes_at_least_the_memory_that_it_is_refused_for() {
    let architecture = MnistCnn { channels: 64, ..MnistCnn::default() }.architecture();
    let recipe = Recipe { batch_size: 400, ..Recipe::default() };
    for (name, most) in [("naive", 3), ("parallel", 4)] {
        let place = Workplace::new();
        let flags = "--epochs 1 --batch-size 400 --channels 64 --no-eval --json --threads 1";
        let done = place.run(&format!("{flags} --stage {name}")).succeeds().last("done");
        let peak = done["peak_rss_bytes"].as_u64().unwrap();
        let expected = Stage::find(name).unwrap().memory_bytes(&architecture, &recipe);
        assert!((expected..most * expected).contains(&peak), "{name}: {peak}, not {expected}");
    }
}

#[test]
fn a_run_that_keeps_fewer_activations_takes_as_much_less_memory_as_predicted() {
    let architecture = presets::network("deep", ImageFormat::MNIST).unwrap();
    let all = Recipe { batch_size: 400, ..Recipe::default() };
    let tiled = Stage::find("tiled").unwrap();
    let predicted = |recipe: &Recipe| tiled.activation_bytes(&architecture, recipe) as f64;
    let measured = |more: &str| {
        let flags = "--epochs 1 --batch-size 400 --arch deep --stage tiled --no-eval --json";
        let done = Workplace::new().run(&format!("{flags} {more}")).succeeds().last("done");
        done["peak_rss_bytes"].as_f64().unwrap()
    };
    let peak = measured("");
    for (flags, recipe) in [
        ("--checkpoint-activations 3", Recipe { checkpoint_activations: 3, ..all.clone() }),
        ("--accumulate 4", Recipe { accumulate: 4, ..all.clone() }),
    ] {
        let less = (peak - measured(flags)) / (predicted(&all) - predicted(&recipe));
        assert!((0.85..1.15).contains(&less), "{flags}: {less} of the prediction");
    }
}

#[test]
fn a_gzip_bomb_is_refused_before_it_is_unpacked() {
    let place = Workplace::new();
    let folder = place.path("bomb");
    fs::create_dir(&folder).unwrap();
    for part in Part::ALL {
        fs::copy(digits().join(part.name()), folder.join(part.name())).unwrap();
    }
    // The file has 400 MB of blank images in less than 2 MB.
    let images = 500_000;
    let file = File::create(folder.join(Part::TrainImages.name())).unwrap();
    let mut bomb = GzEncoder::new(file, Compression::fast());
    bomb.write_all(&images_header(images, 28, 28)).unwrap();
    let blank = vec![0; 1000 * 28 * 28];
    (0..images / 1000).for_each(|_| bomb.write_all(&blank).unwrap());
    bomb.finish().unwrap();
    let train = place.bare(&format!("{SHORT} --offline --data bomb"));
    let words = ["bomb/train-images-idx3-ubyte: ", "500000×28×28", "gunzip"];
    let run = Run::of(limited(&train, "-v 250000")).fails(3, &words);
    assert_eq!(run.stdout, "");
}

#[test]
fn a_large_file_that_is_no_checkpoint_is_refused_by_its_beginning() {
    let place = Workplace::new();
    let file = File::create(place.path("ckpt.bin")).unwrap();
    file.set_len(4 << 30).unwrap(); // A sparse file takes no room on the disk.
    for arguments in ["eval", "--resume", "--epochs 1"] {
        let run = Run::of(limited(&place.command(arguments), "-v 200000"));
        assert_eq!(run.fails(3, &["ckpt.bin: ", "not a checkpoint"]).stdout, "");
    }
    assert_eq!(place.names(), ["ckpt.bin"]);
}
