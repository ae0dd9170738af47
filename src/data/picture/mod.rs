//! Pictures to classify: PNG or IDX files, from which the images are made that a network takes.
//!
//! [`decode`] turns a PNG into a grey [`Picture`], and [`normalize`] prepares a picture as MNIST's
//! were. An image of an IDX file that already has the sides of the network's input is taken as it
//! is. The content, never the name, tells what a file is.

pub mod decode;
pub mod encode;
mod error;
mod grey;
mod limits;
pub mod normalize;

use std::io::Read;
use std::path::Path;

pub use self::error::PictureError;
pub use self::grey::Picture;
use self::limits::{LARGEST_FILE, allow};
use super::idx::{self, IdxError, IdxImages};
use crate::error::{Error, Result};

/// Content of a file of pictures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pictures {
    /// Picture of a PNG file.
    Png(Picture),
    /// Images of an IDX file.
    Idx(IdxImages),
}

impl Pictures {
    /// Number of pictures, at least 1.
    pub fn count(&self) -> usize {
        match self {
            Self::Png(_) => 1,
            Self::Idx(images) => images.pixels.len() / (images.rows * images.columns),
        }
    }

    /// Image with these `sides` [H, W] that a network gets of picture `index`, bright ink on 0;
    /// `None` if the picture is blank.
    ///
    /// # Panics
    /// When there is no picture `index`.
    pub fn image(&self, index: usize, sides: [usize; 2]) -> Option<Vec<u8>> {
        let IdxImages { rows, columns, pixels } = match self {
            Self::Png(picture) => return normalize::image(picture, sides),
            Self::Idx(images) => images,
        };
        let pixels = &pixels[index * rows * columns..][..rows * columns];
        if [*rows, *columns] != sides {
            let picture = Picture { sides: [*rows, *columns], pixels: pixels.to_vec() };
            return normalize::image(&picture, sides);
        }
        pixels.iter().any(|&pixel| pixel != pixels[0]).then(|| pixels.to_vec())
    }
}

/// Reads the pictures of `source`, which `path` names in errors. What is neither a PNG nor an IDX
/// file is refused by its first bytes.
///
/// # Errors
/// [`Error::Io`] when `source` cannot be read, [`Error::InvalidFile`] when it does not hold pictures.
pub fn read(mut source: impl Read, path: &Path) -> Result<Pictures> {
    let mut bytes = Vec::new();
    let mut read = |most: u64, bytes: &mut Vec<u8>| {
        source.by_ref().take(most).read_to_end(bytes).map_err(Error::io("read", path))
    };
    read(FIRST_BYTES, &mut bytes)?;
    if KNOWN.iter().any(|start| bytes.starts_with(start)) {
        read(LARGEST_FILE, &mut bytes)?;
    }
    parse(&bytes).map_err(Error::invalid(path))
}

/// Number of bytes that tell what a file is.
const FIRST_BYTES: u64 = 64;

/// First bytes of a PNG file.
const PNG: &[u8] = b"\x89PNG\r\n\x1a\n";

/// First bytes of the files that can hold pictures: PNG, gzip, IDX images.
const KNOWN: [&[u8]; 3] = [PNG, b"\x1f\x8b", b"\0\0\x08\x03"];

/// Parses the `bytes` of a file of pictures.
///
/// # Errors
/// The first error in the content.
pub fn parse(bytes: &[u8]) -> std::result::Result<Pictures, PictureError> {
    if bytes.len() as u64 > LARGEST_FILE {
        return Err(PictureError::LargeFile);
    }
    if bytes.starts_with(PNG) {
        return decode::png(bytes).map(Pictures::Png);
    }
    let images = idx::parse_images(bytes, bytes.len() as u64).map_err(|error| match error {
        IdxError::Empty => PictureError::Empty,
        IdxError::Swapped { .. } => PictureError::Labels,
        IdxError::Magic { .. } => PictureError::other_format(bytes),
        error => PictureError::Idx(error),
    })?;
    let [rows, columns] = [images.rows, images.columns].map(|side| side as u64);
    match allow(rows, columns) {
        true => Ok(Pictures::Idx(images)),
        false => Err(PictureError::TooLarge { rows, columns }),
    }
}
