//! The images of a batch as the kernels read them: bytes with a border of zeros, so that no window
//! needs a test for the edge.

use std::iter;

use super::network::{CELLS, LARGEST_KERNEL, Network, SIDE};
use super::products::Products;
use crate::data::batches::Batch;
use crate::simd::{Bytes, Simd};

/// Bytes of a row: the border, and so much behind it that eight bytes can be read at every cell.
const ROW: usize = 40;
/// Pixels of a row of a patch.
pub const PATCH_ROW: usize = 8;

/// Where a row's cells have their bit.
const CELL_BITS: u32 = (1 << SIDE) / 3;

/// A batch of images with borders.
#[derive(Debug)]
pub struct Images {
    kernel: usize,
    count: usize,
    /// (N, 28 + K − 1, [`ROW`]).
    pixels: Vec<u8>,
    /// (N, cells down): bit 2x is set where any pixel that cell x of the row sees is not 0.
    inked: Vec<[u32; CELLS]>,
    /// (cells down): how many pairs of an image and a cell see ink.
    inked_counts: [usize; CELLS],
}

impl Images {
    /// No images yet.
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

    /// Rows of an image with its border.
    fn rows(&self) -> usize {
        SIDE + self.kernel - 1
    }

    /// Takes the images of `batch`; with `find_ink` it can be asked what their cells see.
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

    /// Asks for the images that follow `batch`, so that they are in the cache when they are taken.
    pub fn prefetch<S: Simd>(&self, simd: S, batch: &Batch<'_>) {
        for image in batch.upcoming() {
            (0..image.len()).step_by(64).for_each(|byte| simd.prefetch_l2(image, byte));
        }
    }

    /// How many pairs of an image and a cell of row `y` see anything but background.
    pub fn inked_count(&self, y: usize) -> usize {
        self.inked_counts[y]
    }

    /// For each image the cells of row `y` that see anything but background.
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

    /// The pixels that cell (`y`, `x`) sees of `images`, DEPTH of them or fewer: K + 1 rows, each
    /// of [`PATCH_ROW`] pixels of every image, of which the first K + 1 count. What stands in the
    /// place of an image that is not there is some other.
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
        // Two rows of one image at a time, or one row of two.
        for (pair, patch) in patch.chunks_exact_mut(2 * PATCH_ROW).enumerate() {
            let mut bytes = [0; 2 * PATCH_ROW];
            let (left, right) = bytes.split_at_mut(PATCH_ROW);
            left.copy_from_slice(&first[2 * pair / S::DEPTH * ROW..][..PATCH_ROW]);
            right.copy_from_slice(&last[(2 * pair + 1) / S::DEPTH * ROW..][..PATCH_ROW]);
            simd.u8_to_pixels(bytes, patch);
        }
    }
}

/// Finds the cells of one image that see ink, each through a window of `side`² pixels.
#[inline(always)]
fn ink<S: Bytes>(simd: S, padded: &[u8], side: usize, inked: &mut [u32; CELLS]) {
    let mut rows = [0; SIDE + LARGEST_KERNEL - 1];
    for (columns, row) in rows.iter_mut().zip(padded.chunks_exact(ROW)) {
        *columns = simd.nonzero(row.first_chunk().expect("40 bytes"));
    }
    for (inked, rows) in inked.iter_mut().zip(rows.windows(side).step_by(2)) {
        let columns = rows.iter().fold(0, |columns, row| columns | row);
        // Bit x of the result: any of the columns x..x + side.
        *inked = (1..side).fold(columns, |seen, shift| seen | columns >> shift);
    }
}
