//! The mirrors that have the official files, and what is said while they deliver.

use std::ffi::OsStr;
use std::path::Path;
use std::time::Duration;

use super::dataset::OFFICIAL_SHA256;
use super::files::Part;
use crate::error::{Error, Result, printable_text, quoted};

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

    /// Refuses mirrors that cannot be asked.
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
                "MNIST_MIRRORS: '{}' is no web address: it must begin with https:// or http:// and \
                 consist of ASCII",
                quoted(&without_password(mirror)),
            ))),
        }
    }
}

/// `address` without the name and the password that may stand before the host.
pub fn without_password(address: &str) -> String {
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
