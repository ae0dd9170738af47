//! Ctrl-C, other signals, and `kill -9` at any moment: no saved checkpoint is lost, and a resumed
//! run ends with the same bits as an uninterrupted one.

#![cfg(unix)]

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, ChildStderr, ChildStdout, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use mnist_train::bench::child::Job;
use mnist_train::data::synthetic;
use mnist_train::model::checkpoint::{self, Model, Position};
use mnist_train::model::recipe::Recipe;
use mnist_train::random::Stream;
use mnist_train::simd::Isa;
use serde_json::Value;

mod program;

use program::{LIMIT, Run, Workplace, save};

const HUP: &str = "HUP";
const INT: &str = "INT";
const TERM: &str = "TERM";
const XCPU: &str = "XCPU";
const KILL: &str = "KILL";

/// Flags of a run of short epochs that does not end by itself.
const ENDLESS: &str = "--json --max-samples 64 --no-eval --epochs 1000000";

/// Sends `signal` to `process`; returns whether the process exists.
fn send(signal: &str, process: u32) -> bool {
    let kill = Command::new("kill")
        .args(["-s", signal, &process.to_string()])
        .stderr(Stdio::null())
        .status();
    kill.expect("there is a kill").success()
}

/// Waits until a file exists at `path`.
#[track_caller]
fn wait_for_file(path: &Path) {
    let began = Instant::now();
    while !path.exists() {
        assert!(began.elapsed() < LIMIT, "no {}", path.display());
        thread::sleep(Duration::from_millis(10));
    }
}

/// A running process, which is killed if it hangs.
struct Running {
    child: Child,
    /// Tells the watching thread that the run has ended, by being dropped.
    _watched: mpsc::Sender<()>,
    stdout: BufReader<ChildStdout>,
    stderr: BufReader<ChildStderr>,
}

impl Running {
    fn start(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (watched, ended) = mpsc::channel();
        let process = child.id();
        thread::spawn(move || {
            if ended.recv_timeout(LIMIT) == Err(RecvTimeoutError::Timeout) {
                send(KILL, process);
            }
        });
        Self {
            _watched: watched,
            stdout: BufReader::new(child.stdout.take().unwrap()),
            stderr: BufReader::new(child.stderr.take().unwrap()),
            child,
        }
    }

    /// Reads results until one has this `kind`.
    fn wait_for(&mut self, kind: &str) -> Value {
        let mut line = String::new();
        loop {
            line.clear();
            self.stdout.read_line(&mut line).unwrap();
            let event: Value = serde_json::from_str(&line).expect("more results");
            if event["event"] == kind {
                return event;
            }
        }
    }

    /// Reads notes until a line contains `words`.
    fn wait_for_notice(&mut self, words: &str) {
        let mut line = String::new();
        while !line.contains(words) {
            line.clear();
            assert_ne!(self.stderr.read_line(&mut line).unwrap(), 0, "no {words}");
        }
    }

    fn signal(&self, name: &str) {
        // The run may have ended by itself.
        _ = send(name, self.child.id());
    }

    fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Waits until the run ends; returns its exit code, if it has one, and the rest of stderr.
    fn end(mut self) -> (Option<i32>, String) {
        drop(self.stdout);
        let mut rest = String::new();
        self.stderr.read_to_string(&mut rest).unwrap();
        (self.child.wait().unwrap().code(), rest)
    }
}

/// Position of training in the checkpoint file, which must be complete.
#[track_caller]
fn position(place: &Workplace) -> Position {
    match checkpoint::read(&place.path("ckpt.bin"), None).unwrap().1 {
        Model::Checkpoint(checkpoint) => checkpoint.metadata.position,
        Model::Weights(_) => panic!("the moments are missing"),
    }
}

/// Waits for a random time up to `limit`.
fn wait(stream: &mut Stream, limit: Duration) {
    let millis = stream.below(limit.as_millis() as u32);
    thread::sleep(Duration::from_millis(millis.into()));
}

/// The flag `--resume` if there is a checkpoint, otherwise nothing.
fn resume(place: &Workplace) -> &'static str {
    if place.path("ckpt.bin").exists() { "--resume" } else { "" }
}

/// Whether these tests were started under nohup; the processes that they start inherit this.
fn hangups_are_ignored() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap();
    u64::from_str_radix(ignored.trim(), 16).unwrap() & 1 == 1
}

#[test]
fn a_signal_in_the_middle_of_an_epoch_saves_and_the_run_can_go_on() {
    // An epoch has 120 slow steps, and no checkpoint is written within it. The gradient of a single
    // image may be long, which a note would say.
    let slow = "--json --stage naive --max-samples 120 --batch-size 1 --clip-norm 1000 --epochs 2 \
                --checkpoint-every 2 --no-eval";
    let undisturbed = Workplace::new().run(slow).succeeds();
    let batch_systems = [("USR1", 138), ("USR2", 140), (XCPU, 152)];
    for (signal, code) in [(INT, 130), (TERM, 143), (HUP, 129)].into_iter().chain(batch_systems) {
        let place = Workplace::new();
        let mut run = Running::start(place.command(slow));
        run.wait_for("epoch");
        thread::sleep(Duration::from_millis(150));
        run.signal(signal);
        let (found, stderr) = run.end();
        if signal == HUP && hangups_are_ignored() {
            assert_eq!((found, stderr.as_str()), (Some(0), ""), "under nohup a run goes on");
            continue;
        }
        assert_eq!(found, Some(code), "{stderr}");
        let Position { epoch, batch, .. } = position(&place);
        assert!(epoch >= 1 && batch > 0, "epoch {epoch}, batch {batch}");
        let place_and_remedy = format!(
            "stopping; again to stop at once\n\
             interrupted in epoch {} of 2 after {batch} of 120 batches; saved to ckpt.bin, \
             go on with --resume --epochs 2\n",
            epoch + 1,
        );
        assert_eq!(stderr, place_and_remedy);

        let resumed = place.run("--resume --epochs 2 --json --no-eval").succeeds();
        let going_on = format!("going on in epoch {} of 2 after {batch} batches\n", epoch + 1);
        assert_eq!(resumed.stderr, going_on);
        assert_eq!(resumed.weights(), undisturbed.weights());
        let (part, whole) = (resumed.last("done"), undisturbed.last("done"));
        for key in ["steps", "epochs"] {
            assert_eq!(part[key], whole[key], "{key}");
        }
        assert_eq!(place.names(), ["ckpt.bin"]);
    }
}

#[test]
fn a_run_goes_on_with_the_vector_instructions_that_it_was_begun_with() {
    let train = "--json --stage fused --max-samples 200 --batch-size 1 --no-eval";
    for isa in Isa::ALL.into_iter().filter(|isa| isa.is_available()) {
        let place = Workplace::new();
        let endless = format!("{train} --isa {isa} --epochs 1000000");
        let mut run = Running::start(place.command(&endless));
        run.wait_for("epoch");
        run.signal(INT);
        let (code, stderr) = run.end();
        assert_eq!(code, Some(130), "{stderr}");
        let end = position(&place).epoch + 1;
        let resumed = place.run(&format!("--resume --json --no-eval --epochs {end}")).succeeds();
        assert_eq!(resumed.events()[0]["isa"], isa.name());
        assert!(!resumed.stderr.contains("note: "), "{}", resumed.stderr);

        let undisturbed = Workplace::new();
        undisturbed.run(&format!("{train} --isa {isa} --epochs {end}")).succeeds();
        assert_eq!(place.read("ckpt.bin"), undisturbed.read("ckpt.bin"));
        let by_the_widest = Workplace::new().run(&format!("{train} --epochs {end}")).succeeds();
        let is_the_widest = isa == Isa::detect();
        assert_eq!(resumed.weights() == by_the_widest.weights(), is_the_widest, "{isa}");
    }
}

#[test]
fn a_run_that_is_interrupted_many_times_ends_like_an_uninterrupted_one() {
    let run = "--json --max-samples 400 --batch-size 8 --epochs 40 --no-eval";
    let undisturbed = Workplace::new();
    let started = Instant::now();
    let expected = undisturbed.run(run).succeeds();
    let limit = started.elapsed() / 8;

    let place = Workplace::new();
    let mut stream = Stream::new(1, "moments", 0);
    let mut interruptions = 0;
    for attempt in 0.. {
        assert!(attempt < 200, "makes no progress");
        let threads = 1 + attempt % 3;
        let arguments = format!("{run} {} --threads {threads}", resume(&place));
        let mut run = Running::start(place.command(&arguments));
        run.wait_for("start");
        wait(&mut stream, limit);
        run.signal(INT);
        match run.end() {
            (Some(0), _) => break,
            (Some(130), error) if error.contains("after the last epoch") => break,
            (Some(130), _) => interruptions += 1,
            other => panic!("{other:?}"),
        }
    }
    assert!(interruptions >= 2, "ended after {interruptions} interruptions");
    let evaluated = place.run("eval --json").succeeds();
    assert_eq!(evaluated.weights(), expected.weights());
    assert_eq!(place.read("ckpt.bin"), undisturbed.read("ckpt.bin"));
}

#[test]
fn a_signal_in_the_last_evaluation_says_that_training_is_over() {
    let place = Workplace::new();
    // The run has one step, and then many seconds of evaluation.
    save(&synthetic::generate(1, 1, 5000), &place.path("many"));
    let train = "--json --stage naive --data many --batch-size 1 --epochs 1 --model m";
    let mut run = Running::start(place.bare(train));
    run.wait_for("start");
    wait_for_file(&place.path("m"));
    run.signal(INT);
    assert_eq!(run.wait_for("epoch").get("test_correct"), None);
    let (code, stderr) = run.end();
    assert_eq!(code, Some(130), "{stderr}");
    let words = "interrupted after the last epoch; saved to m, test it with \
                 'mnist-train eval --model m'\n";
    assert!(stderr.ends_with(words), "{stderr}");
    assert_eq!(place.names(), ["m", "many"]);
    let resumed = place.bare("--resume --model m --json --no-eval --data many --epochs 1");
    assert!(Run::of(resumed).succeeds().stderr.contains("nothing to do"));
}

#[test]
fn a_signal_while_a_set_is_drawn_leaves_nothing() {
    let place = Workplace::new();
    // Drawing so many digits takes many seconds.
    let run = Running::start(place.bare("data synthetic --out digits --images 200000"));
    thread::sleep(Duration::from_millis(700));
    run.signal(INT);
    assert_eq!(run.end().0, Some(130));
    assert_eq!(place.names(), [""; 0]);
}

#[test]
fn a_signal_before_the_first_batch_saves_nothing() {
    let place = Workplace::new();
    let mut run = Running::start(place.bare("--offline"));
    run.wait_for_notice("SYNTHETIC"); // Drawing the digits takes a while.
    run.signal(INT);
    let (code, stderr) = run.end();
    assert_eq!(code, Some(130), "{stderr}");
    let words = "stopping; again to stop at once\n\
                 interrupted before the first batch; nothing to save yet\n";
    assert!(stderr.ends_with(words), "{stderr}");
    assert_eq!(place.names(), [""; 0]);
}

#[cfg(target_os = "linux")] // Only Linux says which signals are ignored.
#[test]
fn a_run_that_was_told_to_ignore_hangups_goes_on() {
    let place = Workplace::new();
    let train = place.command(ENDLESS);
    let mut shell = Command::new("sh");
    shell
        .args(["-c", "trap '' HUP; exec \"$@\"", "sh"])
        .arg(train.get_program())
        .args(train.get_args())
        .current_dir(train.get_current_dir().unwrap());
    let mut run = Running::start(shell);
    run.wait_for("epoch");
    run.signal(HUP);
    let seen = run.wait_for("epoch")["epoch"].as_u64().unwrap();
    while run.wait_for("epoch")["epoch"] != seen + 20 {}
    run.signal(INT);
    assert_eq!(run.end().0, Some(130));
}

#[test]
fn a_second_run_on_the_same_model_is_refused() {
    let place = Workplace::new();
    let mut first = Running::start(place.command(ENDLESS));
    first.wait_for("epoch");
    let words = ["ckpt.bin: another run is writing it", "name another file"];
    for arguments in ["--epochs 1", "--epochs 1 --resume"] {
        assert_eq!(place.run(arguments).fails(1, &words).stdout, "");
    }
    first.signal(KILL);
    first.end();
    place.run("--json --epochs 1 --max-samples 64 --no-eval").succeeds();
}

#[test]
fn bench_stops_at_the_first_signal_and_leaves_no_record() {
    let place = Workplace::new();
    let flags = "bench stages --stage naive --rounds 1000 --record bench.json --json";
    let mut run = Running::start(place.command(flags));
    run.wait_for_notice("preparing naive, 1 thread");
    thread::sleep(Duration::from_millis(500));
    assert_eq!(place.names(), [".bench.json.mnist-train.lock"]);
    run.signal(INT);
    let (code, stderr) = run.end();
    assert_eq!((code, stderr.lines().last()), (Some(130), Some("interrupted")));
    assert_eq!(place.names(), [""; 0]);
}

#[test]
fn bench_of_layers_stops_at_the_first_signal() {
    let place = Workplace::new();
    let mut run = Running::start(place.bare("bench layers relu --rounds 1000 --json"));
    run.wait_for_notice("preparing relu forward, naive, 1 thread");
    run.signal(INT);
    let (code, stderr) = run.end();
    assert_eq!((code, stderr.lines().last()), (Some(130), Some("interrupted")));
    assert_eq!(place.names(), [""; 0]);
}

#[test]
fn a_comparison_of_two_programs_stops_at_the_first_signal_and_prints_what_is_decided() {
    let place = Workplace::new();
    // Nothing can be decided this closely.
    let rules = "--max-regress 1.001 --seconds 3600 --baseline";
    let this = env!("CARGO_BIN_EXE_mnist-train");
    let flags = format!("bench layers relu --quick --threads 1 --json {rules} {this}");
    let mut run = Running::start(place.bare(&flags));
    // The next line comes after ten seconds, in which a round has ended.
    run.wait_for_notice("preparing relu forward, tiled, 1 thread");
    run.wait_for_notice("timing relu ");
    run.signal(INT);
    let gate = run.wait_for("gate");
    assert_eq!(
        (&gate["verdict"], gate["rows"].as_array().unwrap().len()),
        (&"inconclusive".into(), 2)
    );
    let (code, stderr) = run.end();
    assert_eq!((code, stderr.lines().last()), (Some(130), Some("interrupted")));
}

/// Stops the next process that `parent` starts, as soon as it executes this program. Before that
/// moment it is a copy of its parent and holds the pipes of its parent.
#[cfg(target_os = "linux")]
fn stop_a_child_of(parent: &Child) -> u32 {
    let path = format!("/proc/{0}/task/{0}/children", parent.id());
    let began = Instant::now();
    while began.elapsed() < LIMIT {
        let children = fs::read_to_string(&path).expect("the parent runs still");
        let Some(child) = children.split_whitespace().next() else { continue };
        let line = fs::read_to_string(format!("/proc/{child}/cmdline")).unwrap_or_default();
        let child = child.parse().unwrap();
        if line.contains("peak-memory") && send("STOP", child) {
            return child;
        }
    }
    panic!("no process was started");
}

#[cfg(target_os = "linux")] // Only Linux says which processes another process has started.
#[test]
fn a_signal_while_memory_is_measured_leaves_neither_a_process_nor_a_file() {
    let place = Workplace::new();
    fs::create_dir(place.path("tmp")).unwrap();
    let mut bench = place.command("bench stages --batch-size 4 --rounds 1 --json");
    bench.env("TMPDIR", place.path("tmp"));
    let run = Running::start(bench);
    let child = stop_a_child_of(&run.child);
    run.signal(INT);
    assert_eq!(run.end().0, Some(130));
    assert!(send("CONT", child), "it was there still");
    let began = Instant::now();
    while fs::exists(format!("/proc/{child}/exe")).unwrap_or(true) {
        assert!(began.elapsed() < Duration::from_secs(30), "{child} goes on");
        thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(place.names(), ["tmp"]);
    assert_eq!(fs::read_dir(place.path("tmp")).unwrap().count(), 0);
}

#[test]
fn a_child_process_that_measures_ends_with_its_parent() {
    let place = Workplace::new();
    // One step of several seconds.
    let recipe = Recipe { batch_size: 400, ..Recipe::default() };
    let job = program::line(&Job { stage: "naive".into(), recipe, ..Job::default() });
    let measure = || place.command(&format!("peak-memory {job}"));
    let run = Run::of(measure());
    assert_eq!((run.code, run.stdout.as_str()), (1, ""), "nobody holds its stdin");
    let mut held = measure().stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let lifeline = held.stdin.take();
    thread::sleep(Duration::from_millis(300));
    assert!(held.try_wait().unwrap().is_none(), "somebody holds it");
    drop(lifeline);
    let run = held.wait_with_output().unwrap();
    assert_eq!((run.status.code(), run.stdout.as_slice()), (Some(1), &b""[..]));
}

#[test]
fn a_second_signal_stops_at_once() {
    let place = Workplace::new();
    place.run("--epochs 1 --max-samples 64 --no-eval").succeeds();
    let saved = place.read("ckpt.bin");
    for (first, second, code) in [(INT, INT, 130), (INT, TERM, 143)] {
        // One step of several seconds.
        let mut run = Running::start(place.command("--json --stage naive --batch-size 400"));
        run.wait_for("start");
        thread::sleep(Duration::from_millis(400));
        run.signal(first);
        // A second signal within a tenth of a second would not count.
        thread::sleep(Duration::from_millis(300));
        assert!(!run.has_ended(), "the first signal waits for the batch");
        let sent = Instant::now();
        run.signal(second);
        let (found, stderr) = run.end();
        assert_eq!(found, Some(code), "{stderr}");
        let took = sent.elapsed();
        assert!(took < Duration::from_secs(1), "stopped after {took:?}");
        assert!(stderr.ends_with("\nstopped at once; nothing more is saved\n"), "{stderr}");
        assert_eq!(place.read("ckpt.bin"), saved);
    }
}

#[cfg(target_os = "linux")] // Only Linux is known to send SIGXCPU again every second.
#[test]
fn a_limit_on_cpu_time_saves_although_its_signal_comes_again() {
    let place = Workplace::new();
    // One step of several seconds.
    let train = place.command("--stage naive --batch-size 400 --epochs 100 --no-eval --model m");
    let mut shell = Command::new("sh");
    shell
        .args(["-c", "ulimit -S -t 1; exec \"$@\"", "sh"])
        .arg(train.get_program())
        .args(train.get_args())
        .current_dir(train.get_current_dir().unwrap());
    let (code, stderr) = Running::start(shell).end();
    assert_eq!(code, Some(152), "{stderr}");
    assert!(
        stderr.ends_with("; saved to m, go on with --resume --epochs 100 --model m\n"),
        "{stderr}"
    );
    assert_eq!(place.names(), ["m"]);
}

#[test]
fn eval_stops_at_the_first_signal() {
    let place = Workplace::new();
    place.run("--epochs 1 --max-samples 64 --no-eval").succeeds();
    // Evaluating so many images takes many seconds.
    save(&synthetic::generate(1, 1, 5000), &place.path("many"));
    let while_testing = Running::start(place.bare("eval --stage naive --data many"));
    thread::sleep(Duration::from_millis(500));
    let mut while_drawing = Running::start(place.bare("eval --stage naive --offline"));
    while_drawing.wait_for_notice("SYNTHETIC");
    for (mut run, signal, code) in [(while_testing, INT, 130), (while_drawing, TERM, 143)] {
        run.signal(signal);
        let mut stdout = String::new();
        run.stdout.read_to_string(&mut stdout).unwrap();
        assert_eq!(stdout, "");
        assert_eq!(run.end().0, Some(code));
    }
}

#[test]
fn checkpoints_are_written_every_n_epochs_and_at_the_end() {
    let place = Workplace::new();
    let often = "--json --max-samples 64 --no-eval --checkpoint-every 4";
    let mut run = Running::start(place.command(&format!("{often} --epochs 1000")));
    while run.wait_for("epoch")["epoch"] != 5 {}
    // A thread writes the checkpoint.
    while !place.path("ckpt.bin").exists() {
        run.wait_for("epoch");
    }
    run.signal(KILL);
    run.end();
    let saved = position(&place).epoch;
    assert!(saved >= 4 && saved.is_multiple_of(4), "{saved}");

    let end = saved + 5;
    place.run(&format!("{often} --resume --epochs {end}")).succeeds();
    assert_eq!(position(&place).epoch, end);
}

#[test]
fn a_run_that_cannot_save_any_more_ends_and_keeps_what_was_saved() {
    let place = Workplace::new();
    let mut run = Running::start(place.command(ENDLESS));
    while !place.path("ckpt.bin").exists() {
        run.wait_for("epoch");
    }
    let saved = position(&place).epoch;
    // A folder with the name of the temporary file cannot be removed.
    while fs::create_dir(place.path(".ckpt.bin.mnist-train.tmp")).is_err() {}
    let (code, stderr) = run.end();
    assert_eq!(code, Some(1), "{stderr}");
    assert!(stderr.contains("error: .ckpt.bin.mnist-train.tmp: cannot write: "), "{stderr}");
    assert_eq!(place.names(), [".ckpt.bin.mnist-train.tmp", "ckpt.bin"]);
    assert!(position(&place).epoch >= saved);
}

#[test]
fn a_model_that_cannot_be_replaced_any_more_is_saved_beside_it() {
    let place = Workplace::new();
    let mut run = Running::start(place.command(ENDLESS));
    while !place.path("ckpt.bin").exists() {
        run.wait_for("epoch");
    }
    // A file cannot replace a folder.
    while fs::create_dir(place.path("ckpt.bin")).is_err() {
        _ = fs::remove_file(place.path("ckpt.bin"));
    }
    let (code, stderr) = run.end();
    assert_eq!(code, Some(1), "{stderr}");
    let words = ["error: ckpt.bin: cannot replace: ", "; the new one is in ckpt.bin.unsaved"];
    assert!(words.iter().all(|word| stderr.contains(word)), "{stderr}");
    assert_eq!(place.names(), ["ckpt.bin", "ckpt.bin.unsaved"]);
    place.run("eval --model ckpt.bin.unsaved").succeeds();
}

#[test]
fn a_folder_that_disappears_ends_the_run() {
    let place = Workplace::new();
    fs::create_dir(place.path("models")).unwrap();
    let mut run = Running::start(place.command(&format!("{ENDLESS} --model models/m")));
    run.wait_for("epoch");
    fs::rename(place.path("models"), place.path("elsewhere")).unwrap();
    let (code, stderr) = run.end();
    assert_eq!(code, Some(1), "{stderr}");
    assert!(stderr.contains("error: models/.m.mnist-train.tmp: "), "{stderr}");
}

/// The run spends most of its time saving, so most kills come while a file is being replaced.
#[test]
fn a_run_killed_at_any_moment_loses_no_checkpoint_and_ends_with_the_same_bits() {
    let run = "--json --max-samples 32 --batch-size 16 --no-eval --epochs 30";
    let undisturbed = Workplace::new();
    let started = Instant::now();
    let expected = undisturbed.run(run).succeeds();
    let limit = started.elapsed() / 8;

    let place = Workplace::new();
    let mut stream = Stream::new(2, "moments", 0);
    let mut kills = 0;
    for _ in 0..20 {
        let resume = resume(&place);
        let before = if resume.is_empty() { 0 } else { position(&place).epoch };
        let run = Running::start(place.command(&format!("{run} {resume}")));
        wait(&mut stream, limit);
        run.signal(KILL);
        kills += usize::from(run.end().0.is_none());
        if place.path("ckpt.bin").exists() {
            assert!(position(&place).epoch >= before, "lost what was saved");
        } else {
            assert_eq!(resume, "", "the checkpoint is gone");
        }
    }
    assert!(kills >= 10, "only {kills} runs were killed before they ended");
    let last = place.run(&format!("{run} {}", resume(&place))).succeeds();
    assert_eq!(last.weights(), expected.weights());
    assert_eq!(place.read("ckpt.bin"), undisturbed.read("ckpt.bin"));
    assert_eq!(place.names(), ["ckpt.bin"], "nothing temporary is left");
}

#[test]
fn a_model_of_format_version_1_is_gone_on_with() {
    let place = Workplace::new();
    Run::of(place.bare("data synthetic --out digits --images 100")).succeeds();
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference/format1.safetensors");
    fs::copy(model, place.path("model")).unwrap();
    let resumed = place.bare("--data digits --resume --epochs 2 --model model --json");
    let done = Run::of(resumed).succeeds().last("done");
    // What the version that wrote the file went on to, by the stage naive, which rounds alike on
    // every CPU.
    let expected = "de7259080369c5881efdc3086b255dbeae3a358946bd77f5bd768485e77d4d78";
    assert_eq!(done["weights_sha256"], expected);
}
