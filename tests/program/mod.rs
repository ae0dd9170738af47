//! Runs the program as a user does, as a process in its own folder.

#![allow(dead_code)] // Each test file uses its own part.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use mnist_train::bench::child::Job;
use mnist_train::data::dataset::Dataset;
use mnist_train::data::files::Part;
use mnist_train::data::synthetic;
use serde_json::Value;

/// Longest duration of a run. A profile takes seconds, and minutes on a busy machine; a run that
/// takes longer hangs.
pub const LIMIT: Duration = Duration::from_secs(300);

/// Number of images to train on in [`digits`].
pub const TRAIN_IMAGES: usize = 400;
pub const TEST_IMAGES: usize = 150;

/// A folder with a few synthetic digits as IDX files. They are so few that the program takes them
/// for a custom dataset. They are drawn once and kept in the compiler's target folder.
pub fn digits() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let shelf = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let folder = shelf.join(format!("digits-{TRAIN_IMAGES}-{TEST_IMAGES}"));
        if !folder.exists() {
            let few = synthetic::generate(1, TRAIN_IMAGES, TEST_IMAGES);
            let unfinished = tempfile::tempdir_in(shelf).unwrap();
            save(&few, unfinished.path());
            // Another test process may have written the folder meanwhile.
            let renamed = fs::rename(unfinished.path(), &folder);
            assert!(renamed.is_ok() || folder.exists(), "{renamed:?}");
        }
        folder
    })
}

/// Writes `dataset` into `folder` as IDX files.
pub fn save(dataset: &Dataset, folder: &Path) {
    let test = dataset.test.as_ref().unwrap();
    fs::create_dir_all(folder).unwrap();
    for part in Part::ALL {
        let content = match part {
            Part::TrainImages => dataset.train.images_file().concat(),
            Part::TrainLabels => dataset.train.labels_file(),
            Part::TestImages => test.images_file().concat(),
            Part::TestLabels => test.labels_file(),
        };
        fs::write(folder.join(part.name()), content).unwrap();
    }
}

/// `job` as an argument, without spaces.
pub fn line(job: &Job) -> String {
    serde_json::to_string(job).unwrap()
}

/// An empty folder to run in.
pub struct Workplace {
    folder: tempfile::TempDir,
}

impl Workplace {
    pub fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap()
    }

    /// Names of the files in the folder, sorted.
    pub fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.folder.path()).unwrap();
        let name = |entry: std::io::Result<fs::DirEntry>| entry.unwrap().file_name();
        let mut names: Vec<_> = entries.map(|e| name(e).into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// Command that runs the program with `arguments`, separated by spaces, in an empty environment.
    pub fn bare(&self, arguments: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mnist-train"));
        command
            .args(arguments.split_whitespace())
            .current_dir(self.folder.path())
            .env_remove("MNIST_DATA")
            .env_remove("MNIST_MIRRORS")
            .stdin(Stdio::null());
        command
    }

    /// Command that runs the program with `arguments` on the dataset of [`digits`].
    pub fn command(&self, arguments: &str) -> Command {
        let mut command = self.bare(arguments);
        command.arg("--offline").arg("--data").arg(digits());
        command
    }

    /// Runs [`Self::command`] to its end.
    pub fn run(&self, arguments: &str) -> Run {
        Run::of(self.command(arguments))
    }
}

/// Exit code and output of a process that has ended.
#[derive(Debug)]
pub struct Run {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl From<Output> for Run {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code().expect("ended by itself, in time"),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

impl Run {
    /// Runs `command` to its end.
    pub fn of(command: Command) -> Self {
        assert_cmd::Command::from_std(command).timeout(LIMIT).output().unwrap().into()
    }

    #[track_caller]
    pub fn succeeds(self) -> Self {
        assert_eq!(self.code, 0, "{self:#?}");
        assert!(!self.stderr.contains("error:"), "{self:#?}");
        self
    }

    /// Checks that every line fits into a terminal of 80 columns.
    #[track_caller]
    pub fn fits_a_terminal(self) -> Self {
        for line in self.stdout.lines().chain(self.stderr.lines()) {
            assert!(line.chars().count() <= 80, "{} columns: {line}", line.chars().count());
        }
        self
    }

    /// Checks that the run ended with `code`, and that stderr has exactly one line of error, the
    /// last, which contains `words`.
    #[track_caller]
    pub fn fails(self, code: i32, words: &[&str]) -> Self {
        assert_eq!(self.code, code, "{self:#?}");
        let errors = self.stderr.lines().filter(|line| line.starts_with("error: ")).count();
        let error = self.stderr.lines().last().unwrap_or_default();
        assert!(errors == 1 && error.starts_with("error: "), "{self:#?}");
        for word in words {
            assert!(error.contains(word), "'{word}' is not in: {error}");
        }
        for trace in ["panicked", "RUST_BACKTRACE", "error: error"] {
            assert!(!self.stderr.contains(trace), "{self:#?}");
        }
        self
    }

    /// Checks that the run ended with one line about the command line, before it did anything.
    #[track_caller]
    pub fn rejects_flags(self, words: &[&str]) -> Self {
        assert_eq!(self.stdout, "");
        assert_eq!(self.stderr.lines().count(), 1, "{self:#?}");
        self.fails(2, words)
    }

    /// Lines of stdout, each of which must be a JSON object with an `event`.
    #[track_caller]
    pub fn events(&self) -> Vec<Value> {
        let event = |line| serde_json::from_str::<Value>(line).ok();
        self.stdout
            .lines()
            .map(|line| event(line).unwrap_or_else(|| panic!("not JSON: {line}")))
            .inspect(|event| assert!(event["event"].is_string(), "{event}"))
            .collect()
    }

    /// Last event on stdout, which must have this `kind`.
    #[track_caller]
    pub fn last(&self, kind: &str) -> Value {
        let last = self.events().pop().unwrap_or_else(|| panic!("{self:#?}"));
        assert_eq!(last["event"], kind, "{self:#?}");
        last
    }

    /// SHA-256 of the weights in the last event.
    #[track_caller]
    pub fn weights(&self) -> String {
        let last = self.events().pop().unwrap_or_else(|| panic!("{self:#?}"));
        let sha256 = last["weights_sha256"].as_str();
        sha256.unwrap_or_else(|| panic!("{last}")).into()
    }
}
