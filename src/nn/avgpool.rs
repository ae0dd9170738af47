//! The layer that takes the average of each window of an image or of a signal. Padding does not
//! count, as with PyTorch's `count_include_pad=False`.
//! [`primitives::pooling`](super::primitives::pooling) has the definition and the backward pass.

use std::fmt;

use super::layer::{Backward, Forward, Kept, Layer, Module, Pass, Training};
use super::pool::Pool;
use super::primitives::Primitives;
use super::primitives::pooling;
use super::settings::Settings;
use super::shape::Shape;
use crate::autograd::{Tape, Var};
use crate::onnx::{Graph, Value};
use crate::scalar::Scalar;

/// Layer `avgpoolKsSpP`: (C, H, W) → (C, H', W'), or (C, L) → (C, L').
#[derive(Debug)]
pub struct AveragePool(Pool);

/// Average pooling with the window in `settings`.
///
/// # Errors
/// The setting that is missing or not valid.
pub fn parse(settings: &mut Settings) -> Result<Box<dyn Layer>, String> {
    Ok(Box::new(AveragePool(Pool::read(settings)?)))
}

impl fmt::Display for AveragePool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "avgpool{}", self.0)
    }
}

impl Layer for AveragePool {
    fn output(&self, input: Shape) -> Result<Shape, String> {
        self.0.output(input)
    }

    fn kept(&self, _: Shape) -> Kept {
        Kept::default()
    }

    /// The operator does not count padding either, unless it is told to.
    fn onnx(&self, graph: &mut Graph, input: Shape, x: Value, _: &[Value]) -> Value {
        self.0.onnx(graph, "AveragePool", input, x)
    }

    fn pytorch(&self, input: Shape) -> Module {
        self.0.pytorch("AvgPool", input, ", count_include_pad=False")
    }
}

impl<T: Scalar> Pass<T> for AveragePool {
    fn forward(&self, primitives: &mut dyn Primitives<T>, io: Forward<'_, T>) {
        primitives.average_pool(&self.0.on(io.input), io.x, io.y);
    }

    fn backward(&self, primitives: &mut dyn Primitives<T>, io: Backward<'_, T>) {
        if let Some(dx) = io.dx {
            primitives.average_pool_backward(&self.0.on(io.input), io.dy, dx);
        }
    }

    fn record(&self, tape: &mut Tape<T>, x: Var, _: &[Var], _: Training) -> Var {
        let input = Shape::of(&tape.shape(x)[1..]).expect("x is a batch");
        let averages = pooling::record_averages(&self.0.on(input), tape, x);
        let shape = self.0.output(input).expect("the network was checked");
        let images = tape.shape(x)[0];
        tape.reshape(averages, &shape.of_batch(images))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::grammar;
    use crate::nn::primitives::Reference;

    #[test]
    fn a_signal_is_averaged_along_its_length_and_padding_does_not_count() {
        let (layer, input) = (grammar::layer("avgpool3s2p1").unwrap(), Shape::matrix(2, 5));
        assert_eq!(layer.output(input), Ok(Shape::matrix(2, 3)));
        let x = [1., 3., 5., 7., 9., 0., 6., 3., 0., 2.];
        let mut y = [f32::NAN; 6];
        layer.forward(&mut Reference, Forward::new(input, &x, &[], &mut y));
        assert_eq!(y, [2., 5., 8., 3., 3., 1.]);
    }

    #[test]
    fn an_input_that_fills_no_window_is_refused() {
        for (text, input, problem) in [
            ("avgpool3", Shape::image(1, 2, 9), "needs at least 3x3 pixels, gets 1x2x9"),
            ("avgpool4p1", Shape::matrix(3, 1), "needs at least a signal of length 2, gets 3x1"),
            ("avgpool2", Shape::features(8), "needs an image or a signal, gets 8"),
        ] {
            assert_eq!(grammar::layer(text).unwrap().output(input), Err(problem.into()));
        }
    }
}
