//! Errors in the content of a file of pictures, with what to do about them.

use std::fmt;
use std::io;

use png::DecodingError;

use super::limits::{LARGEST_FILE, LONGEST_SIDE, MOST_PIXELS};
use crate::data::idx::IdxError;
use crate::error::quoted;

/// Error in the content of a file of pictures.
#[derive(Debug)]
#[allow(missing_docs)] // The messages below explain the variants.
pub enum PictureError {
    Empty,
    LargeFile,
    Labels,
    OtherFormat { name: Option<&'static str> },
    Idx(IdxError),
    Truncated,
    Damaged { reason: String },
    NoPixels,
    TooLarge { rows: u64, columns: u64 },
}

/// First bytes and names of other formats of pictures.
const OTHER_FORMATS: [(&[u8], &str); 7] = [
    (b"\xff\xd8\xff", "JPEG"),
    (b"GIF8", "GIF"),
    (b"RIFF", "WebP"),
    (b"BM", "BMP"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"%PDF", "PDF"),
];

impl PictureError {
    /// Error that names the format of a file with these `bytes`, which is not PNG and not IDX.
    pub(super) fn other_format(bytes: &[u8]) -> Self {
        let known = OTHER_FORMATS.iter().find(|(start, _)| bytes.starts_with(start));
        Self::OtherFormat { name: known.map(|(_, name)| *name) }
    }
}

impl From<DecodingError> for PictureError {
    fn from(error: DecodingError) -> Self {
        match error {
            DecodingError::IoError(source) if source.kind() == io::ErrorKind::UnexpectedEof => {
                Self::Truncated
            }
            error => Self::Damaged { reason: error.to_string() },
        }
    }
}

impl fmt::Display for PictureError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => {
                write!(f, "is empty, without a picture: give a PNG file, or an IDX file of images")
            }
            Self::LargeFile => {
                write!(f, "more than {} MiB: give the pictures in parts", LARGEST_FILE >> 20)
            }
            Self::Labels => write!(f, "holds labels, not images: give the file of the images"),
            Self::OtherFormat { name: Some(name) } => {
                write!(f, "is {name}, and pictures are read from PNG and IDX: convert it to PNG")
            }
            Self::OtherFormat { name: None } => {
                write!(f, "neither PNG nor IDX images: convert the picture to PNG")
            }
            Self::Idx(error) => error.fmt(f),
            Self::Truncated => write!(f, "truncated PNG: fetch it again"),
            Self::Damaged { reason } => {
                write!(f, "damaged PNG ({}): fetch it again", quoted(reason.trim_end_matches('.')))
            }
            Self::NoPixels => write!(f, "a PNG without pixels: its header says 0 rows or columns"),
            Self::TooLarge { rows, columns } => write!(
                f,
                "{columns}×{rows} pixels, and a picture may have {} million, and {LONGEST_SIDE} on \
                 a side: make it smaller",
                MOST_PIXELS / 1_000_000,
            ),
        }
    }
}
