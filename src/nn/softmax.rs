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

use super::layer::{Backward, Forward, Kept, Layer, Module, Pass, Training};
use super::normalize::sum;
use super::primitives::{Primitives, share_of};
use super::shape::Shape;
use crate::autograd::{Tape, Var};
use crate::onnx::{Graph, Value};
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

    /// The operator works along the last axis, unless it is told another.
    fn onnx(&self, graph: &mut Graph, _: Shape, x: Value, _: &[Value]) -> Value {
        graph.call("Softmax", &[x], [])
    }

    fn pytorch(&self, _: Shape) -> Module {
        Module::from("nn.Softmax(-1)".to_string())
    }
}

impl<T: Scalar> Pass<T> for Softmax {
    fn forward(&self, primitives: &mut dyn Primitives<T>, io: Forward<'_, T>) {
        forward(primitives, io.x, io.input.last(), io.y);
    }

    fn backward(&self, primitives: &mut dyn Primitives<T>, io: Backward<'_, T>) {
        if let Some(dx) = io.dx {
            primitives.map(io.dy, dx, |dy| dy);
            backward(primitives, io.y, dx, io.input.last());
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

/// Writes the softmax of each row of `x` (R, F) with F = `features` to `y`.
pub fn forward<T: Scalar>(
    primitives: &mut dyn Primitives<T>,
    x: &[T],
    features: usize,
    y: &mut [T],
) {
    let own = share_of(x.len() / features) * features;
    primitives.share(
        x.len(),
        x.chunks(own).zip(y.chunks_mut(own)),
        #[inline(always)]
        |(x, y)| {
            for (x, y) in x.chunks_exact(features).zip(y.chunks_exact_mut(features)) {
                let largest = x.iter().copied().fold(T::neg_infinity(), T::max);
                for (y, &x) in y.iter_mut().zip(x) {
                    *y = (x - largest).exp_lane();
                }
                let sum = sum([&*y], |[y]| y);
                y.iter_mut().for_each(|y| *y /= sum);
            }
        },
    );
}

/// Turns the gradients of the rows of `y` (R, F), in `gradients`, into the gradients of x.
pub fn backward<T: Scalar>(
    primitives: &mut dyn Primitives<T>,
    y: &[T],
    gradients: &mut [T],
    features: usize,
) {
    let own = share_of(y.len() / features) * features;
    primitives.share(
        y.len(),
        y.chunks(own).zip(gradients.chunks_mut(own)),
        #[inline(always)]
        |(y, gradients)| {
            for (y, dy) in y.chunks_exact(features).zip(gradients.chunks_exact_mut(features)) {
                let sum = sum([y, &*dy], |[y, dy]| y * dy);
                dy.iter_mut().zip(y).for_each(|(dy, &y)| *dy = y * (*dy - sum));
            }
        },
    );
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
