//! The layer of rectified linear units: y = max(0, x) for each element.
//!
//! The backward pass gives dx = dy where y > 0, and dx = 0 elsewhere: the derivative at x = 0,
//! which does not exist, is taken as 0.

use super::elementwise::Elementwise;

/// Layer `relu`: (C, H, W) → (C, H, W).
pub const RELU: Elementwise = Elementwise { word: "relu", forward, backward };

/// Writes max(0, x) for each element of `x` to `y`, which has the same length.
fn forward(x: &[f32], y: &mut [f32]) {
    for (y, &x) in y.iter_mut().zip(x) {
        // Not `max`, which would turn a NaN into 0 and hide that training has diverged.
        *y = if x <= 0.0 { 0.0 } else { x };
    }
}

/// Writes dy where y > 0, and 0 elsewhere, to `dx`. The three slices have the same length.
fn backward(y: &[f32], dy: &[f32], dx: &mut [f32]) {
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
