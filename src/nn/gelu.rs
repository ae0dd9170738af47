//! The layer of Gaussian error linear units (Hendrycks & Gimpel, "Gaussian Error Linear Units",
//! 2016): y = x·Φ(x) for each element, where Φ is the distribution function of the normal
//! distribution N(0, 1). This is the exact function; PyTorch calls it `approximate='none'`.
//!
//! # Definition
//! ```text
//! Φ(x) = (1 + erf(x/√2))/2
//! y    = x·Φ(x)
//! ```
//!
//! # Backward
//! The derivative of Φ is the density φ(x) = e^(−x²/2)/√(2π). By the product rule,
//!
//! ```text
//! dx = dy · (Φ(x) + x·φ(x))
//! ```
//!
//! y does not tell x, because gelu falls before it rises, so the backward pass needs the input.

use std::f64::consts::{FRAC_1_SQRT_2, PI};

use super::elementwise::{Function, Side};
use crate::autograd::{Tape, Var};
use crate::onnx::{Graph, Value};
use crate::scalar::Scalar;

/// Function of the layer `gelu`: any shape → the same shape.
#[derive(Debug)]
pub struct Gelu;

/// Distribution function of N(0, 1), Φ.
#[inline(always)]
fn distribution<T: Scalar>(x: T) -> T {
    // Not (1 + erf(x/√2))/2: below 0, its two terms cancel each other.
    T::of(0.5) * (x * T::of(-FRAC_1_SQRT_2)).erfc_lane()
}

impl Function for Gelu {
    const WORD: &'static str = "gelu";
    const KEPT: Side = Side::Input;
    const PYTORCH: &'static str = "GELU";

    #[inline(always)]
    fn forward<T: Scalar>(x: T) -> T {
        x * distribution(x)
    }

    #[inline(always)]
    fn backward<T: Scalar>(x: T, dy: T) -> T {
        let factor = T::of((2.0 * PI).sqrt().recip());
        let density = factor * (T::of(-0.5) * x * x).exp_lane();
        dy * (distribution(x) + x * density)
    }

    fn record<T: Scalar>(tape: &mut Tape<T>, x: Var) -> Var {
        let mut number = |value| tape.leaf(&[], vec![T::of(value)]);
        let (one, half, to_erf) = (number(1.0), number(0.5), number(FRAC_1_SQRT_2));
        let inside = tape.mul(x, to_erf);
        let erf = tape.erf(inside);
        let sum = tape.add(erf, one);
        let distribution = tape.mul(sum, half);
        tape.mul(x, distribution)
    }

    /// The definition, because the operator Gelu is newer than the operators that are used.
    fn onnx(graph: &mut Graph, x: Value) -> Value {
        let [half, one, to_erf] = [0.5, 1.0, FRAC_1_SQRT_2 as f32].map(|value| graph.number(value));
        let inside = graph.call("Mul", &[x, to_erf], []);
        let erf = graph.call("Erf", &[inside], []);
        let sum = graph.call("Add", &[erf, one], []);
        let distribution = graph.call("Mul", &[sum, half], []);
        graph.call("Mul", &[x, distribution], [])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_and_slopes_are_those_of_pytorch() {
        for (x, value, slope) in [
            (-3.0_f64, -0.004_049_694_09, -0.011_945_647_2),
            (-1.0, -0.158_655_254, -0.083_315_470_6),
            (0.0, 0.0, 0.5),
            (0.5, 0.345_731_231, 0.867_495_125),
            (2.0, 1.954_499_74, 1.085_231_8),
            (1000.0, 1000.0, 1.0),
        ] {
            let (y, dx) = (Gelu::forward(x), Gelu::backward(x, 1.0));
            assert!((y - value).abs() <= 1e-8 && (dx - slope).abs() <= 1e-8, "{y} {dx}");
        }
    }

    #[test]
    fn the_tail_below_zero_keeps_its_digits_and_nan_stays() {
        let y = [-10.0_f32, f32::NAN].map(Gelu::forward);
        assert!((y[0] / -7.619_853e-23 - 1.0).abs() < 1e-4 && y[1].is_nan(), "{y:?}");
    }
}
