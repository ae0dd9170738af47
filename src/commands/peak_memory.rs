//! The most memory that training takes, for the process that has started this one to know.

use super::child;
use super::data;
use super::output::Output;
use super::signals::Signals;
use crate::cli::{JobArgs, OutputArgs};
use crate::data::batches::{Batch, epoch_order};
use crate::measure::memory;
use crate::model::checkpoint::{Checkpoint, DatasetIdentity, FORMAT_VERSION, Metadata, Position};
use crate::model::parameters::TrainState;
use crate::model::recipe::Recipe;
use crate::nn::adam::Adam;

/// Trains the images once, puts what would be saved into bytes, and prints the peak.
pub fn run(args: &JobArgs) -> anyhow::Result<()> {
    child::end_with_parent(|| {})?;
    let output = Output::new(OutputArgs { json: true }, true);
    let architecture = args.network.architecture();
    let recipe = Recipe::from(&args.recipe);
    let mut dataset = data::load(&args.data, &output, &Signals::install(None)?)?;
    dataset.train.truncate(recipe.max_samples.unwrap_or(dataset.train.len()));
    let stage = args.compute.stage(None, &architecture)?;
    let mut engine = stage.build(&architecture, Adam::from(&recipe), args.compute.compute())?;
    let parameters = recipe.init.parameters(&architecture, recipe.seed);
    engine.load(&TrainState::new(&architecture, parameters));

    let order = epoch_order(dataset.train.len(), recipe.seed, 0);
    let mut batches = order.chunks(recipe.batch_size).peekable();
    while let Some(indices) = batches.next() {
        let upcoming = batches.peek().copied().unwrap_or_default();
        engine.step(&Batch::new(&dataset.train, indices).followed_by(upcoming), recipe.lr);
    }
    let mut checkpoint = Checkpoint {
        state: engine.store(),
        metadata: Metadata {
            format_version: FORMAT_VERSION,
            architecture: architecture.to_string(),
            recipe,
            dataset: DatasetIdentity { name: String::new(), sha256: String::new() },
            stage: stage.name.into(),
            isa: None,
            position: Position::default(),
            steps: 0,
            content_sha256: String::new(),
        },
    };
    drop(checkpoint.to_bytes());
    output.print(&serde_json::to_string(&memory::peak_rss_bytes())?);
    Ok(output.finish()?)
}
