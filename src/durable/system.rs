//! What replacing a file asks of the operating system, call by call, so that tests can let any call
//! fail.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

/// The operating system, or a test's.
pub trait System {
    /// Creates the file at `path`, where nothing may stand: not even a link, which would lead
    /// elsewhere.
    fn create(&self, path: &Path) -> io::Result<File> {
        File::options().read(true).write(true).create_new(true).open(path)
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
