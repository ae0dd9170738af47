//! The layer of rectified linear units: y = max(0, x) for each element.
//!
//! The backward pass gives dx = dy where y > 0, and dx = 0 elsewhere: the derivative at x = 0,
//! which does not exist, is taken as 0.

use super::elementwise::{Function, Side};
use crate::autograd::{Tape, Var};
use crate::onnx::{Graph, Value};
use crate::scalar::Scalar;

/// Function of the layer `relu`: any shape → the same shape.
#[derive(Debug)]
pub struct Relu;

impl Function for Relu {
    const WORD: &'static str = "relu";
    const KEPT: Side = Side::Output;
    const PYTORCH: &'static str = "ReLU";

    #[inline(always)]
    fn forward<T: Scalar>(x: T) -> T {
        // Not `max`, which would turn a NaN into 0 and hide that training has diverged.
        if x <= T::zero() { T::zero() } else { x }
    }

    #[inline(always)]
    fn backward<T: Scalar>(y: T, dy: T) -> T {
        if y > T::zero() { dy } else { T::zero() }
    }

    fn record<T: Scalar>(tape: &mut Tape<T>, x: Var) -> Var {
        tape.relu(x)
    }

    fn onnx(graph: &mut Graph, x: Value) -> Value {
        graph.call("Relu", &[x], [])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zero_and_its_derivative_are_zero_and_nan_stays() {
        assert_eq!([-1.0, 0.0, -0.0, 2.5].map(Relu::forward), [0.0, 0.0, 0.0, 2.5]);
        assert!(Relu::forward(f32::NAN).is_nan());

        let dx = [(0.0, 7.0), (2.5, 8.0), (0.0, 9.0)].map(|(y, dy)| Relu::backward(y, dy));
        assert_eq!(dx, [0.0, 8.0, 0.0]);
    }
}
