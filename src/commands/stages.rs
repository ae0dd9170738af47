//! The command `mnist-train stages`, which prints the table of stages.

use super::output::Output;
use crate::cli::OutputArgs;
use crate::measure::machine::Machine;
use crate::model::mnist_cnn::MnistCnn;
use crate::model::recipe::Recipe;
use crate::report::{Event, SCHEMA_VERSION, StageRow, Stages};
use crate::simd::Isa;
use crate::stages::{STAGES, Stage};

/// Prints the table of stages.
pub fn run(args: OutputArgs) -> anyhow::Result<()> {
    let (architecture, recipe) = (MnistCnn::default().architecture(), Recipe::default());
    let default = Stage::fastest_exact(&architecture, &recipe);
    let row = |stage: &Stage| StageRow {
        name: stage.name,
        idea: stage.idea,
        engine: stage.engine.name(),
        precision: stage.precision.name(),
        multithreaded: stage.multithreaded,
        predecessor: stage.predecessor,
        default: stage.name == default.name,
        unmet: stage.unmet(&architecture, &recipe, Isa::detect()),
    };
    let output = Output::new(args, false);
    output.event(&Event::Stages(Stages {
        schema: SCHEMA_VERSION,
        machine: Machine::detect(),
        stages: STAGES.iter().map(row).collect(),
    }));
    Ok(output.finish()?)
}
