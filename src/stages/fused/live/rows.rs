//! Rows of a cell, and which of their activations are live: not 0 after relu.
//!
//! ```text
//! forward pass     for each image, its live channels      bits, 64 channels in a word
//! backward pass    for each channel, its live rows        the same bits, transposed
//! ```

use crate::stages::fused::images::PATCH_ROW;
use crate::stages::fused::network::{CELLS, Network};

/// Bits of up to 64 channels in one row of a cell, the first channel the lowest.
#[derive(Debug, Clone, Copy, Default)]
pub struct Bits {
    /// Bits of the channels whose activation is not 0.
    pub live: u64,
    /// Bits of the channels whose largest sum is in the lower row of the window.
    pub lower: u64,
    /// Bits of the channels whose largest sum is in the right column of the window.
    pub right: u64,
}

impl Bits {
    /// Number of words of bits for a row.
    pub fn words(network: &Network) -> usize {
        network.channels.div_ceil(64)
    }

    /// Writes the bits of the row that all blank images share, from its activations, (C), to `bits`
    /// (words).
    pub fn of_blank(activations: &[f32], bits: &mut [Self]) {
        bits.fill(Self::default());
        for (channel, &activation) in activations.iter().enumerate() {
            bits[channel / 64].live |= u64::from(activation != 0.0) << (channel % 64);
        }
    }
}

/// Calls `work` with the index of every bit of `words` that is set, the lowest bit first.
#[inline(always)]
pub fn for_each_one(words: impl Iterator<Item = u64>, mut work: impl FnMut(usize)) {
    for (index, mut left) in words.enumerate() {
        while left != 0 {
            work(64 * index + left.trailing_zeros() as usize);
            left &= left - 1;
        }
    }
}

/// Rows of one cell with their live channels. The last row is the one that all blank images share.
#[derive(Clone, Copy)]
pub struct LiveRows<'a> {
    /// Index of the image of each row, (R).
    pub images: &'a [u32],
    /// Activations, (R, C).
    x: &'a [f32],
    /// Bits of the channels, (R, words).
    bits: &'a [Bits],
    /// Number of channels, C.
    channels: usize,
    /// Number of words of bits for a row.
    words: usize,
}

impl<'a> LiveRows<'a> {
    /// Rows of cell `x` of a row of cells, in a batch of `count` = N images.
    ///
    /// # Shapes
    /// `images` (cells, R); `activations` (cells, N + 1, C); `bits` (cells, N + 1, words).
    pub fn of_cell(
        network: &Network,
        count: usize,
        x: usize,
        images: &'a [Vec<u32>; CELLS],
        activations: &'a [f32],
        bits: &'a [Bits],
    ) -> Self {
        let (images, channels) = (&images[x][..], network.channels);
        let (first, words) = (x * (count + 1), Bits::words(network));
        Self {
            images,
            x: &activations[first * channels..][..images.len() * channels],
            bits: &bits[first * words..][..images.len() * words],
            channels,
            words,
        }
    }

    /// Number of live activations.
    pub fn live(&self) -> usize {
        self.bits.iter().map(|bits| bits.live.count_ones() as usize).sum()
    }

    /// Activations of row `r`, and its bits.
    #[inline(always)]
    pub fn row(&self, r: usize) -> (&'a [f32], &'a [Bits]) {
        let Self { words, channels, .. } = *self;
        (&self.x[r * channels..][..channels], &self.bits[r * words..][..words])
    }
}

/// One channel of a cell, and the rows in which it is live.
#[derive(Clone, Copy)]
pub struct LiveChannel<'a> {
    /// Rows of the cell, (R).
    rows: LiveRows<'a>,
    /// Index of the channel.
    channel: usize,
    /// Bits of the rows in which the channel is live.
    live: &'a [u64],
}

impl LiveChannel<'_> {
    /// Calls `work` with every row in which the channel is live, in ascending order.
    #[inline(always)]
    pub fn for_each_row(&self, work: impl FnMut(usize)) {
        for_each_one(self.live.iter().copied(), work);
    }

    /// Number of rows in which the channel is live, L.
    pub fn live(&self) -> usize {
        self.live.iter().map(|bits| bits.count_ones() as usize).sum()
    }

    /// Index of the image of row `r`.
    #[inline(always)]
    pub fn image(&self, r: usize) -> usize {
        self.rows.images[r] as usize
    }

    /// Activation in row `r`.
    #[inline(always)]
    pub fn x(&self, r: usize) -> f32 {
        self.rows.x[r * self.rows.channels + self.channel]
    }

    /// Index, in the patch of row `r`, at which the window of the largest sum begins.
    #[inline(always)]
    pub fn window(&self, r: usize) -> usize {
        let bits = self.rows.bits[r * self.rows.words + self.channel / 64];
        let bit = |bits: u64| (bits >> (self.channel % 64) & 1) as usize;
        PATCH_ROW * bit(bits.lower) + bit(bits.right)
    }
}

/// Live rows of each channel of one cell: the live bits of [`LiveRows`], transposed.
#[derive(Debug)]
pub struct LiveColumns {
    /// Number of words of bits for a channel.
    words: usize,
    /// Bits of the rows, (C, words), the first row the lowest.
    bits: Vec<u64>,
}

impl LiveColumns {
    /// Columns for `rows` rows of a cell and `channels` channels.
    pub fn new(rows: usize, channels: usize) -> Self {
        let words = rows.div_ceil(64);
        Self { words, bits: vec![0; channels * words] }
    }

    /// Transposes the bits of `rows`.
    #[inline(always)]
    pub fn fill(&mut self, rows: LiveRows<'_>) {
        for first in 0..self.words {
            for word in 0..rows.words {
                let mut square = [0; 64];
                let block = rows.bits.chunks_exact(rows.words).skip(64 * first);
                square.iter_mut().zip(block).for_each(|(row, bits)| *row = bits[word].live);
                transpose(&mut square);
                let columns = self.bits[64 * word * self.words..].chunks_exact_mut(self.words);
                columns.zip(square).for_each(|(column, bits)| column[first] = bits);
            }
        }
    }

    /// Channels of the cell whose rows are `rows`.
    pub fn channels<'a>(
        &'a self,
        rows: LiveRows<'a>,
    ) -> impl Iterator<Item = LiveChannel<'a>> + use<'a> {
        let each = self.bits.chunks_exact(self.words).enumerate();
        each.map(move |(channel, live)| LiveChannel { rows, channel, live })
    }
}

/// Transposes a square of bits: bit c of word r becomes bit r of word c. Halves of ever smaller
/// squares change places (Warren, "Hacker's Delight", 2002, 7-3).
#[inline(always)]
fn transpose(square: &mut [u64; 64]) {
    for width in [32, 16, 8, 4, 2, 1] {
        // The lower `width` of every 2·`width` bits.
        let lower = u64::MAX / ((1 << width) + 1);
        for pair in square.chunks_exact_mut(2 * width) {
            let (above, below) = pair.split_at_mut(width);
            for (above, below) in above.iter_mut().zip(below) {
                let changed = (*above >> width ^ *below) & lower;
                *above ^= changed << width;
                *below ^= changed;
            }
        }
    }
}
