//! The resources of an engine: its threads, its vector instructions, and the format of its
//! products.

use crate::simd::Isa;

/// Number format of the factors of products. Sums, weights and moments are always f32.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Precision {
    /// Single precision, with a significand of 24 bits.
    F32,
    /// The format bfloat16, with a significand of 8 bits.
    Bf16,
}

impl Precision {
    /// Name of the format in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
        }
    }
}

/// Resources that a stage may compute with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Compute {
    /// Largest number of threads.
    pub threads: usize,
    /// Vector instructions of the kernels; stages that are not vectorized ignore them.
    pub isa: Isa,
}
