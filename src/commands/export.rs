//! The command `mnist-train export`, which writes a model for other programs.

use std::fs;
use std::path::Path;

use super::data;
use super::eval::{self, NOTE_ON_WEIGHTS};
use super::output::Output;
use super::signals::Signals;
use crate::cli::ExportArgs;
use crate::data::batches::Batch;
use crate::data::dataset::Split;
use crate::engine::compute::Compute;
use crate::error::{Error, Result, printable};
use crate::files::lock::{Lock, lock_for_writing};
use crate::files::{durable, replaceable};
use crate::measure::machine;
use crate::model::architecture::Architecture;
use crate::model::checkpoint::Model;
use crate::model::export::{self, Export, Format, Paths, TestImages};
use crate::model::parameters::{Parameters, TrainState};
use crate::model::recipe::Recipe;
use crate::optim::adam::Adam;
use crate::report::{self, Event, SCHEMA_VERSION};
use crate::simd::Isa;
use crate::stages::Stage;

/// Most test images that are written.
const TEST_IMAGES: usize = 10;

/// Writes a model in another format, and what its user needs to check it.
pub fn run(args: &ExportArgs) -> anyhow::Result<()> {
    let output = Output::new(args.output, false);
    let (format, model) = args.target()?;
    let paths = Paths::beside(&model);
    let place = |path: &Path| fs::canonicalize(path).ok();
    if place(&paths.model).is_some_and(|found| Some(found) == place(args.model())) {
        // An export of weights would lose what only a checkpoint says, like its dataset.
        let model = printable(args.model());
        return Err(Error::Usage(format!("{model} is the model itself: name another --out")).into());
    }
    let (architecture, model) = eval::read_model(args.model(), args.arch.as_deref(), &args.data)?;
    let locks = prepare(format, &paths)?;
    let signals = Signals::install(false)?;
    let threads = machine::threads();
    let test = data::load_test(&args.data, architecture.format(), threads, &output, &signals)?;
    let at_once = signals.stop_at_once(locks)?;
    let trained_on = match &model {
        Model::Checkpoint(checkpoint) => Some(&*checkpoint.metadata.dataset.name),
        Model::Weights(_) => {
            output.note(NOTE_ON_WEIGHTS);
            None
        }
    };

    let (dataset, mut split) = (test.kind, test.split);
    split.truncate(TEST_IMAGES);
    let parameters = model.parameters();
    let logits = logits(&architecture, parameters, &split)?;
    let largest = logits.iter().copied().map(f32::abs).fold(0.0, f32::max);
    if !logits.iter().all(|logit| logit.is_finite()) {
        let problem = "its logits are not finite: the weights are too large to use";
        return Err(Error::invalid(args.model())(problem).into());
    }
    let export = Export { architecture: &architecture, parameters, dataset: trained_on };
    let images = TestImages { split: &split, logits: &logits, dataset: dataset.name() };
    let bytes = export.model(format);
    let _locks = at_once.end();
    // The model comes last: where it stands, the files that check it stand too.
    durable::replace(&paths.test, &images.to_bytes())?;
    durable::replace(&paths.script, export.script(format).as_bytes())?;
    durable::replace(&paths.model, &bytes)?;

    let text = |path: &Path| path.to_string_lossy().into_owned();
    output.event(&Event::Export(report::export::Export {
        schema: SCHEMA_VERSION,
        model: text(args.model()),
        architecture: architecture.to_string(),
        input: architecture.input().sizes().to_vec(),
        classes: architecture.classes(),
        parameters: architecture.parameter_count(),
        weights_sha256: parameters.sha256().to_string(),
        trained_on: trained_on.map(Into::into),
        format: format.name(),
        opset: format.opset(),
        file: text(&paths.model),
        bytes: bytes.len(),
        test_file: text(&paths.test),
        test_images: split.len(),
        dataset: dataset.name().into(),
        dataset_description: dataset.to_string(),
        largest_logit: largest,
        script: text(&paths.script),
        tolerance: export::TOLERANCE,
    }));
    Ok(output.finish()?)
}

/// Locks all files of an export, and checks that each of them can be written and that none of them is
/// another file than one of an earlier export.
fn prepare(format: Format, paths: &Paths) -> Result<Vec<Lock>> {
    let prepare = |path: &Path, is_ours: &dyn Fn(&[u8]) -> bool| {
        let lock = lock_for_writing(path);
        let lock = lock.map_err(|error| error.with_remedy("name another file with --out"))?;
        replaceable::check_bytes(path, "the export", is_ours)?;
        Ok(lock)
    };
    Ok(vec![
        prepare(&paths.model, &|bytes| export::is_model(format, bytes))?,
        prepare(&paths.test, &export::is_test)?,
        prepare(&paths.script, &export::is_script)?,
    ])
}

/// Logits of all images of `split`, (N, classes).
fn logits(architecture: &Architecture, parameters: &Parameters, split: &Split) -> Result<Vec<f32>> {
    let recipe = Recipe::default();
    let stage = Stage::fastest_exact(architecture, &recipe);
    let compute = Compute { threads: 1, isa: Isa::detect() };
    let mut engine = stage.build(architecture, &recipe, compute)?;
    engine.load(&TrainState::new(parameters.clone(), &Adam::SLOTS));
    let indices: Vec<u32> = (0..split.len() as u32).collect();
    Ok(engine.predict(&Batch::new(split, &indices)).to_vec())
}
