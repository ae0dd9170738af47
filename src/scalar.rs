//! The number formats of the arithmetic: training computes in f32, the checks of gradients in f64.

use std::fmt;
use std::iter::Sum;

use num_traits::{Float, FromPrimitive, NumAssign};

/// Number format in which a layer, a primitive or a tape can compute.
pub trait Scalar:
    Float + FromPrimitive + NumAssign + Sum + fmt::Debug + fmt::Display + Send + Sync + 'static
{
    /// Number of this format that is nearest to `value`.
    #[inline(always)]
    fn of(value: f64) -> Self {
        Self::from_f64(value).expect("a float takes every float")
    }

    /// This number in f64, exactly.
    fn wide(self) -> f64 {
        self.to_f64().expect("f64 has every number of the formats")
    }

    /// Error function, erf(x) = 2/√π · ∫ e^(−t²) dt from 0 to x.
    fn erf(self) -> Self;

    /// Exponential eˣ. In f32, this function and the next two are written without branches and
    /// without calls, so that a loop over them becomes vectors.
    fn exp_lane(self) -> Self;

    /// Hyperbolic tangent.
    fn tanh_lane(self) -> Self;

    /// Complement of the error function, 1 − erf(x), which keeps its digits where erf(x) is near 1.
    fn erfc_lane(self) -> Self;
}

impl Scalar for f32 {
    fn erf(self) -> Self {
        libm::erff(self)
    }

    /// 2ⁿ·eʳ, where n is the whole number nearest to x/ln 2 and r the rest. The polynomial for eʳ
    /// is that of `expf` in the Cephes library; the relative error is below 2e-7.
    #[inline(always)]
    fn exp_lane(self) -> Self {
        // Beyond these bounds, the result is 0 or infinity. A NaN stays.
        let x = if self < -104.0 { -104.0 } else { self };
        let x = if x > 89.0 { 89.0 } else { x };
        // A float of this magnitude has no digits after the point, so the sum is rounded to a whole
        // number, and its last bits are n.
        const WHOLE: f32 = 12_582_912.0;
        let rounded = x * std::f32::consts::LOG2_E + WHOLE;
        let power = rounded.to_bits().wrapping_sub(WHOLE.to_bits()) as i32;
        let n = rounded - WHOLE;
        // ln 2 in two parts, of which the first times n is exact.
        let r = x - n * 0.693_359_4 + n * 2.121_944_4e-4;
        let polynomial = polynomial(
            r,
            [1.987_569_1e-4, 1.398_2e-3, 8.333_452e-3, 4.166_579_6e-2, 0.166_666_66, 0.5],
        );
        let of_rest = polynomial * r * r + r + 1.0;
        // Two factors, because 2ⁿ itself may be too large or too small for a float.
        let half = power >> 1;
        let factor =
            |power: i32| Self::from_bits((power.wrapping_add(127) as u32).wrapping_shl(23));
        of_rest * factor(half) * factor(power.wrapping_sub(half))
    }

    /// Polynomial x + x³·P(x²) near 0, and 1 − 2/(e²ˣ + 1) elsewhere, as `tanhf` in the Cephes
    /// library; the relative error is below 3e-7.
    #[inline(always)]
    fn tanh_lane(self) -> Self {
        let (size, square) = (self.abs(), self * self);
        let far = 1.0 - 2.0 / ((2.0 * size).exp_lane() + 1.0);
        let polynomial = polynomial(
            square,
            [-5.704_988_7e-3, 2.063_909e-2, -5.373_971_6e-2, 0.133_314_42, -0.333_332_8],
        );
        let near = polynomial * square * self + self;
        if size >= 0.625 { far.copysign(self) } else { near }
    }

    /// Chebyshev approximation of Press et al., "Numerical Recipes in C", 1992, section 6.2, whose
    /// relative error is below 1.2e-7. In f32, rounding adds 1e-7 times the square of x.
    #[inline(always)]
    fn erfc_lane(self) -> Self {
        let size = self.abs();
        let t = 1.0 / (1.0 + 0.5 * size);
        let exponent = polynomial(
            t,
            [
                0.170_872_77,
                -0.822_152_23,
                1.488_515_9,
                -1.135_204,
                0.278_868_07,
                -0.186_288_06,
                0.096_784_18,
                0.374_091_96,
                1.000_023_7,
                -1.265_512_2,
            ],
        );
        let tail = t * (exponent - size * size).exp_lane();
        if self < 0.0 { 2.0 - tail } else { tail }
    }
}

/// Polynomial of x with these coefficients, the highest power first, by Horner's rule.
#[inline(always)]
fn polynomial<const N: usize>(x: f32, coefficients: [f32; N]) -> f32 {
    let mut sum = 0.0;
    for coefficient in coefficients {
        sum = sum * x + coefficient;
    }
    sum
}

impl Scalar for f64 {
    fn erf(self) -> Self {
        libm::erf(self)
    }

    fn exp_lane(self) -> Self {
        self.exp()
    }

    fn tanh_lane(self) -> Self {
        self.tanh()
    }

    fn erfc_lane(self) -> Self {
        libm::erfc(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Largest error of `found` relative to `expected`, for numbers from `low` to `high`.
    fn largest_error(low: f32, high: f32, found: fn(f32) -> f32, expected: fn(f64) -> f64) -> f64 {
        let numbers = (0..=100_000).map(|i| low + (high - low) * i as f32 / 1e5);
        let errors = numbers.map(|x| {
            let expected = expected(f64::from(x));
            (f64::from(found(x)) - expected).abs() / expected.abs().max(1e-37)
        });
        errors.fold(0.0, f64::max)
    }

    #[test]
    fn lanes_are_as_exact_as_they_say() {
        let exp = largest_error(-87.0, 88.7, f32::exp_lane, f64::exp);
        let tanh = largest_error(-12.0, 12.0, f32::tanh_lane, f64::tanh);
        let near_zero = largest_error(-1.0, 1.0, f32::tanh_lane, f64::tanh);
        let erfc = largest_error(-6.0, 1.0, f32::erfc_lane, libm::erfc);
        let tail = largest_error(1.0, 9.0, f32::erfc_lane, libm::erfc);
        println!("{exp:e} {tanh:e} {near_zero:e} {erfc:e} {tail:e}");
        assert!(exp < 2e-7 && tanh < 3e-7 && near_zero < 3e-7);
        assert!(erfc < 5e-7 && tail < 1e-5);
    }

    #[test]
    fn ends_are_exact_and_nan_stays() {
        let infinity = f32::INFINITY;
        assert_eq!(
            [-infinity, -200.0, 0.0, infinity, 200.0].map(f32::exp_lane),
            [0.0, 0.0, 1.0, infinity, infinity]
        );
        assert_eq!([-infinity, -50.0, 0.0, infinity].map(f32::tanh_lane), [-1.0, -1.0, 0.0, 1.0]);
        assert_eq!([-infinity, 20.0, infinity].map(f32::erfc_lane), [2.0, 0.0, 0.0]);
        for function in [f32::exp_lane, f32::tanh_lane, f32::erfc_lane] {
            assert!(function(f32::NAN).is_nan());
        }
    }
}
