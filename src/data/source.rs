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

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::dataset::{Dataset, OFFICIAL_SHA256};
#[cfg(feature = "download")]
use super::download::download;
use super::files::{Files, Found, Part, locate};
use crate::error::{Error, Result, printable, printable_text, quoted};

/// Where the files can be downloaded, what they must be, and how long to wait for them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remote {
    /// Folders on the web that hold the four files under their official names with `.gz`, tried
    /// in this order.
    pub mirrors: Vec<String>,
    /// SHA-256 of each uncompressed file in lower-case hexadecimal, in the order of [`Part::ALL`].
    pub sha256: [String; 4],
    /// How long connecting to a mirror may take, and how long finding its address before that.
    pub connect_timeout: Duration,
    /// How long a mirror may send nothing.
    pub stall_timeout: Duration,
}

/// Where the official files are, without a registration.
const MIRRORS: [&str; 2] = [
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
];

impl Default for Remote {
    /// The official MNIST from its public mirrors.
    fn default() -> Self {
        Self {
            mirrors: MIRRORS.map(String::from).to_vec(),
            sha256: OFFICIAL_SHA256.map(String::from),
            connect_timeout: Duration::from_secs(5),
            stall_timeout: Duration::from_secs(15),
        }
    }
}

impl Remote {
    /// The official MNIST from the mirrors in `list`, separated by spaces or commas; from the
    /// public ones when there is none in it. What they are is looked at when they are needed.
    pub fn with_mirrors(list: &OsStr) -> Self {
        let mut remote = Self::default();
        // No web address has a backslash, so that what is not text is none.
        let list = list.to_str().map_or_else(|| printable_text(list), String::from);
        let mirrors: Vec<String> = list
            .split(|c: char| c == ',' || c.is_whitespace())
            .filter(|mirror| !mirror.is_empty())
            .map(String::from)
            .collect();
        if !mirrors.is_empty() {
            remote.mirrors = mirrors;
        }
        remote
    }

    /// # Errors
    /// [`Error::Usage`] when a mirror is not a web address.
    fn check(&self) -> Result<()> {
        let is_address = |mirror: &str| {
            let rest = mirror.strip_prefix("https://").or_else(|| mirror.strip_prefix("http://"));
            let is_plain = |c: char| c.is_ascii_graphic() && c != '\\';
            rest.is_some_and(|rest| !rest.is_empty() && rest.chars().all(is_plain))
        };
        match self.mirrors.iter().find(|mirror| !is_address(mirror)) {
            None => Ok(()),
            Some(mirror) => Err(Error::Usage(format!(
                "MNIST_MIRRORS: '{}' is no web address: it must begin with https:// or http:// and \
                 consist of ASCII",
                quoted(&without_password(mirror)),
            ))),
        }
    }
}

/// `address` without the name and the password that may stand before the host.
pub(super) fn without_password(address: &str) -> String {
    let (scheme, rest) = match address.split_once("://") {
        Some((scheme, rest)) => (format!("{scheme}://"), rest),
        None => (String::new(), address),
    };
    // Also one with a '/' in it, although it does not belong there.
    scheme + rest.rsplit('@').next().unwrap_or(rest)
}

/// Something that happened during a download.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event<'a> {
    /// A file is being asked for.
    Requested {
        /// The file.
        part: Part,
        /// The host that is asked, safe on a terminal.
        host: &'a str,
    },
    /// Some of it has come.
    Received {
        /// Bytes so far.
        bytes: u64,
        /// Bytes in all, when the host says so.
        total: Option<u64>,
    },
    /// The host did not deliver; if there is another, it is asked next.
    Failed {
        /// The file.
        part: Part,
        /// The host that was asked, safe on a terminal.
        host: &'a str,
        /// Why, on one line.
        reason: &'a str,
    },
    /// The file is complete, verified and under its final name.
    Verified {
        /// Where it is.
        path: &'a Path,
    },
}

/// Hears how a download goes, and may stop it. `()` hears nothing and never stops.
pub trait Progress {
    /// Takes note of `event`.
    fn event(&mut self, event: Event<'_>);

    /// The number of the signal that asks to stop, if there was one. Asked several times a second.
    fn stop_requested(&self) -> Option<i32>;
}

impl Progress for () {
    fn event(&mut self, _: Event<'_>) {}

    fn stop_requested(&self) -> Option<i32> {
        None
    }
}

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
