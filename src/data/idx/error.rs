//! Errors in the content of an IDX file, with what to do about them.

use std::fmt;
use std::io;

use super::magic::IMAGES_MAGIC;

/// Error in the content of an IDX file.
#[derive(Debug)]
#[allow(missing_docs)] // The messages below explain the variants.
pub enum IdxError {
    Read(io::Error),
    Empty,
    Html,
    LfsPointer,
    Header { needed: usize, found: usize },
    LittleEndian { found: u32 },
    Swapped { expected: u32, found: u32 },
    ElementType { found: u8 },
    Dimensions { found: u8, expected: u8 },
    Qmnist,
    Packed { format: &'static str },
    Magic { expected: u32, found: u32 },
    NoElements { dimensions: Vec<u32> },
    TooLarge { dimensions: Vec<u32>, present: u64 },
    Bomb { dimensions: Vec<u32>, present: u64 },
    Truncated { expected: u64, found: u64 },
    Trailing { extra: u64, or_more: bool },
    GzipTruncated { unpacked: u64 },
    GzipTrailing,
    Gzip(io::Error),
    Label { index: usize, label: i32, classes: usize },
    LabelBelow { index: usize, label: u16, first: u16 },
}

impl fmt::Display for IdxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read(source) => write!(f, "cannot read: {source}"),
            Self::Empty => write!(f, "empty file: fetch it again"),
            Self::Html => write!(
                f,
                "looks like HTML, probably an error page saved by a download: fetch it again"
            ),
            Self::LfsPointer => {
                write!(f, "is a Git LFS pointer, not the file itself: run 'git lfs pull'")
            }
            Self::Header { needed, found } => {
                write!(f, "need {needed} header bytes, have {found}: the file is cut off")
            }
            Self::LittleEndian { found } => write!(
                f,
                "magic number {found:#010x} is in little-endian byte order; IDX is big-endian: \
                 write it again"
            ),
            Self::Swapped { expected, found } => {
                let name = |magic| {
                    if magic == IMAGES_MAGIC { "images" } else { "labels" }
                };
                write!(
                    f,
                    "magic number {found:#010x} means {}, expected {} ({expected:#010x}): \
                     images and labels look swapped",
                    name(*found),
                    name(*expected),
                )
            }
            Self::ElementType { found } => {
                let name = match found {
                    0x09 => "i8",
                    0x0b => "i16",
                    0x0c => "i32",
                    0x0d => "f32",
                    0x0e => "f64",
                    _ => "unknown",
                };
                write!(
                    f,
                    "element type {found:#04x} ({name}), expected 0x08 (u8): convert to bytes"
                )
            }
            Self::Dimensions { found, expected } => {
                let names = if *expected == 3 { "images, rows, columns" } else { "labels" };
                write!(
                    f,
                    "{found} dimensions in the header, expected {expected} ({names}): write it again \
                     with these"
                )
            }
            Self::Qmnist => write!(
                f,
                "is a table of 32-bit numbers, like the labels of QMNIST: its first column has the \
                 labels; write it as a file of one dimension"
            ),
            Self::Packed { format } => {
                write!(f, "is packed with {format}: unpack it first, or pack it with gzip alone")
            }
            Self::Magic { expected, found } => write!(
                f,
                "magic number {found:#010x}, expected {expected:#010x}: this is not an IDX file of \
                 this kind: replace it, or name another folder with --data"
            ),
            Self::NoElements { dimensions } => match dimensions[..] {
                [0] => write!(f, "no labels: the header says 0"),
                [0, ..] => write!(f, "no images: the header says 0"),
                _ => write!(f, "images without pixels: the header says {}", product(dimensions)),
            },
            Self::TooLarge { dimensions, present } => write!(
                f,
                "the header promises {} bytes, and the file's {present} bytes cannot hold them: \
                 the file is cut off or its header is damaged",
                product(dimensions),
            ),
            Self::Bomb { dimensions, present } => write!(
                f,
                "the header promises {} bytes from {present} bytes of gzip, and images of \
                 handwriting do not compress so far: if it is good data, unpack it first with \
                 gunzip",
                product(dimensions),
            ),
            Self::Truncated { expected, found } => {
                write!(
                    f,
                    "expected {expected} bytes after the header, found {found}: fetch it again"
                )
            }
            Self::Trailing { extra, or_more } => write!(
                f,
                "{extra}{} extra bytes after the last element: the header or the file is damaged",
                if *or_more { " or more" } else { "" },
            ),
            Self::GzipTruncated { unpacked } => {
                write!(f, "truncated gzip, after {unpacked} unpacked bytes: fetch it again")
            }
            Self::GzipTrailing => write!(
                f,
                "trailing bytes after the end of the gzip: unpack it with gunzip, which ignores \
                 them, or fetch it again"
            ),
            Self::Gzip(source) => write!(f, "damaged gzip ({source}): fetch it again"),
            Self::Label { index, label, classes } => write!(
                f,
                "label {label} at index {index}, and the model's classes end with label {}: name \
                 other data with --data; or, to train on it, name all classes in classes.txt beside \
                 the file, or end --arch with an output for each",
                classes - 1,
            ),
            Self::LabelBelow { index, label, first } => {
                write!(
                    f,
                    "label {label} at index {index}, and the labels of this dataset begin with \
                     {first}: fetch it again"
                )
            }
        }
    }
}

/// `dimensions` as text, like 60000×28×28.
fn product(dimensions: &[u32]) -> String {
    dimensions.iter().map(u32::to_string).collect::<Vec<_>>().join("×")
}
