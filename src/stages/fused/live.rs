//! Live activations of a cell: those that are not 0 after relu.
//!
//! ```text
//! forward pass     for each image, its live channels      bits, 64 channels in a word
//! backward pass    for each channel, its live rows        lists, made from the bits of a cell
//! ```

use super::floats::{self, Floats};
use super::images::PATCH_ROW;
use super::masks::Bits;
use super::network::{ALIGNMENT, CELLS, Network};

/// Rows of one cell with their live channels. The last row is the one that all blank images share.
#[derive(Clone, Copy)]
pub struct LiveRows<'a> {
    /// Index of the image of each row, (R).
    pub images: &'a [u32],
    /// Activations, (R, C).
    pub x: &'a [f32],
    /// Bits of the channels, (R, words).
    pub bits: &'a [Bits],
    /// Number of channels, C.
    pub channels: usize,
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

    /// Activations of row `r`, and its bits.
    #[inline(always)]
    pub fn row(&self, r: usize) -> (&'a [f32], &'a [Bits]) {
        let Self { words, channels, .. } = *self;
        (&self.x[r * channels..][..channels], &self.bits[r * words..][..words])
    }

    /// Index, in the patch of row `r`, at which the window of the largest sum of `channel` begins.
    #[inline(always)]
    pub fn window(&self, r: usize, channel: usize) -> usize {
        let bits = self.bits[r * self.words + channel / 64];
        PATCH_ROW * (bits.lower >> (channel % 64) & 1) as usize
            + (bits.right >> (channel % 64) & 1) as usize
    }
}

/// Rows of one cell in which each channel is live.
#[derive(Debug)]
pub struct LiveLists {
    /// Number of places of a list.
    capacity: usize,
    /// Lists of the channels, (C, capacity), of which the first `lengths` places are used.
    lists: Vec<u32>,
    /// Lengths of the lists, (C).
    lengths: Vec<usize>,
    /// Activations in the lists, (C, capacity).
    x: Floats,
    /// Gradient of the activations in the lists, (C, capacity).
    da: Floats,
}

/// List of one channel, in a cell.
pub struct LiveList<'a> {
    /// Indices of the rows in which the channel is live, (L).
    pub rows: &'a [u32],
    /// Activations of the channel in these rows, (L).
    pub x: &'a [f32],
    /// Gradient of these activations, (L), with room for whole vectors.
    pub da: &'a mut [f32],
}

impl LiveLists {
    /// Lists for `rows` rows of a cell and `channels` channels.
    pub fn new(rows: usize, channels: usize) -> Self {
        let capacity = rows.next_multiple_of(ALIGNMENT);
        Self {
            capacity,
            lists: vec![0; channels * capacity],
            lengths: vec![0; channels],
            x: floats::zeros(channels * capacity),
            da: floats::zeros(channels * capacity),
        }
    }

    /// Lists the rows of a cell in which each channel is live, and the activations.
    pub fn fill(&mut self, rows: LiveRows<'_>) {
        self.lengths.fill(0);
        for row in 0..rows.images.len() {
            let (x, bits) = rows.row(row);
            for (word, bits) in bits.iter().enumerate() {
                let mut left = bits.live;
                while left != 0 {
                    let channel = 64 * word + left.trailing_zeros() as usize;
                    left &= left - 1;
                    let length = &mut self.lengths[channel];
                    let place = channel * self.capacity + *length;
                    *length += 1;
                    (self.lists[place], self.x[place]) = (row as u32, x[channel]);
                }
            }
        }
    }

    /// Number of live activations.
    pub fn count(&self) -> usize {
        self.lengths.iter().sum()
    }

    /// Lists of the channels.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = LiveList<'_>> {
        let rows = self.lists.chunks_exact(self.capacity).zip(self.x.chunks_exact(self.capacity));
        let da = self.da.chunks_exact_mut(self.capacity).zip(&self.lengths);
        rows.zip(da).map(|((rows, x), (da, &length))| LiveList {
            rows: &rows[..length],
            x: &x[..length],
            da,
        })
    }
}
