//! The layer that turns an image with one channel into tokens: (1, H, W) → (H, W).
//!
//! A row of the image is a token, and its pixels are the token's features. Row-major order is the
//! order of both shapes, so the values keep their places in memory.

use super::shape::Shape;
use super::view::Reshape;

/// Rule of the layer `rows`: (1, H, W) → H tokens with W features.
#[derive(Debug)]
pub struct Rows;

impl Reshape for Rows {
    const WORD: &'static str = "rows";
    const PYTORCH: &'static str = "nn.Flatten(1, 2)";

    fn output(input: Shape) -> Result<Shape, String> {
        match *input.sizes() {
            [1, height, width] => Ok(Shape::matrix(height, width)),
            _ => Err(format!("needs an image with one channel, gets {input}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_must_have_one_channel() {
        assert_eq!(Rows::output(Shape::image(1, 3, 5)), Ok(Shape::matrix(3, 5)));
        let problem = Rows::output(Shape::image(2, 3, 5)).unwrap_err();
        assert_eq!(problem, "needs an image with one channel, gets 2x3x5");
        assert!(Rows::output(Shape::matrix(1, 3)).is_err());
    }
}
