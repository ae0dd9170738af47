//! The program on terminals without control codes, without stdout or stderr, on full and other file
//! systems, with names that are not text, and as a user with few rights.

#![cfg(target_os = "linux")]

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Write};
use std::iter;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;
use std::thread;

use rustix::fs::{Mode, OFlags, open};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

mod program;

use program::{Run, Workplace};

const TRAIN: &str = "--epochs 2 --max-samples 192 --no-eval";

/// Output of `command` on a terminal of this width that is its stdout and stderr.
fn on_a_terminal(mut command: Command, columns: u16) -> String {
    let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&terminal).unwrap();
    unlockpt(&terminal).unwrap();
    let name = ptsname(&terminal, Vec::new()).unwrap();
    let side = open(name, OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).unwrap();
    let size = Winsize { ws_row: 24, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    tcsetwinsize(&side, size).unwrap();
    let mut end = File::from(side.try_clone().unwrap());
    command.stdout(side.try_clone().unwrap()).stderr(side);
    let reader = thread::spawn(move || {
        let mut written = Vec::new();
        BufReader::new(File::from(terminal)).read_until(0, &mut written).unwrap();
        written.pop();
        written
    });
    let status = command.status().unwrap();
    // A terminal may lose what is not read yet when its other side is closed, so a byte that no
    // program writes ends the output.
    end.write_all(&[0]).unwrap();
    assert!(status.success(), "{status}");
    String::from_utf8(reader.join().unwrap()).unwrap()
}

/// Lines of `written`, including lines that were overwritten on the terminal.
fn without_codes(written: &str) -> Vec<String> {
    let mut pieces = written.split("\x1b[");
    let first = pieces.next().unwrap_or_default();
    let text = pieces.fold(first.to_string(), |text, piece| {
        text + piece.trim_start_matches(|c: char| !c.is_ascii_alphabetic()).get(1..).unwrap()
    });
    text.split(['\r', '\n']).map(str::to_string).collect()
}

#[test]
fn a_terminal_gets_a_bar_unless_it_refuses_control_codes() {
    // Each epoch takes part of a second, and the whole run takes seconds.
    let slow = "--stage naive --max-samples 128 --no-eval --epochs 9";
    let train = |flags, variables: &[(&str, &str)], columns| {
        let place = Workplace::new();
        let mut command = place.command(flags);
        command.env("TERM", "xterm-256color").env_remove("NO_COLOR");
        command.envs(variables.iter().copied());
        on_a_terminal(command, columns)
    };
    let written = train(slow, &[], 80);
    let drawn = without_codes(&written);
    let words = ["s left, epoch ", " of 9, loss ", "acc ", "/s "];
    let is_bar = |line: &String| words.iter().all(|word| line.contains(word));
    assert!(drawn.iter().any(is_bar), "{drawn:#?}");
    assert!(drawn.iter().any(|line| line.contains("epoch 9 of 9, ")), "{drawn:#?}");
    for wrong in [" 0s left", "epoch 0 of", "testing"] {
        assert!(!written.contains(wrong), "{drawn:#?}");
    }
    for (columns, drawn) in [(80, drawn), (25, without_codes(&train(slow, &[], 25)))] {
        let bars: Vec<_> = drawn.iter().filter(|line| line.contains("s left")).collect();
        assert!(!bars.is_empty(), "{drawn:#?}");
        assert!(bars.iter().all(|line| line.chars().count() == columns), "{bars:#?}");
    }
    let narrow = without_codes(&train(slow, &[], 50));
    assert!(narrow.iter().any(|line| line.contains(" of 9, loss ")), "{narrow:#?}");
    let ends = |line: &String| line.trim_end().ends_with(|c: char| c.is_ascii_digit());
    assert!(narrow.iter().filter(|line| line.contains("s left, ")).all(ends), "{narrow:#?}");
    // The cursor is at the beginning of the bar, wherever a terminal that is resized breaks it.
    assert!(written.contains("\x1b[G") && !written.contains("\x1b[G "), "{written:?}");
    for variable in [("NO_COLOR", "1"), ("TERM", "dumb"), ("TERM", "")] {
        let written = train(TRAIN, &[variable], 80);
        let code = written.chars().find(|c| c.is_control() && !['\r', '\n'].contains(c));
        assert_eq!(code, None, "{variable:?}: {written:?}");
        assert!(written.contains("\n    1 "), "{written}");
    }
}

/// Lines that a terminal shows after it got `written`.
fn shown(written: &str) -> Vec<String> {
    let (mut lines, mut column) = (vec![String::new()], 0);
    let mut pieces = written.split("\x1b[");
    let first = pieces.next().unwrap_or_default();
    for (number, piece) in iter::once(first).chain(pieces).enumerate() {
        let code_ends = if number == 0 { None } else { piece.find(char::is_alphabetic) };
        let (code, text) = piece.split_at(code_ends.map_or(0, |end| end + 1));
        match code {
            "J" => _ = lines.last_mut().unwrap().split_off(column),
            "2K" => lines.last_mut().unwrap().clear(),
            "G" => column = 0,
            _ => {}
        }
        for c in text.chars() {
            let line = lines.last_mut().unwrap();
            match c {
                '\r' => column = 0,
                '\n' => lines.push(String::new()),
                // The lines of bars have blocks of several bytes, which nothing is written into.
                c => {
                    line.truncate(column);
                    line.push(c);
                    column = line.len();
                }
            }
        }
    }
    lines
}

#[test]
fn a_signal_leaves_no_bar_on_the_terminal() {
    let place = Workplace::new();
    let endless = "--stage naive --max-samples 64 --no-eval --epochs 1000";
    let script = "\"$@\" & until test -e ckpt.bin; do sleep 0.1; done; sleep 0.5; kill -TERM $!; \
                  wait $!; test $? = 143";
    let mut shell = shell_of(&place.command(endless), script);
    shell.env("TERM", "xterm").env_remove("NO_COLOR");
    let written = on_a_terminal(shell, 80);
    assert!(written.contains(" of 1000, loss "), "{written:?}");
    let shown = shown(&written);
    for beginning in ["stopping; again to stop at once", "interrupted in epoch "] {
        assert!(shown.iter().any(|line| line.starts_with(beginning)), "{shown:#?}");
    }
    assert!(!shown.iter().any(|line| line.contains(" of 1000, loss ")), "{shown:#?}");
}

#[test]
fn eval_draws_mistakes_between_the_table_and_the_accuracy() {
    let place = Workplace::new();
    place.run("--epochs 1 --max-samples 64 --no-eval").succeeds();
    for (columns, side_by_side) in [(80, 2), (59, 1), (20, 1), (92, 3)] {
        let written = on_a_terminal(place.command("eval"), columns).replace('\r', "");
        let lines: Vec<_> = written.lines().collect();
        let place_of = |words: &str| lines.iter().position(|line| line.contains(words)).unwrap();
        let titles: Vec<_> = (0..lines.len())
            .filter(|&line| lines[line].contains(": ") && lines[line].contains(" taken for "))
            .filter(|&line| !lines[line].contains("sure"))
            .collect();
        assert_eq!(titles.len(), 6_usize.div_ceil(side_by_side), "{written}");
        assert!(titles.iter().all(|&line| {
            lines[line].matches(" taken for ").count() == side_by_side
                && lines[line + 1].chars().count() == 30 * side_by_side
        }));
        assert!(place_of("data: ") == 0 && place_of("recall") < place_of("most confidently wrong"));
        assert!(place_of("most confidently wrong") < titles[0], "{written}");
        assert!(lines.last().unwrap().contains(" correct, "), "{written}");
    }
}

#[test]
fn notes_and_errors_are_broken_between_words_and_on_a_terminal_alone() {
    for arguments in [
        "--offline --epochs 1 --max-samples 64 --no-eval -q",
        "--epochs 1 --max-samples 64 --no-eval --channels 15",
        "--t-max 1.5",
        "eval --model none",
    ] {
        let place = Workplace::new();
        let is_without_data = arguments.contains("--offline");
        let command =
            if is_without_data { place.bare(arguments) } else { place.command(arguments) };
        let mut shell = shell_of(&command, "\"$@\" > /dev/null || true");
        shell.env("TERM", "dumb");
        let written = on_a_terminal(shell, 40).replace('\r', "");
        assert!(written.lines().all(|line| line.chars().count() <= 40), "{written}");
        assert!(!written.ends_with("\n\n"), "{written:?}");
        let words = |text: &str| text.split_whitespace().map(String::from).collect::<Vec<_>>();
        _ = fs::remove_file(place.path("ckpt.bin"));
        let piped = Run::of(command).stderr;
        assert_eq!(words(&written), words(&piped));
        assert!(piped.lines().any(|line| line.len() > 40), "{piped}");
    }
}

#[test]
fn a_narrow_terminal_gets_the_columns_that_matter_most() {
    let table = |columns| {
        let place = Workplace::new();
        let mut command = place.command("--epochs 1 --max-samples 64 --stage fused");
        command.env("TERM", "dumb");
        let written = on_a_terminal(command, columns);
        let lines = written.lines().map(|line| line.trim_end().to_string());
        lines.skip_while(|line| !line.starts_with("epoch")).take(2).collect::<Vec<_>>()
    };
    for (columns, titles, width) in [
        (76, "epoch loss train test correct lr time images/s", 76),
        (60, "epoch loss train test time images/s", 56),
        (24, "epoch loss test", 24),
    ] {
        let [header, row] = &table(columns)[..] else { panic!("no table") };
        assert_eq!(header.split_whitespace().collect::<Vec<_>>().join(" "), titles);
        assert_eq!((header.len(), row.len()), (width, width), "{header}\n{row}");
    }
}

/// Command by which a shell runs `command` with this `redirection`.
fn redirected(command: &Command, redirection: &str) -> Command {
    shell_of(command, &format!("exec \"$@\" {redirection}"))
}

/// Command of a shell that runs `script`, whose arguments are `command`.
fn shell_of(command: &Command, script: &str) -> Command {
    let mut shell = Command::new("sh");
    shell
        .args(["-c", script, "sh"])
        .arg(command.get_program())
        .args(command.get_args())
        .current_dir(command.get_current_dir().unwrap());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    shell
}

#[test]
fn training_needs_neither_stdout_nor_stderr() {
    let expected = Workplace::new();
    expected.run(TRAIN).succeeds();
    for redirection in [">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-"] {
        let place = Workplace::new();
        let run = Run::of(redirected(&place.command(TRAIN), redirection));
        assert_eq!(run.code, 0, "{redirection}: {run:?}");
        assert_eq!(place.read("ckpt.bin"), expected.read("ckpt.bin"), "{redirection}");
        assert_eq!(place.names(), ["ckpt.bin"], "{redirection}");
    }
    let refused = Workplace::new();
    let run = Run::of(redirected(&refused.command("--threads 0"), "2>&-"));
    assert_eq!(run.code, 2, "{run:?}");
}

#[test]
fn results_that_cannot_be_printed_are_an_error_after_the_model_is_saved() {
    let (place, expected) = (Workplace::new(), Workplace::new());
    let run = Run::of(redirected(&place.command(TRAIN), "> /dev/full"));
    run.fails(1, &["stdout: cannot print the results: no space left on the device"]);
    expected.run(TRAIN).succeeds();
    assert_eq!(place.read("ckpt.bin"), expected.read("ckpt.bin"));
}

#[test]
fn a_name_that_is_not_text_is_written_read_and_printed_safely() {
    let place = Workplace::new();
    let name = OsStr::from_bytes(b"m\xff\x1b[31m\nx");
    let with_model = |arguments: &str| {
        let mut command = place.command(arguments);
        command.arg("--model").arg(name);
        Run::of(command)
    };
    let trained = with_model(&format!("{TRAIN} --json")).succeeds();
    let again = with_model(TRAIN).succeeds();
    assert!(again.stderr.contains(r"\u{1b}[31m\nx.previous"), "{again:?}");
    assert!(again.stdout.contains(r"\u{1b}[31m\nx, weights SHA-256"), "{again:?}");
    assert_eq!(with_model("eval --json").succeeds().weights(), trained.weights());
    let refused = with_model(&format!("{TRAIN} --resume --lr 1")).fails(2, &[r"\u{1b}[31m\nx"]);
    for text in [&again.stdout, &again.stderr, &refused.stderr, &trained.stdout] {
        assert!(!text.contains('\x1b'), "{text:?}");
    }
}

#[test]
fn a_link_to_another_file_system_is_written_through() {
    let (place, elsewhere) = (Workplace::new(), tempfile::tempdir_in("/dev/shm").unwrap());
    let device = |path: &Path| fs::metadata(path).unwrap().dev();
    let target = elsewhere.path().join("model");
    place.run(&format!("{TRAIN} --model first")).succeeds();
    assert_ne!(device(&place.path("first")), device(elsewhere.path()), "not another file system");
    fs::copy(place.path("first"), &target).unwrap();
    symlink(&target, place.path("ckpt.bin")).unwrap();
    place.run("--resume --epochs 3 --no-eval").succeeds();
    assert!(place.path("ckpt.bin").is_symlink());
    assert_ne!(fs::read(&target).unwrap(), place.read("first"));
    place.run("eval").succeeds();
    assert_eq!(fs::read_dir(elsewhere.path()).unwrap().count(), 1, "nothing temporary is left");
}

/// Prints to the terminal that `what` was not checked; the test harness would hide a normal print.
fn not_checked(what: &str) {
    let mut stderr = io::stderr();
    writeln!(stderr, "NOT CHECKED, {what}").unwrap();
}

#[test]
fn a_model_that_is_a_mount_point_is_refused_before_training() {
    let place = Workplace::new();
    place.run(&format!("{TRAIN} --model elsewhere")).succeeds();
    fs::write(place.path("ckpt.bin"), "").unwrap();
    let train = place.command(TRAIN);
    let mounted = |script: &str| {
        let script = format!("mount --bind elsewhere ckpt.bin && {script}");
        let mut shell = Command::new("unshare");
        shell.args(["--map-root-user", "--mount", "sh", "-c", &script, "sh"]);
        shell.arg(train.get_program()).args(train.get_args());
        shell.current_dir(train.get_current_dir().unwrap());
        shell
    };
    if !mounted("true").status().is_ok_and(|status| status.success()) {
        return not_checked("models that are mount points: nothing can be mounted here");
    }
    let run = Run::of(mounted("\"$@\""));
    assert_eq!(run.stdout, "", "found after training had begun");
    run.fails(1, &["ckpt.bin: the file is a mount point", "mount its folder instead"]);
    assert_eq!(place.names(), ["ckpt.bin", "elsewhere"]);
}

/// User without special rights.
const NOBODY: u32 = 65534;
/// Another user without special rights, because a limit on a user's processes counts the processes
/// of all tests.
#[cfg(feature = "download")]
const ANOTHER: u32 = 65533;

fn is_root() -> bool {
    fs::metadata("/proc/self").unwrap().uid() == 0
}

/// Runs the program as `user`, because root may do everything.
fn run_by(user: u32, place: &Workplace, arguments: &str) -> Command {
    let program = place.path("program");
    if !program.exists() {
        // Another process copies the program. If this process copied it, a child of another test
        // could inherit the open copy, and a file that is open for writing cannot be executed.
        let copied =
            Command::new("cp").arg(env!("CARGO_BIN_EXE_mnist-train")).arg(&program).status();
        assert!(copied.unwrap().success());
    }
    let folder = program.parent().unwrap();
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = if is_root() {
        let mut command = Command::new("setpriv");
        command.args([format!("--reuid={user}"), format!("--regid={user}")]);
        command.args(["--clear-groups", "--"]).arg(&program);
        command
    } else {
        Command::new(&program)
    };
    command.args(arguments.split_whitespace()).current_dir(folder).env_remove("MNIST_DATA");
    command
}

#[test]
fn what_a_user_may_not_read_or_write_is_an_error_before_training() {
    let place = Workplace::new();
    fs::write(place.path("secret"), "").unwrap();
    fs::create_dir(place.path("locked")).unwrap();
    fs::set_permissions(place.path("secret"), fs::Permissions::from_mode(0o000)).unwrap();
    fs::set_permissions(place.path("locked"), fs::Permissions::from_mode(0o555)).unwrap();
    let denied = |arguments: &str, words: &str| {
        let run =
            Run::of(run_by(NOBODY, &place, arguments)).fails(1, &[words, "permission denied"]);
        assert_eq!(run.stdout, "");
    };
    denied("eval --model secret", "secret: cannot open");
    denied("--offline --model locked/m", "locked/.m.mnist-train.lock: cannot write");
    place.run(&format!("{TRAIN} --model m")).succeeds();
    denied("export m --out locked/m.onnx", "name another file with --out");
    denied("data fetch --data locked/d", "locked/d: cannot create the folder");
    denied("data synthetic --out locked/d --images 1", "locked/d: cannot create the folder");
    assert_eq!(fs::read_dir(place.path("locked")).unwrap().count(), 0);
}

#[test]
fn a_model_of_another_user_in_a_sticky_folder_is_refused_before_training() {
    if !is_root() {
        return not_checked("models of other users: only root can make one");
    }
    let place = Workplace::new();
    place.run(&format!("{TRAIN} --model theirs")).succeeds();
    fs::create_dir(place.path("sticky")).unwrap();
    fs::set_permissions(place.path("sticky"), fs::Permissions::from_mode(0o1777)).unwrap();
    let model = place.path("sticky/m");
    fs::copy(place.path("theirs"), &model).unwrap();
    fs::set_permissions(&model, fs::Permissions::from_mode(0o666)).unwrap();
    let run = Run::of(run_by(NOBODY, &place, "--offline --json --model sticky/m"));
    assert_eq!(run.stdout, "", "found after training had begun");
    run.fails(1, &["sticky/m: cannot replace", "another user's in a sticky folder"]);
    assert_eq!(fs::read(&model).unwrap(), place.read("theirs"));
    assert_eq!(fs::read_dir(place.path("sticky")).unwrap().count(), 1);
}

#[test]
fn a_folder_that_the_user_may_write_and_not_read_is_enough() {
    let place = Workplace::new();
    fs::create_dir(place.path("letterbox")).unwrap();
    fs::set_permissions(place.path("letterbox"), fs::Permissions::from_mode(0o333)).unwrap();
    for _ in 0..2 {
        Run::of(run_by(NOBODY, &place, &format!("{TRAIN} --offline --model letterbox/m")))
            .succeeds();
    }
    fs::set_permissions(place.path("letterbox"), fs::Permissions::from_mode(0o700)).unwrap();
    assert_eq!(fs::read_dir(place.path("letterbox")).unwrap().count(), 2);
}

/// A new folder in `place` that all users may write.
#[cfg(feature = "download")]
fn open_to_all(place: &Workplace, folder: &str) {
    fs::create_dir_all(place.path(folder)).unwrap();
    fs::set_permissions(place.path(folder), fs::Permissions::from_mode(0o777)).unwrap();
}

#[cfg(feature = "download")]
#[test]
fn a_folder_that_cannot_be_written_is_no_reason_to_train_on_other_data() {
    let place = Workplace::new();
    open_to_all(&place, "models");
    let mut train = run_by(NOBODY, &place, "--epochs 1 --model models/m");
    train.env("MNIST_MIRRORS", "http://127.0.0.1:9");
    let run = Run::of(train).fails(1, &["data: cannot create the folder: permission denied"]);
    assert!(!run.stderr.contains("SYNTHETIC"), "{run:?}");
}

#[cfg(feature = "download")]
#[test]
fn a_download_that_gets_too_few_threads_is_an_error_and_no_panic() {
    let place = Workplace::new();
    open_to_all(&place, "home");
    let mut reasons = Vec::new();
    for processes in 1..=64 {
        let fetch = run_by(ANOTHER, &place, "data fetch --data home/data");
        let mut limited = Command::new("prlimit");
        limited.arg(format!("--nproc={processes}")).arg(fetch.get_program());
        limited.args(fetch.get_args()).current_dir(fetch.get_current_dir().unwrap());
        limited.env("MNIST_MIRRORS", "http://127.0.0.1:9").env_remove("MNIST_DATA");
        let run = Run::of(limited).fails(1, &[]);
        reasons.push(run.stderr.lines().last().unwrap().to_string());
        if reasons.last().is_some_and(|reason| reason.contains("127.0.0.1: connection refused")) {
            break;
        }
    }
    assert!(reasons[0].contains("cannot start "), "{reasons:?}");
    let (reached, refused) = reasons.split_last().unwrap();
    assert!(!is_root() || reached.contains("connection refused"), "{reached}");
    assert!(refused.iter().all(|reason| reason.contains("cannot start ")), "{refused:?}");
}

#[test]
fn data_that_cannot_be_read_is_not_called_invalid() {
    let place = Workplace::new();
    fs::create_dir(place.path("d")).unwrap();
    let images = place.path("d/train-images-idx3-ubyte");
    fs::write(&images, "").unwrap();
    fs::set_permissions(&images, fs::Permissions::from_mode(0o000)).unwrap();
    let list = |arguments: &str| Run::of(run_by(NOBODY, &place, arguments));
    let run = list("data --data d").fails(1, &["d: not readable", "train-images-idx3-ubyte"]);
    assert!(run.stdout.contains("UNREADABLE: d/train-images-idx3-ubyte: cannot open"), "{run:#?}");
    assert!(!run.stderr.contains("replace"), "{run:#?}");
    let file = &list("data --data d --json").last("data")["files"][0];
    assert_eq!(file["status"], "unreadable", "{file}");
}

#[test]
fn help_that_cannot_be_printed_is_an_error() {
    let place = Workplace::new();
    for arguments in ["--help", "--version", "eval --help"] {
        let run = Run::of(redirected(&place.bare(arguments), "> /dev/full"));
        run.fails(1, &["stdout: cannot print: no space left on the device"]);
        Run::of(redirected(&place.bare(arguments), ">&-")).succeeds();
    }
}

#[cfg(feature = "profile")]
#[test]
fn commands_for_other_programs_end_with_one_line_too() {
    use mnist_train::bench::child::Job;
    use mnist_train::model::mnist_cnn::MnistCnn;
    let place = Workplace::new();
    let network = MnistCnn { channels: 1, kernel_size: 1, hidden: 1 }.architecture().to_string();
    let small =
        program::line(&Job { stage: "naive".into(), network, images: 64, ..Job::default() });
    let (repeat, sample) = (format!("capped-run --seconds 1 {small}"), "--sampled --seconds 60");
    let full = Run::of(redirected(&place.command(&repeat), "> /dev/full"));
    full.fails(1, &["stdout: cannot print the results: no space left on the device"]);
    let perf = "program 1 1.0: 1 cycles:\n\tffff main (program)\n\n";
    fs::write(place.path("samples"), perf).unwrap();
    let draw = place.command("perf-flamegraph --event cycles --stage naive --out g.svg");
    let mut draw_alone = Command::new(draw.get_program());
    draw_alone.args(draw.get_args().take(7)).current_dir(draw.get_current_dir().unwrap());
    let full = Run::of(redirected(&draw_alone, "< samples > /dev/full"));
    full.fails(1, &["stdout: cannot print the results: no space left on the device"]);
    // The stdin of these commands is empty.
    for arguments in [format!("{repeat} {sample}"), format!("peak-memory {small}")] {
        let run = place.run(&arguments.replacen("--seconds 1 ", "", 1));
        if run.code != 0 {
            run.fails(1, &["stdin has ended"]);
        } else {
            assert!(arguments.starts_with("peak-memory"), "{run:?}");
        }
    }
}

#[cfg(not(feature = "mpi"))]
#[test]
fn several_processes_without_mpi_train_nothing_and_one_says_how_to_build_with_it() {
    let place = Workplace::new();
    let launchers = [
        ["OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"],
        ["PMI_RANK", "PMI_SIZE"],
        ["PMIX_RANK", "SLURM_STEP_NUM_TASKS"],
    ];
    let started = |rank: &str, count: &str, [of_rank, of_count]: [&str; 2]| {
        let mut command = place.command(TRAIN);
        command.env(of_rank, rank).env(of_count, count);
        Run::of(command)
    };
    for launcher in launchers {
        started("0", "2", launcher).fails(2, &["2 processes", "--features mpi"]);
        let silent = started("1", "2", launcher);
        assert_eq!((silent.code, &*silent.stdout, &*silent.stderr), (2, "", ""));
    }
    assert!(!place.path("ckpt.bin").exists());
    started("0", "1", launchers[0]).succeeds();
}
