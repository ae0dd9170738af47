//! Handwritten-looking digits, drawn rather than downloaded.
//!
//! They let a newcomer without MNIST and without a network train the real model at its real size,
//! and they are the data of the tests. They are made the way MNIST was:
//!
//! 1. **Choose** a label, each equally likely, and one of the ways in which people write it
//!    (`glyphs`): a few strokes, given by control points.
//! 2. **Write** it: a hand of its own displaces the control points, presses harder or lighter on
//!    the pen, and stretches, slants and turns the whole (`hand`).
//! 3. **Ink** it: the strokes are scaled, with their aspect ratio kept, until they just fit into a
//!    box of 20×20 pixels, and each pixel is as bright as its distance from them says (`pen`).
//! 4. **Centre** it: the box is put where the ink's centre of mass is at the centre of the 28×28
//!    image (LeCun et al., "Gradient-based learning applied to document recognition", 1998, section
//!    III.A). Background is exactly 0.
//!
//! Every image has a random stream of its own, so image i depends on nothing but (seed, split, i).
//! The arithmetic is + − × ÷ and √ alone, which IEEE 754 rounds correctly, so the bytes are the
//! same on every platform. Sines and exponentials would come from the platform's own library.
//!
//! The ways of writing and the numbers in `hand` and `pen` were chosen beside MNIST, by eye and so
//! that three things come out near it: the share of blank pixels, the share of blank pooling
//! windows, and the accuracy the model reaches.

mod glyphs;
mod hand;
mod pen;
mod point;

use rayon::prelude::*;

use self::glyphs::Glyph;
use self::hand::Hand;
use self::pen::Pen;
use super::dataset::{CLASSES, Dataset, PIXELS, Split};
use crate::random::Stream;

/// The seed of the digits that are drawn where there is no data.
pub const DEFAULT_SEED: u64 = 1998;

/// MNIST has as many to train on.
pub const TRAIN_IMAGES: usize = 60_000;
/// MNIST has as many to test on.
pub const TEST_IMAGES: usize = 10_000;

/// Draws `train_count` + `test_count` digits. A smaller count gives the first ones of a larger one.
///
/// # Panics
/// When a count is 0.
pub fn generate(seed: u64, train_count: usize, test_count: usize) -> Dataset {
    let glyphs = glyphs::parse_all();
    Dataset::new(
        generate_split(&glyphs, seed, "synthetic training digit", train_count),
        generate_split(&glyphs, seed, "synthetic test digit", test_count),
    )
}

fn generate_split(glyphs: &[Vec<Glyph>; CLASSES], seed: u64, purpose: &str, count: usize) -> Split {
    let mut images = vec![0; count * PIXELS];
    let mut labels = vec![0; count];
    images.par_chunks_exact_mut(PIXELS).zip(&mut labels).enumerate().for_each(
        |(index, (image, label))| {
            let mut random = Stream::new(seed, purpose, index as u64);
            *label = random.below(CLASSES as u32) as u8;
            draw(&glyphs[usize::from(*label)], &mut random, image);
        },
    );
    Split::new(images, labels)
}

/// Draws one of `glyphs` on a blank `image`.
fn draw(glyphs: &[Glyph], random: &mut Stream, image: &mut [u8]) {
    let glyph = glyphs::choose(glyphs, random);
    let lines = Hand::new(random).write(glyph, random);
    pen::place(&Pen::new(random).ink(&lines), image);
}
