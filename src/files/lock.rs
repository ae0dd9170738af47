//! One process at a time for one file.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use super::names::{LOCK, TEMPORARY, folder_of, own, resolved};
use super::system::{Os, System, write_temporary};
use crate::error::{Error, Result, printable};

/// Bytes of a file's name, on almost every file system.
const LONGEST_NAME: usize = 255;

/// Holds a file for one process: as long as this lives, no other gets it. A crash leaves nothing
/// locked, at most an empty file `.NAME.mnist-train.lock`.
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
        let lock = own(&resolved(path)?, LOCK);
        match open_locked(&lock)? {
            Some(file) => Ok(Self { _file: file, path: lock }),
            None => Err(Error::Unavailable(format!(
                "{}: another run is writing it: wait for that, or name another file",
                printable(path)
            ))),
        }
    }
}

/// Opens the file at `path`, which is made if need be and not emptied, for one process at a time:
/// `None` while another has it. Who has it may remove it, and does so before letting go.
///
/// # Errors
/// [`Error::Io`] when it cannot be written, [`Error::Unavailable`] where there are no locks, as on
/// some file systems of a network.
fn open_locked(path: &Path) -> Result<Option<File>> {
    loop {
        let file = open_or_create(path).map_err(Error::io("write", path))?;
        match file.try_lock() {
            // The one that had it may have removed it after it was opened here.
            Ok(()) if !is_at(&file, path) => {}
            Ok(()) => return Ok(Some(file)),
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(no_lock(path, error)),
        }
    }
}

/// Never makes or waits for anything where a link leads, nor at a pipe.
fn open_or_create(path: &Path) -> io::Result<File> {
    let options = || File::options().read(true).write(true).clone();
    match options().create_new(true).open(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        created => return created,
    }
    let opened = match fs::symlink_metadata(path) {
        // A link that has come since is noticed when this has been locked.
        Ok(metadata) if metadata.is_file() => options().open(path),
        found => found
            .and_then(|_| fs::remove_file(path))
            .and_then(|()| options().create_new(true).open(path)),
    };
    match opened {
        // The one that had it has removed it.
        Err(error) if error.kind() == io::ErrorKind::NotFound => open_or_create(path),
        opened => opened,
    }
}

/// Two processes that write one file at once would tear it, so there is no going on without a lock.
fn no_lock(path: &Path, error: io::Error) -> Error {
    let refusal = Error::io("lock", path)(error);
    Error::Unavailable(format!("{refusal}: write to a folder on a file system that has locks"))
}

/// Whether `path` leads to the file that stdout or stderr is.
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

/// Whether `path` is still the name of `file`, and no link to it.
#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let identity = |metadata: fs::Metadata| (metadata.dev(), metadata.ino());
    match (file.metadata(), fs::symlink_metadata(path)) {
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

/// Finds out, before hours of work depend on it, whether [`replace`](super::durable::replace) could write
/// `path`, keeps other processes from doing so, and removes what a killed one has left beside it.
///
/// # Errors
/// When another process holds `path`, when it is a folder, a device or a pipe, or when its folder
/// is missing or cannot be written.
pub fn lock_for_writing(path: &Path) -> Result<Lock> {
    lock_on(&Os, path)
}

pub(super) fn lock_on(system: &impl System, path: &Path) -> Result<Lock> {
    let name = path.file_name().unwrap_or_default().as_encoded_bytes();
    // With a slash at its end it is the name of a folder.
    let names_folder = !path.as_os_str().as_encoded_bytes().ends_with(name) || name.is_empty();
    if path.is_dir() || names_folder {
        return Err(Error::Unavailable(format!(
            "{} is a directory where a file is to be: name another, or move it away",
            printable(path)
        )));
    }
    if path.exists() && !path.is_file() {
        return Err(Error::Unavailable(format!(
            "{} is not a regular file, and would be replaced by one: name another",
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
        Ok(_) => Some("is no folder: name another"),
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
    let added = own(&target, LOCK).as_os_str().len() - target.as_os_str().len();
    if bytes + added > LONGEST_NAME {
        return Err(Error::Unavailable(format!(
            "{}: the name has {bytes} bytes, and a file beside it gets {added} more: name one of \
             at most {} bytes",
            printable(path),
            LONGEST_NAME - added,
        )));
    }
    let lock = Lock::acquire(path)?;
    let temporary = own(&target, TEMPORARY);
    let written = write_temporary(system, &temporary, b"", None);
    let removed = system.remove(&temporary);
    written.and(removed).map_err(Error::io("write", &temporary))?;
    if target.exists() {
        check_renamable(system, &target, &temporary)?;
    }
    Ok(lock)
}

/// Finds out whether another file could be renamed over `target`, as far as that can be known
/// without doing it; the name `spare` beside it is free.
fn check_renamable(system: &impl System, target: &Path, spare: &Path) -> Result<()> {
    use io::ErrorKind::{CrossesDevices, PermissionDenied, ReadOnlyFilesystem};
    // What is not a folder is not removed by this, but before the system says so it looks whether
    // the name may be taken away: not in a sticky folder, if the file is another user's, and not
    // from a file that is immutable.
    if let Err(error) = fs::remove_dir(target)
        && [PermissionDenied, ReadOnlyFilesystem].contains(&error.kind())
    {
        let error = Error::io("replace", target)(error);
        return Err(Error::Unavailable(format!(
            "{error}: the file is protected, or another user's in a sticky folder: name another"
        )));
    }
    match system.link(target, spare) {
        Ok(()) => system.remove(spare).map_err(Error::io("remove", spare)),
        Err(error) if error.kind() == CrossesDevices => Err(Error::Unavailable(format!(
            "{}: is mounted there, and can only be written as a whole: mount its folder instead, \
             or name another file",
            printable(target)
        ))),
        // There are file systems without second names.
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
        let error = no_lock(Path::new("model.lock"), io::ErrorKind::Unsupported.into());
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
            fs::write(own(&path, purpose), b"half a mod").unwrap();
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
            std::os::unix::fs::symlink(to, own(&path, purpose)).unwrap();
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
            let made = std::process::Command::new("mkfifo").arg(own(&path, purpose)).status();
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
            assert!(refused.ends_with("name one of at most 237 bytes"), "{refused}");
        }
        let lock = lock_for_writing(&named(237)).unwrap();
        for content in [b"old", b"new"] {
            super::super::durable::replace_and_keep(&named(237), content).unwrap();
        }
        drop(lock);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "the model and its previous");
    }

    #[test]
    fn a_folder_that_is_a_file_is_told_from_one_that_is_missing() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("file"), b"precious").unwrap();
        for (name, problem) in [("file/m", "file is no folder"), ("none/m", "none does not exist")]
        {
            let refused = lock_for_writing(&folder.path().join(name)).unwrap_err().to_string();
            assert!(refused.contains(problem), "{refused}");
        }
    }

    #[test]
    fn the_name_of_a_folder_is_none_of_a_file() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["new/", "new/."] {
            let refused = lock_for_writing(&folder.path().join(name)).unwrap_err().to_string();
            assert!(refused.contains("is a directory where a file is to be"), "{refused}");
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
