//! The two kinds of baselines.

use std::io::Read;
use std::path::{Path, PathBuf};

use super::record::Record;
use crate::error::{Error, Result};
use crate::files::input;

/// Largest size of a record in bytes; this program writes none that is longer.
const MAX_BYTES: u64 = 1 << 26;

/// What this program is compared with.
pub enum Baseline {
    /// Record of an earlier measurement.
    Record(Record),
    /// Path of another build of this program.
    Program(PathBuf),
}

impl Baseline {
    /// The baseline at `path`: a text that begins with `{` is a record, and any other file that may be
    /// executed is a program. A record must be one of the measurement that prints `event`, made with
    /// the `settings`, an object whose fields the record must have.
    ///
    /// # Errors
    /// [`Error::Io`] when the file cannot be read, [`Error::InvalidFile`] when it is neither, or a
    /// record of something else.
    pub fn open(path: &Path, event: &str, settings: &serde_json::Value) -> Result<Self> {
        let (file, _) = input::open(path)?;
        let is_program = may_be_executed(path)?;
        let mut bytes = Vec::new();
        file.take(MAX_BYTES).read_to_end(&mut bytes).map_err(Error::io("read", path))?;
        match bytes.trim_ascii_start().first() {
            Some(b'{') => Record::parse(&bytes, event, settings)
                .map(Self::Record)
                .map_err(Error::invalid(path)),
            _ if is_program => {
                // A name without a folder would be looked for in PATH.
                Ok(Self::Program(std::path::absolute(path).map_err(Error::io("find", path))?))
            }
            _ => Err(Error::invalid(path)(
                "is no baseline: name a file that --record has written, or another build of this \
                 program",
            )),
        }
    }
}

/// Whether the file at `path` may be executed by anybody.
#[cfg(unix)]
fn may_be_executed(path: &Path) -> Result<bool> {
    use std::os::unix::fs::PermissionsExt;
    let metadata = path.metadata().map_err(Error::io("open", path))?;
    Ok(metadata.permissions().mode() & 0o111 != 0)
}

#[cfg(not(unix))]
fn may_be_executed(_: &Path) -> Result<bool> {
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_baseline_is_a_record_or_a_program() {
        let folder = tempfile::tempdir().unwrap();
        let open = |name: &str, content: &[u8], mode: u32| {
            let path = folder.path().join(name);
            std::fs::write(&path, content).unwrap();
            #[cfg(unix)]
            {
                use std::os::unix::fs::PermissionsExt;
                std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            }
            let settings = serde_json::json!({});
            match Baseline::open(&path, "bench", &settings) {
                Ok(Baseline::Program(path)) => format!("program {}", path.is_absolute()),
                Ok(Baseline::Record(_)) => "record".into(),
                Err(error) => format!("{} {error}", error.exit_code()),
            }
        };
        if cfg!(unix) {
            assert_eq!(open("program", b"\x7fELF", 0o700), "program true");
            assert!(open("text", b"hello", 0o600).contains("text: is no baseline: name a file"));
            assert!(open("empty", b"", 0o600).contains("is no baseline"));
        }
        // A file system may say of all its files that they may be executed.
        let cut = open("record", b" {\"event\":\"ben", 0o700);
        assert!(cut.starts_with("3 ") && cut.contains("is no record: EOF"), "{cut}");
        let missing = Baseline::open(Path::new("/nowhere/b"), "bench", &serde_json::json!({}));
        assert_eq!(missing.err().unwrap().exit_code(), 1);
    }
}
