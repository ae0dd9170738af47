//! The flags of the command `records`.

use std::ops::RangeInclusive;
use std::path::PathBuf;

use clap::Args;

use super::shared::{ComputeArgs, DataArgs, OutputArgs};
use super::sweep::{in_order, seeds};
use crate::model::recipes::{NamedRecipe, RECIPES};

/// End of the help of the command.
pub const NOTES: &str = "\
With each seed, it trains one epoch by the recipe of the source, the unit of time, then by the recipe
for the mark before, and then by the recipe; each in a process of its own, which tests once, at its
end. A seed whose results are all in the folder is not trained again. RECORDS.md has the rules, and
the results so far.";

/// Flags of the command `records`.
#[derive(Debug, Args)]
pub struct RecordsArgs {
    /// Recipe that is measured: 99, 99.3, or 99.5
    #[arg(value_name = "RECIPE", value_parser = of_a_mark, default_value = "99")]
    pub recipe: &'static NamedRecipe,
    /// Seeds, with both ends of a range
    #[arg(long, value_name = "RANGE", default_value = "1001..1040", value_delimiter = ',')]
    #[arg(value_parser = seeds)]
    seeds: Vec<RangeInclusive<u64>>,
    /// Folder for the results
    #[arg(long, value_name = "DIR", default_value = "records")]
    pub out: PathBuf,
    /// Stage and its resources.
    #[command(flatten)]
    pub compute: ComputeArgs,
    /// Data that images are read from.
    #[command(flatten)]
    pub data: DataArgs,
    /// Form of the output.
    #[command(flatten)]
    pub output: OutputArgs,
}

impl RecordsArgs {
    /// Seeds, in ascending order.
    pub fn seeds(&self) -> Vec<u64> {
        in_order(&self.seeds)
    }
}

/// Parses the name of a recipe for a mark.
fn of_a_mark(name: &str) -> Result<&'static NamedRecipe, String> {
    let found = NamedRecipe::find(name).filter(|recipe| recipe.mark.is_some());
    found.ok_or_else(|| {
        let all = RECIPES.iter().filter(|recipe| recipe.mark.is_some());
        let names: Vec<_> = all.map(|recipe| recipe.name).collect();
        format!("no recipe for a mark: there are {}", names.join(", "))
    })
}
