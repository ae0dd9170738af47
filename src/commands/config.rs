//! The command `config show`, which prints the settings of a training and what sets them.

use super::output::Output;
use crate::cli::TrainArgs;
use crate::report::config::{Config, Setting};
use crate::report::{Event, SCHEMA_VERSION};

/// Prints the `settings` of the training that `args` would start.
pub fn run(args: &TrainArgs, settings: &[Setting]) -> anyhow::Result<()> {
    let output = Output::new(args.output, false);
    let settings = settings.to_vec();
    output.event(&Event::Config(Config { schema: SCHEMA_VERSION, settings }));
    Ok(output.finish()?)
}
