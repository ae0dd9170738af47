//! The command `report`: pages and tables from results that are there.

use std::path::Path;

use super::output::Output;
#[cfg(feature = "plots")]
use super::{run_report, trend};
use crate::cli::{OutputArgs, ReportAction, ReportCommand, RunReportArgs, SpliceArgs, TrendArgs};
use crate::error::{Error, printable};
use crate::files::durable;
use crate::files::input;
use crate::files::lock::lock_for_writing;
use crate::report::documents::{Spliced, spliced};
use crate::report::text::numbers::counted;

/// Writes what `command` says: without an action, the page of a run.
pub fn run(command: &ReportCommand) -> anyhow::Result<()> {
    match &command.action {
        None => page(&command.page),
        Some(ReportAction::Trend(args)) => trend(args),
        Some(ReportAction::Splice(args)) => splice(args),
    }
}

#[cfg(feature = "plots")]
fn page(args: &RunReportArgs) -> anyhow::Result<()> {
    run_report::run(args)
}

#[cfg(not(feature = "plots"))]
fn page(_: &RunReportArgs) -> anyhow::Result<()> {
    without_pages("report")
}

#[cfg(feature = "plots")]
fn trend(args: &TrendArgs) -> anyhow::Result<()> {
    trend::run(args)
}

#[cfg(not(feature = "plots"))]
fn trend(_: &TrendArgs) -> anyhow::Result<()> {
    without_pages("report trend")
}

/// The error of a `command` that writes a page.
#[cfg(not(feature = "plots"))]
fn without_pages(command: &str) -> anyhow::Result<()> {
    let remedy = "build it with 'cargo build --release --features plots'";
    let problem = "this program was built without pages";
    Err(Error::Usage(format!("{command}: {problem}: {remedy}")).into())
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
