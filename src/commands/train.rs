//! The command without a name: trains a model, saves it, and evaluates it after each epoch.

use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use super::batch_size;
use super::data;
use super::jobs;
use super::logs::Logs;
use super::output::Output;
use super::plan::TrainPlan;
use super::progress::TrainingProgress;
use super::signals::Signals;
use crate::cli::TrainArgs;
use crate::data::dataset::{Dataset, Split};
use crate::engine::Engine;
use crate::error::{Error, Result, printable};
use crate::files::durable;
use crate::files::lock::lock_for_writing;
use crate::measure::memory;
use crate::model::architecture::Architecture;
use crate::model::checkpoint::{self, Checkpoint, DatasetIdentity, Model, Validation};
use crate::model::parameters::{Parameters, TrainState};
use crate::model::recipe::Recipe;
use crate::optim::Optimizer;
use crate::ranks::Ranks;
use crate::report::{self, Done, Event, Exchanged, SCHEMA_VERSION};
use crate::training::checkpoints::Checkpoints;
use crate::training::trainer::{Outcome, Trainer};

/// Trains a model with the flags `args`, as rank 0 of the `ranks`, if there are several.
pub fn run(args: &TrainArgs, ranks: Option<&Ranks>) -> anyhow::Result<()> {
    let started = Instant::now();
    let output = Output::new(args.output, args.quiet);
    let signals = Signals::install(args.quiet)?;
    data::check_no_data_file("--model", &args.model, &args.data)?;
    let remedy = "choose a writable place with --model";
    let _lock = lock_for_writing(&args.model).map_err(|error| error.with_remedy(remedy))?;
    if let Some(log) = &args.log {
        data::check_no_data_file("--log", log, &args.data)?;
    }
    let mut logs = Logs::open(args)?;
    let saved = if args.resume { Some(saved(&args.model)?) } else { None };
    let metadata = saved.as_ref().map(|(network, saved)| (network, &saved.metadata));
    let format = data::format(&args.data)?;
    let mut plan = TrainPlan::new(args, format, metadata)?;
    if let Some(ranks) = ranks {
        plan.share(ranks.count(), args.recipe.given.contains_key("accumulate"))?;
    }
    if let Some(most) = plan.keep_previous {
        for model in [&plan.model].into_iter().chain(&plan.best_model) {
            checkpoint::check_replaceable(model)?;
            for previous in durable::previous_names(model, most)? {
                checkpoint::check_replaceable(&previous)?;
            }
        }
    }
    let weights = plan.init_from.as_ref().map(|path| checkpoint::weights(path, &plan.architecture));
    let weights = weights.transpose()?;
    plan.notes.iter().for_each(|note| output.note(note));

    let loading = Instant::now();
    let mut dataset = data::load(
        &args.data,
        plan.evaluate,
        plan.architecture.format(),
        plan.compute.threads,
        &output,
        &signals,
    )?;
    let clock = Clock { started, loading: loading.elapsed(), loaded: Instant::now() };
    prepare(&mut plan, &mut dataset, &output)?;
    let saved = saved.map(|(_, checkpoint)| checkpoint.state);
    if let Some(beginning) = plan.beginning(dataset.train.len()) {
        output.note(&beginning);
    }
    if let Some(signal) = signals.received() {
        let message = "interrupted before the first batch; nothing to save yet".into();
        return Err(Error::Interrupted { signal, message }.into());
    }
    let state = saved.map_or_else(|| beginning(&plan, &dataset.train, weights), Ok)?;
    let checkpoints = Checkpoints::start(&plan.model, plan.checkpoint_every, plan.keep_previous)?;
    let best = plan.best_model.as_ref().map(|path| Checkpoints::start(path, 1, plan.keep_previous));
    let best = best.transpose()?;
    let mut engine = match ranks {
        None => engine(&plan)?,
        Some(ranks) => {
            jobs::send_training(ranks, &plan, args.compute.threads(), &dataset, &state);
            let mut engine = ranks.check(engine(&plan))?;
            engine.join(ranks.clone());
            let stopping = signals.clone();
            ranks.give_up_after(move || stopping.received().is_some());
            engine
        }
    };
    engine.load(&state);
    drop(state);
    output.event(&Event::Start(start(&plan, &dataset, engine.threads(), ranks)));
    let mut progress =
        TrainingProgress::new(&output, &mut logs, signals, plan.epochs, plan.evaluate);
    let trainer = Trainer {
        engine: engine.as_mut(),
        dataset: &dataset,
        metadata: plan.metadata.clone(),
        epochs: plan.epochs,
        evaluate: plan.evaluate,
        eval_every: plan.eval_every,
        checkpoints: Some(checkpoints),
        best,
        patience: plan.patience,
        ranks: ranks.cloned(),
    };
    let outcome = trainer.run(&mut progress);
    progress.finish();
    let outcome = outcome?;
    if let Some(Validation { epoch, best_epoch, .. }) = outcome.validation
        && plan.patience.is_some()
        && (epoch as f64) < plan.epochs
    {
        output.note(&format!(
            "note: the run ends after epoch {epoch} of {}:\n\
             no validation after epoch {best_epoch} was better",
            plan.epochs,
        ));
    }
    let exchanged = ranks.map(|ranks| Exchanged::new(ranks.count(), outcome.exchanged));
    let done = done(&plan, &dataset, engine.as_ref(), &outcome, clock);
    let done = Done { ranks: exchanged, ..done };
    output.event(&Event::Done(done));
    output.finish()?;
    Ok(logs.finish()?)
}

/// Checkpoint from which the run goes on, and its network.
fn saved(path: &Path) -> Result<(Architecture, Checkpoint)> {
    match checkpoint::read(path, None) {
        Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            Err(Error::Unavailable(format!(
                "{}: no such file to resume: leave --resume out to start anew",
                printable(path)
            )))
        }
        Err(error) => Err(error),
        Ok((architecture, Model::Checkpoint(checkpoint))) => Ok((architecture, *checkpoint)),
        Ok((_, Model::Weights(_))) => Err(Error::invalid(path)(
            "holds weights alone, and --resume needs the whole checkpoint with the \
             optimizer's state: evaluate it with 'mnist-train eval'",
        )),
    }
}

/// Leaves the images of the plan in `dataset`, and tells the plan which dataset they come from. Also
/// chooses the size of the batches, if that is wanted.
///
/// # Errors
/// The errors of [`TrainPlan::images`].
pub(super) fn prepare(plan: &mut TrainPlan, dataset: &mut Dataset, output: &Output) -> Result<()> {
    let sha256s = dataset.sha256s().map(|sha256| sha256.to_string());
    // The test files may have been missing when the run began.
    let same = sha256s.iter().find(|sha256| **sha256 == plan.metadata.dataset.sha256);
    let identity = DatasetIdentity {
        name: dataset.kind().name().into(),
        sha256: same.unwrap_or(&sha256s[0]).clone(),
        class_names: dataset.class_names.clone(),
    };
    let images = plan.images(&identity, dataset.train.len())?;
    plan.metadata.dataset = identity;
    if let Some(images) = plan.metadata.recipe.validation {
        dataset.hold_out(images);
    }
    dataset.train.truncate(images);
    if plan.auto_batch_size {
        let TrainPlan { stage, architecture, metadata, .. } = plan;
        let recipe = &mut metadata.recipe;
        let needed =
            |batch_size| stage.memory_bytes(architecture, &Recipe { batch_size, ..recipe.clone() });
        let choice = batch_size::choose(images, memory::available_bytes(), needed);
        output.note(&choice.to_string());
        recipe.batch_size = choice.batch_size;
        recipe.contradiction().map_or(Ok(()), |problem| Err(Error::Usage(problem)))?;
    }
    Ok(())
}

/// State in which a new run begins: with these initial `weights`, or else with those by which the recipe
/// begins a training on the images `train`.
pub(super) fn beginning(
    plan: &TrainPlan,
    train: &Split,
    weights: Option<Parameters>,
) -> Result<TrainState> {
    let TrainPlan { architecture, stage, metadata, .. } = plan;
    let recipe = &metadata.recipe;
    // Parameters are made once memory is known to suffice for the engine too.
    memory::check_available(stage.memory_bytes(architecture, recipe))?;
    let random = || recipe.initial_parameters(architecture, train);
    Ok(TrainState::new(weights.unwrap_or_else(random), Optimizer::from(recipe).slots()))
}

/// Engine of the plan, if there is memory for it.
pub(super) fn engine(plan: &TrainPlan) -> Result<Box<dyn Engine>> {
    let TrainPlan { architecture, stage, compute, metadata, .. } = plan;
    memory::check_available(stage.memory_bytes(architecture, &metadata.recipe))?;
    stage.build(architecture, &metadata.recipe, *compute)
}

/// Report that is printed before the first step.
pub(super) fn start(
    plan: &TrainPlan,
    dataset: &Dataset,
    threads: usize,
    ranks: Option<&Ranks>,
) -> report::Start {
    let TrainPlan { architecture, stage, compute, metadata, .. } = plan;
    report::Start {
        schema: SCHEMA_VERSION,
        version: env!("CARGO_PKG_VERSION"),
        dataset: dataset.kind().name().into(),
        dataset_description: dataset.kind().to_string(),
        dataset_sha256: metadata.dataset.sha256.clone(),
        train_images: dataset.train.len(),
        validation_images: dataset.validation.as_ref().map(Split::len),
        test_images: dataset.test.as_ref().map_or(0, Split::len),
        stage: stage.name.into(),
        engine: stage.engine.name().into(),
        products: stage.precision.name(),
        isa: stage.vectorized.then_some(compute.isa),
        threads,
        ranks: ranks.map(Ranks::count),
        architecture: architecture.to_string(),
        parameters: architecture.parameter_count(),
        recipe: metadata.recipe.clone(),
        epochs: plan.epochs,
        first_epoch: metadata.position.epoch,
    }
}

/// Times of a run before its first step.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock {
    /// Beginning of the run.
    pub started: Instant,
    /// Duration of loading the data.
    pub loading: Duration,
    /// Time from which on the images were in memory.
    pub loaded: Instant,
}

/// Report that is printed after the last step.
pub(super) fn done(
    plan: &TrainPlan,
    dataset: &Dataset,
    engine: &dyn Engine,
    outcome: &Outcome,
    clock: Clock,
) -> report::Done {
    let Outcome { training, evaluation, predicted, last, epochs, validation, .. } = outcome;
    let state = engine.store();
    report::Done {
        train_seconds: training.as_secs_f64(),
        load_seconds: clock.loading.as_secs_f64(),
        eval_seconds: evaluation.as_secs_f64(),
        clock_seconds: predicted.duration_since(clock.loaded).as_secs_f64(),
        total_seconds: clock.started.elapsed().as_secs_f64(),
        peak_rss_bytes: memory::peak_rss_bytes(),
        test_correct: last.as_ref().map(|evaluation| evaluation.correct),
        test_total: last.as_ref().map(|evaluation| evaluation.total),
        best_epoch: validation.map(|validation| validation.best_epoch),
        best_validation_correct: validation.map(|validation| validation.best_correct),
        best_model: plan.best_model.as_ref().map(|path| path.to_string_lossy().into_owned()),
        weights_sha256: state.parameters.sha256().to_string(),
        model: Some(plan.model.to_string_lossy().into_owned()),
        stage: plan.stage.name.into(),
        products: plan.stage.precision.name(),
        threads: engine.threads(),
        dataset: dataset.kind().name().into(),
        epochs: *epochs,
        steps: state.steps,
        ranks: None,
    }
}
