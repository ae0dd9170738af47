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

use std::fs;
use std::path::{Path, PathBuf};

use super::dataset::ImageFormat;
#[cfg(feature = "download")]
use super::download::download;
use super::files::{Files, Found, Part, locate};
use super::known::Known;
use super::remote::{CLASSES, Progress, Remote};
use crate::error::{Error, Result, printable};

/// Places where [`find`] looks for a dataset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Dataset that the user named, if any.
    pub known: Option<&'static Known>,
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
        return locate(directory, request.known, parts).map(Outcome::Found);
    }
    let found = request.found(parts)?;
    if found.is_complete() {
        return found.into_files().map(Outcome::Found);
    }
    if let Some(known) = request.known.filter(|known| known.mirrors.is_empty()) {
        return Ok(Outcome::NotAvailable { reason: found.incomplete(known.remedy) });
    }
    let Some(remote) = request.remote.as_ref().filter(|_| cfg!(feature = "download")) else {
        let reason = found.incomplete(NO_DOWNLOAD);
        return if found.is_empty() { Ok(Outcome::NotAvailable { reason }) } else { Err(reason) };
    };
    check_official(&found, remote)?;
    remote.check()?;
    match download(&found.directory, &found.missing(), remote, progress) {
        Ok(()) => locate(&found.directory, request.known, parts).map(Outcome::Found),
        // If the folder has some of the files, their owner wants them to be used: then it is an
        // error that the missing files cannot be downloaded.
        Err(reason @ Error::Unreachable(_)) if found.is_empty() => {
            Ok(Outcome::NotAvailable { reason })
        }
        Err(error) => Err(error),
    }
}

/// Format of the images and labels, as far as it is known before anything is downloaded: that of the
/// files that are there, or else that of the dataset that the user named, or else MNIST's.
///
/// # Errors
/// When a folder cannot be read or the names of classes are not valid.
pub fn format(request: &Request) -> Result<ImageFormat> {
    let found = match &request.directory {
        Some(directory) => Found::in_folder(directory, request.known, &[])?,
        None => request.found(&[])?,
    };
    Ok(found.into_files()?.format())
}

impl Request {
    /// Files in the default folder, or in the folder of a package if the default folder has none.
    fn found<'a>(&self, parts: &'a [Part]) -> Result<Found<'a>> {
        let found = Found::in_folder(&self.default_directory, self.known, parts)?;
        let package = self.known.and_then(|known| known.package).filter(|_| found.is_empty());
        let packaged = package.map(|folder| Found::in_folder(Path::new(folder), self.known, parts));
        match packaged.transpose()? {
            Some(packaged) if packaged.is_complete() => Ok(packaged),
            _ => Ok(found),
        }
    }
}

/// Downloads the official files that `directory` lacks.
///
/// # Errors
/// When an existing file is not the official one, or the download fails: [`Error::InvalidData`] if
/// a mirror delivered a wrong file, [`Error::Unreachable`] if no mirror delivered a file.
pub fn fetch(
    directory: &Path,
    known: &'static Known,
    remote: &Remote,
    progress: &mut dyn Progress,
) -> Result<Files> {
    let found = Found::in_folder(directory, Some(known), &Part::ALL)?;
    if known.mirrors.is_empty() && !found.is_complete() {
        return Err(found.incomplete(known.remedy));
    }
    check_official(&found, remote)?;
    if !found.is_complete() {
        remote.check()?;
    }
    download(&found.directory, &found.missing(), remote, progress)?;
    // The checksums of what was downloaded have been compared.
    let named = Some(known).filter(|known| known.has_own_names());
    locate(&found.directory, named, &Part::ALL)
}

/// Checks that every file that was found is a file of the dataset of `remote`, so that two datasets
/// are not mixed.
fn check_official(found: &Found, remote: &Remote) -> Result<()> {
    for part in Part::ALL {
        let Some(path) = found.path(part) else {
            continue;
        };
        let reason = match part.examine_file(path, CLASSES) {
            Ok(content) => {
                let stored = || fs::read(path).map_err(Error::io("read", path));
                if remote.digest(&content, stored)? == remote.sha256[part as usize] {
                    continue;
                }
                format!("{}: not the official {}", printable(path), remote.title)
            }
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
