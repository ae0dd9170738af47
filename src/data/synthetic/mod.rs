//! Digits and letters that look handwritten, drawn by this program.
//!
//! A newcomer without MNIST and without a network can train the real model at its real size with
//! them, and the tests use them. They are made as MNIST was made:
//!
//! 1. **Choose** a label, each with the same probability, and one of the ways in which people write
//!    it (`glyphs`, `letters`): a few strokes, given by control points.
//! 2. **Write** it: a random hand displaces the control points, varies the pressure of the pen, and
//!    stretches, slants and turns the digit (`hand`).
//! 3. **Ink** it: the strokes are scaled, with their aspect ratio kept, until they just fit into a
//!    box of 20×20 pixels; the brightness of a pixel follows from its distance to the nearest
//!    stroke (`pen`).
//! 4. **Centre** it: the box is moved until the ink's centre of mass is at the centre of the 28×28
//!    image (LeCun et al., "Gradient-based learning applied to document recognition", 1998, section
//!    III.A). Background is exactly 0.
//!
//! Every image has its own random stream, so image i depends only on (seed, split, i). The
//! arithmetic uses only + − × ÷ and √, which IEEE 754 rounds correctly, so the bytes are the same
//! on every platform. Sines and exponentials would depend on the platform's library.
//!
//! The ways of writing and the numbers in `hand` and `pen` were chosen by eye, and so that the
//! share of blank pixels, the share of blank pooling windows and the accuracy of the model come
//! near their values with MNIST.

mod glyphs;
mod hand;
mod letters;
mod pen;
mod point;
mod size;

use rayon::prelude::*;

use self::glyphs::Glyph;
use self::hand::Hand;
use self::pen::Pen;
pub use self::size::{CLASSES, LETTERS, SIDE};
use super::dataset::{Dataset, Split};
use super::known::{Known, MNIST};
use crate::random::Stream;

/// Seed of the digits that are drawn when no dataset is available.
pub const DEFAULT_SEED: u64 = 1998;

/// Number of digits to train on, as in MNIST.
pub const TRAIN_IMAGES: usize = 60_000;
/// Number of digits to test on, as in MNIST.
pub const TEST_IMAGES: usize = 10_000;

/// Kind of the characters that are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Characters {
    /// Digits from 0 to 9, stored as MNIST is.
    Digits,
    /// Letters from A to Z, stored as the letters of EMNIST are.
    Letters,
}

impl Characters {
    /// Dataset whose names the files have.
    pub fn known(self) -> &'static Known {
        match self {
            Self::Digits => MNIST,
            Self::Letters => Known::find("emnist-letters").expect("a row of the table"),
        }
    }

    /// Word of a character, which names its random stream.
    fn word(self) -> &'static str {
        match self {
            Self::Digits => "digit",
            Self::Letters => "letter",
        }
    }

    fn glyphs(self) -> Vec<Vec<Glyph>> {
        match self {
            Self::Digits => glyphs::parse_all(&glyphs::WRITINGS),
            Self::Letters => glyphs::parse_all(&letters::WRITINGS),
        }
    }
}

/// Draws `train_count` digits to train on and `test_count` to test on. A larger count begins with
/// the same digits as a smaller one.
///
/// # Panics
/// When a count is 0.
pub fn generate(seed: u64, train_count: usize, test_count: usize) -> Dataset {
    draw(Characters::Digits, seed, [train_count, test_count])
}

/// Draws characters: the first of the `counts` to train on, and the second to test on. A larger count
/// begins with the same characters as a smaller one.
///
/// # Panics
/// When a count is 0.
pub fn draw(characters: Characters, seed: u64, counts: [usize; 2]) -> Dataset {
    let (glyphs, layout) = (characters.glyphs(), characters.known().layout);
    let [train, test] = [("training", counts[0]), ("test", counts[1])].map(|(use_, count)| {
        let purpose = format!("synthetic {use_} {}", characters.word());
        generate_split(&glyphs, seed, &purpose, count).stored_as(layout)
    });
    Dataset::new(train, test)
}

/// Draws `count` characters with random streams for this `purpose`.
fn generate_split(glyphs: &[Vec<Glyph>], seed: u64, purpose: &str, count: usize) -> Split {
    let mut images = vec![0; count * SIDE * SIDE];
    let mut labels = vec![0; count];
    images.par_chunks_exact_mut(SIDE * SIDE).zip(&mut labels).enumerate().for_each(
        |(index, (image, label))| {
            let mut random = Stream::new(seed, purpose, index as u64);
            *label = random.below(glyphs.len() as u32) as u16;
            draw_one(&glyphs[usize::from(*label)], &mut random, image);
        },
    );
    Split::new(images, [SIDE; 2], labels)
}

/// Draws one of `glyphs`, chosen at random, on the blank `image`, (28, 28).
fn draw_one(glyphs: &[Glyph], random: &mut Stream, image: &mut [u8]) {
    let glyph = glyphs::choose(glyphs, random);
    let lines = Hand::new(random).write(glyph, random);
    image.copy_from_slice(&pen::place(&Pen::new(random).ink(&lines)));
}
