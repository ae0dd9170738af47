//! What replacing a file asks of the operating system, call by call, so that tests can let any call
//! fail.

use std::fs::{self, File, Permissions};
use std::io::{self, Write};
use std::path::Path;

/// The operating system, or a test's.
pub trait System {
    /// Creates the file at `path`, where nothing may stand: not even a link, which would lead
    /// elsewhere. It has these `permissions`, and never others, where Unix has them.
    fn create(&self, path: &Path, permissions: Option<Permissions>) -> io::Result<File> {
        let mut options = File::options();
        options.read(true).write(true).create_new(true);
        #[cfg(unix)]
        if let Some(permissions) = permissions {
            use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
            let file = options.mode(permissions.mode() & 0o777).open(path)?;
            // The process's mask has taken some of them away.
            if file.metadata()?.permissions() != permissions {
                file.set_permissions(permissions)?;
            }
            return Ok(file);
        }
        #[cfg(not(unix))]
        drop(permissions);
        options.open(path)
    }

    /// Writes `bytes` to `file`.
    fn write(&self, file: &mut File, bytes: &[u8]) -> io::Result<()> {
        file.write_all(bytes)
    }

    /// Returns when what was written to `file` is on the disk.
    fn flush(&self, file: &File) -> io::Result<()> {
        file.sync_all()
    }

    /// Puts the file `from` in the place of `to`.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    /// Gives the file `from` the second name `to`, which must be free.
    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::hard_link(from, to)
    }

    /// Returns when the names in `folder` are on the disk: on Unix, where folders can be opened.
    fn flush_folder(&self, folder: &Path) -> io::Result<()> {
        if cfg!(unix) { File::open(folder)?.sync_all() } else { Ok(()) }
    }

    /// Removes the file at `path`.
    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }
}

/// The operating system.
pub struct Os;

impl System for Os {}

/// Makes a temporary file anew: what stands there is left over, or a link by which somebody would
/// have us write elsewhere.
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

pub fn write_temporary(
    system: &impl System,
    path: &Path,
    bytes: &[u8],
    permissions: Option<Permissions>,
) -> io::Result<()> {
    fill(system, create_temporary(system, path, permissions)?, bytes)
}

/// What the file at `path`, if there is one, allows to whom.
pub fn permissions(path: &Path) -> Option<Permissions> {
    fs::metadata(path).ok().map(|metadata| metadata.permissions())
}

pub fn fill(system: &impl System, mut file: File, bytes: &[u8]) -> io::Result<()> {
    system.write(&mut file, bytes)?;
    system.flush(&file)
}
