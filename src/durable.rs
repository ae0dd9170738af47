//! Replacing a file so that a reader, a crash or a full disk finds the old one or the new one,
//! never something between.
//!
//! The order is PostgreSQL's `durable_rename`: write a temporary file in the same folder, flush it
//! to the disk, rename it over the old one, flush the folder.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result, printable};

/// Puts `bytes` under `path`, whole or not at all; returns when they are on the disk.
///
/// # Errors
/// [`Error::Io`]; what stood under `path` before still does, and the temporary file is gone.
pub fn replace(path: &Path, bytes: &[u8]) -> Result<()> {
    let target = resolved(path)?;
    let temporary = beside(&target, ".tmp");
    let written = write_and_flush(&temporary, bytes)
        .map_err(Error::io("write", &temporary))
        .and_then(|()| rename(&temporary, &target));
    if written.is_err() {
        // The failure that is reported is the one that came first.
        let _ = fs::remove_file(&temporary);
    }
    written
}

/// Lets the file at `path` also be found under another name beside it, `NAME.previous` or, where
/// that is taken, `NAME.previous.2` and so on, and returns that name. No earlier one is given up.
///
/// # Errors
/// [`Error::Io`].
pub fn keep_as_previous(path: &Path) -> Result<PathBuf> {
    let target = resolved(path)?;
    let numbered = (2..).map(|number: u32| format!(".previous.{number}"));
    for suffix in [".previous".to_string()].into_iter().chain(numbered) {
        let previous = beside(&target, &suffix);
        if previous.exists() {
            continue;
        }
        // A second name costs nothing; where the file system has none, a copy does the same.
        fs::hard_link(&target, &previous)
            .or_else(|_| fs::read(&target).and_then(|bytes| write_and_flush(&previous, &bytes)))
            .map_err(Error::io("write", &previous))?;
        flush_folder(&previous)?;
        return Ok(previous);
    }
    unreachable!("there is always another number")
}

/// Finds out, before hours of work depend on it, whether [`replace`] could write `path`, and removes
/// what a killed process has left beside it.
///
/// # Errors
/// When `path` is a folder, a device or a pipe, or its folder is missing or cannot be written.
pub fn check_writable(path: &Path) -> Result<()> {
    let target = resolved(path)?;
    if target.is_dir() {
        return Err(Error::Unavailable(format!(
            "{} is a directory: give --model the name of a file",
            printable(path)
        )));
    }
    if target.exists() && !target.is_file() {
        return Err(Error::Unavailable(format!(
            "{} is not a regular file, and would be replaced by one: give --model the name of a \
             file",
            printable(path)
        )));
    }
    let folder = folder_of(&target);
    if !folder.is_dir() {
        return Err(Error::Unavailable(format!(
            "{}: the folder {} does not exist: create it first",
            printable(path),
            printable(folder)
        )));
    }
    let temporary = beside(&target, ".tmp");
    write_and_flush(&temporary, b"")
        .and_then(|()| fs::remove_file(&temporary))
        .map_err(Error::io("write", &temporary))
}

fn write_and_flush(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Renames a flushed file and flushes the folder, so that the new name survives a power failure.
///
/// # Errors
/// [`Error::Io`].
pub fn rename(from: &Path, to: &Path) -> Result<()> {
    fs::rename(from, to).map_err(Error::io("replace", to))?;
    flush_folder(to)
}

/// Flushes the folder of `path`: on Unix, where folders can be opened.
fn flush_folder(path: &Path) -> Result<()> {
    let folder = folder_of(path);
    #[cfg(unix)]
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(Error::io("flush", folder))?;
    Ok(())
}

/// `path` behind any symbolic link to a file that exists, so that the file is replaced and not the link to it.
fn resolved(path: &Path) -> Result<PathBuf> {
    if path.is_symlink() && path.exists() {
        fs::canonicalize(path).map_err(Error::io("open", path))
    } else {
        Ok(path.to_path_buf())
    }
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    }
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_and_the_old_one_kept_on_request() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model");
        let kept = [b"one", b"two", b"six"].map(|content| {
            replace(&path, content).unwrap();
            let kept = keep_as_previous(&path).unwrap();
            assert_eq!(fs::read(&path).unwrap(), content);
            kept
        });
        replace(&path, b"new").unwrap();
        let names = ["model.previous", "model.previous.2", "model.previous.3"];
        assert_eq!(kept, names.map(|name| folder.path().join(name)));
        for (kept, content) in kept.iter().zip([b"one", b"two", b"six"]) {
            assert_eq!(fs::read(kept).unwrap(), content);
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 4, "nothing temporary is left");
    }

    #[test]
    fn a_failure_leaves_the_old_file_and_nothing_temporary() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model");
        // A folder in place of the file: the rename fails after everything was written.
        fs::create_dir(&path).unwrap();
        fs::write(path.join("inside"), b"").unwrap();
        replace(&path, b"new").unwrap_err();
        assert!(path.join("inside").exists());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        check_writable(&path).unwrap_err();
        check_writable(&folder.path().join("missing").join("model")).unwrap_err();
        check_writable(&folder.path().join("new")).unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[cfg(unix)]
    #[test]
    fn a_device_is_not_replaced() {
        let error = check_writable(Path::new("/dev/null")).unwrap_err();
        assert!(error.to_string().contains("not a regular file"), "{error}");
    }

    #[test]
    fn the_check_removes_what_a_killed_process_left() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model");
        fs::write(folder.path().join("model.tmp"), b"half a mod").unwrap();
        check_writable(&path).unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[cfg(unix)]
    #[test]
    fn a_link_stays_a_link_to_the_new_content() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("file"), folder.path().join("link"));
        fs::write(&file, b"old").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        replace(&link, b"new").unwrap();
        assert!(link.is_symlink());
        assert_eq!(fs::read(&file).unwrap(), b"new");
    }
}
