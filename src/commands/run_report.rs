//! The command `report` without a further word: the page of a run.

use super::data;
use super::eval;
use super::output::Output;
use super::signals::Signals;
use crate::cli::{OutputArgs, RunReportArgs};
use crate::data::batches::Batch;
use crate::error::printable;
use crate::files::lock::lock_for_writing;
use crate::files::{durable, replaceable};
use crate::measure::machine::Environment;
use crate::model::checkpoint::Model;
use crate::model::parameters::TrainState;
use crate::model::recipe::Recipe;
use crate::optim::adam::Adam;
use crate::report::run::page::{self, MARK};
use crate::report::run::result::{CHECKED, RunReport};

/// Tests the model, and writes the page.
pub fn run(args: &RunReportArgs) -> anyhow::Result<()> {
    let output = Output::new(OutputArgs { json: false }, false);
    let path = &args.out;
    data::check_no_data_file("--out", path, &args.data)?;
    let lock = lock_for_writing(path);
    let _lock = lock.map_err(|error| error.with_remedy("name another file with --out"))?;
    replaceable::check(path, "the page", |text| text.contains(MARK))?;

    let (architecture, model) = eval::read_model(&args.model, args.arch.as_deref(), &args.data)?;
    let stage = args.compute.stage(None, &architecture, &Recipe::default())?;
    let compute = args.compute.compute();
    let signals = Signals::install(false)?;
    let test =
        data::load_test(&args.data, architecture.format(), compute.threads, &output, &signals)?;
    let _at_once = signals.stop_at_once(())?;
    let metadata = match &model {
        Model::Checkpoint(checkpoint) => Some(&checkpoint.metadata),
        Model::Weights(_) => {
            output.note(eval::NOTE_ON_WEIGHTS);
            None
        }
    };
    let other_data = metadata.and_then(|metadata| eval::other_data(&metadata.dataset, &test));
    if let Some(note) = &other_data {
        output.warn(note);
    }
    let mut engine = stage.build(&architecture, &Recipe::default(), compute)?;
    engine.load(&TrainState::new(model.parameters().clone(), &Adam::SLOTS));
    let evaluation = eval::evaluation(engine.as_mut(), &test, None, &args.model)?;
    let indices: Vec<u32> = (0..test.split.len().min(CHECKED) as u32).collect();
    let logits = engine.predict(&Batch::new(&test.split, &indices)).to_vec();
    let report = RunReport {
        model: printable(&args.model),
        architecture: &architecture,
        parameters: model.parameters(),
        metadata,
        test: &test,
        class_names: eval::class_names(&test, &model),
        evaluation: &evaluation,
        other_data,
        logits,
        stage: stage.name,
        threads: engine.threads(),
        environment: Environment::detect(),
    };
    let page = page::text(&report);
    durable::replace(path, page.as_bytes())?;
    let megabytes = page.len() as f64 / 1e6;
    output.print(&format!("wrote {}: {megabytes:.1} MB, open it in a browser", printable(path)));
    Ok(output.finish()?)
}
