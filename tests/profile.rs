//! `--profile` as a user runs it: its files, and its messages when it fails.

#![cfg(feature = "profile")]

use std::fs;
use std::io;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use mnist_train::data::synthetic;
use mnist_train::model::mnist_cnn::MnistCnn;
use mnist_train::model::recipe::Recipe;
use mnist_train::report::text::numbers::grouped;
use mnist_train::stages::STAGES;
use serde_json::Value;

mod program;

use program::{LIMIT, Run, Workplace, save};

/// The program with `--profile`, on a dataset of more images than a pass.
fn profile(place: &Workplace, arguments: &str) -> Command {
    let data = place.path("digits");
    if !data.exists() {
        save(&synthetic::generate(1, 1100, 10), &data);
    }
    let mut command = place.bare(&format!("--profile --offline {arguments}"));
    command.arg("--data").arg(data);
    command
}

fn read(folder: &Path, name: &str) -> String {
    fs::read_to_string(folder.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Names of the files in `folder`, sorted.
fn names_in(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<_> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Number of samples in a folded file, whose stacks must all begin with `stage`.
fn folded_samples(text: &str, stage: &str) -> u64 {
    let samples = |line: &str| {
        let (stack, samples) = line.rsplit_once(' ').expect("a stack and a count");
        assert!(stack.starts_with(&format!("{stage};")), "{line}");
        samples.parse::<u64>().expect("a count")
    };
    text.lines().map(samples).sum()
}

/// Checks that the graphs and figures of a stage in `folder` agree.
#[track_caller]
fn check_stage(stage: &Value, folder: &Path) {
    let name = stage["stage"].as_str().unwrap();
    let samples = stage["samples"].as_u64().unwrap();
    assert!(samples > 0, "{stage}");
    assert_eq!(folded_samples(&read(folder, stage["folded"].as_str().unwrap()), name), samples);
    let phases = stage["phases"].as_array().unwrap();
    let of_phases: u64 = phases.iter().map(|phase| phase["samples"].as_u64().unwrap()).sum();
    let rest = ["waiting_samples", "other_samples"].map(|key| stage[key].as_u64().unwrap());
    assert_eq!(of_phases + rest[0] + rest[1], samples);
    // A share of fewer samples is not reliable.
    assert!(10 * rest[1] < samples.max(30), "too much belongs to no phase: {stage}");
    for graph in ["flamegraph", "difference"].iter().filter_map(|key| stage[*key].as_str()) {
        let options = roxmltree::ParsingOptions { allow_dtd: true, ..Default::default() };
        let svg = read(folder, graph);
        let parsed = roxmltree::Document::parse_with_options(&svg, options);
        assert!(parsed.is_ok(), "{graph}: {parsed:?}");
        asks_for_nothing(&svg);
        assert_eq!(svg.contains(" µs/image ("), graph == stage["difference"]);
    }
    let title = format!("{name}: {} stack samples of ", grouped(samples as usize));
    assert!(read(folder, stage["flamegraph"].as_str().unwrap()).contains(&title), "{title}");
    let page = read(folder, "index.html");
    for part in [&title, "<th>ms/step</th>", " UTC", ", load average at the start "] {
        assert!(page.contains(part), "{part}");
    }
}

#[test]
fn a_stage_leaves_its_graph_and_figures() {
    let place = Workplace::new();
    let temporary = place.path("temporary");
    fs::create_dir(&temporary).unwrap();
    let flags = "--json --threads 2 --stage sparse --profile-seconds 120 --profile-out out";
    let mut sparse = profile(&place, flags);
    sparse.env("TMPDIR", &temporary);
    let run = Run::of(sparse).succeeds();
    assert_eq!(names_in(&temporary), [""; 0]);
    let event = run.last("profile");
    assert_eq!(
        (&event["images_per_pass"], &event["last_batch_images"]),
        (&1000.into(), &40.into())
    );
    assert!(run.stderr.contains("the last batch of 40 instead of 64"), "{run:#?}");
    let out = place.path("out");
    assert_eq!(
        names_in(&out),
        ["07-sparse.folded", "07-sparse.svg", "index.html", "profiles.json"]
    );
    let recorded: Value = serde_json::from_str(&read(&out, "profiles.json")).unwrap();
    assert_eq!(recorded, event);
    let stage = &event["stages"][0];
    check_stage(stage, &out);
    assert!(stage["samples"].as_u64() >= Some(1000), "{stage}");
    assert_eq!((&stage["stage"], &stage["threads"]), (&"sparse".into(), &2.into()));
    asks_for_nothing(&read(&out, "index.html"));

    // Graphs of an earlier run that this run does not have are removed.
    fs::copy(out.join("07-sparse.svg"), out.join("07-sparse.diff.svg")).unwrap();
    let again = "--json --stage sparse --profile-seconds 1 --profile-out out";
    let replaced = Run::of(profile(&place, again)).succeeds().last("profile");
    assert_eq!(names_in(&out).len(), 4);
    let recorded: Value = serde_json::from_str(&read(&out, "profiles.json")).unwrap();
    assert!(recorded == replaced && recorded != event);
}

/// Checks that `page` loads nothing from a network.
#[track_caller]
fn asks_for_nothing(page: &str) {
    for address in ["src=\"http", "href=\"http", "url(http", "@import"] {
        assert!(!page.contains(address), "{address}");
    }
}

/// Flags of a network so small that even naive trains it in a second.
const SMALL: &str = "--json --channels 16 --kernel-size 3 --hidden 32";

#[cfg(target_os = "linux")]
#[test]
fn a_stage_whose_profile_crashes_is_reported_and_all_others_are_kept() {
    let place = Workplace::new();
    let mut command = profile(&place, &format!("{SMALL} --profile-seconds 1"));
    let parent = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    kill("ABRT", &sampled_child(&parent));
    let run = Run::from(parent.wait_with_output().unwrap());
    let said = "no profile of naive: its process was ended by signal 6";
    assert!(run.stderr.contains(said), "{run:#?}");
    let event = run.last("profile");
    let out = place.path("profiles");
    assert_eq!(event["failures"].as_array().unwrap().len(), 1, "{}", event["failures"]);
    assert_eq!(event["failures"][0]["stage"], "naive");
    assert!(!names_in(&out).iter().any(|name| name.contains("naive")));
    let stages = event["stages"].as_array().unwrap();
    let architecture = MnistCnn::default().architecture();
    let others: Vec<_> = STAGES[1..]
        .iter()
        .filter(|row| !row.isas(&architecture, &Recipe::default()).is_empty())
        .collect();
    assert_eq!(stages.len(), others.len());
    for (stage, row) in stages.iter().zip(&others) {
        assert_eq!(stage["stage"], row.name);
        check_stage(stage, &out);
        let compared = row.predecessor.is_some_and(|before| before != "naive");
        assert_eq!(stage["difference"].is_string(), compared, "{stage}");
    }
    assert!(event["ladder"]["rows"].as_array().unwrap().len() > others.len());
    run.fails(1, &["no profile of naive", "profiles/index.html"]);
}

#[test]
fn phases_of_a_slow_stage_are_distinguished_and_too_few_samples_are_reported() {
    let place = Workplace::new();
    let run = Run::of(profile(&place, "--profile-seconds 1 --stage im2col")).succeeds();
    let run = run.fits_a_terminal();
    assert!(run.stdout.contains("\nim2col ") && run.stdout.contains("conv backward "), "{run:#?}");
    let record = read(&place.path("profiles"), "profiles.json");
    let stage = &serde_json::from_str::<Value>(&record).unwrap()["stages"][0];
    let samples = stage["samples"].as_u64().unwrap();
    assert!((1..1000).contains(&samples), "{stage}");
    assert!(run.stderr.contains("samples,\nfewer than 1000; "), "{run:#?}");
    let phases = stage["phases"].as_array().unwrap();
    let of = |name: &str| phases.iter().find(|phase| phase["phase"] == name).map(|p| &p["samples"]);
    for phase in ["conv_forward", "conv_backward", "linear_forward", "linear_backward"] {
        assert!(of(phase).is_some(), "no {phase} in {stage}");
    }
    assert!(read(&place.path("profiles"), "index.html").contains("Fewer than 1,000 samples"));
    assert!(fs::metadata(place.path("profiles/02-im2col.svg")).unwrap().len() > 1000);
}

/// The sampled process gets no profiling signals, because `env` blocks them.
#[cfg(target_os = "linux")]
#[test]
fn a_profile_without_samples_is_an_error() {
    use mnist_train::bench::child::Job;
    let place = Workplace::new();
    let job = program::line(&Job { stage: "fused".into(), images: 64, ..Job::default() });
    let sampled = place.command(&format!("capped-run --sampled --seconds 1 {job}"));
    let mut deaf = Command::new("env");
    deaf.arg("--block-signal=PROF").arg(sampled.get_program()).args(sampled.get_args());
    deaf.current_dir(sampled.get_current_dir().unwrap());
    let run = run_child(deaf).fails(1, &["no samples in ", "no profiling signals", "perf-record"]);
    assert_eq!(run.stdout, "");
}

/// Runs the process that is sampled, which ends when its stdin is closed.
fn run_child(mut command: Command) -> Run {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let lifeline = child.stdin.take();
    let output = child.wait_with_output().unwrap();
    drop(lifeline);
    Run::from(output)
}

#[test]
fn a_sampler_without_a_folder_for_its_temporary_file_names_the_folder() {
    use mnist_train::bench::child::Job;
    let place = Workplace::new();
    fs::write(place.path("file"), "").unwrap();
    let job = program::line(&Job { stage: "sparse".into(), images: 64, ..Job::default() });
    for name in ["missing", "file"] {
        let mut sampled = place.command(&format!("capped-run --sampled --seconds 1 {job}"));
        sampled.env("TMPDIR", place.path(name));
        run_child(sampled).fails(1, &[&format!("/{name}: "), "temporary file", "TMPDIR"]);
    }
}

#[test]
fn a_folder_that_cannot_be_written_is_an_error_before_anything_is_measured() {
    let place = Workplace::new();
    fs::write(place.path("file"), "").unwrap();
    Run::of(profile(&place, "--stage fused --profile-out file"))
        .fails(1, &["file", "cannot create", "; name another folder with --profile-out"]);
    fs::create_dir_all(place.path("out/05-fused.svg")).unwrap();
    Run::of(profile(&place, "--stage fused --profile-out out"))
        .fails(1, &["05-fused.svg", "is a directory"]);
    assert_eq!(fs::read_dir(place.path("out")).unwrap().count(), 1, "nothing was left");
}

#[test]
fn a_profile_that_is_refused_makes_no_folder() {
    let place = Workplace::new();
    Run::of(profile(&place, "--batch-size 5000 --profile-out new"))
        .fails(2, &["--batch-size 5000"]);
    assert!(!place.path("new").exists());
}

#[test]
fn nothing_but_an_earlier_profile_is_replaced_by_a_profile() {
    let place = Workplace::new();
    let out = place.path("out");
    let again = || Run::of(profile(&place, "--stage sparse --profile-out out"));
    fs::create_dir(&out).unwrap();
    for name in ["index.html", "profiles.json", "07-sparse.svg", "07-sparse.folded"] {
        fs::write(out.join(name), "<title>precious</title>").unwrap();
        again().fails(3, &[name, "is not the profile of an earlier run, and is not replaced"]);
        assert_eq!(names_in(&out), [name]);
        assert_eq!(read(&out, name), "<title>precious</title>");
        fs::remove_file(out.join(name)).unwrap();
    }
}

#[test]
fn a_graph_of_perf_samples_ends_in_svg_and_replaces_nothing_else() {
    let place = Workplace::new();
    for name in ["graph.folded", "graph"] {
        let draw = format!("perf-flamegraph --stage fused --event cycles --out {name}");
        Run::of(place.bare(&draw)).fails(2, &["--out", "the name must end in .svg"]);
    }
    fs::write(place.path("graph.folded"), "precious").unwrap();
    let draw = "perf-flamegraph --stage fused --event cycles --out graph.svg";
    Run::of(place.bare(draw)).fails(3, &["graph.folded", "is not the graph of an earlier run"]);
    assert_eq!(place.names(), ["graph.folded"]);
}

#[test]
fn flags_that_mean_nothing_for_a_profile_are_refused() {
    let place = Workplace::new();
    for flags in ["--resume", "--epochs 3", "--max-samples 10", "--model m.bin", "--no-eval"] {
        Run::of(profile(&place, flags))
            .rejects_flags(&["--profile", flags.split(' ').next().unwrap()]);
    }
    Run::of(place.bare("--profile-out somewhere")).rejects_flags(&["--profile"]);
}

/// Running processes that `parent` has started.
#[cfg(target_os = "linux")]
fn children(parent: &Child) -> Vec<String> {
    let path = format!("/proc/{0}/task/{0}/children", parent.id());
    fs::read_to_string(path).unwrap_or_default().split_whitespace().map(str::to_string).collect()
}

/// Waits until the sampled process runs.
#[cfg(target_os = "linux")]
fn sampled_child(parent: &Child) -> String {
    let began = Instant::now();
    loop {
        let is_sampled = |child: &String| {
            let line = fs::read_to_string(format!("/proc/{child}/cmdline"));
            line.is_ok_and(|line| line.contains("capped-run"))
        };
        if let Some(child) = children(parent).into_iter().find(is_sampled) {
            // The process has read its images and finished its preparation.
            thread::sleep(Duration::from_millis(500));
            return child;
        }
        assert!(began.elapsed() < LIMIT, "no process was started");
        thread::sleep(Duration::from_millis(5));
    }
}

#[cfg(target_os = "linux")]
fn kill(signal: &str, process: &str) {
    assert!(Command::new("kill").args(["-s", signal, process]).status().unwrap().success());
}

#[cfg(target_os = "linux")]
#[test]
fn a_signal_ends_it_at_once_with_its_children_and_leaves_nothing() {
    for (signal, code) in [("INT", 130), ("TERM", 143)] {
        let place = Workplace::new();
        let mut command = profile(&place, &format!("{SMALL} --stage naive"));
        let mut parent = command.stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        let child = sampled_child(&parent);
        let second = Run::of(profile(&place, "--stage naive"));
        second.fails(1, &["01-naive.svg: another run is writing it"]);
        kill(signal, &parent.id().to_string());
        assert_eq!(parent.wait().unwrap().code(), Some(code));
        let stderr = io::read_to_string(parent.stderr.take().unwrap()).unwrap();
        assert_eq!(stderr.lines().last(), Some("interrupted"));
        let began = Instant::now();
        while Path::new(&format!("/proc/{child}/exe")).exists() {
            assert!(began.elapsed() < Duration::from_secs(30), "{child} goes on");
            thread::sleep(Duration::from_millis(20));
        }
        assert_eq!(place.names(), ["digits"]);
    }
}

#[test]
fn a_quiet_profile_prints_only_errors() {
    let place = Workplace::new();
    let refused = Run::of(profile(&place, "--quiet --batch-size 2000"));
    let problem = "error: --batch-size 2000 is more than the 1000 images of a pass\n";
    assert_eq!((refused.code, refused.stderr.as_str()), (2, problem));
}
