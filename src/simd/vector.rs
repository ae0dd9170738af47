//! The trait of every set of vector instructions.

/// Operations on vectors of [`LANES`](Simd::LANES) floats. An operation works on each lane by
/// itself unless its description says otherwise. A mask has one bit for each lane; the lowest
/// bit belongs to lane 0.
pub trait Simd: Copy + Send + Sync + 'static {
    /// Number of floats in a vector: 8 or 16.
    const LANES: usize;
    /// Number of vectors that the registers of the CPU hold.
    const REGISTERS: usize;
    /// Vector of [`LANES`](Simd::LANES) floats.
    type Vector: Copy + Send + Sync;
    /// Mask in the form that [`expand`](Simd::expand) and [`compress`](Simd::compress) need.
    type Expansion: Copy + Send + Sync;

    /// Calls `kernel` where the compiler may use the instructions.
    fn vectorize<R>(self, kernel: impl FnOnce() -> R) -> R;

    /// Vector with `value` in every lane.
    fn splat(self, value: f32) -> Self::Vector;
    /// Vector of the first [`LANES`](Simd::LANES) floats of `values`.
    fn load(self, values: &[f32]) -> Self::Vector;
    /// Writes `vector` to the first [`LANES`](Simd::LANES) floats of `to`.
    fn store(self, vector: Self::Vector, to: &mut [f32]);

    /// Sum a + b.
    fn add(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// Difference a − b.
    fn sub(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// Product a · b.
    fn mul(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// Quotient a / b.
    fn div(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// Square root √a.
    fn sqrt(self, a: Self::Vector) -> Self::Vector;
    /// Multiply-add a · b + c, rounded once where the CPU can do so.
    fn mul_add(self, a: Self::Vector, b: Self::Vector, c: Self::Vector) -> Self::Vector;
    /// Maximum of a and b; b if either is not a number.
    fn max(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// Mask of the lanes in which a > b.
    fn greater(self, a: Self::Vector, b: Self::Vector) -> u16;
    /// Vector with the lanes of `vector` whose bit in `mask` is set, and 0 in all other lanes.
    fn select(self, mask: u16, vector: Self::Vector) -> Self::Vector;
    /// Vector with 0 in the lanes whose magnitude is below `smallest`, and `vector` in all others.
    fn flush_small(self, vector: Self::Vector, smallest: Self::Vector) -> Self::Vector;
    /// Sum of all lanes.
    fn sum(self, vector: Self::Vector) -> f32;

    /// Expansion to the lanes whose bit in `mask` is set.
    fn expansion(self, mask: u16) -> Self::Expansion;
    /// Vector with the first lanes of `vector`, in their order, in the lanes of the mask from which
    /// `expansion` was made, and 0 in all other lanes.
    fn expand(self, vector: Self::Vector, expansion: &Self::Expansion) -> Self::Vector;
    /// Inverse of [`expand`](Simd::expand): the lanes of `vector` whose bit is set in the mask from
    /// which `expansion` was made, in their order. The lanes after them have any value.
    fn compress(self, vector: Self::Vector, expansion: &Self::Expansion) -> Self::Vector;

    /// Transposes a square matrix of [`LANES`](Simd::LANES) rows: calls `row` for each row, and
    /// `column` with each column, in order.
    fn transpose(
        self,
        row: impl Fn(usize) -> Self::Vector,
        column: impl FnMut(usize, Self::Vector),
    );

    /// Prefetches the cache line of `values[index]` into the first-level cache. An index beyond the
    /// end is ignored.
    fn prefetch_l1<T>(self, values: &[T], index: usize);
    /// Prefetches the cache line of `values[index]` into the second-level cache, for a value that is
    /// needed some thousand cycles later. An index beyond the end is ignored.
    fn prefetch_l2<T>(self, values: &[T], index: usize);
}
