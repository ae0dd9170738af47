//! Parses the command line, runs the command and exits with its code.

use std::io::{self, Write};
use std::process::{self, ExitCode};
use std::sync::Arc;

use clap::error::ErrorKind;
use mnist_train::cli::{self, Cli, Failure};
use mnist_train::commands;
use mnist_train::error::{Error, escaped, explained};
use mnist_train::measure::allocations::CountingAllocator;
use mnist_train::ranks::{Ranks, launched};
use signal_hook::consts::SIGXFSZ;

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

fn main() -> ExitCode {
    let ranks = match launched::ranks() {
        Ok(ranks) => ranks,
        Err(error) => return ExitCode::from(failed(&error)),
    };
    let code = match &ranks {
        Some(ranks) if ranks.rank() > 0 => {
            // A rank that returned would wait for the others to end MPI.
            commands::follow::run(ranks)
                .unwrap_or_else(|error| process::exit(failed(&error).into()))
        }
        Some(ranks) => {
            let code = run(Some(ranks));
            commands::jobs::end(ranks, code);
            code
        }
        None => run(None),
    };
    ExitCode::from(code)
}

/// Runs the command line, as rank 0 of the `ranks`, if there are several. Returns the exit code.
fn run(ranks: Option<&Ranks>) -> u8 {
    let cli = match Cli::of_process() {
        Ok(cli) => cli,
        Err(Failure::Own(error)) => return failed(&error),
        // clap returns the help and the version as errors too.
        Err(Failure::Clap(error)) if !error.use_stderr() => {
            return match error.print().and_then(|()| io::stdout().flush()) {
                // A closed pipe is no failure: its reader has read all that it wanted.
                Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                    ended_by_error(&format!("stdout: cannot print: {}", explained(&error)), 1)
                }
                _ => 0,
            };
        }
        Err(Failure::Clap(error))
            if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand =>
        {
            _ = error.print();
            return 2;
        }
        Err(Failure::Clap(error)) => return ended_by_error(&cli::one_line(error), 2),
    };
    // With this handler, a file that exceeds the size limit is an error of writing, like a full
    // disk; without it, the signal would end the program.
    if let Err(error) = signal_hook::flag::register(SIGXFSZ, Arc::default()) {
        return ended_by_error(&format!("cannot listen to signals: {}", explained(&error)), 1);
    }
    match commands::run(&cli, ranks) {
        Ok(()) => 0,
        // The message of the program's own error is complete; other errors are printed with their
        // causes.
        Err(error) => match error.downcast_ref::<Error>() {
            Some(own) => failed(own),
            None => ended_by_error(&format!("{error:#}"), 1),
        },
    }
}

/// Prints `error`, unless another rank does, and returns its exit code.
fn failed(error: &Error) -> u8 {
    match error {
        // Everything worth keeping is saved, so this is not called an error.
        Error::Interrupted { message, .. } => ended(message, error.exit_code()),
        Error::OfAnotherRank => error.exit_code(),
        _ => ended_by_error(&error.to_string(), error.exit_code()),
    }
}

/// Prints `message` as the error and returns `code`.
fn ended_by_error(message: &str, code: u8) -> u8 {
    // A shell does not replace the ~ of a path in quotes, as in MNIST_DATA='~/mnist'.
    let home =
        if message.starts_with('~') { "; ~ is no home folder here: write $HOME" } else { "" };
    ended(&format!("error: {message}{home}"), code)
}

/// Prints `line` to stderr and returns `code`.
fn ended(line: &str, code: u8) -> u8 {
    // Not `eprintln`, which panics when stderr is closed.
    _ = writeln!(io::stderr(), "{}", cli::wrapped(&escaped(line)));
    code
}
