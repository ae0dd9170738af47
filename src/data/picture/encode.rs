//! Grey pictures as PNG files.

use png::{BitDepth, ColorType, Encoder};

/// PNG file of `pixels`, (H, W) with `sides` [H, W]; 0 is black and 255 is white.
///
/// # Panics
/// When there are not H·W pixels.
pub fn png(pixels: &[u8], sides: [usize; 2]) -> Vec<u8> {
    let mut file = Vec::new();
    let mut encoder = Encoder::new(&mut file, sides[1] as u32, sides[0] as u32);
    encoder.set_color(ColorType::Grayscale);
    encoder.set_depth(BitDepth::Eight);
    let written = encoder.write_header().and_then(|mut writer| writer.write_image_data(pixels));
    written.expect("memory takes everything");
    file
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::picture::{Picture, Pictures, parse};

    #[test]
    fn a_picture_is_a_png_of_its_pixels() {
        let picture = Picture { sides: [2, 3], pixels: vec![0, 50, 100, 150, 200, 255] };
        let file = png(&picture.pixels, picture.sides);
        assert_eq!(parse(&file).unwrap(), Pictures::Png(picture));
    }
}
