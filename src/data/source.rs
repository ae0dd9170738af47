//! Finds a dataset in a folder that the user named, in the default folder, or by a download.
//!
//! 1. If the user named a folder, it is used; a missing or invalid file is an error.
//! 2. Otherwise, if the default folder has the files, it is used. An invalid file is an error
//!    here too: whoever put it there wants it to be used.
//! 3. Otherwise the official files are downloaded into the default folder. They are never mixed
//!    with files of another dataset, and no existing file is overwritten.
//! 4. Otherwise, if downloading is forbidden or no mirror can be reached, there is no data, and the
//!    result says why. A full disk and a wrong file from a mirror are errors.
//!
//! The caller decides what to do without data and what to tell the user.

use std::path::{Path, PathBuf};

#[cfg(feature = "download")]
use super::download::download;
use super::files::{Files, Found, Part, locate};
use super::remote::{CLASSES, Progress, Remote};
use crate::error::{Error, Result, printable};

/// Places where [`find`] looks for a dataset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Folder that the user named, if any.
    pub directory: Option<PathBuf>,
    /// Folder to use and to download into when the user named none.
    pub default_directory: PathBuf,
    /// Source of a download; `None` forbids downloading.
    pub remote: Option<Remote>,
}

/// Result of [`find`]: files, or the reason why there are none.
#[derive(Debug)]
pub enum Outcome {
    /// Files that were found or downloaded.
    Found(Files),
    /// The user named no folder, the default folder holds no data, and nothing was downloaded.
    NotAvailable {
        /// Reason why nothing was downloaded, on one line.
        reason: Error,
    },
}

/// Finds the files of `parts` of a dataset, and downloads them if necessary.
///
/// # Errors
/// When files that exist do not suffice, a downloaded file is wrong or cannot be written, the
/// address of a mirror is not valid, or `progress` asks to stop. If no mirror can be reached, the
/// result is [`Outcome::NotAvailable`] and no error.
pub fn find(request: &Request, parts: &[Part], progress: &mut dyn Progress) -> Result<Outcome> {
    if let Some(directory) = &request.directory {
        return locate(directory, parts).map(Outcome::Found);
    }
    let found = Found::in_folder(&request.default_directory, parts)?;
    if found.is_complete() {
        return found.into_files().map(Outcome::Found);
    }
    let Some(remote) = request.remote.as_ref().filter(|_| cfg!(feature = "download")) else {
        let reason = found.incomplete(NO_DOWNLOAD);
        return if found.is_empty() { Ok(Outcome::NotAvailable { reason }) } else { Err(reason) };
    };
    check_official(&found, remote)?;
    remote.check()?;
    match download(&found.directory, &found.missing(), remote, progress) {
        Ok(()) => locate(&found.directory, parts).map(Outcome::Found),
        // If the folder has some of the files, their owner wants them to be used: then it is an
        // error that the missing files cannot be downloaded.
        Err(reason @ Error::Unreachable(_)) if found.is_empty() => {
            Ok(Outcome::NotAvailable { reason })
        }
        Err(error) => Err(error),
    }
}

/// Downloads the official files that `directory` lacks.
///
/// # Errors
/// When an existing file is not the official one, or the download fails: [`Error::InvalidData`] if
/// a mirror delivered a wrong file, [`Error::Unreachable`] if no mirror delivered a file.
pub fn fetch(directory: &Path, remote: &Remote, progress: &mut dyn Progress) -> Result<Files> {
    let found = Found::in_folder(directory, &Part::ALL)?;
    check_official(&found, remote)?;
    if !found.is_complete() {
        remote.check()?;
    }
    download(&found.directory, &found.missing(), remote, progress)?;
    locate(&found.directory, &Part::ALL)
}

/// Checks that every file that was found is a file of the dataset of `remote`, so that two datasets
/// are not mixed.
fn check_official(found: &Found, remote: &Remote) -> Result<()> {
    for part in Part::ALL {
        let Some(path) = found.path(part) else {
            continue;
        };
        let reason = match part.examine_file(path, CLASSES) {
            Ok(content) if content.sha256.to_string() == remote.sha256[part as usize] => continue,
            Ok(_) => format!("{}: not the official MNIST", printable(path)),
            Err(error) => error.to_string(),
        };
        return Err(if found.is_complete() {
            Error::Unavailable(format!(
                "{reason}, and no file is overwritten: move it away, or fetch into another folder"
            ))
        } else {
            found.incomplete(&format!(
                "not downloaded, because two datasets would be mixed ({reason}): add the missing \
                 files, or move the other files away"
            ))
        });
    }
    Ok(())
}

/// Reason why this program does not download.
const NO_DOWNLOAD: &str = if cfg!(feature = "download") {
    "downloading is forbidden by --offline"
} else {
    "this program was built without its feature 'download'"
};

/// Refuses to download `missing` files, in a program without the download client.
#[cfg(not(feature = "download"))]
fn download(_: &Path, missing: &[Part], _: &Remote, _: &mut dyn Progress) -> Result<()> {
    match missing {
        [] => Ok(()),
        _ => Err(Error::Unavailable(NO_DOWNLOAD.into())),
    }
}
