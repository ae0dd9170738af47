//! Files that may be replaced, because an earlier run wrote them, and those of others, which may
//! not.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use serde_json::Value;

use crate::error::{Error, Result};

/// More than any file of ours has.
const MOST_BYTES: u64 = 1 << 28;

/// Refuses to replace the file at `path`, unless there is none, it is empty, or `is_ours` says that
/// its content is `what` an earlier run wrote.
///
/// # Errors
/// [`Error::InvalidFile`] when it is not, [`Error::Io`] when it cannot be read.
pub fn check(path: &Path, what: &str, is_ours: impl FnOnce(&str) -> bool) -> Result<()> {
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        file => file.map_err(Error::io("open", path))?,
    };
    let mut bytes = Vec::new();
    file.take(MOST_BYTES).read_to_end(&mut bytes).map_err(Error::io("read", path))?;
    if bytes.is_empty() || str::from_utf8(&bytes).is_ok_and(is_ours) {
        return Ok(());
    }
    Err(Error::invalid(path)(format!(
        "is not {what} of an earlier run, and is not replaced: name another, or move it away"
    )))
}

/// Whether `content` is the result called `event`, as JSON.
pub fn is_event(content: &str, event: &str) -> bool {
    serde_json::from_str::<Value>(content).is_ok_and(|value| value["event"] == event)
}
