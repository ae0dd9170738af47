//! The number formats of the arithmetic: training computes in f32, the checks of gradients in f64.

use std::fmt;
use std::iter::Sum;

use num_traits::{Float, FromPrimitive, NumAssign};

/// Number format in which a layer, a primitive or a tape can compute.
pub trait Scalar:
    Float + FromPrimitive + NumAssign + Sum + fmt::Debug + fmt::Display + Send + Sync + 'static
{
    /// Number of this format that is nearest to `value`.
    fn of(value: f64) -> Self {
        Self::from_f64(value).expect("a float takes every float")
    }

    /// This number in f64, exactly.
    fn wide(self) -> f64 {
        self.to_f64().expect("f64 has every number of the formats")
    }

    /// Error function, erf(x) = 2/√π · ∫ e^(−t²) dt from 0 to x.
    fn erf(self) -> Self;

    /// Complement of the error function, 1 − erf(x), which keeps its digits where erf(x) is near 1.
    fn erfc(self) -> Self;
}

impl Scalar for f32 {
    fn erf(self) -> Self {
        libm::erff(self)
    }

    fn erfc(self) -> Self {
        libm::erfcf(self)
    }
}

impl Scalar for f64 {
    fn erf(self) -> Self {
        libm::erf(self)
    }

    fn erfc(self) -> Self {
        libm::erfc(self)
    }
}
