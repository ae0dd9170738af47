//! Images of a batch in the layout of the kernels: bytes with a padding of zeros, so that no window
//! needs a test for the edge. *Ink* is a pixel that is not 0.

use std::iter;

use super::network::{CELLS, LARGEST_KERNEL, Network, SIDE};
use super::products::Products;
use crate::data::batches::Batch;
use crate::simd::{Bytes, Simd};

/// Number of bytes in a padded row: enough to read eight bytes at every cell.
const ROW: usize = 40;
/// Number of pixels in a row of a patch.
pub const PATCH_ROW: usize = 8;

/// Bits of the cells of a row: bit 2x is the bit of cell x.
const CELL_BITS: u32 = (1 << SIDE) / 3;

/// Padded images of a batch.
#[derive(Debug)]
pub struct Images {
    /// Side of the kernel, K.
    kernel: usize,
    /// Number of images, N.
    count: usize,
    /// Padded images, (N, 28 + K − 1, [`ROW`]).
    pixels: Vec<u8>,
    /// Bits of the cells that see ink, for each row of cells, (N, 14): bit 2x is set if cell x of
    /// the row sees ink.
    inked: Vec<[u32; CELLS]>,
    /// Number of pairs of an image and a cell that sees ink, for each row of cells, (14).
    inked_counts: [usize; CELLS],
}

impl Images {
    /// Batch that has no images yet.
    pub fn new(network: &Network) -> Self {
        Self {
            kernel: network.kernel,
            count: 0,
            pixels: Vec::new(),
            inked: Vec::new(),
            inked_counts: [0; CELLS],
        }
    }

    /// Number of images, N.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Number of rows of a padded image.
    fn rows(&self) -> usize {
        SIDE + self.kernel - 1
    }

    /// Copies the images of `batch`. With `find_ink`, also finds the cells that see ink.
    #[inline(never)]
    pub fn fill<S: Bytes>(&mut self, simd: S, batch: &Batch<'_>, find_ink: bool) {
        let (border, rows) = (self.kernel / 2, self.rows());
        self.count = batch.len();
        self.inked_counts = [0; CELLS];
        if self.inked.len() < self.count {
            self.pixels.resize(self.count * rows * ROW, 0);
            self.inked.resize(self.count, [0; CELLS]);
        }
        let padded = self.pixels.chunks_exact_mut(rows * ROW).zip(&mut self.inked);
        simd.vectorize(
            #[inline(always)]
            || {
                for (image, (padded, inked)) in batch.images().zip(padded) {
                    let inner = padded.chunks_exact_mut(ROW).skip(border);
                    for (row, padded) in image.chunks_exact(SIDE).zip(inner) {
                        padded[border..border + SIDE].copy_from_slice(row);
                    }
                    if find_ink {
                        ink(simd, padded, self.kernel + 1, inked);
                        for (sum, inked) in self.inked_counts.iter_mut().zip(inked) {
                            *sum += (*inked & CELL_BITS).count_ones() as usize;
                        }
                    }
                }
            },
        );
    }

    /// Prefetches the images that follow `batch`, so that the next batch is copied from the cache.
    pub fn prefetch<S: Simd>(&self, simd: S, batch: &Batch<'_>) {
        for image in batch.upcoming() {
            (0..image.len()).step_by(64).for_each(|byte| simd.prefetch_l2(image, byte));
        }
    }

    /// Number of pairs of an image and a cell of row `y` that sees ink.
    pub fn inked_count(&self, y: usize) -> usize {
        self.inked_counts[y]
    }

    /// Cells of row `y` that see ink, for each image.
    pub fn inked_cells(&self, y: usize) -> impl Iterator<Item = impl Iterator<Item = usize>> {
        self.inked[..self.count].iter().map(move |inked| {
            let mut left = inked[y] & CELL_BITS;
            iter::from_fn(move || {
                let column = left.trailing_zeros() as usize;
                left &= left.wrapping_sub(1);
                (column < SIDE).then_some(column / 2)
            })
        })
    }

    /// Writes the pixels that cell (`y`, `x`) sees of `images` to `patch`. `images` are
    /// [`Products::DEPTH`] images, or fewer at the end of a list; then the last image also takes
    /// the place of the missing image. A patch has K + 1 rows, and each row has [`PATCH_ROW`]
    /// pixels of every image, of which the first K + 1 are used.
    #[inline(always)]
    pub fn patch<S: Products>(
        &self,
        simd: S,
        images: &[u32],
        y: usize,
        x: usize,
        patch: &mut [S::Pixel],
    ) {
        let window = |image: u32| {
            let first = (image as usize * self.rows() + 2 * y) * ROW + 2 * x;
            &self.pixels[first..][..self.kernel * ROW + PATCH_ROW]
        };
        let (first, last) = (window(images[0]), window(images[images.len() - 1]));
        // Each turn copies two rows of one image, or one row of two images.
        for (pair, patch) in patch.chunks_exact_mut(2 * PATCH_ROW).enumerate() {
            let mut bytes = [0; 2 * PATCH_ROW];
            let (left, right) = bytes.split_at_mut(PATCH_ROW);
            left.copy_from_slice(&first[2 * pair / S::DEPTH * ROW..][..PATCH_ROW]);
            right.copy_from_slice(&last[(2 * pair + 1) / S::DEPTH * ROW..][..PATCH_ROW]);
            simd.u8_to_pixels(bytes, patch);
        }
    }

    /// Writes the pixels that cell (`y`, `x`) sees of `image` to `patch`, (K + 1, [`PATCH_ROW`]), of
    /// which the first K + 1 of a row are used. Returns a bit for each row of the patch, which is
    /// set if the row has ink.
    #[inline(always)]
    pub fn inked_patch<S: Bytes>(
        &self,
        simd: S,
        image: u32,
        y: usize,
        x: usize,
        patch: &mut [f32],
    ) -> u8 {
        let first = (image as usize * self.rows() + 2 * y) * ROW + 2 * x;
        let window = &self.pixels[first..][..self.kernel * ROW + PATCH_ROW];
        let seen = u64::MAX >> (8 * (PATCH_ROW - self.kernel - 1));
        let mut inked = 0;
        for (pair, patch) in patch.chunks_exact_mut(2 * PATCH_ROW).enumerate() {
            let mut bytes = [0; 2 * PATCH_ROW];
            for (i, bytes) in bytes.chunks_exact_mut(PATCH_ROW).enumerate() {
                let row = window[(2 * pair + i) * ROW..].first_chunk().expect("a row of the patch");
                bytes.copy_from_slice(row);
                inked |= u8::from(u64::from_le_bytes(*row) & seen != 0) << (2 * pair + i);
            }
            simd.u8_to_f32(bytes, patch);
        }
        inked
    }
}

/// Finds the cells of one padded image that see ink, each through a window of `side`² pixels.
#[inline(always)]
fn ink<S: Bytes>(simd: S, padded: &[u8], side: usize, inked: &mut [u32; CELLS]) {
    let mut rows = [0; SIDE + LARGEST_KERNEL - 1];
    for (columns, row) in rows.iter_mut().zip(padded.chunks_exact(ROW)) {
        *columns = simd.nonzero(row.first_chunk().expect("40 bytes"));
    }
    for (inked, rows) in inked.iter_mut().zip(rows.windows(side).step_by(2)) {
        let columns = rows.iter().fold(0, |columns, row| columns | row);
        // Bit x of the result is set if any of the columns x..x + side is.
        *inked = (1..side).fold(columns, |seen, shift| seen | columns >> shift);
    }
}
