//! Opens input files that the user has named.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use crate::error::{Error, Result};

/// Opens the regular file at `path`; returns it with its length in bytes.
///
/// # Errors
/// [`Error::Io`] when it cannot be opened, [`Error::InvalidFile`] when it is a pipe or a device.
pub fn open(path: &Path) -> Result<(File, u64)> {
    // This comes before opening, because opening a pipe would wait for its writer.
    let metadata = fs::metadata(path).map_err(Error::io("open", path))?;
    if metadata.is_dir() {
        return Err(Error::io("open", path)(io::ErrorKind::IsADirectory.into()));
    }
    if !metadata.is_file() {
        return Err(Error::invalid(path)(
            "not a regular file: name a file, not a pipe or a device",
        ));
    }
    Ok((File::open(path).map_err(Error::io("open", path))?, metadata.len()))
}
