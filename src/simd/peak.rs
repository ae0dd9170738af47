//! Loops that reach the limits of the CPU: arithmetic without memory accesses, and memory accesses
//! without arithmetic.
//!
//! A multiply-add has a latency of about four cycles, and a CPU begins two to four of them in each
//! cycle. So there are 12 independent sums (24 with 32 registers), which stay in registers: enough
//! to keep all units busy, and few enough that no sum is spilled to memory. Operands and results
//! pass through [`black_box`], so that the compiler neither computes them in advance nor leaves
//! them out.

use std::hint::black_box;

#[cfg(target_arch = "aarch64")]
use super::neon::Neon;
use super::{Isa, Portable, Simd};
#[cfg(target_arch = "x86_64")]
use super::{avx2::Avx2, avx512::Avx512, bf16::Avx512Bf16};

/// Loop of multiply-adds that does nothing else.
#[derive(Debug, Clone, Copy)]
pub struct MultiplyAdds {
    /// Number of floating-point operations in one repetition; a multiply-add counts as two.
    pub flops: u64,
    /// Function that runs a given number of repetitions. It is chosen only if the CPU has its
    /// instructions.
    repeat: fn(u64),
}

impl MultiplyAdds {
    /// Multiply-adds in f32 with the instructions of `isa`.
    ///
    /// # Panics
    /// When the CPU does not have `isa`.
    pub fn f32(isa: Isa) -> Self {
        assert!(isa.is_available(), "this CPU does not have {isa}");
        match isa {
            // Six vectors fill 12 registers of four lanes, which every 64-bit target has.
            Isa::Portable => {
                Self { flops: 6 * 8 * 2, repeat: |n| in_f32::<_, 6>(Some(Portable), n) }
            }
            #[cfg(target_arch = "aarch64")]
            Isa::Neon => Self { flops: 12 * 8 * 2, repeat: |n| in_f32::<_, 12>(Neon::detect(), n) },
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => Self { flops: 12 * 8 * 2, repeat: |n| in_f32::<_, 12>(Avx2::detect(), n) },
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => {
                Self { flops: 24 * 16 * 2, repeat: |n| in_f32::<_, 24>(Avx512::detect(), n) }
            }
            _ => unreachable!("{isa} belongs to another architecture"),
        }
    }

    /// Multiply-adds of factors in bf16 with sums in f32, if the CPU has an instruction for them.
    pub fn bf16() -> Option<Self> {
        #[cfg(target_arch = "x86_64")]
        if Avx512Bf16::detect().is_some() {
            return Some(Self { flops: 24 * 32 * 2, repeat: in_bf16 });
        }
        None
    }

    /// Runs the loop `count` times.
    pub fn repeat(&self, count: u64) {
        (self.repeat)(count);
    }
}

/// Runs `count` multiply-adds in f32 in each of `SUMS` vectors.
fn in_f32<S: Simd, const SUMS: usize>(simd: Option<S>, count: u64) {
    let simd = simd.expect("this CPU has the instructions");
    simd.vectorize(
        #[inline(always)]
        || {
            // Sums stay 1. The product needs the sum, or else it could be computed before the loop.
            let factor = black_box(simd.splat(0.0));
            let mut sums = [black_box(simd.splat(1.0)); SUMS];
            for _ in 0..count {
                for sum in &mut sums {
                    *sum = simd.mul_add(*sum, factor, *sum);
                }
            }
            black_box(sums);
        },
    );
}

/// Runs `count` multiply-adds of pairs in bf16 in each of 24 vectors.
#[cfg(target_arch = "x86_64")]
fn in_bf16(count: u64) {
    let simd = Avx512Bf16::detect().expect("this CPU has the instructions");
    simd.vectorize(
        #[inline(always)]
        || {
            let ones = simd.splat(1.0);
            let (a, b) = black_box((simd.pairs(ones, ones), simd.pairs(ones, ones)));
            let mut sums = [black_box(simd.splat(0.0)); 24];
            for _ in 0..count {
                for sum in &mut sums {
                    *sum = simd.dot(a, b, *sum);
                }
            }
            black_box(sums);
        },
    );
}

/// Reads and writes every element of `values` once, in vectors of `isa`.
///
/// # Panics
/// When the CPU does not have `isa`.
pub fn read_and_write(isa: Isa, values: &mut [f32]) {
    fn negate_with(simd: Option<impl Simd>, values: &mut [f32]) {
        simd.expect("this CPU has the instructions").vectorize(
            #[inline(always)]
            || values.iter_mut().for_each(|value| *value = -*value),
        );
    }
    match isa {
        Isa::Portable => negate_with(Some(Portable), values),
        #[cfg(target_arch = "aarch64")]
        Isa::Neon => negate_with(Neon::detect(), values),
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 => negate_with(Avx2::detect(), values),
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 => negate_with(Avx512::detect(), values),
        _ => unreachable!("{isa} belongs to another architecture"),
    }
}
