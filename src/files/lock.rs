//! Locks that let only one process at a time write a file.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use super::names::{LOCK, TEMPORARY, companion, folder_of, resolved};
use super::system::{Os, System, write_temporary};
use crate::error::{Error, Result, printable};

/// Longest name of a file in bytes, on almost every file system.
const LONGEST_NAME: usize = 255;

/// A lock on a file: while this value lives, no other process can lock the same file. The lock ends
/// with the process; a crash leaves at most an empty file `.NAME.mnist-train.lock`.
#[derive(Debug)]
pub struct Lock {
    _file: File,
    path: PathBuf,
}

impl Lock {
    /// Locks the file at `path`, which need not exist.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when another process holds the lock, [`Error::Io`] when the folder of
    /// `path` is missing or cannot be written.
    fn acquire(path: &Path) -> Result<Self> {
        let lock = companion(&resolved(path)?, LOCK);
        match open_locked(&lock)? {
            Some(file) => Ok(Self { _file: file, path: lock }),
            None => Err(Error::Unavailable(format!(
                "{}: another run is writing it: wait until it ends, or name another file",
                printable(path)
            ))),
        }
    }
}

/// Opens and locks the file at `path`, which is created if it does not exist and is not emptied:
/// `None` while another process holds the lock. The process that holds the lock removes the file
/// before it releases the lock.
///
/// # Errors
/// [`Error::Io`] when the file cannot be written, [`Error::Unavailable`] when the file system has
/// no locks, as some network file systems.
fn open_locked(path: &Path) -> Result<Option<File>> {
    loop {
        let file = open_or_create(path).map_err(Error::io("write", path))?;
        match file.try_lock() {
            // Its last holder may have removed the file after it was opened here: try again.
            Ok(()) if !is_at(&file, path) => {}
            Ok(()) => return Ok(Some(file)),
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(lock_error(path, error)),
        }
    }
}

/// Opens or creates the regular file at `path`. A link or a pipe at `path` is removed, so that
/// nothing is created at the link's target and nothing waits for the pipe.
fn open_or_create(path: &Path) -> io::Result<File> {
    let options = || File::options().read(true).write(true).clone();
    match options().create_new(true).open(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        created => return created,
    }
    let opened = match fs::symlink_metadata(path) {
        // `is_at` notices a link that replaces the file after this check.
        Ok(metadata) if metadata.is_file() => options().open(path),
        found => found
            .and_then(|_| fs::remove_file(path))
            .and_then(|()| options().create_new(true).open(path)),
    };
    match opened {
        // The process that held the lock has just removed the file.
        Err(error) if error.kind() == io::ErrorKind::NotFound => open_or_create(path),
        opened => opened,
    }
}

/// The error of a file system without locks. Two processes that write one file at once would tear
/// it, so the program does not go on without a lock.
fn lock_error(path: &Path, error: io::Error) -> Error {
    let refusal = Error::io("lock", path)(error);
    Error::Unavailable(format!("{refusal}: write to a folder on a file system that has locks"))
}

/// Whether `path` is the file to which stdout or stderr is redirected.
fn is_output(path: &Path) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        let identity = |path: &Path| fs::metadata(path).map(|file| (file.dev(), file.ino())).ok();
        let this = identity(path);
        let streams = ["/dev/stdout", "/dev/stderr"].map(|stream| identity(Path::new(stream)));
        this.is_some() && streams.contains(&this)
    }
    #[cfg(not(unix))]
    {
        let _ = path;
        false
    }
}

/// Whether `path` is still the name of `file` itself, not of a link to it.
#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let identity = |metadata: fs::Metadata| (metadata.dev(), metadata.ino());
    match (file.metadata(), fs::symlink_metadata(path)) {
        (Ok(file), Ok(path)) => identity(file) == identity(path),
        _ => false,
    }
}

/// Always true outside Unix, where an open file cannot be removed.
#[cfg(not(unix))]
fn is_at(_: &File, _: &Path) -> bool {
    true
}

impl Drop for Lock {
    fn drop(&mut self) {
        // The file is removed while it is still locked, so no other process can hold it.
        let _ = fs::remove_file(&self.path);
    }
}

/// Locks `path` and checks that [`replace`](super::durable::replace) can write it, before hours of
/// work depend on it. It removes what a killed process left beside `path`.
///
/// # Errors
/// When another process holds the lock of `path`, when `path` is a folder, a device or a pipe, or
/// when its folder is missing or cannot be written.
pub fn lock_for_writing(path: &Path) -> Result<Lock> {
    lock_on(&Os, path)
}

/// [`lock_for_writing`] on a given operating system, for tests.
pub(super) fn lock_on(system: &impl System, path: &Path) -> Result<Lock> {
    let name = path.file_name().unwrap_or_default().as_encoded_bytes();
    // A path that ends with a slash names a folder.
    let names_folder = !path.as_os_str().as_encoded_bytes().ends_with(name) || name.is_empty();
    if path.is_dir() || names_folder {
        return Err(Error::Unavailable(format!(
            "{} is a directory, and a file is needed: name another path, or move it away",
            printable(path)
        )));
    }
    if path.exists() && !path.is_file() {
        return Err(Error::Unavailable(format!(
            "{} is not a regular file, and would be replaced by one: name another file",
            printable(path)
        )));
    }
    if is_output(path) {
        return Err(Error::Unavailable(format!(
            "{} is where this program's output goes, and would be replaced: name another file",
            printable(path)
        )));
    }
    let target = resolved(path)?;
    let folder = folder_of(&target);
    let problem = match fs::metadata(folder) {
        Ok(metadata) if metadata.is_dir() => None,
        Ok(_) => Some("is not a folder: name another"),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Some("does not exist: create it first")
        }
        Err(error) => return Err(Error::io("write", path)(error)),
    };
    if let Some(problem) = problem {
        return Err(Error::Unavailable(format!(
            "{}: the folder {} {problem}",
            printable(path),
            printable(folder)
        )));
    }
    let bytes = target.file_name().unwrap_or_default().len();
    let added = companion(&target, LOCK).as_os_str().len() - target.as_os_str().len();
    if bytes + added > LONGEST_NAME {
        return Err(Error::Unavailable(format!(
            "{}: the name has {bytes} bytes, and temporary files beside it need {added} more: \
             choose a name of at most {} bytes",
            printable(path),
            LONGEST_NAME - added,
        )));
    }
    let lock = Lock::acquire(path)?;
    let temporary = companion(&target, TEMPORARY);
    let written = write_temporary(system, &temporary, b"", None);
    let removed = system.remove(&temporary);
    written.and(removed).map_err(Error::io("write", &temporary))?;
    system.flush_folder(folder).map_err(Error::io("flush", folder))?;
    if target.exists() {
        check_renamable(system, &target, &temporary)?;
    }
    Ok(lock)
}

/// Checks that another file could be renamed over `target`, as far as this can be known without
/// doing it. `spare` is a free name in the same folder.
fn check_renamable(system: &impl System, target: &Path, spare: &Path) -> Result<()> {
    use io::ErrorKind::{CrossesDevices, PermissionDenied, ReadOnlyFilesystem};
    // `remove_dir` never removes a file. But before the system says so, it checks whether the name
    // may be removed: it may not if the file is immutable, or another user's in a sticky folder.
    if let Err(error) = fs::remove_dir(target)
        && [PermissionDenied, ReadOnlyFilesystem].contains(&error.kind())
    {
        let error = Error::io("replace", target)(error);
        return Err(Error::Unavailable(format!(
            "{error}: the file is protected, or another user's in a sticky folder: name another file"
        )));
    }
    match system.link(target, spare) {
        Ok(()) => system.remove(spare).map_err(Error::io("remove", spare)),
        Err(error) if error.kind() == CrossesDevices => Err(Error::Unavailable(format!(
            "{}: the file is a mount point, which cannot be replaced: mount its folder instead, \
             or name another file",
            printable(target)
        ))),
        // Some file systems have no second names.
        Err(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn where_there_are_no_locks_the_line_says_what_to_do() {
        let error = lock_error(Path::new("model.lock"), io::ErrorKind::Unsupported.into());
        let words = "model.lock: cannot lock: unsupported: write to a folder on a file system that \
                     has locks";
        assert_eq!((error.to_string().as_str(), error.exit_code()), (words, 1));
    }

    #[cfg(unix)]
    #[test]
    fn a_file_that_was_removed_is_not_held() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.lock");
        let file = File::create(&path).unwrap();
        assert!(is_at(&file, &path));
        fs::remove_file(&path).unwrap();
        assert!(!is_at(&file, &path));
        let _other = open_locked(&path).unwrap().unwrap();
        assert!(!is_at(&file, &path));
    }

    #[test]
    fn the_check_removes_what_a_killed_process_left() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model");
        for purpose in [LOCK, TEMPORARY] {
            fs::write(companion(&path, purpose), b"half a mod").unwrap();
        }
        lock_for_writing(&path).unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[cfg(unix)]
    #[test]
    fn links_in_the_place_of_its_own_files_are_not_written_through() {
        let folder = tempfile::tempdir().unwrap();
        let (path, victim) = (folder.path().join("model"), folder.path().join("victim"));
        fs::write(&victim, b"precious").unwrap();
        let plant = |to: &Path, purpose| {
            std::os::unix::fs::symlink(to, companion(&path, purpose)).unwrap();
        };
        for to in [&victim, &folder.path().join("nowhere")] {
            plant(to, LOCK);
            plant(to, TEMPORARY);
            let lock = lock_for_writing(&path).unwrap();
            plant(to, TEMPORARY);
            super::super::durable::replace(&path, b"new").unwrap();
            drop(lock);
            assert_eq!(fs::read(&victim).unwrap(), b"precious");
            assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "the model, the victim");
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_pipe_in_the_place_of_its_own_files_is_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model");
        let plant = |purpose| {
            let made = std::process::Command::new("mkfifo").arg(companion(&path, purpose)).status();
            assert!(made.unwrap().success());
        };
        plant(LOCK);
        plant(TEMPORARY);
        let lock = lock_for_writing(&path).unwrap();
        plant(TEMPORARY);
        super::super::durable::replace(&path, b"new").unwrap();
        drop(lock);
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "the model");
    }

    #[test]
    fn a_name_that_is_too_long_for_the_files_beside_it_is_refused_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let named = |length| folder.path().join("n".repeat(length));
        for length in [238, 250, 255] {
            let refused = lock_for_writing(&named(length)).unwrap_err().to_string();
            assert!(refused.ends_with("choose a name of at most 237 bytes"), "{refused}");
        }
        let lock = lock_for_writing(&named(237)).unwrap();
        for content in [b"old", b"new"] {
            super::super::durable::replace_and_keep(&named(237), content, 1).unwrap();
        }
        drop(lock);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "the model and its previous");
    }

    #[test]
    fn a_folder_that_is_a_file_is_told_from_one_that_is_missing() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("file"), b"precious").unwrap();
        for (name, problem) in
            [("file/m", "file is not a folder"), ("none/m", "none does not exist")]
        {
            let refused = lock_for_writing(&folder.path().join(name)).unwrap_err().to_string();
            assert!(refused.contains(problem), "{refused}");
        }
    }

    #[test]
    fn a_path_that_ends_like_a_folder_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["new/", "new/."] {
            let refused = lock_for_writing(&folder.path().join(name)).unwrap_err().to_string();
            assert!(refused.contains("is a directory, and a file is needed"), "{refused}");
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
