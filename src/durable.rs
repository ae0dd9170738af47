//! Replacing a file so that a reader, a crash or a full disk finds the old one or the new one,
//! never something between.
//!
//! The order is PostgreSQL's `durable_rename`: write a temporary file in the same folder, flush it
//! to the disk, rename it over the old one, flush the folder.

use std::ffi::OsString;
use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result, printable};

/// Puts `bytes` under `path`, whole or not at all; returns when they are on the disk.
///
/// # Errors
/// [`Error::Io`]; what stood under `path` before still does, and the temporary file is gone.
pub fn replace(path: &Path, bytes: &[u8]) -> Result<()> {
    replace_after(path, bytes, |_| Ok(()))
}

/// The same, and what stood under `path` before is kept beside it under the name that is returned:
/// `NAME.previous` or, where that is taken, `NAME.previous.2` and so on.
///
/// # Errors
/// [`Error::Io`]; nothing has changed its name then.
pub fn replace_and_keep(path: &Path, bytes: &[u8]) -> Result<Option<PathBuf>> {
    let mut kept = None;
    replace_after(path, bytes, |target| {
        kept = if target.exists() { Some(keep(target)?) } else { None };
        Ok(())
    })?;
    Ok(kept)
}

/// Does `before_rename`, with the path behind any link, when the new content is safely on the disk.
fn replace_after(
    path: &Path,
    bytes: &[u8],
    before_rename: impl FnOnce(&Path) -> Result<()>,
) -> Result<()> {
    let target = resolved(path)?;
    let temporary = beside(&target, ".tmp");
    let written = write_and_flush(&temporary, bytes)
        .map_err(Error::io("write", &temporary))
        .and_then(|()| before_rename(&target))
        .and_then(|()| rename(&temporary, &target));
    if written.is_err() {
        // The failure that is reported is the one that came first.
        let _ = fs::remove_file(&temporary);
    }
    written
}

/// Gives the file `target` a second name that is free.
fn keep(target: &Path) -> Result<PathBuf> {
    let numbered = (2..).map(|number: u32| format!(".previous.{number}"));
    let previous = [".previous".to_string()]
        .into_iter()
        .chain(numbered)
        .map(|suffix| beside(target, &suffix))
        .find(|name| name.symlink_metadata().is_err())
        .expect("numbers do not end");
    // A second name costs nothing; where the file system has none, a copy does the same.
    fs::hard_link(target, &previous)
        .or_else(|_| copy_to_new(target, &previous))
        .map_err(Error::io("write", &previous))?;
    Ok(previous)
}

/// Copies a file under a name that must be free.
fn copy_to_new(from: &Path, to: &Path) -> io::Result<()> {
    let bytes = fs::read(from)?;
    let mut file = File::create_new(to)?;
    file.write_all(&bytes)?;
    file.sync_all()
}

/// Holds a file for one process: as long as this lives, no other gets it. A crash leaves nothing
/// locked, at most an empty file `NAME.lock`.
#[derive(Debug)]
pub struct Lock {
    _file: File,
    path: PathBuf,
}

impl Lock {
    /// Locks the file at `path`, which need not exist.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when another process holds it, [`Error::Io`] when its folder is
    /// missing or cannot be written.
    fn acquire(path: &Path) -> Result<Self> {
        let lock = beside(&resolved(path)?, ".lock");
        loop {
            let file = File::create(&lock).map_err(Error::io("write", &lock))?;
            match file.try_lock() {
                // Its last holder may have removed it after it was opened here.
                Ok(()) if !is_at(&file, &lock) => {}
                Ok(()) => return Ok(Self { _file: file, path: lock }),
                Err(TryLockError::WouldBlock) => {
                    return Err(Error::Unavailable(format!(
                        "{}: another run is writing it: wait for that, or name another --model",
                        printable(path)
                    )));
                }
                Err(TryLockError::Error(error)) => return Err(Error::io("lock", &lock)(error)),
            }
        }
    }
}

/// Whether `path` still leads to `file`.
#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let identity = |metadata: fs::Metadata| (metadata.dev(), metadata.ino());
    match (file.metadata(), fs::metadata(path)) {
        (Ok(file), Ok(path)) => identity(file) == identity(path),
        _ => false,
    }
}

/// Elsewhere a file that is open cannot be removed.
#[cfg(not(unix))]
fn is_at(_: &File, _: &Path) -> bool {
    true
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Before it is unlocked: nobody else can be holding this file.
        let _ = fs::remove_file(&self.path);
    }
}

/// Finds out, before hours of work depend on it, whether [`replace`] could write `path`, keeps other
/// processes from doing so, and removes what a killed one has left beside it.
///
/// # Errors
/// When another process holds `path`, when it is a folder, a device or a pipe, or when its folder is
/// missing or cannot be written.
pub fn lock_for_writing(path: &Path) -> Result<Lock> {
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
    let lock = Lock::acquire(path)?;
    let temporary = beside(&target, ".tmp");
    write_and_flush(&temporary, b"")
        .and_then(|()| fs::remove_file(&temporary))
        .map_err(Error::io("write", &temporary))?;
    Ok(lock)
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

/// `path` behind any symbolic link to a file that exists, so that the file is replaced and not the
/// link to it.
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
            let kept = replace_and_keep(&path, content).unwrap();
            assert_eq!(fs::read(&path).unwrap(), content);
            kept
        });
        let names = ["model.previous", "model.previous.2"].map(|name| folder.path().join(name));
        assert_eq!(kept, [None, Some(names[0].clone()), Some(names[1].clone())]);
        assert_eq!(names.map(|name| fs::read(name).unwrap()), [b"one", b"two"]);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 3, "nothing temporary is left");
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
        lock_for_writing(&path).unwrap_err();
        lock_for_writing(&folder.path().join("missing").join("model")).unwrap_err();
        lock_for_writing(&folder.path().join("new")).unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[cfg(unix)]
    #[test]
    fn a_device_is_not_replaced() {
        let error = lock_for_writing(Path::new("/dev/null")).unwrap_err();
        assert!(error.to_string().contains("not a regular file"), "{error}");
    }

    #[test]
    fn a_file_is_held_by_one_at_a_time_and_free_again_afterwards() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model");
        let held = Lock::acquire(&path).unwrap();
        let refused = Lock::acquire(&path).unwrap_err();
        assert!(refused.to_string().contains("another run is writing it"), "{refused}");
        assert_eq!(refused.exit_code(), 1);
        drop(held);
        drop(Lock::acquire(&path).unwrap());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn the_check_removes_what_a_killed_process_left() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model");
        fs::write(folder.path().join("model.tmp"), b"half a mod").unwrap();
        lock_for_writing(&path).unwrap();
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
