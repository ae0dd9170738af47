//! The layer of rectified linear units: y = max(0, x) for each element.
//!
//! The backward pass gives dx = dy where y > 0, and dx = 0 elsewhere: the derivative at x = 0,
//! which does not exist, is taken as 0.

use super::elementwise::{Function, Side};
use crate::autograd::{Tape, Var};
use crate::scalar::Scalar;

/// Function of the layer `relu`: any shape → the same shape.
#[derive(Debug)]
pub struct Relu;

impl Function for Relu {
    const WORD: &'static str = "relu";
    const KEPT: Side = Side::Output;

    fn forward<T: Scalar>(x: &[T], y: &mut [T]) {
        for (y, &x) in y.iter_mut().zip(x) {
            // Not `max`, which would turn a NaN into 0 and hide that training has diverged.
            *y = if x <= T::zero() { T::zero() } else { x };
        }
    }

    fn backward<T: Scalar>(y: &[T], dy: &[T], dx: &mut [T]) {
        for ((dx, &dy), &y) in dx.iter_mut().zip(dy).zip(y) {
            *dx = if y > T::zero() { dy } else { T::zero() };
        }
    }

    fn record<T: Scalar>(tape: &mut Tape<T>, x: Var) -> Var {
        tape.relu(x)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zero_and_its_derivative_are_zero_and_nan_stays() {
        let mut y = [9.0; 5];
        Relu::forward(&[-1.0, 0.0, -0.0, 2.5, f32::NAN], &mut y);
        assert_eq!(y[..4], [0.0, 0.0, 0.0, 2.5]);
        assert!(y[4].is_nan());

        let mut dx = [9.0_f32; 3];
        Relu::backward(&[0.0, 2.5, 0.0], &[7.0, 8.0, 9.0], &mut dx);
        assert_eq!(dx, [0.0, 8.0, 0.0]);
    }
}
