//! The files that a measurement writes beside its output: its JSON, and its rows.

use std::path::Path;

use super::data;
use crate::cli::{DataArgs, FileArgs};
use crate::error::{Error, Result};
use crate::files::durable;
use crate::files::lock::{Lock, lock_for_writing};
use crate::files::replaceable;
use crate::report::{Event, csv, json};

/// Locks the files that `args` names for the measurement that prints `event`. `data` is where it reads
/// images, if it does.
///
/// # Errors
/// [`Error::Usage`] when a file is a data file, or both are the same one; [`Error::Io`] or
/// [`Error::Unavailable`] when a file cannot be written; [`Error::InvalidFile`] when it would replace
/// a file that is not from an earlier measurement.
pub fn lock(args: &FileArgs, event: &str, data: Option<&DataArgs>) -> Result<Vec<Lock>> {
    let FileArgs { record, csv } = args;
    if csv.is_some() && record == csv {
        return Err(Error::Usage("--csv is the file of --record: name another".into()));
    }
    let is_record = |content: &str| replaceable::is_event(content, event);
    let is_table = |content: &str| content.starts_with(csv::HEADING);
    let mut locks = Vec::new();
    let mut lock = |flag: &str, path: &Path, what, is_ours: &dyn Fn(&str) -> bool| {
        if let Some(data) = data {
            data::check_no_data_file(flag, path, data)?;
        }
        let remedy = format!("name another place with {flag}");
        locks.push(lock_for_writing(path).map_err(|error| error.with_remedy(&remedy))?);
        replaceable::check(path, what, is_ours)
    };
    if let Some(path) = record {
        lock("--record", path, "the record", &is_record)?;
    }
    if let Some(path) = csv {
        lock("--csv", path, "the table", &is_table)?;
    }
    Ok(locks)
}

/// Writes the result `event` to the files that `args` names.
///
/// # Errors
/// [`Error::Io`] when a file cannot be written.
pub fn write(args: &FileArgs, event: &Event) -> Result<()> {
    let FileArgs { record, csv } = args;
    if let Some(path) = record {
        durable::replace(path, format!("{}\n", json::line(event)).as_bytes())?;
    }
    if let Some(path) = csv {
        durable::replace(path, csv::lines(std::slice::from_ref(event)).as_bytes())?;
    }
    Ok(())
}
