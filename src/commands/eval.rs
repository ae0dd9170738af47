//! The command `mnist-train eval`, which evaluates a model on the test images.

use std::path::Path;

use super::data;
use super::output::Output;
use super::signals::Signals;
use crate::cli::{DataArgs, EvalArgs, network};
use crate::data::dataset::TestSet;
use crate::engine::Engine;
use crate::error::{Error, Result, quoted};
use crate::model::architecture::Architecture;
use crate::model::checkpoint::{self, DatasetIdentity, Model};
use crate::model::parameters::TrainState;
use crate::model::recipe::Recipe;
use crate::optim::adam::Adam;
use crate::report::{self, Event, SCHEMA_VERSION, picture};
use crate::training::evaluation::{Averaging, Evaluation};

/// Number of mistakes that are listed and drawn.
const MISTAKES: usize = 6;

/// Note on a file that has weights alone.
pub const NOTE_ON_WEIGHTS: &str = "\
note: the weights get pixels/255, numbers from 0 to 1 with no mean and deviation;
the file does not say whether they were trained on such images";

/// Reads the model at `path`; `arch` is the network of a file with weights alone, for images of the data
/// that `args` name.
///
/// # Errors
/// The errors of [`checkpoint::read`], and those of `arch`.
pub fn read_model(
    path: &Path,
    arch: Option<&str>,
    args: &DataArgs,
) -> Result<(Architecture, Model)> {
    let expected = arch.map(|text| network(text, data::format(args)?)).transpose()?;
    checkpoint::read(path, expected.as_ref())
}

/// Names of the classes: those of the test images, or else those that the model was trained on.
pub fn class_names(test: &TestSet, model: &Model) -> Vec<String> {
    match &test.class_names[..] {
        [] => model.class_names().to_vec(),
        names => names.to_vec(),
    }
}

/// Evaluates the parameters of `engine`, which are those of the file at `model`, on all images of `test`,
/// with `averaging` if it is wanted.
///
/// # Errors
/// [`Error::InvalidFile`] when the loss is not finite.
pub fn evaluation(
    engine: &mut dyn Engine,
    test: &TestSet,
    averaging: Option<Averaging>,
    model: &Path,
) -> Result<Evaluation> {
    let evaluation = Evaluation::of(engine, &test.split, averaging, &|| false)
        .expect("nothing stops it but the end of the process");
    if evaluation.loss.is_finite() {
        return Ok(evaluation);
    }
    let problem = format!("its loss is {}: the weights are too large to use", evaluation.loss);
    Err(Error::invalid(model)(problem))
}

/// Evaluates a model and prints the result.
pub fn run(args: &EvalArgs) -> anyhow::Result<()> {
    let output = Output::new(args.output, args.quiet);
    let averaging = args.averaging()?;
    // The model is read first: it is small, and the data may have to be downloaded.
    let (architecture, model) = read_model(args.model(), args.arch.as_deref(), &args.data)?;
    let stage = args.compute.stage(None, &architecture, &Recipe::default())?;
    if let Some(note) = args.compute.idle_threads(stage) {
        output.note(&note);
    }
    let compute = args.compute.compute();
    let signals = Signals::install(args.quiet)?;
    let test =
        data::load_test(&args.data, architecture.format(), compute.threads, &output, &signals)?;
    let _at_once = signals.stop_at_once(())?;
    let trained_on = match &model {
        Model::Checkpoint(checkpoint) => Some(&checkpoint.metadata.dataset),
        Model::Weights(_) => {
            output.note(NOTE_ON_WEIGHTS);
            None
        }
    };
    if let Some(note) = trained_on.and_then(|trained_on| other_data(trained_on, &test)) {
        output.warn(&note);
    }

    let mut engine = stage.build(&architecture, &Recipe::default(), compute)?;
    engine.load(&TrainState::new(model.parameters().clone(), &Adam::SLOTS));
    let evaluation = evaluation(engine.as_mut(), &test, averaging, args.model())?;
    let share = |part: usize, whole: usize| (whole > 0).then(|| part as f64 / whole as f64);
    let confusion = &evaluation.confusion;
    let classes = 0..confusion.len();
    let seconds = evaluation.duration.as_secs_f64();
    let worst = &evaluation.mistakes[..evaluation.mistakes.len().min(MISTAKES)];
    let [_, columns] = test.split.sides();
    output.event(&Event::Eval(report::Eval {
        schema: SCHEMA_VERSION,
        correct: evaluation.correct,
        total: evaluation.total,
        accuracy: evaluation.correct as f64 / evaluation.total as f64,
        loss: evaluation.loss,
        class_names: class_names(&test, &model),
        confusion: confusion.clone(),
        recall: classes
            .clone()
            .map(|class| share(confusion[class][class], confusion[class].iter().sum()))
            .collect(),
        precision: classes
            .map(|class| share(confusion[class][class], confusion.iter().map(|r| r[class]).sum()))
            .collect(),
        tta: averaging.map(|Averaging { copies, by, below }| report::TestTimeAugmentation {
            copies,
            by,
            below,
            averaged: evaluation.averaged,
        }),
        mistakes: worst
            .iter()
            .map(|mistake| report::Mistake {
                index: mistake.index,
                label: mistake.label,
                predicted: mistake.predicted,
                probability: mistake.probability,
                picture: picture::lines(test.split.image(mistake.index), columns),
            })
            .collect(),
        seconds,
        images_per_second: evaluation.total as f64 / seconds,
        dataset: test.kind.name().into(),
        dataset_description: test.kind.to_string(),
        trained_on: trained_on.map(|trained_on| trained_on.name.clone()),
        architecture: architecture.to_string(),
        model: args.model().to_string_lossy().into_owned(),
        weights_sha256: model.parameters().sha256().to_string(),
        stage: stage.name.into(),
        products: stage.precision.name(),
        threads: engine.threads(),
    }));
    Ok(output.finish()?)
}

/// Note that names both datasets, if the model was `trained_on` another one than `test` belongs to.
pub fn other_data(trained_on: &DatasetIdentity, test: &TestSet) -> Option<String> {
    let (name, tested) = (quoted(&trained_on.name), test.kind.name());
    if trained_on.name != tested {
        return Some(format!("note: trained on {name}, tested on {tested}"));
    }
    let found = test.sha256s?.map(|sha256| sha256.to_string());
    let saved = &trained_on.sha256;
    let short = |sha256: &str| quoted(&sha256.chars().take(12).collect::<String>());
    (!found.contains(saved) && !saved.is_empty()).then(|| {
        format!(
            "note: trained on {name} data (SHA-256 {}…),\ntested on other {tested} data (SHA-256 {}…)",
            short(saved),
            short(&found[0])
        )
    })
}
