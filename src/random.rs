//! Streams of random numbers that are the same on every platform and in every release.
//!
//! Each use of randomness has its own stream, derived from (seed, purpose, index), so that no state
//! of a generator has to be saved: the order of epoch 7 does not depend on numbers drawn in epochs
//! 0 to 6. This makes a resumed run equal to an uninterrupted one.

use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng, SeedableRng};

use crate::digest::Sha256Digest;

/// Stream of random numbers.
pub struct Stream(Xoshiro256PlusPlus);

impl Stream {
    /// The stream for (`seed`, `purpose`, `index`). Different triples give unrelated streams,
    /// because the generator's first state is the SHA-256 of the triple.
    pub fn new(seed: u64, purpose: &str, index: u64) -> Self {
        Self::at(seed, purpose, [index])
    }

    /// The stream for (`seed`, `purpose`, `indices`), for a use of randomness that needs several
    /// indices.
    pub fn at<const I: usize>(seed: u64, purpose: &str, indices: [u64; I]) -> Self {
        let indices = indices.map(u64::to_le_bytes);
        let key = [&seed.to_le_bytes(), indices.as_flattened(), purpose.as_bytes()];
        Self(Xoshiro256PlusPlus::from_seed(Sha256Digest::of(key).bytes()))
    }

    /// Uniform random number in [0, 1), a multiple of 2⁻²⁴.
    pub fn unit(&mut self) -> f32 {
        (self.0.next_u64() >> 40) as f32 / (1_u32 << 24) as f32
    }

    /// Uniform random number in [`low`, `high`).
    pub fn uniform(&mut self, low: f32, high: f32) -> f32 {
        low + (high - low) * self.unit()
    }

    /// Uniform random integer in 0..`bound`, without bias (Lemire, "Fast Random Integer Generation
    /// in an Interval", 2019, section 4).
    pub fn below(&mut self, bound: u32) -> u32 {
        assert!(bound > 0, "no number lies below 0");
        let threshold = bound.wrapping_neg() % bound;
        loop {
            let product = u64::from(self.0.next_u64() as u32) * u64::from(bound);
            if product as u32 >= threshold {
                return (product >> 32) as u32;
            }
        }
    }

    /// Puts `items` into random order (Fisher–Yates, from the end).
    ///
    /// A library's shuffle may change between releases, and the order of a run must not; so this
    /// one is written here.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            let other = self.below(last as u32 + 1) as usize;
            items.swap(last, other);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_depends_on_seed_purpose_and_index() {
        let first = |seed, purpose, index| Stream::new(seed, purpose, index).0.next_u64();
        let base = first(1, "order", 0);
        assert_eq!(base, first(1, "order", 0));
        assert_ne!(base, first(2, "order", 0));
        assert_ne!(base, first(1, "init", 0));
        assert_ne!(base, first(1, "order", 1));
    }

    #[test]
    fn a_shuffle_is_a_permutation_and_every_place_is_equally_likely() {
        let mut counts = [[0_u32; 5]; 5];
        let mut stream = Stream::new(3, "test", 0);
        for _ in 0..20_000 {
            let mut items = [0, 1, 2, 3, 4];
            stream.shuffle(&mut items);
            for (place, item) in items.into_iter().enumerate() {
                counts[place][item] += 1;
            }
        }
        // Each of 25 counts has the mean 4,000 and the standard deviation 57; six are allowed.
        for count in counts.as_flattened() {
            assert!((3_660..=4_340).contains(count), "{counts:?}");
        }
    }
}
