//! The choice of `--batch-size auto`.

use std::fmt;

use crate::report::text::numbers::{counted, grouped};

/// Limits of the size. Smaller batches use the vectors badly, and larger ones train worse.
const LIMITS: [usize; 2] = [16, 512];
/// Smallest number of steps of an epoch: a model hardly learns in a few steps.
const FEWEST_STEPS: usize = 100;

/// Size of the batches, and what decided.
#[derive(Debug, PartialEq, Eq)]
pub struct Choice {
    /// Number of images in a step.
    pub batch_size: usize,
    /// Number of steps of an epoch.
    steps: usize,
    /// Number of bytes that training takes.
    needed: u64,
    /// Number of bytes that are available, if the operating system says it.
    available: Option<u64>,
}

/// Largest power of two from 16 to 512 with which training on `images` images takes at most half of the
/// `available` bytes and an epoch has 100 steps or more; 16 if there is none, or the largest
/// power of two up to `images` if there are not 16. Training with batches of a size takes `needed(size)`
/// bytes.
pub fn choose(images: usize, available: Option<u64>, needed: impl Fn(usize) -> u64) -> Choice {
    let [least, most] = LIMITS;
    let steps = |size: usize| images.div_ceil(size);
    let fits = |size: &usize| {
        let fits_memory = available.is_none_or(|available| needed(*size) <= available / 2);
        fits_memory && steps(*size) >= FEWEST_STEPS
    };
    let powers = (0..).map(|power| most >> power).take_while(|size| *size >= least);
    let batch_size = powers.into_iter().find(fits).unwrap_or(least);
    let batch_size = batch_size.min(1 << images.ilog2());
    Choice { batch_size, steps: steps(batch_size), needed: needed(batch_size), available }
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { batch_size, steps, needed, available } = self;
        let megabytes = |bytes: u64| grouped(bytes.div_ceil(1_000_000) as usize);
        write!(
            f,
            "note: --batch-size auto takes {batch_size}: {} an epoch, {} MB of memory",
            counted(*steps, "step"),
            megabytes(*needed),
        )?;
        if let Some(available) = available {
            write!(f, " of {} MB", megabytes(*available))?;
        }
        let [least, most] = LIMITS;
        write!(
            f,
            ";\nit is the largest power of two from {least} to {most} that leaves {FEWEST_STEPS} \
             steps an epoch\nand half of the memory"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_size_is_the_largest_that_fits_memory_and_images() {
        let needed = |size: usize| 1_000_000 + 1000 * size as u64;
        for (images, available, expected) in [
            (60_000, None, 512),
            (60_000, Some(u64::MAX), 512),
            (60_000, Some(2 * 1_512_000), 512),
            (60_000, Some(2 * 1_511_999), 256),
            // No size fits; the run then says that the memory is missing.
            (60_000, Some(0), 16),
            (51_101, None, 512),
            (50_688, None, 256),
            (6400, None, 64),
            (100, None, 16),
            (20, None, 16),
            (15, None, 8),
            (1, None, 1),
        ] {
            let choice = choose(images, available, needed);
            assert_eq!(choice.batch_size, expected, "{images} {available:?}");
            assert_eq!(choice.needed, needed(expected));
        }
    }

    #[test]
    fn the_note_says_why() {
        let note = choose(60_000, Some(3_999_999_999), |size| 1_000_000 * size as u64).to_string();
        let expected = "note: --batch-size auto takes 512: 118 steps an epoch, 512 MB of memory of \
                        4,000 MB;\nit is the largest";
        assert!(note.starts_with(expected), "{note}");
    }
}
