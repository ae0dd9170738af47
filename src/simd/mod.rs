//! Vectors of floats, one implementation for each set of instructions, behind one trait.
//!
//! Kernels are written once, generic over [`Simd`], and compiled once for each implementation. A
//! value of an implementation is the proof that the CPU has the instructions: it can be had from
//! `detect` alone. So its methods are safe, and the kernels that are built of them have no `unsafe`
//! code.
//!
//! # How a kernel gets its instructions
//! The compiler may use an instruction only inside a function that is marked with the CPU feature.
//! [`Simd::vectorize`] is that function: it calls a closure, and everything that is
//! `#[inline(always)]` inside the closure is compiled with the feature. A kernel is therefore
//!
//! ```text
//! #[inline(never)]                      a name of its own in a profile
//! fn kernel<S: Simd>(simd: S, …) {
//!     simd.vectorize(#[inline(always)] || …)
//! }
//! ```
//!
//! and what it calls is `#[inline(always)]`. A function that is not inlined would still be right,
//! and slow.

#![allow(unsafe_code)]

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "x86_64")]
pub mod bf16;
mod isa;
pub mod peak;
mod pixels;
mod portable;
#[cfg(target_arch = "x86_64")]
mod prefetch;
#[cfg(test)]
mod tests;
mod vector;

#[cfg(target_arch = "x86_64")]
pub use avx2::Avx2;
#[cfg(target_arch = "x86_64")]
pub use avx512::Avx512;
#[cfg(target_arch = "x86_64")]
pub use bf16::Avx512Bf16;
pub use isa::{Isa, has_bf16};
pub use pixels::{Bytes, Pixels};
pub use portable::Portable;
pub use vector::Simd;
