//! Runs this program once more, in a process of its own, on the same job.

use std::env;
use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::process::{self, Command, ExitStatus, Stdio};
use std::thread;

use anyhow::{Context, bail};

use crate::bench::contestant::Contestant;
use crate::cli::{DataArgs, NetworkArgs};
use crate::error::{Error, Result, explained};
use crate::model::mnist_cnn::MnistCnn;
use crate::model::recipe::{Field, Recipe};
use crate::simd::Isa;

/// What is trained, on what.
pub struct Job<'a> {
    /// Every hyperparameter.
    pub recipe: &'a Recipe,
    /// The sizes of the network.
    pub network: &'a NetworkArgs,
    /// Where images come from.
    pub data: &'a DataArgs,
    /// Vector instructions of the stages that can choose.
    pub isa: Isa,
}

impl Job<'_> {
    /// This program with `verb`, set to do the job by `contestant` on the first images, at most
    /// `max_samples`.
    pub fn command(
        &self,
        verb: &str,
        contestant: Contestant,
        max_samples: usize,
    ) -> anyhow::Result<Command> {
        let Contestant { stage, threads } = contestant;
        let MnistCnn { channels, kernel_size, hidden } = MnistCnn::from(self.network);
        let mut command = Command::new(this_program()?);
        command.arg(verb);
        command.args([format!("--stage={}", stage.name), format!("--threads={threads}")]);
        if stage.vectorized {
            command.arg(format!("--isa={}", self.isa));
        }
        let recipe = Recipe { max_samples: Some(max_samples), ..self.recipe.clone() };
        let values = serde_json::to_value(recipe)?;
        for Field { name, .. } in Recipe::FIELDS {
            let value =
                values[name].as_str().map_or_else(|| values[name].to_string(), str::to_string);
            command.arg(format!("--{}={value}", name.replace('_', "-")));
        }
        command.args([format!("--channels={channels}"), format!("--kernel-size={kernel_size}")]);
        command.arg(format!("--hidden={hidden}"));
        // What could be downloaded has been.
        command.arg("--offline");
        if let Some(directory) = self.data.directory() {
            command.arg("--data").arg(directory);
        }
        Ok(command)
    }
}

fn this_program() -> anyhow::Result<PathBuf> {
    env::current_exe().context("cannot find this program's file")
}

/// What `command`, whose verb lets it [end with this process](end_with_parent), prints.
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

/// What is to be said of a process that a signal has ended.
fn ended_by_signal(status: ExitStatus) -> Option<String> {
    #[cfg(unix)]
    let signal = std::os::unix::process::ExitStatusExt::signal(&status);
    #[cfg(not(unix))]
    let signal: Option<i32> = None;
    signal.map(|signal| format!("its process was ended by signal {signal}"))
}

/// Ends this process when the one that has started it with [`stdout`] does, however that ends, after
/// `cleaning_up`.
///
/// # Errors
/// [`Error::Unavailable`] when the operating system refuses a thread.
pub fn end_with_parent(cleaning_up: fn()) -> Result<()> {
    let wait = move || {
        _ = io::stdin().read_to_end(&mut Vec::new());
        _ = writeln!(io::stderr(), "error: stdin has ended, and with it whoever wants the answer");
        cleaning_up();
        process::exit(1);
    };
    let thread = thread::Builder::new().name("lifeline".into());
    thread.spawn(wait).map(|_| ()).map_err(Error::threads(1))
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

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
