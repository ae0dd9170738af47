//! Child processes of this program. A child runs one job, which it gets as one line of JSON.

use std::env;
use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::process::{self, Command, ExitStatus, Stdio};
use std::thread;

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};

use super::contestant::Contestant;
use crate::data::dataset::ImageFormat;
use crate::engine::compute::Compute;
use crate::error::{Error, Result, explained};
use crate::measure::machine;
use crate::model::architecture::Architecture;
use crate::model::mnist_cnn::MnistCnn;
use crate::model::presets;
use crate::model::recipe::Recipe;
use crate::simd::Isa;
use crate::stages::Stage;
use crate::team::STACK_BYTES;

/// Training that all child processes of a measurement have in common.
#[derive(Debug)]
pub struct Workload {
    /// Hyperparameters of the training.
    pub recipe: Recipe,
    /// Network that is trained.
    pub architecture: Architecture,
    /// Vector instructions of the stages that can choose them.
    pub isa: Isa,
    /// Flags that name the data.
    pub data: Vec<OsString>,
}

impl Workload {
    /// Command line of this program with `verb`, which trains the first `images` images with
    /// `contestant`.
    ///
    /// # Errors
    /// When the operating system does not say where this program is.
    pub fn command(
        &self,
        verb: &str,
        contestant: Contestant,
        images: usize,
    ) -> anyhow::Result<Command> {
        let ImageFormat { rows, columns, .. } = self.architecture.format();
        let job = Job {
            stage: contestant.stage.name.into(),
            threads: contestant.threads,
            isa: self.isa,
            network: self.architecture.to_string(),
            sides: [rows, columns],
            recipe: self.recipe.clone(),
            images,
        };
        let mut command = Command::new(this_program()?);
        // The parent has already downloaded all data that can be downloaded.
        command.args([verb, &serde_json::to_string(&job)?, "--offline"]);
        // Flags, and not a part of the job: JSON has no way to write a path that is not UTF-8.
        command.args(&self.data);
        Ok(command)
    }
}

/// Job of one child process. A field that is left out has its default: the default network on a
/// thousand images, trained by the fastest exact stage on all threads.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Job {
    /// Name of the stage.
    pub stage: String,
    /// Largest number of threads.
    pub threads: usize,
    /// Vector instructions, if the stage can choose them.
    pub isa: Isa,
    /// Text of the network.
    pub network: String,
    /// Number of rows and columns of the images that it takes.
    pub sides: [usize; 2],
    /// Hyperparameters of the training.
    pub recipe: Recipe,
    /// Largest number of images to train on; they are the first ones of the dataset.
    pub images: usize,
}

impl Default for Job {
    fn default() -> Self {
        let architecture = MnistCnn::default().architecture();
        Self {
            stage: Stage::fastest_exact(&architecture, &Recipe::default()).name.into(),
            threads: machine::threads(),
            isa: Isa::detect(),
            network: architecture.to_string(),
            sides: [ImageFormat::MNIST.rows, ImageFormat::MNIST.columns],
            recipe: Recipe::default(),
            images: 1000,
        }
    }
}

impl Job {
    /// Job that `json` describes.
    ///
    /// # Errors
    /// The reason why this program cannot do the job.
    pub fn parse(json: &str) -> std::result::Result<Self, String> {
        let job: Self = serde_json::from_str(json).map_err(|error| error.to_string())?;
        let Self { stage, threads, isa, network, sides, recipe, images: _ } = &job;
        if let Some((field, found)) = recipe.invalid() {
            return Err(format!("{} is {found}, expected {}", field.name, field.valid));
        }
        if let Some(problem) = recipe.contradiction() {
            return Err(problem);
        }
        if *threads == 0 || !isa.is_available() {
            return Err("has threads or instructions that are not possible".into());
        }
        let stage = Stage::find(stage).ok_or_else(|| format!("there is no stage {stage}"))?;
        stage.unmet(&of_images(network, *sides)?, recipe, *isa).map_or(Ok(job), Err)
    }

    /// Network that the job trains.
    pub fn architecture(&self) -> Architecture {
        of_images(&self.network, self.sides).expect("a job is checked when it is read")
    }

    /// Stage that the job names.
    pub fn stage(&self) -> &'static Stage {
        Stage::find(&self.stage).expect("the stage of a job is in the table")
    }

    /// Resources that the stage may compute with.
    pub fn compute(&self) -> Compute {
        Compute { threads: self.threads, isa: self.isa }
    }
}

/// Path of this program.
///
/// # Errors
/// When the operating system does not say it.
pub fn this_program() -> anyhow::Result<PathBuf> {
    env::current_exe().context("cannot find this program's file")
}

/// Output of the child process `command`. One that runs for long should [end with this
/// process](end_with_parent).
///
/// # Errors
/// When the child cannot be started, or when it fails; then the error is the last line that it has
/// written to stderr.
pub fn stdout(mut command: Command) -> anyhow::Result<Vec<u8>> {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| {
        Error::Unavailable(format!("cannot run this program once more: {}", explained(&error)))
    })?;
    let lifeline = child.stdin.take();
    let run = child.wait_with_output().context("cannot wait for a process")?;
    drop(lifeline);
    if !run.status.success() {
        let said = String::from_utf8_lossy(&run.stderr);
        let last = said.lines().last().unwrap_or_default().trim_start_matches("error: ");
        bail!(ended_by_signal(run.status).unwrap_or_else(|| match last {
            "" => "its process ended without a word".into(),
            said => said.into(),
        }));
    }
    Ok(run.stdout)
}

/// Message about a process that a signal has ended; `None` if it has ended in another way.
pub(super) fn ended_by_signal(status: ExitStatus) -> Option<String> {
    #[cfg(unix)]
    let signal = std::os::unix::process::ExitStatusExt::signal(&status);
    #[cfg(not(unix))]
    let signal: Option<i32> = None;
    signal.map(|signal| format!("its process was ended by signal {signal}"))
}

/// Ends this process when the parent that called [`stdout`] ends, for whatever reason. Calls
/// `cleaning_up` before.
///
/// # Errors
/// [`Error::Unavailable`] when the operating system refuses a thread.
pub fn end_with_parent(cleaning_up: fn()) -> Result<()> {
    let wait = move || {
        _ = io::stdin().read_to_end(&mut Vec::new());
        _ = writeln!(
            io::stderr(),
            "error: stdin has ended, and with it the program that wants the answer"
        );
        cleaning_up();
        process::exit(1);
    };
    let thread = thread::Builder::new().name("lifeline".into()).stack_size(STACK_BYTES);
    thread.spawn(wait).map(|_| ()).map_err(Error::threads(1))
}

/// Network that `text` describes, for images with these `sides`.
fn of_images(text: &str, [rows, columns]: [usize; 2]) -> std::result::Result<Architecture, String> {
    presets::network(text, ImageFormat { rows, columns, ..ImageFormat::MNIST })
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn a_job_comes_back_from_its_json_and_is_checked() {
        let recipe = Recipe { lr: 0.1 + 0.2, seed: u64::MAX, ..Recipe::default() };
        let job = Job { stage: "gemm".into(), threads: 3, recipe, ..Job::default() };
        let line = serde_json::to_string(&job).unwrap();
        let read = Job::parse(&line).unwrap();
        assert_eq!((read.stage().name, read.threads), ("gemm", 3));
        assert_eq!(read.recipe, job.recipe);
        let default = MnistCnn::default().architecture();
        assert_eq!(Job::parse("{}").unwrap().architecture(), default);
        for (job, problem) in [
            ("{", "EOF"),
            (r#"{"stages":"gemm"}"#, "unknown field `stages`"),
            (r#"{"stage":"fastest"}"#, "there is no stage fastest"),
            (r#"{"threads":0}"#, "not possible"),
            (r#"{"stage":"fused","network":"flatten,fc10"}"#, "alone"),
            (r#"{"network":"flatten,fc"}"#, "layer 2 'fc': needs the number of outputs"),
        ] {
            let found = Job::parse(job).unwrap_err();
            assert!(found.contains(problem), "{job}: {found}");
        }
        let no_images = line.replace(r#""batch_size":64"#, r#""batch_size":0"#);
        let expected = "batch_size is 0, expected 1 or more";
        assert_eq!(Job::parse(&no_images).unwrap_err(), expected);
    }

    #[test]
    fn a_process_that_fails_always_has_a_reason() {
        let reason = |script: &str| {
            let mut shell = Command::new("sh");
            shell.args(["-c", script]);
            stdout(shell).unwrap_err().to_string()
        };
        assert_eq!(reason("exit 3"), "its process ended without a word");
        assert_eq!(reason("kill -9 $$"), "its process was ended by signal 9");
        assert_eq!(reason("echo a note; echo error: disk on fire >&2; exit 1"), "disk on fire");
        let missing = stdout(Command::new("/nowhere/program")).unwrap_err();
        let expected = "cannot run this program once more: no such file or directory";
        assert_eq!(missing.to_string(), expected);
    }
}
