//! Parse, run, exit code.

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
            eprintln!("error: {}", escaped(&format!("{error:#}")));
            ExitCode::from(error.downcast_ref().map_or(1, Error::exit_code))
        }
    }
}
