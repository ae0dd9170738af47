//! The layer that turns the values along the last axis into probabilities.
//!
//! # Definition
//! For the F values x of a row,
//!
//! ```text
//! y[f] = exp(x[f]) / Σ_g exp(x[g]) = exp(x[f] − M) / Σ_g exp(x[g] − M),   M = max_g x[g]
//! ```
//!
//! The second formula cannot overflow, and its sum contains exp(0) = 1, so it is no division by 0.
//!
//! # Backward
//! ∂y\[g\]/∂x\[f\] = y\[g\]·(\[f = g\] − y\[f\]), where \[f = g\] is 1 if f = g and 0 elsewhere. So
//!
//! ```text
//! dx[f] = Σ_g dy[g]·y[g]·([f = g] − y[f]) = y[f]·(dy[f] − Σ_g dy[g]·y[g])
//! ```
//!
//! No network ends with this layer: [`cross_entropy`](super::cross_entropy), the loss of every
//! network, computes the softmax of the logits.

use std::fmt;

use super::layer::{Backward, Forward, Kept, Layer, Pass, Training};
use super::primitives::Primitives;
use super::shape::Shape;
use crate::autograd::{Tape, Var};
use crate::scalar::Scalar;

/// Layer `softmax`: any shape → the same shape.
#[derive(Debug)]
pub struct Softmax;

impl fmt::Display for Softmax {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("softmax")
    }
}

impl Layer for Softmax {
    fn output(&self, input: Shape) -> Result<Shape, String> {
        Ok(input)
    }

    fn kept(&self, _: Shape) -> Kept {
        Kept { output: true, ..Kept::default() }
    }
}

impl<T: Scalar> Pass<T> for Softmax {
    fn forward(&self, _: &mut dyn Primitives<T>, io: Forward<'_, T>) {
        let features = io.input.last();
        for (x, y) in io.x.chunks_exact(features).zip(io.y.chunks_exact_mut(features)) {
            let largest = x.iter().copied().fold(T::neg_infinity(), T::max);
            y.iter_mut().zip(x).for_each(|(y, &x)| *y = (x - largest).exp());
            let sum: T = y.iter().copied().sum();
            y.iter_mut().for_each(|y| *y /= sum);
        }
    }

    fn backward(&self, _: &mut dyn Primitives<T>, io: Backward<'_, T>) {
        let Some(dx) = io.dx else { return };
        let features = io.input.last();
        let rows = io.y.chunks_exact(features).zip(io.dy.chunks_exact(features));
        for ((y, dy), dx) in rows.zip(dx.chunks_exact_mut(features)) {
            let sum: T = y.iter().zip(dy).map(|(&y, &dy)| y * dy).sum();
            dx.iter_mut().zip(y).zip(dy).for_each(|((dx, &y), &dy)| *dx = y * (dy - sum));
        }
    }

    /// The first formula, whose exp must not overflow.
    fn record(&self, tape: &mut Tape<T>, x: Var, _: &[Var], _: Training) -> Var {
        let last = tape.shape(x).len() - 1;
        let powers = tape.exp(x);
        let sums = tape.sum(powers, last);
        tape.div(powers, sums)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::primitives::Reference;

    fn softmax(x: &[f32]) -> Vec<f32> {
        let mut y = vec![f32::NAN; x.len()];
        let input = Shape::features(x.len());
        Softmax.forward(&mut Reference, Forward::new(input, x, &[], &mut y));
        y
    }

    #[test]
    fn equal_values_are_equally_probable_and_one_value_is_certain() {
        assert_eq!(softmax(&[-7.5; 4]), [0.25; 4]);
        assert_eq!(softmax(&[1e30]), [1.0]);
    }

    #[test]
    fn values_do_not_overflow_and_nan_stays() {
        assert_eq!(softmax(&[1000.0, -1000.0, 1000.0]), [0.5, 0.0, 0.5]);
        assert!(softmax(&[1.0, f32::NAN, 2.0]).iter().all(|y| y.is_nan()));
    }
}
