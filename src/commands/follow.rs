//! What the ranks above 0 do: the jobs of rank 0, with the same code.

use std::process;
use std::time::Duration;

use super::jobs::{self, Job, SweepJob, Sweeping, Training};
use super::output::Output;
use super::plan::TrainPlan;
use super::progress::SweepProgress;
use super::signals::Signals;
use super::sweep::{self, Run};
use crate::cli::{self, OutputArgs, Point};
use crate::data::dataset::ImageFormat;
use crate::data::known::Layout;
use crate::engine::Engine;
use crate::engine::compute::Compute;
use crate::error::{Error, Result};
use crate::files::durable::Kept;
use crate::measure::{machine, memory};
use crate::model::architecture::Architecture;
use crate::model::checkpoint::{Checkpoint, EpochRecord, Metadata};
use crate::ranks::Ranks;
use crate::simd::Isa;
use crate::stages::Stage;
use crate::training::checkpoints::Checkpoints;
use crate::training::observer::{EpochReport, Observer, Progress};
use crate::training::trainer::Trainer;

/// Does the jobs of rank 0 until it ends, and returns its exit code. Prints only the error by which this rank
/// ends alone.
///
/// # Errors
/// [`Error::Unavailable`] when the operating system refuses to tell of signals.
pub fn run(ranks: &Ranks) -> Result<u8> {
    let signals = Signals::install(true)?;
    loop {
        let done = match jobs::receive(ranks) {
            Job::End { code } => return Ok(code),
            Job::Train(training) => train(&training, ranks, &signals),
            Job::Sweep(sweeping) => sweep(&sweeping, ranks, &signals),
        };
        match done {
            Ok(()) => {}
            // The run has ended on all ranks, and rank 0 says why.
            Err(_) if ranks.is_idle() => {}
            Err(error) => {
                eprintln!("error: rank {}: {error}", ranks.rank());
                process::exit(error.exit_code().into());
            }
        }
    }
}

/// Takes part in a training.
fn train(training: &Training, ranks: &Ranks, signals: &Signals) -> Result<()> {
    let (architecture, checkpoint) = jobs::receive_beginning(ranks);
    let dataset = jobs::receive_dataset(ranks, training.sides, Layout::UPRIGHT);
    let Checkpoint { state, metadata } = checkpoint;
    let parts = parts(training, &architecture, &metadata);
    let (mut engine, checkpoints, best) = ranks.check(parts)?;
    engine.join(ranks.clone());
    engine.load(&state);
    let trainer = Trainer {
        engine: engine.as_mut(),
        dataset: &dataset,
        metadata,
        epochs: training.epochs,
        evaluate: training.evaluate,
        eval_every: training.eval_every,
        checkpoints: Some(checkpoints),
        best,
        patience: training.patience,
        ranks: Some(ranks.clone()),
    };
    trainer.run(&mut Silent(signals))?;
    // Rank 0 reports the digest of the weights.
    engine.store();
    Ok(())
}

/// Engine, and destinations of checkpoints that keep nothing.
fn parts(
    training: &Training,
    architecture: &Architecture,
    metadata: &Metadata,
) -> Result<(Box<dyn Engine>, Checkpoints, Option<Checkpoints>)> {
    let stage = Stage::find(&training.stage).expect("rank 0 runs the same program");
    let isa = Isa::find(&training.isa).expect("rank 0 runs the same program");
    if stage.vectorized && !stage.isas(architecture, &metadata.recipe).contains(&isa) {
        return Err(Error::Unavailable(format!(
            "the CPU has no {isa}, which rank 0 uses: choose what all have with --isa"
        )));
    }
    let compute = Compute { threads: training.threads.unwrap_or_else(machine::threads), isa };
    memory::check_available(stage.memory_bytes(architecture, &metadata.recipe))?;
    let engine = stage.build(architecture, &metadata.recipe, compute)?;
    let best = training.keeps_best.then(|| Checkpoints::nowhere(1)).transpose()?;
    Ok((engine, Checkpoints::nowhere(training.checkpoint_every)?, best))
}

/// Trains the runs of a sweep that are this rank's.
fn sweep(sweeping: &Sweeping, ranks: &Ranks, signals: &Signals) -> Result<()> {
    let mut dataset = jobs::receive_dataset(ranks, sweeping.sides, sweeping.layout);
    dataset.class_names.clone_from(&sweeping.class_names);
    let output = Output::new(OutputArgs { json: false }, true);
    loop {
        let runs = jobs::receive_runs(ranks);
        if runs.is_empty() {
            return Ok(());
        }
        let train = |run: &SweepJob| {
            let training = Point::of(run.words.iter().map(Into::into).collect()).training(run.seed);
            let training = training.map_err(|error| Error::Usage(cli::one_line(error)))?;
            let [rows, columns] = sweeping.sides;
            let format = ImageFormat { rows, columns, classes: sweeping.classes };
            let run = Run {
                plan: TrainPlan::new(&training, format, None)?,
                dataset: dataset.clone(),
                kind: sweeping.dataset.clone(),
                loading: Duration::from_secs_f64(sweeping.load_seconds),
            };
            let mut progress = SweepProgress::new(&output, signals.clone(), 1);
            run.prepared(&output)?.train(&mut progress)
        };
        let result = runs.get(ranks.rank()).map_or(Ok(String::new()), train);
        sweep::gather(ranks, result);
    }
}

/// Observer of a rank above 0, which prints nothing.
struct Silent<'a>(&'a Signals);

impl Observer for Silent<'_> {
    fn begin(&mut self, _: usize, _: &[EpochRecord]) {}
    fn batch(&mut self, _: &Progress) {}
    fn epoch(&mut self, _: &EpochReport) {}
    fn large_gradient(&mut self, _: f64) {}
    fn kept_previous(&mut self, _: &Kept) {}

    fn stop(&self) -> Option<i32> {
        self.0.received()
    }
}
