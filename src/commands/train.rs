//! `mnist-train`: train, save, evaluate.

use std::io;
use std::time::Instant;

use serde::Serialize;
use serde_json::{Map, Value};

use super::data;
use super::output::Output;
use super::progress::TrainingProgress;
use super::signals::Signals;
use crate::cli::TrainArgs;
use crate::data::dataset::Dataset;
use crate::engine::compute::Compute;
use crate::error::{Error, Result, printable, quoted};
use crate::files::lock::lock_for_writing;
use crate::measure::memory;
use crate::model::architecture::Architecture;
use crate::model::checkpoint::{self, Checkpoint, DatasetIdentity, Metadata, Model, Position};
use crate::model::mnist_cnn::MnistCnn;
use crate::model::parameters::TrainState;
use crate::model::recipe::Recipe;
use crate::optim::adam::Adam;
use crate::report::{self, Event, SCHEMA_VERSION};
use crate::simd::Isa;
use crate::stages::Stage;
use crate::training::checkpoints::Checkpoints;
use crate::training::trainer::{Outcome, Trainer};

/// Trains as `args` say.
pub fn run(args: &TrainArgs) -> anyhow::Result<()> {
    let started = Instant::now();
    let output = Output::new(args.output, args.quiet);
    let signals = Signals::install((!args.quiet).then_some("stopping after this batch"))?;
    data::check_no_data_file("--model", &args.model, &args.data)?;
    let _lock = lock_for_writing(&args.model)?;
    let (recipe, network, saved) = if args.resume {
        let (network, checkpoint) = saved(args)?;
        check_flags(args, &checkpoint.metadata.recipe, network)?;
        (checkpoint.metadata.recipe.clone(), network, Some(checkpoint))
    } else {
        checkpoint::check_replaceable(&args.model)?;
        (Recipe::from(&args.recipe), MnistCnn::from(&args.network), None)
    };
    let architecture = network.architecture();
    let stage = stage(args, saved.as_ref(), &architecture, &output)?;
    let isa = isa(args, saved.as_ref(), stage, &architecture, &output);
    let compute = Compute { isa, ..args.compute.compute() };

    let loading = Instant::now();
    let mut dataset = data::load(&args.data, compute.threads, &output, &signals)?;
    let load_seconds = loading.elapsed().as_secs_f64();
    if let Some(saved) = &saved {
        check_same_data(args, saved, &dataset)?;
    }
    if let Some(count) = recipe.max_samples {
        let images = dataset.train.len();
        if count > images {
            let problem =
                format!("--max-samples {count} is more than the {images} training images");
            return Err(Error::Usage(problem).into());
        }
        dataset.train.truncate(count);
    }
    data::check_batch_size(recipe.batch_size, &dataset.train, "training images")?;
    if let Some(saved) = &saved {
        checkpoint::check_place(&saved.metadata, dataset.train.len())
            .map_err(Error::invalid(&args.model))?;
    }

    memory::check_available(stage.memory_bytes(&architecture, recipe.batch_size))?;
    let mut engine = stage.build(&architecture, Adam::from(&recipe), compute)?;
    let isa = stage.vectorized.then_some(isa);
    let (state, position) = match saved {
        Some(Checkpoint { state, metadata }) => (state, metadata.position),
        None => {
            let parameters = recipe.init.parameters(&architecture, recipe.seed);
            (TrainState::new(&architecture, parameters), Position::default())
        }
    };
    engine.load(&state);
    drop(state);

    if position.epoch >= args.epochs {
        let (path, done) = (printable(&args.model), position.epoch);
        output.note(&format!("nothing to do: {path} has been trained for {done} epochs"));
    } else if position != Position::default() {
        let Position { epoch, batch, .. } = position;
        output.note(&format!("going on in epoch {epoch} after {batch} batches"));
    }
    let dataset_name = dataset.kind().name().to_string();
    output.event(&Event::Start(report::Start {
        schema: SCHEMA_VERSION,
        version: env!("CARGO_PKG_VERSION"),
        dataset: dataset_name.clone(),
        dataset_description: dataset.kind().to_string(),
        train_images: dataset.train.len(),
        test_images: dataset.test.len(),
        stage: stage.name.into(),
        engine: stage.engine.name().into(),
        products: stage.precision.name(),
        isa,
        threads: engine.threads(),
        architecture: architecture.to_string(),
        parameters: architecture.parameter_count(),
        recipe: recipe.clone(),
        epochs: args.epochs,
        first_epoch: position.epoch,
    }));

    let mut progress = TrainingProgress::new(&output, signals, args.epochs);
    let trainer = Trainer {
        engine: engine.as_mut(),
        dataset: &dataset,
        metadata: Metadata {
            dataset: DatasetIdentity {
                name: dataset_name.clone(),
                sha256: dataset.sha256().to_string(),
            },
            isa: isa.map(|isa| isa.name().into()),
            position,
            ..Metadata::new(&architecture, recipe, stage.name)
        },
        epochs: args.epochs,
        evaluate: !args.no_eval,
        checkpoints: Checkpoints::start(&args.model, args.checkpoint_every, !args.resume)?,
    };
    let outcome = trainer.run(&mut progress);
    progress.finish();
    let Outcome { training, evaluation, last } = outcome?;

    let state = engine.store();
    output.event(&Event::Done(report::Done {
        train_seconds: training.as_secs_f64(),
        load_seconds,
        eval_seconds: evaluation.as_secs_f64(),
        total_seconds: started.elapsed().as_secs_f64(),
        peak_rss_bytes: memory::peak_rss_bytes(),
        test_correct: last.as_ref().map(|evaluation| evaluation.correct),
        test_total: last.as_ref().map(|evaluation| evaluation.total),
        weights_sha256: state.parameters.sha256().to_string(),
        model: args.model.to_string_lossy().into_owned(),
        stage: stage.name.into(),
        products: stage.precision.name(),
        threads: engine.threads(),
        dataset: dataset_name,
        epochs: args.epochs.max(position.epoch),
        steps: state.steps,
    }));
    Ok(output.finish()?)
}

/// The checkpoint to go on from, and the sizes of its network.
fn saved(args: &TrainArgs) -> Result<(MnistCnn, Checkpoint)> {
    match checkpoint::read(&args.model) {
        Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            Err(Error::Unavailable(format!(
                "{}: no such file to resume: leave --resume out to start anew",
                printable(&args.model)
            )))
        }
        Err(error) => Err(error),
        Ok((network, Model::Checkpoint(checkpoint))) => Ok((network, *checkpoint)),
        Ok((_, Model::Weights(_))) => Err(Error::invalid(&args.model)(
            "holds weights alone, and --resume needs the whole checkpoint with Adam's moments: \
             evaluate it with 'mnist-train eval'",
        )),
    }
}

/// Refuses flags that were given and contradict what was saved.
fn check_flags(args: &TrainArgs, recipe: &Recipe, network: MnistCnn) -> Result<()> {
    let mut given = args.recipe.given.clone();
    given.extend(fields(&args.network));
    let mut saved = fields(recipe);
    saved.extend(fields(&network));
    let differences: Vec<String> = given
        .iter()
        .map(|(field, given)| (field, given, &saved[field]))
        .filter(|(_, given, saved)| given != saved)
        .map(|(field, given, saved)| {
            let flag = field.replace('_', "-");
            format!("--{flag} is {} and was {}", shown(given), shown(saved))
        })
        .collect();
    if differences.is_empty() {
        return Ok(());
    }
    Err(Error::Usage(format!(
        "{} cannot be resumed under another recipe: {}; leave these flags out to go on, or leave \
         --resume out to start anew",
        printable(&args.model),
        differences.join(", "),
    )))
}

/// The fields of a struct of plain data.
fn fields(all: &impl Serialize) -> Map<String, Value> {
    match serde_json::to_value(all) {
        Ok(Value::Object(fields)) => fields,
        _ => unreachable!("a struct of plain data"),
    }
}

/// A value as it is written on the command line.
fn shown(value: &Value) -> String {
    match value {
        Value::Null => "not given".into(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn check_same_data(args: &TrainArgs, saved: &Checkpoint, dataset: &Dataset) -> Result<()> {
    let DatasetIdentity { name, sha256 } = &saved.metadata.dataset;
    let found = dataset.sha256().to_string();
    if *sha256 == found {
        return Ok(());
    }
    Err(Error::InvalidData(format!(
        "{} was trained on other data: {} (SHA-256 {}), and this is {} (SHA-256 {found}); resume \
         on the same data, or leave --resume out to start anew",
        printable(&args.model),
        quoted(name),
        quoted(sha256),
        dataset.kind().name(),
    )))
}

/// The stage that was asked for, else the one that the model was trained with, so that resuming
/// gives the bits of an uninterrupted run.
fn stage(
    args: &TrainArgs,
    saved: Option<&Checkpoint>,
    architecture: &Architecture,
    output: &Output,
) -> Result<&'static Stage> {
    let saved = saved.map(|checkpoint| checkpoint.metadata.stage.as_str());
    let known = saved.and_then(Stage::find);
    let stage = args.compute.stage(known, architecture)?;
    if let Some(name) = saved.filter(|name| *name != stage.name) {
        let name = quoted(name);
        output.note(&format!(
            "note: trained so far by stage {name}, going on with {}:\n\
             the weights will agree to rounding, not bit for bit",
            stage.name
        ));
    }
    Ok(stage)
}

/// The vector instructions that were asked for, else those that the model was trained with, where
/// this CPU and `stage` have them, else the widest.
fn isa(
    args: &TrainArgs,
    saved: Option<&Checkpoint>,
    stage: &Stage,
    architecture: &Architecture,
    output: &Output,
) -> Isa {
    let saved = saved.and_then(|checkpoint| checkpoint.metadata.isa.as_deref());
    let can_run = |isa: &Isa| stage.isas(architecture).contains(isa);
    let known = saved.and_then(Isa::find).filter(can_run);
    let isa = args.compute.isa().or(known).unwrap_or_else(Isa::detect);
    if let Some(name) = saved.filter(|name| stage.vectorized && *name != isa.name()) {
        let name = quoted(name);
        output.note(&format!(
            "note: trained so far with {name}, going on with {isa}:\n\
             the weights will agree to rounding, not bit for bit"
        ));
    }
    isa
}
