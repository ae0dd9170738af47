//! The most memory that training takes, for the process that has started this one to know.

use super::child;
use super::data;
use super::output::Output;
use super::signals::Signals;
use crate::cli::{JobArgs, OutputArgs};
use crate::data::batches::{batches, epoch_order};
use crate::measure::memory;
use crate::model::checkpoint::{Checkpoint, Metadata};
use crate::model::parameters::TrainState;
use crate::model::recipe::Recipe;
use crate::optim::adam::Adam;

/// Trains the images once, puts what would be saved into bytes, and prints the peak.
pub fn run(args: &JobArgs) -> anyhow::Result<()> {
    child::end_with_parent(|| {})?;
    let output = Output::new(OutputArgs { json: true }, true);
    let architecture = args.network.architecture();
    let recipe = Recipe::from(&args.recipe);
    let signals = Signals::install(None)?;
    let compute = args.compute.compute();
    let mut dataset = data::load(&args.data, compute.threads, &output, &signals)?;
    dataset.train.truncate(recipe.max_samples.unwrap_or(dataset.train.len()));
    let stage = args.compute.stage(None, &architecture)?;
    let mut engine = stage.build(&architecture, Adam::from(&recipe), compute)?;
    let parameters = recipe.init.parameters(&architecture, recipe.seed);
    engine.load(&TrainState::new(parameters, &Adam::SLOTS));

    let order = epoch_order(dataset.train.len(), recipe.seed, 0);
    for batch in batches(&dataset.train, &order, recipe.batch_size) {
        engine.step(&batch, recipe.lr);
    }
    let metadata = Metadata::new(&architecture, recipe, stage.name);
    let mut checkpoint = Checkpoint { state: engine.store(), metadata };
    drop(checkpoint.to_bytes());
    output.print(&serde_json::to_string(&memory::peak_rss_bytes())?);
    Ok(output.finish()?)
}
