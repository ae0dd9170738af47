//! Layers whose output has the values of the input in their order, under another shape.

use std::fmt;

use super::layer::{Backward, Forward, Kept, Layer, Module, Pass, Training};
use super::primitives::Primitives;
use super::shape::Shape;
use crate::autograd::{Tape, Var};
use crate::onnx::{Graph, Value};
use crate::scalar::Scalar;

/// Rule by which an input gets another shape.
pub trait Reshape: fmt::Debug + Send + Sync + 'static {
    /// Name of the layer that applies the rule.
    const WORD: &'static str;
    /// Expression that makes PyTorch's module of the rule.
    const PYTORCH: &'static str;

    /// Shape of the output, with as many elements as `input`.
    ///
    /// # Errors
    /// The input that the rule needs, when it cannot take an input of this shape.
    fn output(input: Shape) -> Result<Shape, String>;
}

/// Layer that changes the shape and no value.
#[derive(Debug)]
pub struct View<R>(pub R);

impl<R: Reshape> fmt::Display for View<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(R::WORD)
    }
}

impl<R: Reshape> Layer for View<R> {
    fn output(&self, input: Shape) -> Result<Shape, String> {
        R::output(input)
    }

    fn kept(&self, _: Shape) -> Kept {
        Kept::default()
    }

    fn is_view(&self) -> bool {
        true
    }

    fn onnx(&self, graph: &mut Graph, input: Shape, x: Value, _: &[Value]) -> Value {
        let output = R::output(input).expect("the network was checked");
        graph.reshape(x, output.sizes())
    }

    fn pytorch(&self, _: Shape) -> Module {
        Module::from(R::PYTORCH.to_string())
    }
}

impl<R: Reshape, T: Scalar> Pass<T> for View<R> {
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
        let input = Shape::of(sizes).expect("x is a batch");
        let output = R::output(input).expect("the network was checked");
        tape.reshape(x, &output.of_batch(images))
    }
}
