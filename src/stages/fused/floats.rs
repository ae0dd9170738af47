//! Memory that begins on a cache line: a vector of 16 floats that begins elsewhere takes two accesses.

use aligned_vec::{AVec, ConstAlign};

/// Floats on cache lines of 64 bytes.
pub type Floats = AVec<f32, ConstAlign<64>>;

/// `count` zeros.
pub fn zeros(count: usize) -> Floats {
    let mut zeros = Floats::new(64);
    zeros.resize(count, 0.0);
    zeros
}
