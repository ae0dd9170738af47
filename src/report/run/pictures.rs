//! Small grey pictures for a page, as addresses that contain a PNG file.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::data::picture::encode;

/// `bytes` in base64.
pub fn base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// Address of a picture of `pixels`, (H, W) with `sides` [H, W]; 0 is black and 255 is white.
pub fn address(pixels: &[u8], sides: [usize; 2]) -> String {
    format!("data:image/png;base64,{}", base64(&encode::png(pixels, sides)))
}

/// Picture of `weights`: 0 is in the middle of the greys, and `largest`, the largest absolute weight
/// of all pictures, is white or, if it is negative, black.
pub fn of_weights(weights: &[f32], largest: f32) -> Vec<u8> {
    let grey = |weight: &f32| (127.5 * (1.0 + weight / largest.max(f32::MIN_POSITIVE))).round();
    weights.iter().map(|weight| grey(weight) as u8).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_contains_the_file() {
        let address = address(&[0, 50, 100, 150, 200, 255], [2, 3]);
        let file = STANDARD.decode(address.strip_prefix("data:image/png;base64,").unwrap());
        assert_eq!(file.unwrap(), encode::png(&[0, 50, 100, 150, 200, 255], [2, 3]));
    }

    #[test]
    fn weights_of_both_signs_have_their_greys_around_the_middle() {
        assert_eq!(of_weights(&[-2.0, 0.0, 1.0, 2.0], 2.0), [0, 128, 191, 255]);
        assert_eq!(of_weights(&[0.0], 0.0), [128]);
    }
}
