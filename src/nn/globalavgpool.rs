//! The layer that takes the average of each channel over all positions.
//!
//! # Definition
//! It is an average pooling with one window, the whole image or signal, of P positions.
//! [`primitives::pooling`](super::primitives::pooling) has the backward pass of any average
//! pooling.
//!
//! ```text
//! y[n,c]    = Σ_p x[n,c,p] / P
//! dx[n,c,p] = dy[n,c] / P
//! ```

use std::fmt;

use super::layer::{Backward, Forward, Kept, Layer, Module, Pass, Training};
use super::pool;
use super::primitives::Primitives;
use super::primitives::pooling::Pooling;
use super::primitives::window::Window;
use super::shape::Shape;
use crate::autograd::{Tape, Var};
use crate::onnx::{Graph, Value};
use crate::scalar::Scalar;

/// Layer `globalavgpool`: (C, H, W) → (C), or (C, L) → (C).
#[derive(Debug)]
pub struct GlobalAveragePool;

impl GlobalAveragePool {
    /// Sizes of the pooling for an input of shape `input`.
    fn on(&self, input: Shape) -> Pooling {
        let image = input.as_image();
        let all = |length| Window { kernel: length, stride: 1, padding: 0 };
        Pooling { input: image, rows: all(image.height), columns: all(image.width) }
    }
}

impl fmt::Display for GlobalAveragePool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("globalavgpool")
    }
}

impl Layer for GlobalAveragePool {
    fn output(&self, input: Shape) -> Result<Shape, String> {
        pool::global_output(input)
    }

    fn kept(&self, _: Shape) -> Kept {
        Kept::default()
    }

    fn onnx(&self, graph: &mut Graph, input: Shape, x: Value, _: &[Value]) -> Value {
        let positions: Vec<usize> = (2..=input.sizes().len()).collect();
        graph.reduce("ReduceMean", x, &positions)
    }

    fn pytorch(&self, input: Shape) -> Module {
        pool::global_pytorch("AdaptiveAvgPool", input)
    }
}

impl<T: Scalar> Pass<T> for GlobalAveragePool {
    fn forward(&self, primitives: &mut dyn Primitives<T>, io: Forward<'_, T>) {
        primitives.average_pool(&self.on(io.input), io.x, io.y);
    }

    fn backward(&self, primitives: &mut dyn Primitives<T>, io: Backward<'_, T>) {
        if let Some(dx) = io.dx {
            primitives.average_pool_backward(&self.on(io.input), io.dy, dx);
        }
    }

    fn record(&self, tape: &mut Tape<T>, x: Var, _: &[Var], _: Training) -> Var {
        pool::record_global(tape, x, |tape, maps| tape.mean(maps, 2))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::primitives::Reference;

    #[test]
    fn every_position_has_the_same_share() {
        let x = [1., 2., 3., 6., -1., 0., 1., 4.];
        let mut y = [f32::NAN; 2];
        let input = Shape::image(2, 2, 2);
        GlobalAveragePool.forward(&mut Reference, Forward::new(input, &x, &[], &mut y));
        assert_eq!(y, [3., 1.]);
    }

    #[test]
    fn features_are_refused() {
        let found = GlobalAveragePool.output(Shape::features(5));
        assert_eq!(found, Err("needs an image or a signal, gets 5".into()));
    }
}
