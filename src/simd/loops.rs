//! Plain loops, from which the compiler makes vectors.

#[cfg(target_arch = "x86_64")]
use super::avx2::Avx2;
#[cfg(target_arch = "x86_64")]
use super::avx512::Avx512;
use super::isa::Isa;
#[cfg(target_arch = "x86_64")]
use super::vector::Simd;

/// Calls `kernel`, which consists of plain loops, where the compiler may use the instructions of
/// `isa`. The results are the same for all sets of instructions.
///
/// # Panics
/// When the CPU does not have the instructions.
#[inline(always)]
pub fn vectorize<R>(isa: Isa, kernel: impl FnOnce() -> R) -> R {
    match isa {
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 => Avx2::detect().expect("the CPU has AVX2").vectorize(kernel),
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 => Avx512::detect().expect("the CPU has AVX-512").vectorize(kernel),
        // Every CPU of the architecture has the instructions.
        _ => kernel(),
    }
}
