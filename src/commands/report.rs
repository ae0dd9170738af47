//! The command `report`: pages and tables from results that are there.

use std::path::Path;

use super::output::Output;
#[cfg(feature = "plots")]
use super::trend;
use crate::cli::{OutputArgs, ReportAction, SpliceArgs, TrendArgs};
use crate::error::{Error, printable};
use crate::files::durable;
use crate::files::input;
use crate::files::lock::lock_for_writing;
use crate::report::documents::{Spliced, spliced};
use crate::report::text::numbers::counted;

/// Writes what `action` says.
pub fn run(action: &ReportAction) -> anyhow::Result<()> {
    match action {
        ReportAction::Trend(args) => trend(args),
        ReportAction::Splice(args) => splice(args),
    }
}

#[cfg(feature = "plots")]
fn trend(args: &TrendArgs) -> anyhow::Result<()> {
    trend::run(args)
}

#[cfg(not(feature = "plots"))]
fn trend(_: &TrendArgs) -> anyhow::Result<()> {
    let problem = "report trend: this program was built without pages";
    let remedy = "build it with 'cargo build --release --features plots'";
    Err(Error::Usage(format!("{problem}: {remedy}")).into())
}

/// Writes the tables of all documents, or of none if one cannot be made.
fn splice(args: &SpliceArgs) -> anyhow::Result<()> {
    let output = Output::new(OutputArgs { json: false }, false);
    let mut documents = Vec::new();
    for path in &args.documents {
        let lock = lock_for_writing(path)?;
        let old = input::text(path)?;
        let folder = path.parent().unwrap_or(Path::new(""));
        let Spliced { text, tables } = spliced(&old, folder).map_err(Error::invalid(path))?;
        documents.push((path, lock, old != text, text, tables));
    }
    for (path, _lock, is_new, text, tables) in documents {
        if is_new {
            durable::replace(path, text.as_bytes())?;
        }
        let written = if is_new { "written" } else { "unchanged" };
        output.print(&format!("{}: {}, {written}", printable(path), counted(tables, "table")));
    }
    Ok(output.finish()?)
}
