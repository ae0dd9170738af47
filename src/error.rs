//! Every way in which a run can fail because of something outside the program.
//!
//! A mistake from outside (a file, a flag, a full disk) is an [`Error`]: it names what, where, what
//! was expected and what was found, and what to do about it, on one line. A mistake of the program
//! itself is an assertion.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// A failure that a person can cause and can mend.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The operating system refused to read or write something.
    #[error("{}: cannot {action}: {}", printable(path), reason(source))]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What was tried, as a verb phrase: `open`, `create the folder`.
        action: &'static str,
        /// What the operating system said.
        source: io::Error,
    },
    /// Something is missing or unavailable; the message says what was looked for and what to do.
    #[error("{0}")]
    Unavailable(String),
    /// Flags or their combination make no sense; the message names the flag.
    #[error("{0}")]
    Usage(String),
    /// A file's content is not what it should be; the reason names the place, what was expected,
    /// what was found and what to do.
    #[error("{}: {reason}", printable(path))]
    InvalidFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with its content.
        reason: String,
    },
    /// Files are valid each for itself and do not belong together.
    #[error("{0}")]
    InvalidData(String),
    /// The loss has run away, or it or a weight is no longer a finite number.
    #[error(
        "training diverged: {what} in epoch {epoch}, step {step}, at learning rate {lr:e}; \
         {kept}; try a lower --lr"
    )]
    Diverged {
        /// What is not finite, or too large.
        what: String,
        /// Epoch, counted from 0.
        epoch: usize,
        /// Step within the epoch, counted from 0.
        step: usize,
        /// The learning rate of that step.
        lr: f64,
        /// What became of the checkpoint.
        kept: String,
    },
    /// A signal ended the run; whatever should be kept has been kept.
    #[error("{message}")]
    Interrupted {
        /// The signal's number.
        signal: i32,
        /// What was done before stopping.
        message: String,
    },
}

/// The result of anything that can fail because of the outside world.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// The exit code that a script can rely on: 1 run time, 2 usage, 3 invalid file, 4 diverged,
    /// 128 + n for signal n.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Io { .. } | Self::Unavailable(_) => 1,
            Self::Usage(_) => 2,
            Self::InvalidFile { .. } | Self::InvalidData(_) => 3,
            Self::Diverged { .. } => 4,
            Self::Interrupted { signal, .. } => 128_u8.wrapping_add(*signal as u8),
        }
    }

    /// A `path` whose content is wrong for `reason`; made for `map_err`.
    pub fn invalid<R: fmt::Display>(path: &Path) -> impl FnOnce(R) -> Self {
        let path = path.to_path_buf();
        move |reason| Self::InvalidFile { path, reason: reason.to_string() }
    }

    /// The operating system refused to start `threads` threads; made for `map_err`.
    pub fn threads<E: fmt::Display>(threads: usize) -> impl FnOnce(E) -> Self {
        move |source| {
            let noun = if threads == 1 { "thread" } else { "threads" };
            Self::Unavailable(format!(
                "cannot start {threads} {noun}: {}: choose fewer with --threads, or allow more \
                 threads or memory (ulimit -u, ulimit -v)",
                without_number(&source.to_string())
            ))
        }
    }

    /// An I/O failure on `path` while trying to `action`; made for `map_err`.
    pub fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::Io { path, action, source }
    }
}

/// What went wrong in plain words, without the error number that only the system's manual explains.
fn reason(source: &io::Error) -> String {
    match source.kind() {
        io::ErrorKind::NotFound => "no such file or directory".into(),
        io::ErrorKind::PermissionDenied => "permission denied".into(),
        io::ErrorKind::IsADirectory => "is a directory".into(),
        io::ErrorKind::StorageFull => "no space left on the device".into(),
        io::ErrorKind::FileTooLarge => "larger than a file may be here".into(),
        _ => without_number(&source.to_string()).into(),
    }
}

/// `reason` without the number that Rust puts behind what the operating system said.
fn without_number(reason: &str) -> &str {
    reason.split(" (os error").next().unwrap_or(reason)
}

/// `path` as text that is safe on a terminal and stays on one line.
pub fn printable(path: &Path) -> String {
    escaped(&path.to_string_lossy())
}

/// `text` with every control character escaped: names and metadata come from strangers.
pub fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() || ('\u{202a}'..='\u{202e}').contains(&c) {
            safe.extend(c.escape_default());
        } else {
            safe.push(c);
        }
    }
    safe
}
