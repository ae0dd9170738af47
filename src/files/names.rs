//! Names of the files that the program puts beside a file, and the target of a symbolic link.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result, printable};

/// Purpose of the file whose lock is the lock of the file beside it.
pub const LOCK: &str = "lock";
/// Purpose of the file that receives new content until it is complete.
pub const TEMPORARY: &str = "tmp";

/// Path of the program's own file beside `path`: `.NAME.mnist-train.PURPOSE`.
pub fn companion(path: &Path, purpose: &str) -> PathBuf {
    let mut name = OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(format!(".mnist-train.{purpose}"));
    path.with_file_name(name)
}

/// `path` with `suffix` appended to its name.
pub fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}

/// First free name among `target` with `suffix`, with `suffix.2`, with `suffix.3` and so on.
pub fn free_name(target: &Path, suffix: &str) -> PathBuf {
    (1..).map(|number| numbered(target, suffix, number)).find(|name| is_free(name)).expect("no end")
}

/// `target` with `suffix` and, from the second on, the `number` after it.
pub fn numbered(target: &Path, suffix: &str, number: usize) -> PathBuf {
    match number {
        1 => beside(target, suffix),
        _ => beside(target, &format!("{suffix}.{number}")),
    }
}

/// Whether nothing has this name, not even a link that leads nowhere.
pub fn is_free(name: &Path) -> bool {
    name.symlink_metadata().is_err()
}

/// Folder that contains the file at `path`.
pub fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    }
}

/// Path of the file that `path` leads to through symbolic links, so that the file is replaced and
/// not the link. A `path` that is no link is returned as it is.
pub fn resolved(path: &Path) -> Result<PathBuf> {
    let Ok(leads_to) = fs::read_link(path) else {
        return Ok(path.to_path_buf());
    };
    fs::canonicalize(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => Error::Unavailable(format!(
            "{} leads to {}, which is not there: make that, name another file, or remove the link",
            printable(path),
            printable(&leads_to),
        )),
        _ => Error::io("open", path)(error),
    })
}
