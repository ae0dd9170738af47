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
mod portable;
#[cfg(test)]
mod tests;

#[cfg(target_arch = "x86_64")]
pub use avx2::Avx2;
#[cfg(target_arch = "x86_64")]
pub use avx512::Avx512;
#[cfg(target_arch = "x86_64")]
pub use bf16::Avx512Bf16;
pub use isa::{Isa, has_bf16};
pub use portable::Portable;

/// Asks for the cache line of `values[index]`, which may lie beyond the end, in the caches that
/// `HINT` names.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn prefetch_line<const HINT: i32, T>(values: &[T], index: usize) {
    if let Some(value) = values.get(index) {
        // SAFETY: the address is valid, and every x86-64 has the instruction.
        unsafe { std::arch::x86_64::_mm_prefetch::<HINT>(std::ptr::from_ref(value).cast()) }
    }
}

/// Vectors of [`LANES`](Simd::LANES) floats and what can be done with them, lane by lane unless
/// said otherwise.
pub trait Simd: Copy + Send + Sync + 'static {
    /// Floats of a vector: 8 or 16.
    const LANES: usize;
    /// Vector registers.
    const REGISTERS: usize;
    /// [`LANES`](Simd::LANES) floats.
    type Vector: Copy + Send + Sync;
    /// For each lane a place in a table of two rows of eight, see [`Simd::places`].
    type Places: Copy;
    /// For each lane whether it gets a value, see [`Simd::expansion`].
    type Expansion: Copy + Send + Sync;

    /// Calls `kernel` where the compiler may use the instructions.
    fn vectorize<R>(self, kernel: impl FnOnce() -> R) -> R;

    /// `value` in every lane.
    fn splat(self, value: f32) -> Self::Vector;
    /// The first [`LANES`](Simd::LANES) of `values`.
    fn load(self, values: &[f32]) -> Self::Vector;
    /// Writes the first [`LANES`](Simd::LANES) of `to`.
    fn store(self, vector: Self::Vector, to: &mut [f32]);

    /// a + b
    fn add(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// a − b
    fn sub(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// a · b
    fn mul(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// a / b
    fn div(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// √a
    fn sqrt(self, a: Self::Vector) -> Self::Vector;
    /// a · b + c, rounded once where the CPU can.
    fn mul_add(self, a: Self::Vector, b: Self::Vector, c: Self::Vector) -> Self::Vector;
    /// The larger of a and b; b if either is not a number.
    fn max(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// A bit for each lane in which a > b, lane 0 the lowest.
    fn greater(self, a: Self::Vector, b: Self::Vector) -> u16;
    /// `vector` in the lanes whose bit is set, 0 in the others.
    fn keep(self, lanes: u16, vector: Self::Vector) -> Self::Vector;
    /// 0 in the lanes below `smallest` in magnitude, `vector` in the others.
    fn cut(self, vector: Self::Vector, smallest: Self::Vector) -> Self::Vector;
    /// The sum of all lanes.
    fn sum(self, vector: Self::Vector) -> f32;

    /// The place 8·down + right for each lane, `down` and `right` being its bits.
    fn places(self, down: u16, right: u16) -> Self::Places;
    /// For each lane the value of the table at its place; the first 16 of `table` are the table.
    fn look_up(self, table: &[f32], places: Self::Places) -> Self::Vector;

    /// Which lanes get a value.
    fn expansion(self, lanes: u16) -> Self::Expansion;
    /// The first values of `vector`, in their order, in the lanes of `expansion`; 0 in the others.
    fn expand(self, vector: Self::Vector, expansion: &Self::Expansion) -> Self::Vector;

    /// Transposes a square of [`LANES`](Simd::LANES) rows: takes each from `row`, gives each column
    /// to `column`, in order.
    fn transpose(
        self,
        row: impl Fn(usize) -> Self::Vector,
        column: impl FnMut(usize, Self::Vector),
    );

    /// Asks for the cache line of `values[index]`, if there is one, so that it is near when it is
    /// wanted.
    fn prefetch<T>(self, values: &[T], index: usize);
    /// The same for what is wanted some thousand cycles later: as far as the second-level cache.
    fn prefetch_later<T>(self, values: &[T], index: usize);

    /// 16 bytes as floats to the first 16 of `to`.
    fn widen(self, bytes: [u8; 16], to: &mut [f32]);
    /// A bit for each of 32 bytes that is not 0, byte 0 the lowest.
    fn nonzero(self, bytes: &[u8; 32]) -> u32;
}
