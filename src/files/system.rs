//! The calls to the operating system by which a file is replaced, as a trait, so that tests can let
//! any call fail.

use std::fs::{self, File, Permissions};
use std::io::{self, Write};
use std::path::Path;

/// The operating system, or a test's imitation of it.
pub trait System {
    /// Creates the file at `path`. Nothing may exist there, not even a link, which would lead
    /// elsewhere. On Unix the file has these `permissions` from its first moment.
    fn create(&self, path: &Path, permissions: Option<Permissions>) -> io::Result<File> {
        let mut options = File::options();
        options.read(true).write(true).create_new(true);
        #[cfg(unix)]
        if let Some(permissions) = permissions {
            use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
            let file = options.mode(permissions.mode() & 0o777).open(path)?;
            // The process's umask has removed some of them.
            if file.metadata()?.permissions() != permissions {
                file.set_permissions(permissions)?;
            }
            return Ok(file);
        }
        #[cfg(not(unix))]
        drop(permissions);
        options.open(path)
    }

    /// Writes all `bytes` to `file`.
    fn write(&self, file: &mut File, bytes: &[u8]) -> io::Result<()> {
        file.write_all(bytes)
    }

    /// Waits until everything that was written to `file` is on the disk.
    fn flush(&self, file: &File) -> io::Result<()> {
        file.sync_all()
    }

    /// Renames the file `from` to `to`, which it replaces.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    /// Gives the file `from` the second name `to`, which must be free.
    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::hard_link(from, to)
    }

    /// Waits until the names of the files in `folder` are on the disk, as PostgreSQL does: a folder
    /// that cannot be opened for reading, and a file system that cannot flush folders, as CIFS, are
    /// no failure. It does nothing outside Unix, where a folder cannot be opened.
    fn flush_folder(&self, folder: &Path) -> io::Result<()> {
        use io::ErrorKind::{InvalidInput, PermissionDenied, Unsupported};
        if !cfg!(unix) {
            return Ok(());
        }
        match File::open(folder).and_then(|folder| folder.sync_all()) {
            Err(error) if [InvalidInput, PermissionDenied, Unsupported].contains(&error.kind()) => {
                Ok(())
            }
            flushed => flushed,
        }
    }

    /// Removes the file at `path`.
    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }
}

/// The real operating system.
pub struct Os;

impl System for Os {}

/// Creates an empty temporary file. What already has this name is removed: it is left over from a
/// killed run, or a link planted to make the program write elsewhere.
pub fn create_temporary(
    system: &impl System,
    path: &Path,
    permissions: Option<Permissions>,
) -> io::Result<File> {
    match system.remove(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => system.create(path, permissions),
    }
}

/// Creates a temporary file that holds `bytes`, and flushes it to the disk.
pub fn write_temporary(
    system: &impl System,
    path: &Path,
    bytes: &[u8],
    permissions: Option<Permissions>,
) -> io::Result<()> {
    write_and_flush(system, create_temporary(system, path, permissions)?, bytes)
}

/// Permissions of the file at `path`, if it exists.
pub fn permissions(path: &Path) -> Option<Permissions> {
    fs::metadata(path).ok().map(|metadata| metadata.permissions())
}

/// Writes `bytes` to `file` and flushes it to the disk.
pub fn write_and_flush(system: &impl System, mut file: File, bytes: &[u8]) -> io::Result<()> {
    system.write(&mut file, bytes)?;
    system.flush(&file)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_file_system_that_cannot_flush_folders_is_no_failure() {
        // This one answers EINVAL, as CIFS does.
        Os.flush_folder(Path::new("/proc")).unwrap();
        let missing = Os.flush_folder(Path::new("/proc/missing")).unwrap_err();
        assert_eq!(missing.kind(), io::ErrorKind::NotFound);
    }
}
