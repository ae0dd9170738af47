//! Sets of vector instructions, and whether the CPU has them.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A set of vector instructions for which there are kernels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Isa {
    /// Plain loops, compiled for any CPU of the architecture.
    Portable,
    /// NEON: 8 floats a vector, 16 vectors in registers.
    Neon,
    /// AVX2 and FMA: 8 floats a vector, 16 vector registers.
    Avx2,
    /// AVX-512 F, BW, DQ and VL: 16 floats a vector, 32 vector registers.
    Avx512,
}

impl Isa {
    /// All sets of instructions, the widest last.
    pub const ALL: [Self; 4] = [Self::Portable, Self::Neon, Self::Avx2, Self::Avx512];

    /// Widest set of instructions that this CPU has.
    pub fn detect() -> Self {
        Self::ALL.into_iter().rfind(|isa| isa.is_available()).unwrap_or(Self::Portable)
    }

    /// Whether this CPU has these instructions.
    pub fn is_available(self) -> bool {
        match self {
            Self::Portable => true,
            // Targets of 64-bit ARM include it, so the compiler may use it everywhere.
            Self::Neon => cfg!(all(target_arch = "aarch64", target_feature = "neon")),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma"),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => {
                is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512bw")
                    && is_x86_feature_detected!("avx512dq")
                    && is_x86_feature_detected!("avx512vl")
            }
            #[cfg(not(target_arch = "x86_64"))]
            _ => false,
        }
    }

    /// Name of the set of instructions, as `--isa` takes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Portable => "portable",
            Self::Neon => "neon",
            Self::Avx2 => "avx2",
            Self::Avx512 => "avx512",
        }
    }

    /// Set of instructions called `name`.
    pub fn find(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|isa| isa.name() == name)
    }
}

/// Whether the CPU has AVX-512 BF16, which multiplies numbers in bf16.
pub fn has_bf16() -> bool {
    #[cfg(target_arch = "x86_64")]
    return Isa::Avx512.is_available() && is_x86_feature_detected!("avx512bf16");
    #[cfg(not(target_arch = "x86_64"))]
    false
}

impl fmt::Display for Isa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_detected_set_is_available_and_nothing_wider_is() {
        let detected = Isa::detect();
        // profiles/reliability.py keeps this line with its records.
        println!("instructions: {detected}{}", if has_bf16() { ", bf16" } else { "" });
        assert!(detected.is_available());
        assert!(Isa::ALL.into_iter().all(|isa| isa <= detected || !isa.is_available()));
    }
}
