//! The mirrors that have the official files, and the events of a download.

use std::ffi::OsStr;
use std::path::Path;
use std::time::Duration;

use super::files::{Content, Part};
use super::known::{Known, Sha256s};
use crate::digest::Sha256Digest;
use crate::error::{Error, Result, printable_text, quoted};

/// Source of a download: mirrors, the checksums that the files must have, and timeouts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remote {
    /// Name of the dataset in a sentence.
    pub title: &'static str,
    /// Web addresses of folders that hold the four files under their official names with `.gz`.
    /// They are tried in this order.
    pub mirrors: Vec<String>,
    /// SHA-256 of each file in lower-case hexadecimal, in the order of [`Part::ALL`].
    pub sha256: [String; 4],
    /// Whether these are of the compressed files; else they are of the uncompressed ones.
    pub of_packed: bool,
    /// Longest time to find the address of a mirror, and longest time to connect to it.
    pub connect_timeout: Duration,
    /// Longest time in which a mirror may send nothing.
    pub stall_timeout: Duration,
}

/// Number of classes of the official files.
pub const CLASSES: usize = 10;

impl Remote {
    /// The public mirrors of the files of `known`.
    pub fn of(known: &'static Known) -> Self {
        let (sha256, of_packed) = match known.sha256 {
            Sha256s::Unpacked(sums) => (sums, false),
            Sha256s::Packed(sums) => (sums, true),
        };
        Self {
            title: known.title,
            mirrors: known.mirrors.iter().map(ToString::to_string).collect(),
            sha256: sha256.map(String::from),
            of_packed,
            connect_timeout: Duration::from_secs(5),
            stall_timeout: Duration::from_secs(15),
        }
    }

    /// The files of `known` from the mirrors in `list`, which are separated by spaces or commas, or
    /// from the public mirrors when the list is empty. [`check`](Self::check) looks at the
    /// addresses when they are needed.
    pub fn with_mirrors(known: &'static Known, list: &OsStr) -> Self {
        let mut remote = Self::of(known);
        // `printable_text` puts a backslash where `list` is not text, and `check` refuses it.
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

    /// SHA-256, in lower-case hexadecimal, that a file must have in [`Self::sha256`]. The file has this
    /// uncompressed content, and `stored` reads it as it is stored.
    ///
    /// # Errors
    /// The error of `stored`.
    pub(super) fn digest<E>(
        &self,
        content: &Content,
        stored: impl FnOnce() -> std::result::Result<Vec<u8>, E>,
    ) -> std::result::Result<String, E> {
        let digest = if self.of_packed { Sha256Digest::of([stored()?]) } else { content.sha256 };
        Ok(digest.to_string())
    }

    /// Checks the addresses of the mirrors.
    ///
    /// # Errors
    /// [`Error::Usage`] when a mirror is not a web address.
    pub fn check(&self) -> Result<()> {
        let is_address = |mirror: &str| {
            let rest = mirror.strip_prefix("https://").or_else(|| mirror.strip_prefix("http://"));
            let is_plain = |c: char| c.is_ascii_graphic() && c != '\\';
            rest.is_some_and(|rest| !rest.is_empty() && rest.chars().all(is_plain))
        };
        match self.mirrors.iter().find(|mirror| !is_address(mirror)) {
            None => Ok(()),
            Some(mirror) => Err(Error::Usage(format!(
                "MNIST_MIRRORS: '{}' is not a web address: it must begin with https:// or http:// \
                 and consist of ASCII",
                quoted(&without_password(mirror)),
            ))),
        }
    }
}

/// `address` without a user name and password before the host.
pub fn without_password(address: &str) -> String {
    let (scheme, rest) = match address.split_once("://") {
        Some((scheme, rest)) => (format!("{scheme}://"), rest),
        None => (String::new(), address),
    };
    // The last '@' counts, because a password may wrongly contain '@' or '/'.
    scheme + rest.rsplit('@').next().unwrap_or(rest)
}

/// Event of a download.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event<'a> {
    /// The request for a file begins.
    Requested {
        /// File that is requested from the mirror.
        part: Part,
        /// Host of the mirror, safe to print on a terminal.
        host: &'a str,
    },
    /// More bytes of the requested file have arrived.
    Received {
        /// Number of bytes received so far.
        bytes: u64,
        /// Number of bytes of the whole file, if the mirror says it.
        total: Option<u64>,
    },
    /// The mirror did not deliver the file; the next mirror, if there is one, is tried next.
    Failed {
        /// File that the mirror did not deliver.
        part: Part,
        /// Host of the mirror, safe to print on a terminal.
        host: &'a str,
        /// Reason why the mirror did not deliver the file, on one line.
        reason: &'a str,
    },
    /// The file is complete and verified, and has its final name.
    Verified {
        /// Final path of the file.
        path: &'a Path,
    },
}

/// Observer of a download, which may also stop it. `()` ignores events and never stops.
pub trait Progress {
    /// Called for each event.
    fn event(&mut self, event: Event<'_>);

    /// Number of the signal that asks the program to stop, if one has come. A download asks for it
    /// several times a second.
    fn stop_requested(&self) -> Option<i32>;
}

impl Progress for () {
    fn event(&mut self, _: Event<'_>) {}

    fn stop_requested(&self) -> Option<i32> {
        None
    }
}
