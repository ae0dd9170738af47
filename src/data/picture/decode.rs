//! Decodes PNG files to grey pictures.
//!
//! Every colour type, bit depth and interlacing of PNG is read. Of 16 bits, the upper eight are
//! taken. A colour becomes the grey of its luma (ITU-R BT.601), and a transparent pixel lies over
//! white. Of an animation, the first picture of the file is decoded. Gamma and colour profiles are
//! ignored.

use std::io::Cursor;

use png::{Decoder, InterlaceInfo, Transformations, expand_interlaced_row};

use super::error::PictureError;
use super::grey::Picture;
use super::limits;

/// Decodes the `bytes` of a PNG file. The size in its header is checked before anything is decoded.
///
/// # Errors
/// The first error in the content.
pub fn png(bytes: &[u8]) -> Result<Picture, PictureError> {
    check_size(bytes)?;
    let mut decoder = Decoder::new(Cursor::new(bytes));
    decoder.set_ignore_text_chunk(true);
    decoder.set_ignore_iccp_chunk(true);
    decoder.set_transformations(Transformations::normalize_to_color8());
    let mut reader = decoder.read_info()?;
    let info = reader.info();
    // The library takes such a palette (image-rs/image-png#694), and panics when it uses it.
    let palette = info.palette.as_ref().map_or(0, |palette| palette.len());
    if palette % 3 != 0 {
        let reason = format!("a palette of {palette} bytes, and a colour has 3");
        return Err(PictureError::Damaged { reason });
    }
    // The first picture of an animation may be smaller than the animation.
    let (width, height) =
        info.frame_control().map_or(info.size(), |frame| (frame.width, frame.height));
    let [rows, columns] = [height, width].map(|side| side as usize);
    let samples = reader.output_color_type().0.samples();
    let mut pixels = Vec::new();
    while let Some(row) = reader.next_interlaced_row()? {
        let row_of_grey = row.data().chunks_exact(samples).map(grey);
        match row.interlace() {
            InterlaceInfo::Null(_) => pixels.extend(row_of_grey),
            InterlaceInfo::Adam7(pass) => {
                pixels.resize(rows * columns, 0);
                let row: Vec<u8> = row_of_grey.collect();
                expand_interlaced_row(&mut pixels, columns, &row, pass, 8);
            }
        }
    }
    // Reading to the end finds a file that is cut off after its last row.
    reader.finish()?;
    Ok(Picture { sides: [rows, columns], pixels })
}

/// Refuses a PNG of `bytes` whose header names no pixels, or too many.
fn check_size(bytes: &[u8]) -> Result<(), PictureError> {
    // Signature, length and name of the first chunk, its columns and its rows.
    let word = |at: usize| {
        let word = bytes.get(at..)?.first_chunk()?;
        Some(u64::from(u32::from_be_bytes(*word)))
    };
    let (Some(columns), Some(rows)) = (word(16), word(20)) else {
        return Err(PictureError::Truncated);
    };
    if columns == 0 || rows == 0 {
        return Err(PictureError::NoPixels);
    }
    if !limits::allow(rows, columns) {
        return Err(PictureError::TooLarge { rows, columns });
    }
    Ok(())
}

/// Grey of a pixel that has these samples: grey or red, green and blue, and perhaps alpha.
fn grey(samples: &[u8]) -> u8 {
    let (value, alpha) = match *samples {
        [grey] => return grey,
        [grey, alpha] => (u32::from(grey), alpha),
        [red, green, blue] => (luma(red, green, blue), 255),
        [red, green, blue, alpha] => (luma(red, green, blue), alpha),
        _ => unreachable!("a pixel has one to four samples"),
    };
    let alpha = u32::from(alpha);
    ((value * alpha + 255 * (255 - alpha) + 127) / 255) as u8
}

/// Luma of a colour, 0 to 255.
fn luma(red: u8, green: u8, blue: u8) -> u32 {
    (299 * u32::from(red) + 587 * u32::from(green) + 114 * u32::from(blue) + 500) / 1000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_become_grey_and_transparency_becomes_white() {
        assert_eq!([[255; 3], [7; 3], [0; 3]].map(|rgb| grey(&rgb)), [255, 7, 0]);
        assert_eq!([[255, 0, 0], [0, 255, 0], [0, 0, 255]].map(|rgb| grey(&rgb)), [76, 150, 29]);
        assert_eq!([[0, 0, 0, 0], [0, 0, 0, 255], [0, 0, 0, 51]].map(|p| grey(&p)), [255, 0, 204]);
        assert_eq!([[9, 255], [9, 0]].map(|p| grey(&p)), [9, 255]);
    }
}
