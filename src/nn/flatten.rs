//! The layer that turns an image or tokens into features: (C, H, W) → (C·H·W), (T, F) → (T·F).
//!
//! The order is that of the axes, channel-major for images, as in PyTorch. So the values keep their
//! places in memory.

use super::shape::Shape;
use super::view::Reshape;

/// Rule of the layer `flatten`: any shape → features.
#[derive(Debug)]
pub struct Flatten;

impl Reshape for Flatten {
    const WORD: &'static str = "flatten";
    const PYTORCH: &'static str = "nn.Flatten()";

    fn output(input: Shape) -> Result<Shape, String> {
        Ok(Shape::features(input.len()))
    }
}
