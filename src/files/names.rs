//! Names of the files that the program keeps beside a file, and where a path leads.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result, printable};

/// What the program's own files beside a file are for.
pub const LOCK: &str = "lock";
pub const TEMPORARY: &str = "tmp";

/// The program's own file beside `path` for this `purpose`.
pub fn own(path: &Path, purpose: &str) -> PathBuf {
    let mut name = OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(format!(".mnist-train.{purpose}"));
    path.with_file_name(name)
}

pub fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}

/// The first name of `target` followed by `suffix` and a number that is free.
pub fn free_name(target: &Path, suffix: &str) -> PathBuf {
    let numbered = (2..).map(|number: u32| format!("{suffix}.{number}"));
    [suffix.to_string()]
        .into_iter()
        .chain(numbered)
        .map(|suffix| beside(target, &suffix))
        .find(|name| name.symlink_metadata().is_err())
        .expect("numbers do not end")
}

pub fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    }
}

/// `path` behind any symbolic link, so that the file is replaced and not the link to it.
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
