//! The command `mnist-train summary`, which prints the layers of a network.

use super::output::Output;
use crate::cli::SummaryArgs;
use crate::data::dataset::ImageFormat;
use crate::error::Error;
use crate::model::architecture::PlacedLayer;
use crate::model::recipe::Recipe;
use crate::report::{Event, SCHEMA_VERSION, Summary, SummaryLayer};
use crate::stages::Stage;

/// Prints the layers of the network.
pub fn run(args: &SummaryArgs) -> anyhow::Result<()> {
    let architecture = args.network.architecture(ImageFormat::MNIST)?;
    let recipe = Recipe::from(&args.recipe);
    if let Some(problem) = recipe.contradiction() {
        return Err(Error::Usage(problem).into());
    }
    let stage = Stage::fastest_exact(&architecture, &recipe);
    let batch_size = recipe.batch_size;
    let layers = architecture.layers().iter().enumerate();
    let layers = layers
        .map(|(index, PlacedLayer { layer, name, output, parameters, .. })| {
            let [forward, backward] = architecture.work(index, batch_size);
            SummaryLayer {
                name: name.clone(),
                layer: layer.to_string(),
                output: output.to_string(),
                parameters: parameters.len(),
                forward_flops: forward.flops,
                forward_bytes: forward.bytes,
                backward_flops: backward.flops,
                backward_bytes: backward.bytes,
            }
        })
        .collect();
    let output = Output::new(args.output, false);
    output.event(&Event::Summary(Summary {
        schema: SCHEMA_VERSION,
        architecture: architecture.to_string(),
        batch_size,
        layers,
        parameters: architecture.parameter_count(),
        stage: stage.name,
        training_bytes: stage.memory_bytes(&architecture, &recipe),
        activation_bytes: stage.activation_bytes(&architecture, &recipe) as u64,
    }));
    Ok(output.finish()?)
}
