//! The command `mnist-train summary`, which prints the layers of a network.

use super::output::Output;
use crate::cli::SummaryArgs;
use crate::model::architecture::PlacedLayer;
use crate::model::recipe::Recipe;
use crate::report::{Event, SCHEMA_VERSION, Summary, SummaryLayer};

/// Prints the layers of the network.
pub fn run(args: &SummaryArgs) -> anyhow::Result<()> {
    let architecture = args.network.architecture();
    let batch_size = Recipe::default().batch_size;
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
    }));
    Ok(output.finish()?)
}
