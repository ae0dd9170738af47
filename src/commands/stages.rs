//! `mnist-train stages`.

use super::output::Output;
use crate::cli::OutputArgs;
use crate::measure::machine::Machine;
use crate::report::{Event, SCHEMA_VERSION, StageRow, Stages};
use crate::stages::{STAGES, Stage};

/// Prints the table of stages.
pub fn run(args: OutputArgs) -> anyhow::Result<()> {
    let row = |stage: &Stage| StageRow {
        name: stage.name,
        idea: stage.idea,
        engine: stage.engine,
        precision: stage.precision,
        multithreaded: stage.multithreaded,
        predecessor: stage.predecessor,
        default: stage.name == Stage::fastest_exact().name,
    };
    let output = Output::new(args, false);
    output.event(&Event::Stages(Stages {
        schema: SCHEMA_VERSION,
        machine: Machine::detect(),
        stages: STAGES.iter().map(row).collect(),
    }));
    Ok(output.finish()?)
}
