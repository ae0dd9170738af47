//! Parse, run, exit code.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches};
use mnist_train::cli::Cli;
use mnist_train::commands;
use mnist_train::error::{Error, escaped};

fn main() -> ExitCode {
    let matches = Cli::command().get_matches();
    let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    match commands::run(&cli, &matches) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // An error of our own says everything itself; others come with their causes.
            let (message, code) = match error.downcast_ref::<Error>() {
                Some(own) => (own.to_string(), own.exit_code()),
                None => (format!("{error:#}"), 1),
            };
            _ = writeln!(io::stderr(), "error: {}", escaped(&message));
            ExitCode::from(code)
        }
    }
}
