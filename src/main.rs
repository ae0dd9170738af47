//! Parse, run, exit code.

use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;
use mnist_train::cli::{self, Cli};
use mnist_train::commands;
use mnist_train::error::{Error, escaped, explained};
use mnist_train::measure::allocations::CountingAllocator;
use signal_hook::consts::SIGXFSZ;

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        // The help and the version come this way too.
        Err(error) if !error.use_stderr() => {
            return match error.print().and_then(|()| io::stdout().flush()) {
                // A reader that has gone away has read all it wanted.
                Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                    failed(&format!("stdout: cannot print: {}", explained(&error)), 1)
                }
                _ => ExitCode::SUCCESS,
            };
        }
        Err(error) => return failed(&cli::one_line(error), 2),
    };
    // A file that may not grow is then a failure to write, like a full disk, and not the end.
    if let Err(error) = signal_hook::flag::register(SIGXFSZ, Arc::default()) {
        return failed(&format!("cannot listen to signals: {}", explained(&error)), 1);
    }
    match commands::run(&cli) {
        Ok(()) => ExitCode::SUCCESS,
        // An error of our own says everything itself; others come with their causes.
        Err(error) => match error.downcast_ref::<Error>() {
            Some(own) => failed(&own.to_string(), own.exit_code()),
            None => failed(&format!("{error:#}"), 1),
        },
    }
}

fn failed(message: &str, code: u8) -> ExitCode {
    // Not `eprintln`, which panics when nobody reads.
    _ = writeln!(io::stderr(), "error: {}", escaped(message));
    ExitCode::from(code)
}
