//! The layer of logistic functions: y = 1/(1 + e⁻ˣ) for each element.
//!
//! # Backward
//! The derivative of y with respect to x is e⁻ˣ/(1 + e⁻ˣ)² = y·(1 − y), so the backward pass
//! needs the output alone:
//!
//! ```text
//! dx = dy · y · (1 − y)
//! ```

use super::elementwise::{Function, Side};
use crate::autograd::{Tape, Var};
use crate::onnx::{Graph, Value};
use crate::scalar::Scalar;

/// Function of the layer `sigmoid`: any shape → the same shape.
#[derive(Debug)]
pub struct Sigmoid;

impl Function for Sigmoid {
    const WORD: &'static str = "sigmoid";
    const KEPT: Side = Side::Output;
    const PYTORCH: &'static str = "Sigmoid";

    #[inline(always)]
    fn forward<T: Scalar>(x: T) -> T {
        // In f32, e⁻ˣ overflows to infinity for x below -88; then 1/(1 + ∞) = 0 is the right output.
        T::one() / (T::one() + (-x).exp_lane())
    }

    #[inline(always)]
    fn backward<T: Scalar>(y: T, dy: T) -> T {
        dy * y * (T::one() - y)
    }

    fn record<T: Scalar>(tape: &mut Tape<T>, x: Var) -> Var {
        tape.sigmoid(x)
    }

    fn onnx(graph: &mut Graph, x: Value) -> Value {
        graph.call("Sigmoid", &[x], [])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ends_are_0_and_1_and_nan_stays() {
        let y = [-1000.0, -1.0, 0.0, 1.0, 1000.0, f32::NAN].map(Sigmoid::forward);
        assert_eq!((y[0], y[2], y[4]), (0.0, 0.5, 1.0));
        assert!((y[3] - 0.731_058_6).abs() < 1e-7 && (y[1] + y[3] - 1.0).abs() < 1e-7, "{y:?}");
        assert!(y[5].is_nan());

        let dx = [0.0, 0.5, 1.0].map(|y| Sigmoid::backward(y, 2.0));
        assert_eq!(dx, [0.0, 0.5, 0.0]);
    }
}
