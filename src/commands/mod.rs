//! The commands of the program, one in each file. Only they and [`crate::cli`] use the terminal.

mod augmented;
mod batch_size;
mod bench;
mod bench_all;
mod bench_files;
mod completions;
mod config;
mod data;
mod eval;
mod export;
pub mod follow;
mod gate;
mod gradcheck;
pub mod jobs;
mod logs;
mod man;
mod output;
mod peak_memory;
mod plan;
mod predict;
#[cfg(feature = "profile")]
mod profile;
mod progress;
mod records;
mod report;
#[cfg(feature = "plots")]
mod run_report;
mod signals;
mod stages;
mod summary;
mod sweep;
mod train;
#[cfg(feature = "plots")]
mod trend;

use crate::cli::{Cli, Command, ConfigAction, TrainArgs};
use crate::error::Error;
use crate::ranks::Ranks;

/// Runs the command that `cli` names, as rank 0 of the `ranks`, if there are several.
///
/// # Errors
/// Any error of the command. If it is a [`crate::error::Error`], it knows its exit code.
pub fn run(cli: &Cli, ranks: Option<&Ranks>) -> anyhow::Result<()> {
    let is_shared = match &cli.command {
        None => !cli.train.profile.profile,
        Some(command) => matches!(command, Command::Sweep(_)),
    };
    if let Some(ranks) = ranks.filter(|_| !is_shared) {
        let count = ranks.count();
        return Err(Error::Usage(format!(
            "started as {count} processes, and only training and sweeps are shared: start this command alone"
        ))
        .into());
    }
    match &cli.command {
        None if cli.train.profile.profile => profile(&cli.train),
        None => train::run(&cli.train, ranks),
        Some(Command::Eval(args)) => eval::run(args),
        Some(Command::Predict(args)) => predict::run(args),
        Some(Command::Sweep(args)) => sweep::run(args, ranks),
        Some(Command::Records(args)) => records::run(args),
        Some(Command::Export(args)) => export::run(args),
        Some(Command::Summary(args)) => summary::run(args),
        Some(Command::Gradcheck(args)) => gradcheck::run(args),
        Some(Command::Stages(args)) => stages::run(*args),
        Some(Command::Data(args)) => data::run(args),
        Some(Command::Bench(args)) => bench::run(&args.action),
        Some(Command::Report(args)) => report::run(args),
        Some(Command::Config(args)) => {
            let ConfigAction::Show(args) = &args.action;
            config::run(args, &cli.settings)
        }
        Some(Command::Completions { shell }) => completions::run(*shell),
        Some(Command::Man) => man::run(),
        Some(Command::PeakMemory(args)) => peak_memory::run(args),
        #[cfg(feature = "profile")]
        Some(Command::CappedRun(args)) => profile::capped_run(args),
        #[cfg(feature = "profile")]
        Some(Command::PerfFlamegraph(args)) => profile::perf_flamegraph(args),
    }
}

#[cfg(feature = "profile")]
fn profile(args: &TrainArgs) -> anyhow::Result<()> {
    profile::run(args)
}

#[cfg(not(feature = "profile"))]
fn profile(_: &TrainArgs) -> anyhow::Result<()> {
    let problem = "--profile: this program was built without profiles";
    let remedy = "build it with 'cargo build --release --features profile'";
    Err(Error::Usage(format!("{problem}: {remedy}")).into())
}
