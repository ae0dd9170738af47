//! Errors whose cause is outside the program.
//!
//! A failure from outside (a file, a flag, a full disk) is an [`Error`]. Its message is one line: it
//! names the file or flag, says what was expected and what was found, and what to do about it. A
//! mistake of the program itself fails an assertion.

use std::ffi::OsStr;
use std::fmt::{self, Write as _};
use std::io;
use std::path::{Path, PathBuf};

/// A failure that a user can cause and can correct.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The operating system refused to read or write something.
    #[error("{}: cannot {action}: {}", printable(path), explained(source))]
    Io {
        /// Path of the file or folder.
        path: PathBuf,
        /// Verb of the operation that failed, like `open` or `create the folder`.
        action: &'static str,
        /// Error of the operating system.
        source: io::Error,
    },
    /// Something is missing or unavailable; the message says what it is and what to do.
    #[error("{0}")]
    Unavailable(String),
    /// No mirror delivered a file; the message names each mirror and its answer.
    #[error("{0}")]
    Unreachable(String),
    /// A flag or a combination of flags is not valid; the message names the flag.
    #[error("{0}")]
    Usage(String),
    /// The content of a file is not valid.
    #[error("{}: {reason}", printable(path))]
    InvalidFile {
        /// Path of the file.
        path: PathBuf,
        /// Reason: what was expected, what was found, and what to do.
        reason: String,
    },
    /// Each file is valid, but the files do not belong together.
    #[error("{0}")]
    InvalidData(String),
    /// The loss is too large, or a loss, a weight or a moment is no longer finite.
    #[error(
        "training diverged: {what} in epoch {epoch}, step {step}, at learning rate {lr:e}; \
         {kept}; start anew with {remedy}"
    )]
    Diverged {
        /// Value that is not finite or too large, in words.
        what: String,
        /// Epoch, counted from 0.
        epoch: usize,
        /// Step within the epoch, counted from 0.
        step: usize,
        /// Learning rate of the step.
        lr: f64,
        /// Sentence that says whether a good checkpoint exists.
        kept: String,
        /// Flag to change, and in which direction.
        remedy: &'static str,
    },
    /// Some of several files failed; a line about each of them was printed before.
    #[error("{failed} of {files} files failed, as the lines above say")]
    SomeFiles {
        /// Number of files that failed.
        failed: usize,
        /// Number of all files.
        files: usize,
        /// Exit code of the first failure.
        code: u8,
    },
    /// A measurement shows that a limit is exceeded; the message says how often and what to do.
    #[error("{0}")]
    LimitExceeded(String),
    /// A measurement decides neither that a limit is kept nor that it is exceeded; the message says
    /// what to do.
    #[error("{0}")]
    Undecided(String),
    /// Another of the processes that train together has failed, and says why.
    #[error("another rank has failed")]
    OfAnotherRank,
    /// A signal ended the run, after everything worth keeping was saved.
    #[error("{message}")]
    Interrupted {
        /// Number of the signal.
        signal: i32,
        /// Message that says where the run stopped and what was saved.
        message: String,
    },
}

/// Result of an operation that can fail because of something outside the program.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// Exit code of the program: 1 for something missing or refused, 2 for wrong usage, 3 for an
    /// invalid file, 4 for diverged training, 5 for an exceeded limit of a measurement, 6 for a
    /// measurement that does not decide, 128 + n for signal n; of several files, that of the first
    /// that failed. Scripts may rely on it.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Io { .. } | Self::Unavailable(_) | Self::Unreachable(_) => 1,
            // A rank exits by it alone if a program without MPI is started as several processes.
            Self::Usage(_) | Self::OfAnotherRank => 2,
            Self::InvalidFile { .. } | Self::InvalidData(_) => 3,
            Self::SomeFiles { code, .. } => *code,
            Self::Diverged { .. } => 4,
            Self::LimitExceeded(_) => 5,
            Self::Undecided(_) => 6,
            Self::Interrupted { signal, .. } => 128_u8.wrapping_add(*signal as u8),
        }
    }

    /// Makes [`Error::InvalidFile`] of a reason, for `map_err`.
    pub fn invalid<R: fmt::Display>(path: &Path) -> impl FnOnce(R) -> Self {
        let path = path.to_path_buf();
        move |reason| Self::InvalidFile { path, reason: reason.to_string() }
    }

    /// Makes [`Error::Unavailable`] of the refusal to start `threads` threads, for `map_err`.
    pub fn threads<E: fmt::Display>(threads: usize) -> impl FnOnce(E) -> Self {
        move |source| {
            let (noun, fewer) = match threads {
                1 => ("thread", ""),
                _ => ("threads", "choose fewer with --threads or taskset, or "),
            };
            Self::Unavailable(format!(
                "cannot start {threads} {noun}: {}: {fewer}allow more threads or memory \
                 (ulimit -u, ulimit -v)",
                uncapitalized(without_number(&source.to_string()))
            ))
        }
    }

    /// This error, with the `remedy` if the operating system refused something: all other errors
    /// name one.
    pub fn with_remedy(self, remedy: &str) -> Self {
        match self {
            Self::Io { .. } => Self::Unavailable(format!("{self}; {remedy}")),
            other => other,
        }
    }

    /// Makes [`Error::Io`] of an error of the operating system, for `map_err`.
    pub fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::Io { path, action, source }
    }
}

/// Error of the operating system in plain words, without its number.
pub fn explained(source: &io::Error) -> String {
    match source.kind() {
        io::ErrorKind::NotFound => "no such file or directory".into(),
        io::ErrorKind::PermissionDenied => "permission denied".into(),
        io::ErrorKind::IsADirectory => "is a directory".into(),
        io::ErrorKind::StorageFull => "no space left on the device".into(),
        io::ErrorKind::FileTooLarge => "larger than a file may be here".into(),
        _ => uncapitalized(without_number(&source.to_string())),
    }
}

/// `reason` without the error number that Rust appends.
fn without_number(reason: &str) -> &str {
    reason.split(" (os error").next().unwrap_or(reason)
}

/// `reason` with a small first letter, to continue a sentence. An abbreviation is not changed.
fn uncapitalized(reason: &str) -> String {
    let mut chars = reason.chars();
    match (chars.next(), chars.next()) {
        (Some(first), Some(second)) if second.is_lowercase() => {
            format!("{}{}", first.to_lowercase(), &reason[first.len_utf8()..])
        }
        _ => reason.into(),
    }
}

/// Largest number of characters that are quoted from a file or a flag.
const LONGEST_QUOTE: usize = 200;
/// Largest number of characters that are printed of a path; no system has longer paths.
const LONGEST_PATH: usize = 4096;

/// `path` as one line of text that is safe to print on a terminal.
pub fn printable(path: &Path) -> String {
    truncated(&printable_text(path.as_os_str()), LONGEST_PATH)
}

/// `text` with its characters [escaped], and with bytes that are not UTF-8 in the form `\xff`.
pub fn printable_text(text: &OsStr) -> String {
    let mut safe = String::new();
    for chunk in text.as_encoded_bytes().utf8_chunks() {
        safe.push_str(&escaped(chunk.valid()));
        for byte in chunk.invalid() {
            write!(safe, "\\x{byte:02x}").expect("a string takes everything");
        }
    }
    safe
}

/// `text` from a file or a flag, [escaped] and truncated to 200 characters.
pub fn quoted(text: &str) -> String {
    truncated(&escaped(text), LONGEST_QUOTE)
}

/// The first `most` characters of `text`, followed by `…` if there are more.
fn truncated(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.into(),
    }
}

/// `text` with invisible characters escaped, such as line ends and characters that change the
/// direction of writing. It may come from a stranger's file.
pub fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        let is_invisible = matches!(
            c,
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
        );
        if c.is_control() || is_invisible {
            safe.extend(c.escape_default());
        } else {
            safe.push(c);
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_that_end_a_line_or_turn_its_direction_are_escaped() {
        assert_eq!(escaped("a\u{2028}b\u{2029}c"), r"a\u{2028}b\u{2029}c");
        assert_eq!(escaped("\u{2066}\u{2069}\u{202e}\u{7}"), r"\u{2066}\u{2069}\u{202e}\u{7}");
        assert_eq!(escaped("ß→\u{1f600}"), "ß→\u{1f600}");
    }

    #[cfg(unix)]
    #[test]
    fn different_bytes_that_are_not_text_are_printed_differently() {
        use std::os::unix::ffi::OsStrExt;
        let path = |bytes| printable(Path::new(OsStr::from_bytes(bytes)));
        assert_eq!([path(b"m\xff\n"), path(b"m\xfe\n")], [r"m\xff\n", r"m\xfe\n"]);
    }

    #[test]
    fn quotations_are_truncated_and_paths_that_can_exist_are_not() {
        let long = "ä".repeat(4000);
        assert_eq!(quoted(&long), format!("{}…", &long[..2 * LONGEST_QUOTE]));
        assert_eq!(printable(Path::new(&long)), long);
        assert_eq!(printable(Path::new(&long.repeat(2))).chars().count(), LONGEST_PATH + 1);
    }

    #[test]
    fn reasons_are_parts_of_a_sentence() {
        let said = |number| explained(&io::Error::from_raw_os_error(number));
        let reasons = [13, 20, 111].map(said);
        if cfg!(target_os = "linux") {
            assert_eq!(reasons, ["permission denied", "not a directory", "connection refused"]);
        }
        assert_eq!(uncapitalized("HTTP is down"), "HTTP is down");
    }
}
