//! Layers that compute each element of the output from one element of the input.

use std::fmt;

use super::layer::{Backward, Forward, Kept, Layer, Module, Pass, Training};
use super::primitives::Primitives;
use super::shape::Shape;
use crate::autograd::{Tape, Var};
use crate::onnx::{Graph, Value};
use crate::scalar::Scalar;

/// Function of each element.
pub trait Function: fmt::Debug + Send + Sync + 'static {
    /// Name of the layer that applies the function.
    const WORD: &'static str;
    /// Side of the function from which its derivative follows.
    const KEPT: Side;
    /// Name of PyTorch's module of the function.
    const PYTORCH: &'static str;

    /// Output for the input `x`.
    fn forward<T: Scalar>(x: T) -> T;

    /// Gradient of the input, from the gradient `dy` of the output and from `kept`, the value of
    /// [`Self::KEPT`].
    fn backward<T: Scalar>(kept: T, dy: T) -> T;

    /// Output for `x`, recorded on `tape`.
    fn record<T: Scalar>(tape: &mut Tape<T>, x: Var) -> Var;

    /// Output for `x`, as calls of operators of ONNX that are added to `graph`.
    fn onnx(graph: &mut Graph, x: Value) -> Value;
}

/// Side of a function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Input, x.
    Input,
    /// Output, y.
    Output,
}

/// Layer that applies a function to each element: any shape → the same shape.
#[derive(Debug)]
pub struct Elementwise<F>(pub F);

impl<F: Function> fmt::Display for Elementwise<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(F::WORD)
    }
}

impl<F: Function> Layer for Elementwise<F> {
    fn output(&self, input: Shape) -> Result<Shape, String> {
        Ok(input)
    }

    fn kept(&self, _: Shape) -> Kept {
        match F::KEPT {
            Side::Input => Kept { input: true, ..Kept::default() },
            Side::Output => Kept { output: true, ..Kept::default() },
        }
    }

    fn onnx(&self, graph: &mut Graph, _: Shape, x: Value, _: &[Value]) -> Value {
        F::onnx(graph, x)
    }

    fn pytorch(&self, _: Shape) -> Module {
        Module::from(format!("nn.{}()", F::PYTORCH))
    }
}

impl<F: Function, T: Scalar> Pass<T> for Elementwise<F> {
    fn forward(&self, primitives: &mut dyn Primitives<T>, io: Forward<'_, T>) {
        primitives.map(
            io.x,
            io.y,
            #[inline(always)]
            |x| F::forward(x),
        );
    }

    fn backward(&self, primitives: &mut dyn Primitives<T>, io: Backward<'_, T>) {
        if let Some(dx) = io.dx {
            let kept = match F::KEPT {
                Side::Input => io.x,
                Side::Output => io.y,
            };
            primitives.map2(
                kept,
                io.dy,
                dx,
                #[inline(always)]
                |kept, dy| F::backward(kept, dy),
            );
        }
    }

    fn record(&self, tape: &mut Tape<T>, x: Var, _: &[Var], _: Training) -> Var {
        F::record(tape, x)
    }
}
