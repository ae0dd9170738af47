//! The command `report trend`: the page about the changes from record to record.

use std::path::Path;

use super::output::Output;
use crate::cli::{OutputArgs, TrendArgs};
use crate::error::{Error, Result, printable};
use crate::files::lock::lock_for_writing;
use crate::files::{durable, input, replaceable};
use crate::report::suite::RESULTS;
use crate::report::text::numbers::counted;
use crate::report::trend::page::{self, MARK};
use crate::report::trend::record::Record;
use crate::report::trend::steps::Trend;

/// Writes the page, and says which records are left out.
pub fn run(args: &TrendArgs) -> anyhow::Result<()> {
    let output = Output::new(OutputArgs { json: false }, false);
    let records = args.records.iter().map(|path| record(path)).collect::<Result<_>>()?;
    let trend = Trend::of(records).map_err(Error::InvalidData)?;
    let path = &args.out;
    let lock = lock_for_writing(path);
    let _lock = lock.map_err(|error| error.with_remedy("name another file with --out"))?;
    replaceable::check(path, "the page", |text| text.contains(MARK))?;
    durable::replace(path, page::text(&trend).as_bytes())?;
    for reason in &trend.left_out {
        output.note(&format!("note: left out {reason}"));
    }
    let counts = [
        (trend.records.len(), "record"),
        (trend.lines.len(), "row"),
        (trend.steps().len(), "step"),
    ];
    let counts = counts.map(|(count, noun)| counted(count, noun)).join(", ");
    output.print(&format!("wrote {}: {counts}", printable(path)));
    Ok(output.finish()?)
}

/// Record in the folder, or in the file, at `path`.
fn record(path: &Path) -> Result<Record> {
    let file = if path.is_dir() { path.join(RESULTS) } else { path.to_path_buf() };
    let text = input::text(&file)?;
    Record::parse(printable(path), &text).map_err(Error::invalid(&file))
}
