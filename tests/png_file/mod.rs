//! Writes PNG files, for tests that read them.

#![allow(dead_code)] // Each test file uses its own part.

use png::{BitDepth, ColorType, Encoder};

/// Bytes of a PNG file with these sides [rows, columns], whose samples are `data`. `finish` sets
/// what else it has, such as a palette.
pub fn with(
    [rows, columns]: [usize; 2],
    color: ColorType,
    depth: BitDepth,
    data: &[u8],
    finish: impl FnOnce(&mut Encoder<'_, &mut Vec<u8>>),
) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = Encoder::new(&mut bytes, columns as u32, rows as u32);
    encoder.set_color(color);
    encoder.set_depth(depth);
    finish(&mut encoder);
    let mut writer = encoder.write_header().unwrap();
    writer.write_image_data(data).unwrap();
    writer.finish().unwrap();
    bytes
}

/// Bytes of a grey PNG file with 8 bits a pixel.
pub fn grey(sides: [usize; 2], pixels: &[u8]) -> Vec<u8> {
    with(sides, ColorType::Grayscale, BitDepth::Eight, pixels, |_| {})
}

/// `image`, (28, 28), with every pixel as a square of `factor` × `factor`, moved by `shift` [down,
/// right] on a background of 0 that is `margin` larger on each side; the result's sides and pixels.
pub fn enlarged(
    image: &[u8],
    factor: usize,
    margin: usize,
    shift: [isize; 2],
) -> ([usize; 2], Vec<u8>) {
    let side = 28 * factor + 2 * margin;
    let mut pixels = vec![0; side * side];
    for row in 0..28 * factor {
        for column in 0..28 * factor {
            let [y, x] = [(row, shift[0]), (column, shift[1])]
                .map(|(place, shift)| (place + margin).checked_add_signed(shift).unwrap());
            pixels[y * side + x] = image[row / factor * 28 + column / factor];
        }
    }
    ([side; 2], pixels)
}
