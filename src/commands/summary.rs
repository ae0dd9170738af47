//! The command `mnist-train summary`, which prints the layers of a network.

use super::output::Output;
use crate::cli::SummaryArgs;
use crate::model::recipe::Recipe;
use crate::report::{Event, SCHEMA_VERSION, Summary, SummaryLayer};

/// Prints the layers of the network.
pub fn run(args: &SummaryArgs) -> anyhow::Result<()> {
    let architecture = args.network.architecture();
    let batch_size = Recipe::default().batch_size;
    let names = architecture.layer_names().into_iter();
    let layers = architecture.layers().iter().zip(names).enumerate();
    let layers = layers
        .map(|(index, (layer, name))| {
            let [forward, backward] = architecture.work(index, batch_size);
            SummaryLayer {
                name,
                layer: layer.to_string(),
                output: layer.output().to_string(),
                parameters: layer.parameters().into_iter().sum(),
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
