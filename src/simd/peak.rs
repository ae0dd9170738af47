//! Loops that reach the limits of the CPU: arithmetic without memory accesses, and memory accesses
//! without arithmetic.
//!
//! A multiply-add has a latency of about four cycles, and a CPU begins two of them in each cycle.
//! So there are 12 independent sums (24 with 32 registers), which stay in registers: enough to keep
//! both units busy, and few enough that no sum is spilled to memory. Operands and results pass
//! through [`black_box`], so that the compiler neither computes them in advance nor leaves them
//! out.

#![allow(unsafe_code)]

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::*;
use std::hint::black_box;

#[cfg(target_arch = "x86_64")]
use super::{avx2::Avx2, avx512::Avx512};
use super::{isa::Isa, portable::Portable, vector::Simd};

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
            Isa::Portable => Self { flops: 12 * 4 * 2, repeat: portable },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: the assertion above proves the features.
            Isa::Avx2 => Self { flops: 12 * 8 * 2, repeat: |count| unsafe { avx2(count) } },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: the assertion above proves the features.
            Isa::Avx512 => Self { flops: 24 * 16 * 2, repeat: |count| unsafe { avx512(count) } },
            #[cfg(not(target_arch = "x86_64"))]
            _ => unreachable!("{isa} belongs to another architecture"),
        }
    }

    /// Multiply-adds of factors in bf16 with sums in f32, if the CPU has an instruction for them.
    pub fn bf16() -> Option<Self> {
        #[cfg(target_arch = "x86_64")]
        if super::isa::has_bf16() {
            // SAFETY: the condition proves the features.
            let repeat = |count| unsafe { avx512_bf16(count) };
            return Some(Self { flops: 24 * 32 * 2, repeat });
        }
        None
    }

    /// Runs the loop `count` times.
    pub fn repeat(&self, count: u64) {
        (self.repeat)(count);
    }
}

/// Factor of every multiply-add. The fixed point of x·`FACTOR` + `SUMMAND` is 1, so sums stay near
/// 1 and never become denormal.
const FACTOR: f32 = 0.75;
/// Summand of every multiply-add, see [`FACTOR`].
const SUMMAND: f32 = 0.25;

/// Multiply-adds in vectors of four lanes, which fit into a register of every 64-bit target. They
/// are fused where the target always has the instruction; elsewhere `f32::mul_add` would call a
/// function.
#[inline(never)]
fn portable(count: u64) {
    let (factor, summand) = black_box((FACTOR, SUMMAND));
    let mut sums = black_box([[0.0_f32; 4]; 12]);
    for _ in 0..count {
        for sum in &mut sums {
            *sum = sum.map(|x| {
                if cfg!(any(target_arch = "aarch64", target_feature = "fma")) {
                    x.mul_add(factor, summand)
                } else {
                    x * factor + summand
                }
            });
        }
    }
    black_box(sums);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn avx2(count: u64) {
    let (factor, summand) = black_box((_mm256_set1_ps(FACTOR), _mm256_set1_ps(SUMMAND)));
    let mut sums = [black_box(_mm256_setzero_ps()); 12];
    for _ in 0..count {
        for sum in &mut sums {
            *sum = _mm256_fmadd_ps(*sum, factor, summand);
        }
    }
    black_box(sums);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
fn avx512(count: u64) {
    let (factor, summand) = black_box((_mm512_set1_ps(FACTOR), _mm512_set1_ps(SUMMAND)));
    let mut sums = [black_box(_mm512_setzero_ps()); 24];
    for _ in 0..count {
        for sum in &mut sums {
            *sum = _mm512_fmadd_ps(*sum, factor, summand);
        }
    }
    black_box(sums);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bf16")]
fn avx512_bf16(count: u64) {
    let ones = _mm512_set1_ps(1.0);
    let (a, b) = black_box((_mm512_cvtne2ps_pbh(ones, ones), _mm512_cvtne2ps_pbh(ones, ones)));
    let mut sums = [black_box(_mm512_setzero_ps()); 24];
    for _ in 0..count {
        for sum in &mut sums {
            *sum = _mm512_dpbf16_ps(*sum, a, b);
        }
    }
    black_box(sums);
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
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 => negate_with(Avx2::detect(), values),
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 => negate_with(Avx512::detect(), values),
        #[cfg(not(target_arch = "x86_64"))]
        _ => unreachable!("{isa} belongs to another architecture"),
    }
}
