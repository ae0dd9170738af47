//! The layer that turns an image or tokens into features: (C, H, W) → (C·H·W), (T, F) → (T·F).
//!
//! The order is that of the axes, channel-major for images, as in PyTorch. So the values keep their
//! places in memory.

use std::fmt;

use super::layer::{Backward, Forward, Kept, Layer, Pass, Training};
use super::primitives::Primitives;
use super::shape::Shape;
use crate::autograd::{Tape, Var};
use crate::scalar::Scalar;

/// Layer `flatten`: any shape → features.
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
}

impl<T: Scalar> Pass<T> for Flatten {
    fn forward(&self, _: &mut dyn Primitives<T>, io: Forward<'_, T>) {
        io.y.copy_from_slice(io.x);
    }

    fn backward(&self, _: &mut dyn Primitives<T>, io: Backward<'_, T>) {
        if let Some(dx) = io.dx {
            dx.copy_from_slice(io.dy);
        }
    }

    fn record(&self, tape: &mut Tape<T>, x: Var, _: &[Var], _: Training) -> Var {
        let [images, ref sizes @ ..] = *tape.shape(x) else { panic!("x is a batch") };
        let length = sizes.iter().product();
        tape.reshape(x, &[images, length])
    }
}
