//! What every set of vector instructions can do.

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
