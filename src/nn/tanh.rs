//! The layer of hyperbolic tangents: y = (eˣ − e⁻ˣ)/(eˣ + e⁻ˣ) for each element.
//!
//! # Backward
//! By the rule for quotients, the derivative is ((eˣ + e⁻ˣ)² − (eˣ − e⁻ˣ)²)/(eˣ + e⁻ˣ)² = 1 − y²,
//! so the backward pass needs the output alone:
//!
//! ```text
//! dx = dy · (1 − y²)
//! ```

use super::elementwise::{Function, Side};
use crate::autograd::{Tape, Var};
use crate::onnx::{Graph, Value};
use crate::scalar::Scalar;

/// Function of the layer `tanh`: any shape → the same shape.
#[derive(Debug)]
pub struct Tanh;

impl Function for Tanh {
    const WORD: &'static str = "tanh";
    const KEPT: Side = Side::Output;
    const PYTORCH: &'static str = "Tanh";

    #[inline(always)]
    fn forward<T: Scalar>(x: T) -> T {
        x.tanh_lane()
    }

    #[inline(always)]
    fn backward<T: Scalar>(y: T, dy: T) -> T {
        dy * (T::one() - y * y)
    }

    /// The definition, with both sides of the fraction multiplied by e⁻ˣ: (1 − e⁻²ˣ)/(1 + e⁻²ˣ).
    fn record<T: Scalar>(tape: &mut Tape<T>, x: Var) -> Var {
        let [one, factor] = [1.0, -2.0].map(|value| tape.leaf(&[], vec![T::of(value)]));
        let exponents = tape.mul(x, factor);
        let powers = tape.exp(exponents);
        let (above, below) = (tape.sub(one, powers), tape.add(one, powers));
        tape.div(above, below)
    }

    fn onnx(graph: &mut Graph, x: Value) -> Value {
        graph.call("Tanh", &[x], [])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ends_are_minus_1_and_1_and_nan_stays() {
        let y = [-1000.0, -1.0, 0.0, 1.0, 1000.0, f32::NAN].map(Tanh::forward);
        assert_eq!((y[0], y[2], y[4]), (-1.0, 0.0, 1.0));
        assert!((y[3] - 0.761_594_2).abs() < 1e-7 && y[1] == -y[3], "{y:?}");
        assert!(y[5].is_nan());

        let dx = [0.0, 0.5, -1.0].map(|y| Tanh::backward(y, 2.0));
        assert_eq!(dx, [2.0, 1.5, 0.0]);
    }
}
