//! Memory that begins on a cache line. Access to a vector of 16 floats that begins elsewhere takes
//! twice as long.

use aligned_vec::{AVec, ConstAlign};

/// Vector whose first value begins a cache line of 64 bytes.
pub type AlignedVec<T> = AVec<T, ConstAlign<64>>;
/// Vector of floats that begins a cache line.
pub type Floats = AlignedVec<f32>;

/// Vector of `count` zeros.
pub fn zeros<T: Clone + Default>(count: usize) -> AlignedVec<T> {
    let mut zeros = AlignedVec::new(64);
    zeros.resize(count, T::default());
    zeros
}
