//! Layers that compute each element of the output from one element of the input.

use std::fmt;

use super::layer::{Backward, Forward, Kept, Layer};
use super::primitives::{Map, Map2, Primitives};
use super::shape::Shape;

/// Layer that applies a function to each element: (C, H, W) → (C, H, W). Its backward pass needs
/// the output alone.
#[derive(Debug)]
pub struct Elementwise {
    /// Name of the layer.
    pub word: &'static str,
    /// Function that writes the output y for the input x: `forward(x, y)`.
    pub forward: Map,
    /// Function that writes dx, from the output y and its gradient dy: `backward(y, dy, dx)`.
    pub backward: Map2,
}

impl fmt::Display for Elementwise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word)
    }
}

impl Layer for Elementwise {
    fn output(&self, input: Shape) -> Result<Shape, String> {
        Ok(input)
    }

    fn kept(&self, _: Shape) -> Kept {
        Kept { output: true, ..Kept::default() }
    }

    fn forward(&self, primitives: &mut dyn Primitives, io: Forward<'_>) {
        primitives.map(io.x, io.y, self.forward);
    }

    fn backward(&self, primitives: &mut dyn Primitives, io: Backward<'_>) {
        if let Some(dx) = io.dx {
            primitives.map2(io.y, io.dy, dx, self.backward);
        }
    }
}
