//! The command `mnist-train predict`, which classifies pictures.

use std::io::{self, IsTerminal};
use std::ops::Range;
use std::path::Path;

use super::output::Output;
use super::signals::Signals;
use super::{data, eval};
use crate::cli::{PredictArgs, network};
use crate::data::batches::Batch;
use crate::data::classes;
use crate::data::dataset::{ImageFormat, Split};
use crate::data::picture::{self, Pictures};
use crate::engine::Engine;
use crate::error::{Error, Result, escaped, printable};
use crate::files::input;
use crate::measure::machine;
use crate::model::checkpoint::{self, Model};
use crate::model::parameters::TrainState;
use crate::model::recipe::Recipe;
use crate::nn::cross_entropy;
use crate::optim::adam::Adam;
use crate::report::predict::{Predict, Prediction};
use crate::report::{self, Event, SCHEMA_VERSION};

/// Number of pictures that are classified together.
const BATCH: usize = 100;

/// Name of the file that stands for stdin.
const STDIN: &str = "-";

/// Classifies pictures and prints a result for each.
pub fn run(args: &PredictArgs) -> anyhow::Result<()> {
    let output = Output::new(args.output, false);
    let signals = Signals::install(false)?;
    let _at_once = signals.stop_at_once(())?;
    let expected = args.arch.as_ref().map(|text| network(text, ImageFormat::MNIST)).transpose()?;
    let (architecture, model) = checkpoint::read(&args.model, expected.as_ref())?;
    let stage = args.compute.stage(None, &architecture, &Recipe::default())?;
    if let Some(note) = args.compute.idle_threads(stage) {
        output.note(&note);
    }
    if let Model::Weights(_) = &model {
        output.note(eval::NOTE_ON_WEIGHTS);
    }
    let compute = args.compute.compute();
    data::start_threads(compute.threads.min(machine::threads()))?;
    let mut engine = stage.build(&architecture, &Recipe::default(), compute)?;
    engine.load(&TrainState::new(model.parameters().clone(), &Adam::SLOTS));

    let mut failures = Vec::new();
    for file in &args.files {
        let classified = read(file).and_then(|pictures| {
            let indices = indices(file, args.index.clone(), pictures.count())?;
            classify(
                args,
                engine.as_mut(),
                (architecture.format(), model.class_names()),
                file,
                &pictures,
                indices,
                &output,
            )
        });
        if let Err(error) = classified {
            if args.files.len() > 1 {
                output.warn(&format!("not classified: {}", escaped(&error.to_string())));
            }
            failures.push(error);
        }
    }
    output.finish()?;
    let failed = failures.len();
    match failures.into_iter().next() {
        None => Ok(()),
        Some(error) if args.files.len() == 1 => Err(error.into()),
        Some(first) => {
            let (files, code) = (args.files.len(), first.exit_code());
            Err(Error::SomeFiles { failed, files, code }.into())
        }
    }
}

/// Reads the pictures of `file`.
fn read(file: &Path) -> Result<Pictures> {
    if file != Path::new(STDIN) {
        return picture::read(input::open(file)?.0, file);
    }
    if io::stdin().is_terminal() {
        let problem = "FILE: there is no picture: name a file, or give one on stdin";
        return Err(Error::Usage(problem.into()));
    }
    picture::read(io::stdin().lock(), Path::new("stdin"))
}

/// Indices of the pictures to classify of the `count` pictures in `file`: those that were `asked`
/// for, or else all.
fn indices(file: &Path, asked: Option<Range<usize>>, count: usize) -> Result<Range<usize>> {
    match asked {
        Some(asked) if asked.end > count => Err(Error::Usage(format!(
            "--index: there is no picture {} in {}: choose from 0 to {}",
            asked.start.max(count),
            printable(file),
            count - 1,
        ))),
        Some(asked) => Ok(asked),
        None => Ok(0..count),
    }
}

/// Classifies the `pictures` of `file` at `indices` with `engine`, whose network takes images of the
/// `format` and whose classes have these `names`, and prints a result for each.
fn classify(
    args: &PredictArgs,
    engine: &mut dyn Engine,
    (format, names): (ImageFormat, &[String]),
    file: &Path,
    pictures: &Pictures,
    indices: Range<usize>,
    output: &Output,
) -> Result<()> {
    let sides = [format.rows, format.columns];
    let end = indices.end;
    for start in indices.step_by(BATCH) {
        let batch = start..end.min(start + BATCH);
        let images: Vec<_> = batch.clone().map(|index| pictures.image(index, sides)).collect();
        let logits = logits(engine, &images, sides);
        let mut rows = logits.chunks_exact(format.classes);
        for (index, image) in batch.zip(images) {
            let row = image.as_ref().and_then(|_| rows.next());
            let predictions = row.map(|z| most_probable(z, names, args.top)).unwrap_or_default();
            if predictions.iter().any(|prediction| !prediction.probability.is_finite()) {
                let problem = "its probabilities are not finite: the weights are too large to use";
                return Err(Error::invalid(&args.model)(problem));
            }
            let is_sure = predictions.first().is_some_and(|p| p.probability >= args.threshold);
            output.event(&Event::Predict(Predict {
                schema: SCHEMA_VERSION,
                file: file.to_string_lossy().into_owned(),
                pictures: pictures.count(),
                index,
                blank: image.is_none(),
                unsure: !is_sure,
                predictions,
                image: image.map_or(vec![], |image| report::picture::lines(&image, sides[1])),
            }));
        }
    }
    Ok(())
}

/// Logits of those `images` with these `sides` that are not blank, one row of classes for each.
fn logits(engine: &mut dyn Engine, images: &[Option<Vec<u8>>], sides: [usize; 2]) -> Vec<f32> {
    let pixels = images.iter().flatten().flatten().copied().collect::<Vec<u8>>();
    let count = pixels.len() / (sides[0] * sides[1]);
    if count == 0 {
        return vec![];
    }
    // A prediction reads no labels.
    let split = Split::new(pixels, sides, vec![0; count]);
    let indices: Vec<u32> = (0..count as u32).collect();
    engine.predict(&Batch::new(&split, &indices)).to_vec()
}

/// The `top` classes with the largest logits `z` (classes), the largest first; `names` are those of the
/// classes.
fn most_probable(z: &[f32], names: &[String], top: usize) -> Vec<Prediction> {
    let mut all: Vec<usize> = (0..z.len()).collect();
    all.sort_by(|&a, &b| z[b].total_cmp(&z[a]));
    let prediction = |class| Prediction {
        class,
        name: classes::name(names, class).into(),
        probability: cross_entropy::probability(z, class),
    };
    all.into_iter().take(top).map(prediction).collect()
}
