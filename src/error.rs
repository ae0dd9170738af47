//! Every way in which a run can fail because of something outside the program.
//!
//! A mistake from outside (a file, a flag, a full disk) is an [`Error`]: it names what, where, what
//! was expected and what was found, and what to do about it, on one line. A mistake of the program
//! itself is an assertion.

use std::ffi::OsStr;
use std::fmt::{self, Write as _};
use std::io;
use std::path::{Path, PathBuf};

/// A failure that a person can cause and can mend.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The operating system refused to read or write something.
    #[error("{}: cannot {action}: {}", printable(path), explained(source))]
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
    /// Nothing came over the network; the message says who was asked and what each one answered.
    #[error("{0}")]
    Unreachable(String),
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
         {kept}; start anew with a lower --lr"
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
            Self::Io { .. } | Self::Unavailable(_) | Self::Unreachable(_) => 1,
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

    /// An I/O failure on `path` while trying to `action`; made for `map_err`.
    pub fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::Io { path, action, source }
    }
}

/// What went wrong in plain words, without the error number that only the system's manual explains.
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

/// `reason` without the number that Rust puts behind what the operating system said.
fn without_number(reason: &str) -> &str {
    reason.split(" (os error").next().unwrap_or(reason)
}

/// `reason` as a part of a sentence; an abbreviation stays what it is.
fn uncapitalized(reason: &str) -> String {
    let mut chars = reason.chars();
    match (chars.next(), chars.next()) {
        (Some(first), Some(second)) if second.is_lowercase() => {
            format!("{}{}", first.to_lowercase(), &reason[first.len_utf8()..])
        }
        _ => reason.into(),
    }
}

/// Characters of what is quoted from a file or a flag, at most.
const LONGEST_QUOTE: usize = 200;
/// The same of a path: no system takes a longer one.
const LONGEST_PATH: usize = 4096;

/// `path` as text that is safe on a terminal and stays on one line.
pub fn printable(path: &Path) -> String {
    cut(&printable_text(path.as_os_str()), LONGEST_PATH)
}

/// `text`, [escaped], and with the bytes that are none as `\xff`.
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

/// `text` from a file or a flag, [escaped] and not longer than anybody reads.
pub fn quoted(text: &str) -> String {
    cut(&escaped(text), LONGEST_QUOTE)
}

/// The beginning of `text`, with `…` where that is not all of it.
fn cut(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.into(),
    }
}

/// `text` with every character escaped that is none to see, such as those that end a line or turn
/// its direction: names and metadata come from strangers.
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
    fn what_would_end_a_line_or_turn_its_direction_is_escaped() {
        assert_eq!(escaped("a\u{2028}b\u{2029}c"), r"a\u{2028}b\u{2029}c");
        assert_eq!(escaped("\u{2066}\u{2069}\u{202e}\u{7}"), r"\u{2066}\u{2069}\u{202e}\u{7}");
        assert_eq!(escaped("ß→\u{1f600}"), "ß→\u{1f600}");
    }

    #[cfg(unix)]
    #[test]
    fn bytes_that_are_no_text_are_told_apart() {
        use std::os::unix::ffi::OsStrExt;
        let path = |bytes| printable(Path::new(OsStr::from_bytes(bytes)));
        assert_eq!([path(b"m\xff\n"), path(b"m\xfe\n")], [r"m\xff\n", r"m\xfe\n"]);
    }

    #[test]
    fn quotations_are_cut_and_paths_are_not() {
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
