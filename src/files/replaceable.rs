//! Tells an output file of an earlier run, which may be replaced, from any other file, which may
//! not.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use serde_json::Value;

use crate::error::{Error, Result};

/// Most bytes that are read of a file: no output file of this program is longer.
const MAX_BYTES: u64 = 1 << 28;

/// Checks that the file at `path` may be replaced: it does not exist, is empty, or `is_ours`
/// recognizes its content. `what` names the kind of file in the error, like "the record".
///
/// # Errors
/// [`Error::InvalidFile`] when it may not be replaced, [`Error::Io`] when it cannot be read.
pub fn check(path: &Path, what: &str, is_ours: impl FnOnce(&str) -> bool) -> Result<()> {
    check_bytes(path, what, |bytes| str::from_utf8(bytes).is_ok_and(is_ours))
}

/// Checks as [`check`] does that the file at `path` may be replaced; its content need not be text.
///
/// # Errors
/// The errors of [`check`].
pub fn check_bytes(path: &Path, what: &str, is_ours: impl FnOnce(&[u8]) -> bool) -> Result<()> {
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        file => file.map_err(Error::io("open", path))?,
    };
    let mut bytes = Vec::new();
    file.take(MAX_BYTES).read_to_end(&mut bytes).map_err(Error::io("read", path))?;
    if bytes.is_empty() || is_ours(&bytes) {
        return Ok(());
    }
    Err(Error::invalid(path)(format!(
        "is not {what} of an earlier run, and is not replaced: name another, or move it away"
    )))
}

/// Whether `content` is one JSON object whose field `event` has the value `event`.
pub fn is_event(content: &str, event: &str) -> bool {
    serde_json::from_str::<Value>(content).is_ok_and(|value| value["event"] == event)
}
