//! The layer that takes the maximum of each channel over all positions.
//!
//! # Definition
//! ```text
//! y[n,c] = max over all positions p of x[n,c,p]
//! ```
//!
//! # Backward
//! A small change of the maximum changes y by the same amount, and no other element changes y. So
//! dx is dy at the place of the maximum and 0 elsewhere. Of equal elements, the first one is the
//! maximum, as in PyTorch's `AdaptiveMaxPool2d(1)`. The backward pass looks for the maximum again:
//! its place has more than the 256 values of the byte that [`maxpool`](super::maxpool) keeps.

use std::fmt;

use super::layer::{Backward, Forward, Kept, Layer, Module, Pass, Training};
use super::pool;
use super::primitives::{Primitives, share_of};
use super::shape::Shape;
use crate::autograd::{Tape, Var};
use crate::onnx::{Graph, Value};
use crate::scalar::Scalar;

/// Layer `globalmaxpool`: (C, H, W) → (C), or (C, L) → (C).
#[derive(Debug)]
pub struct GlobalMaxPool;

/// Place of the first maximum of `values`, or of a NaN if there is one.
fn place_of_maximum<T: Scalar>(values: &[T]) -> usize {
    let mut best = 0;
    for (place, &value) in values.iter().enumerate() {
        if value > values[best] || value.is_nan() {
            best = place;
        }
    }
    best
}

impl fmt::Display for GlobalMaxPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("globalmaxpool")
    }
}

impl Layer for GlobalMaxPool {
    fn output(&self, input: Shape) -> Result<Shape, String> {
        pool::global_output(input)
    }

    fn kept(&self, _: Shape) -> Kept {
        Kept { input: true, ..Kept::default() }
    }

    fn onnx(&self, graph: &mut Graph, input: Shape, x: Value, _: &[Value]) -> Value {
        let positions: Vec<usize> = (2..=input.sizes().len()).collect();
        graph.reduce("ReduceMax", x, &positions)
    }

    fn pytorch(&self, input: Shape) -> Module {
        pool::global_pytorch("AdaptiveMaxPool", input)
    }
}

impl<T: Scalar> Pass<T> for GlobalMaxPool {
    fn forward(&self, primitives: &mut dyn Primitives<T>, io: Forward<'_, T>) {
        let positions = io.input.as_image().plane();
        let own = share_of(io.y.len());
        primitives.share(
            io.x.len(),
            io.x.chunks(own * positions).zip(io.y.chunks_mut(own)),
            |(x, y)| {
                for (x, y) in x.chunks_exact(positions).zip(y) {
                    *y = x[place_of_maximum(x)];
                }
            },
        );
    }

    fn backward(&self, primitives: &mut dyn Primitives<T>, io: Backward<'_, T>) {
        let Some(dx) = io.dx else { return };
        let positions = io.input.as_image().plane();
        let own = share_of(io.dy.len());
        let items = io.x.chunks(own * positions).zip(dx.chunks_mut(own * positions));
        primitives.share(io.x.len(), items.zip(io.dy.chunks(own)), |((x, dx), dy)| {
            dx.fill(T::zero());
            let maps = x.chunks_exact(positions).zip(dx.chunks_exact_mut(positions));
            for ((x, dx), &dy) in maps.zip(dy) {
                dx[place_of_maximum(x)] = dy;
            }
        });
    }

    fn record(&self, tape: &mut Tape<T>, x: Var, _: &[Var], _: Training) -> Var {
        pool::record_global(tape, x, |tape, maps| tape.max(maps, 2))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_equal_elements_is_the_maximum_and_nan_stays() {
        assert_eq!(place_of_maximum(&[-3.0, -1.0, -1.0, -2.0]), 1);
        assert_eq!(place_of_maximum(&[-3.0]), 0);
        assert_eq!(place_of_maximum(&[f32::NEG_INFINITY; 3]), 0);
        assert_eq!(place_of_maximum(&[1.0, f32::NAN, 2.0]), 1);
    }

    #[test]
    fn features_are_refused() {
        let found = GlobalMaxPool.output(Shape::features(5));
        assert_eq!(found, Err("needs an image or a signal, gets 5".into()));
    }
}
