//! The layer that turns an image into features: (C, H, W) → C·H·W.
//!
//! The order is channel-major, as in PyTorch, so the values keep their places in memory.

use std::fmt;

use super::layer::{Backward, Forward, Kept, Layer};
use super::primitives::Primitives;
use super::shape::Shape;

/// Layer `flatten`: (C, H, W) → (C·H·W, 1, 1).
#[derive(Debug)]
pub struct Flatten;

impl fmt::Display for Flatten {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("flatten")
    }
}

impl Layer for Flatten {
    fn output(&self, input: Shape) -> Result<Shape, String> {
        Ok(Shape::features(input.len()))
    }

    fn kept(&self, _: Shape) -> Kept {
        Kept::default()
    }

    fn is_view(&self) -> bool {
        true
    }

    fn forward(&self, _: &mut dyn Primitives, io: Forward<'_>) {
        io.y.copy_from_slice(io.x);
    }

    fn backward(&self, _: &mut dyn Primitives, io: Backward<'_>) {
        if let Some(dx) = io.dx {
            dx.copy_from_slice(io.dy);
        }
    }
}
