//! Plain loops, from which the compiler makes vectors.

#[cfg(target_arch = "x86_64")]
use super::avx2::Avx2;
#[cfg(target_arch = "x86_64")]
use super::avx512::Avx512;
use super::isa::Isa;
#[cfg(target_arch = "x86_64")]
use super::vector::Simd;

/// Calls `kernel`, which consists of plain loops, where the compiler may use the instructions of
/// `isa`, if the CPU has them. The results are the same for all sets of instructions.
#[inline(always)]
pub fn vectorize<R>(isa: Isa, kernel: impl FnOnce() -> R) -> R {
    #[cfg(target_arch = "x86_64")]
    match isa {
        Isa::Avx2 => {
            if let Some(simd) = Avx2::detect() {
                return simd.vectorize(kernel);
            }
        }
        Isa::Avx512 => {
            if let Some(simd) = Avx512::detect() {
                return simd.vectorize(kernel);
            }
        }
        // Their instructions are part of every CPU of the architecture.
        Isa::Portable | Isa::Neon => {}
    }
    kernel()
}
