//! Vectors of floats: one trait, [`Simd`], and one implementation for each set of instructions.
//! [`Bytes`] and [`Pixels`] add operations that only kernels over small images need.
//!
//! Kernels are written once, generic over the trait, and compiled once for each implementation. A
//! value of an implementation is the proof that the CPU has the instructions, because only `detect`
//! makes such a value. Therefore its methods are safe, and kernels built from them contain no
//! `unsafe` code.
//!
//! # How a kernel gets its instructions
//! The compiler may use an instruction only inside a function that is marked with the CPU feature.
//! [`Simd::vectorize`] is such a function: it calls a closure, and every `#[inline(always)]`
//! function that the closure calls is compiled with the feature. A kernel therefore has this form:
//!
//! ```text
//! #[inline(never)]                      so that a profile shows its name
//! fn kernel<S: Simd>(simd: S, …) {
//!     simd.vectorize(#[inline(always)] || …)
//! }
//! ```
//!
//! Every function that a kernel calls is `#[inline(always)]`. A function that is not inlined would
//! still be correct, but slow.

#![allow(unsafe_code)]

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "x86_64")]
pub mod bf16;
mod isa;
mod loops;
#[cfg(target_arch = "aarch64")]
mod neon;
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
pub use loops::vectorize;
#[cfg(target_arch = "aarch64")]
pub use neon::Neon;
pub use pixels::{Bytes, Pixels};
pub use portable::Portable;
pub use vector::Simd;
