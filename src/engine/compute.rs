//! What an engine may compute with.

use crate::simd::Isa;

/// The format of the factors of products; sums, weights and moments are f32 in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Precision {
    /// 24 bits of significand.
    F32,
    /// 8 bits of significand.
    Bf16,
}

impl Precision {
    /// What reports call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
        }
    }
}

/// What a stage may compute with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Compute {
    /// Threads at most.
    pub threads: usize,
    /// Vector instructions, for stages that are vectorized.
    pub isa: Isa,
}
