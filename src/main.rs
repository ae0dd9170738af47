//! Parses the command line, runs the command and exits with its code.

use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::Arc;

use clap::error::ErrorKind;
use mnist_train::cli::{self, Cli, Failure};
use mnist_train::commands;
use mnist_train::error::{Error, escaped, explained};
use mnist_train::measure::allocations::CountingAllocator;
use signal_hook::consts::SIGXFSZ;

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

fn main() -> ExitCode {
    let cli = match Cli::of_process() {
        Ok(cli) => cli,
        Err(Failure::Own(error)) => return failed(&error.to_string(), error.exit_code()),
        // clap returns the help and the version as errors too.
        Err(Failure::Clap(error)) if !error.use_stderr() => {
            return match error.print().and_then(|()| io::stdout().flush()) {
                // A closed pipe is no failure: its reader has read all that it wanted.
                Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                    failed(&format!("stdout: cannot print: {}", explained(&error)), 1)
                }
                _ => ExitCode::SUCCESS,
            };
        }
        Err(Failure::Clap(error))
            if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand =>
        {
            _ = error.print();
            return ExitCode::from(2);
        }
        Err(Failure::Clap(error)) => return failed(&cli::one_line(error), 2),
    };
    // With this handler, a file that exceeds the size limit is an error of writing, like a full
    // disk; without it, the signal would end the program.
    if let Err(error) = signal_hook::flag::register(SIGXFSZ, Arc::default()) {
        return failed(&format!("cannot listen to signals: {}", explained(&error)), 1);
    }
    match commands::run(&cli) {
        Ok(()) => ExitCode::SUCCESS,
        // The message of the program's own error is complete; other errors are printed with their
        // causes.
        Err(error) => match error.downcast_ref::<Error>() {
            // Everything worth keeping is saved, so this is not called an error.
            Some(own @ Error::Interrupted { message, .. }) => ended(message, own.exit_code()),
            Some(own) => failed(&own.to_string(), own.exit_code()),
            None => failed(&format!("{error:#}"), 1),
        },
    }
}

/// Prints `message` as the error and returns `code`.
fn failed(message: &str, code: u8) -> ExitCode {
    // A shell does not replace the ~ of a path in quotes, as in MNIST_DATA='~/mnist'.
    let home =
        if message.starts_with('~') { "; ~ is no home folder here: write $HOME" } else { "" };
    ended(&format!("error: {message}{home}"), code)
}

/// Prints `line` to stderr and returns `code`.
fn ended(line: &str, code: u8) -> ExitCode {
    // Not `eprintln`, which panics when stderr is closed.
    _ = writeln!(io::stderr(), "{}", cli::wrapped(&escaped(line)));
    ExitCode::from(code)
}
