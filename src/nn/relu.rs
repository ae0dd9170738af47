//! The layer of rectified linear units: y = max(0, x) for each element.
//!
//! The backward pass gives dx = dy where y > 0, and dx = 0 elsewhere: the derivative at x = 0,
//! which does not exist, is taken as 0.

use std::fmt;

use super::layer::{Backward, Forward, Kept, Layer};
use super::primitives::Primitives;
use super::settings::Settings;
use super::shape::Shape;

/// Layer `relu`: (C, H, W) → (C, H, W).
#[derive(Debug)]
pub struct Relu;

/// Layer `relu`, which takes no settings.
pub fn parse(_: &mut Settings) -> Result<Box<dyn Layer>, String> {
    Ok(Box::new(Relu))
}

impl fmt::Display for Relu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("relu")
    }
}

impl Layer for Relu {
    fn word(&self) -> &'static str {
        "relu"
    }

    fn output(&self, input: Shape) -> Result<Shape, String> {
        Ok(input)
    }

    fn kept(&self, _: Shape) -> Kept {
        Kept { output: true, ..Kept::default() }
    }

    fn forward(&self, primitives: &mut dyn Primitives, io: Forward<'_>) {
        primitives.map(io.x, io.y, forward);
    }

    fn backward(&self, primitives: &mut dyn Primitives, io: Backward<'_>) {
        if let Some(dx) = io.dx {
            primitives.map2(io.y, io.dy, dx, backward);
        }
    }
}

/// Writes max(0, x) for each element of `x` to `y`, which has the same length. A NaN stays a NaN.
pub fn forward(x: &[f32], y: &mut [f32]) {
    assert_eq!(x.len(), y.len());
    for (y, &x) in y.iter_mut().zip(x) {
        // Not `max`, which would turn a NaN into 0 and hide that training has diverged.
        *y = if x <= 0.0 { 0.0 } else { x };
    }
}

/// Writes the gradient of the input to `dx`, from the output `y` and its gradient `dy`. The three
/// slices have the same length.
pub fn backward(y: &[f32], dy: &[f32], dx: &mut [f32]) {
    assert_eq!((y.len(), dy.len()), (dx.len(), dx.len()));
    for ((dx, &dy), &y) in dx.iter_mut().zip(dy).zip(y) {
        *dx = if y > 0.0 { dy } else { 0.0 };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zero_and_its_derivative_are_zero_and_nan_stays() {
        let mut y = [9.0; 5];
        forward(&[-1.0, 0.0, -0.0, 2.5, f32::NAN], &mut y);
        assert_eq!(y[..4], [0.0, 0.0, 0.0, 2.5]);
        assert!(y[4].is_nan());

        let mut dx = [9.0; 3];
        backward(&[0.0, 2.5, 0.0], &[7.0, 8.0, 9.0], &mut dx);
        assert_eq!(dx, [0.0, 8.0, 0.0]);
    }
}
