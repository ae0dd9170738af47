//! Memory that begins on a cache line: a vector of 16 floats that begins elsewhere takes two
//! accesses.

use aligned_vec::{AVec, ConstAlign};

/// Values on cache lines of 64 bytes.
pub type AlignedVec<T> = AVec<T, ConstAlign<64>>;
/// Floats on cache lines.
pub type Floats = AlignedVec<f32>;

/// `count` zeros.
pub fn zeros<T: Clone + Default>(count: usize) -> AlignedVec<T> {
    let mut zeros = AlignedVec::new(64);
    zeros.resize(count, T::default());
    zeros
}
