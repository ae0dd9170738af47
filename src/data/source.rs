//! Where the images come from: a folder that was named, the default folder, or a download.
//!
//! 1. A folder that somebody named is used, or is an error.
//! 2. Otherwise the default folder is used if the four files are there. Files that are there and
//!    not valid are an error too: whoever put them there wants them to be used.
//! 3. Otherwise the official files are downloaded into the default folder. Files of another set
//!    are never mixed with them, and nothing that is there is ever overwritten.
//! 4. Otherwise, where no network can be reached or none may be asked, there is no data, and the
//!    answer says why. A full disk and a wrong file from a mirror are errors.
//!
//! What to do in the last case, and how to tell a person about any of it, is the caller's matter.

use std::path::{Path, PathBuf};

use super::dataset::Dataset;
#[cfg(feature = "download")]
use super::download::download;
use super::files::{Files, Found, Part, locate};
use super::remote::{Progress, Remote};
use crate::error::{Error, Result, printable};

/// What to load.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The folder that somebody named.
    pub directory: Option<PathBuf>,
    /// The folder to use otherwise, and to download into.
    pub default_directory: PathBuf,
    /// Where to download from; `None` forbids it.
    pub remote: Option<Remote>,
}

/// What came of it.
#[derive(Debug)]
pub enum Outcome {
    /// Files were found, or downloaded, and read.
    Loaded {
        /// Their content.
        dataset: Dataset,
        /// Where they are.
        files: Files,
    },
    /// Nobody named a folder, the default one holds no data, and none could be downloaded.
    NotAvailable {
        /// Why, on one line.
        reason: Error,
    },
}

/// Finds, downloads if need be, and reads a dataset.
///
/// # Errors
/// When files are there that cannot be used, a mirror that is needed is no web address, those that
/// come are wrong or cannot be written, or `progress` asked to stop. That nothing comes is no error,
/// but [`Outcome::NotAvailable`].
pub fn load(request: &Request, progress: &mut dyn Progress) -> Result<Outcome> {
    let read = |files: Files| {
        let dataset = files.read()?;
        Ok(Outcome::Loaded { dataset, files })
    };
    if let Some(directory) = &request.directory {
        return read(locate(directory)?);
    }
    let directory = &request.default_directory;
    let found = Found::in_folder(directory)?;
    if found.is_complete() {
        return read(found.into_files()?);
    }
    let Some(remote) = request.remote.as_ref().filter(|_| cfg!(feature = "download")) else {
        let reason = found.incomplete(NO_DOWNLOAD);
        return if found.is_empty() { Ok(Outcome::NotAvailable { reason }) } else { Err(reason) };
    };
    check_official(&found, remote)?;
    remote.check()?;
    match download(directory, &found.missing(), remote, progress) {
        Ok(()) => read(locate(directory)?),
        // Whoever put some of the files there wants them to be used.
        Err(reason @ Error::Unreachable(_)) if found.is_empty() => {
            Ok(Outcome::NotAvailable { reason })
        }
        Err(error) => Err(error),
    }
}

/// Downloads those of the four official files that `directory` lacks.
///
/// # Errors
/// When a file that is there is not the official one, or the download fails: [`Error::InvalidData`]
/// if a mirror delivered something else than the official file, [`Error::Unreachable`] if none
/// delivered anything.
pub fn fetch(directory: &Path, remote: &Remote, progress: &mut dyn Progress) -> Result<Files> {
    let found = Found::in_folder(directory)?;
    check_official(&found, remote)?;
    if !found.is_complete() {
        remote.check()?;
    }
    download(directory, &found.missing(), remote, progress)?;
    locate(directory)
}

/// Refuses to complete a set that is not the one that `remote` has.
fn check_official(found: &Found, remote: &Remote) -> Result<()> {
    for part in Part::ALL {
        let Some(path) = found.path(part) else {
            continue;
        };
        let reason = match part.examine_file(path) {
            Ok(content) if content.sha256.to_string() == remote.sha256[part as usize] => continue,
            Ok(_) => format!("{}: not the official MNIST", printable(path)),
            Err(error) => error.to_string(),
        };
        return Err(if found.is_complete() {
            Error::Unavailable(format!(
                "{reason}, and nothing is overwritten: move it away, or fetch into another folder"
            ))
        } else {
            found.incomplete(&format!(
                "not downloaded, because two sets would be mixed ({reason}): add what is missing, \
                 or move the other files away"
            ))
        });
    }
    Ok(())
}

/// Why a program that may not download does not.
const NO_DOWNLOAD: &str = if cfg!(feature = "download") {
    "downloading is forbidden by --offline"
} else {
    "this program was built without its feature 'download'"
};

#[cfg(not(feature = "download"))]
fn download(_: &Path, missing: &[Part], _: &Remote, _: &mut dyn Progress) -> Result<()> {
    match missing {
        [] => Ok(()),
        _ => Err(Error::Unavailable(NO_DOWNLOAD.into())),
    }
}
