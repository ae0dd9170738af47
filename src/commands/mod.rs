//! One verb a file. Only these, and [`crate::cli`], know that there is a terminal.

mod bench;
mod child;
mod data;
mod eval;
mod ladder;
mod output;
mod progress;
mod signals;
mod stages;
mod summary;
mod train;

use clap::ArgMatches;

use crate::cli::{Cli, Command};

/// Does what `cli`, parsed from `matches`, asks for.
///
/// # Errors
/// Whatever went wrong; a [`crate::error::Error`] inside knows its exit code.
pub fn run(cli: &Cli, matches: &ArgMatches) -> anyhow::Result<()> {
    match &cli.command {
        None => train::run(&cli.train, matches),
        Some(Command::Eval(args)) => eval::run(args),
        Some(Command::Summary(args)) => summary::run(args),
        Some(Command::Stages(args)) => stages::run(*args),
        Some(Command::Data(args)) => data::run(args),
        Some(Command::Bench(args)) => bench::run(&args.action),
    }
}
