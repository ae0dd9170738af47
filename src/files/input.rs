//! Opens input files that the user has named.

use std::fs::{self, File};
use std::io::{self, Read, Take};
use std::path::Path;

use crate::error::{Error, Result};

/// Largest size of a text in bytes; this program writes none that is longer.
const MAX_TEXT_BYTES: u64 = 1 << 26;

/// Opens the regular file at `path`; returns it with its length in bytes. No more than this length
/// can be read, because some files of the kernel look regular and empty, and reading them waits.
///
/// # Errors
/// [`Error::Io`] when it cannot be opened, [`Error::InvalidFile`] when it is a pipe or a device.
pub fn open(path: &Path) -> Result<(Take<File>, u64)> {
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
    let file = File::open(path).map_err(Error::io("open", path))?;
    Ok((file.take(metadata.len()), metadata.len()))
}

/// Text of the regular file at `path`.
///
/// # Errors
/// The errors of [`open`], [`Error::Io`] when the file cannot be read, [`Error::InvalidFile`] when it
/// is larger than 64 MiB or not UTF-8.
pub fn text(path: &Path) -> Result<String> {
    let (mut file, length) = open(path)?;
    if length > MAX_TEXT_BYTES {
        return Err(Error::invalid(path)(format!(
            "has {length} bytes, and no text of this program has more than {MAX_TEXT_BYTES}: name \
             another file"
        )));
    }
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).map_err(Error::io("read", path))?;
    String::from_utf8(bytes).map_err(|_| Error::invalid(path)("is not UTF-8: name a text"))
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn no_more_is_read_of_a_file_than_its_length() {
        // The kernel says that this file is regular and empty, as it says of files that wait.
        let (mut file, length) = open(Path::new("/proc/self/status")).unwrap();
        let mut bytes = Vec::new();
        assert_eq!((length, file.read_to_end(&mut bytes).unwrap()), (0, 0));
    }
}
