//! The hidden command `peak-memory`: measures the peak of the memory that training takes, for the
//! parent process.

use super::data;
use super::output::Output;
use super::signals::Signals;
use crate::bench::child;
use crate::cli::{JobArgs, OutputArgs};
use crate::data::batches::{batches, epoch_order};
use crate::measure::memory;
use crate::model::checkpoint::{Checkpoint, Metadata};
use crate::model::parameters::TrainState;
use crate::optim::Optimizer;

/// Trains the images once, builds the bytes of a checkpoint, and prints the peak of memory in
/// bytes.
pub fn run(args: &JobArgs) -> anyhow::Result<()> {
    child::end_with_parent(|| {})?;
    let output = Output::new(OutputArgs { json: true }, true);
    let job = &args.job;
    let (stage, recipe, architecture) = (job.stage(), &job.recipe, job.architecture());
    let signals = Signals::install(true)?;
    let mut dataset =
        data::load(&args.data, false, architecture.format(), job.threads, &output, &signals)?;
    dataset.train.truncate(job.images);
    let mut engine = stage.build(&architecture, recipe, job.compute())?;
    let parameters = recipe.init.parameters(&architecture, recipe.seed);
    engine.load(&TrainState::new(parameters, Optimizer::from(recipe).slots()));

    let order = epoch_order(dataset.train.len(), recipe.seed, 0);
    for batch in batches(&dataset.train, &order, recipe.batch_size) {
        engine.step(&batch, recipe.lr);
    }
    let metadata = Metadata::new(&architecture, recipe.clone(), stage.name);
    let mut checkpoint = Checkpoint { state: engine.store(), metadata };
    drop(checkpoint.to_bytes());
    output.print(&serde_json::to_string(&memory::peak_rss_bytes())?);
    Ok(output.finish()?)
}
