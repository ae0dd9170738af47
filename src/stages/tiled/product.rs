//! The product of two matrices in panels of columns.
//!
//! A panel is as many columns of the result as a tile is wide. For each panel, blocks of b are copied
//! to the order in which tiles read them, so that the block stays in the first-level cache while all
//! rows of a pass by:
//!
//! ```text
//! for each block of the sum's terms
//!     for each panel of columns                                 shared over the threads …
//!         copy the block of b, (terms) × (columns of the panel)
//!         for each tile of rows                                 … or these
//!             sums in registers += Σ over the terms of a · b
//! ```
//!
//! Threads share the panels if the result is wide, and its rows if it is long. The rows of a factor
//! a that lies in memory column by column are far from each other, so they are copied, too, if there
//! are several panels to read them.

use super::convolution::front;
use super::tile::{Tile, load, outer_products, store};
use crate::nn::primitives::product::Matrix;
use crate::simd::Simd;
use crate::stages::floats::{self, Floats};

/// Number of rows of a tile.
const ROWS: usize = 6;
/// Number of terms of a block.
const TERMS: usize = 256;

/// Buffers of one item of work.
#[derive(Debug)]
pub struct Buffers {
    /// Block of b, (terms, columns of the panel).
    block: Floats,
    /// Block of a transposed a, (terms, rows).
    strip: Floats,
    /// Sums of some panels, each (rows, columns of the panel).
    sums: Floats,
}

impl Default for Buffers {
    fn default() -> Self {
        let [block, strip, sums] = std::array::from_fn(|_| floats::zeros(0));
        Self { block, strip, sums }
    }
}

/// Number of columns of a panel: that of a tile of 12 or 24 sums.
pub fn panel_width<S: Simd>() -> usize {
    if S::REGISTERS >= 32 { 4 * S::LANES } else { 2 * S::LANES }
}

/// Computes the rows `rows` of the panels `panels` of a · b, as sums of `buffers`: panel after panel,
/// each (rows, columns of the panel).
pub fn multiply<S: Simd>(
    simd: S,
    a: Matrix<'_>,
    b: Matrix<'_>,
    rows: std::ops::Range<usize>,
    panels: std::ops::Range<usize>,
    Buffers { block, strip, sums }: &mut Buffers,
) {
    let width = panel_width::<S>();
    let block = front(block, TERMS * width);
    let copies_a = a.is_transposed() && panels.len() > 2;
    let strip = front(strip, if copies_a { TERMS * rows.len() } else { 0 });
    let sums = front(sums, panels.len() * rows.len() * width);
    simd.vectorize(
        #[inline(always)]
        || {
            for first in (0..a.columns).step_by(TERMS) {
                let terms = first..(first + TERMS).min(a.columns);
                let own = if copies_a {
                    let columns = a.data()[first * a.rows..].chunks_exact(a.rows);
                    let strip = &mut strip[..terms.len() * rows.len()];
                    for (strip, column) in strip.chunks_exact_mut(rows.len()).zip(columns) {
                        strip.copy_from_slice(&column[rows.clone()]);
                    }
                    let a = Matrix::new(strip, terms.len(), rows.len()).transposed();
                    Factor { a, first_row: 0, first_term: 0 }
                } else {
                    Factor { a, first_row: rows.start, first_term: first }
                };
                let panels = panels.clone().zip(sums.chunks_exact_mut(rows.len() * width));
                for (panel, sums) in panels {
                    let columns = panel * width..((panel + 1) * width).min(b.columns);
                    copy_block(simd, b, terms.clone(), columns.clone(), block);
                    let block = &block[..terms.len() * width];
                    for i in (0..rows.len()).step_by(ROWS) {
                        let tile = TileOf {
                            a: own.a,
                            first_row: own.first_row + i,
                            end: own.first_row + rows.len(),
                            terms: own.first_term..own.first_term + terms.len(),
                            is_new: first == 0,
                        };
                        let sums = &mut sums[i * width..];
                        match columns.len().div_ceil(S::LANES) {
                            1 => tile.add::<S, 1>(simd, block, sums, width),
                            2 => tile.add::<S, 2>(simd, block, sums, width),
                            _ => tile.add::<S, 4>(simd, block, sums, width),
                        }
                    }
                }
            }
        },
    );
}

/// Matrix that has the rows of a, with the place of the item's first row and of the block's first
/// term in it.
struct Factor<'a> {
    a: Matrix<'a>,
    first_row: usize,
    first_term: usize,
}

/// Adds a · b to `c` (a.rows, b.columns) on this thread.
pub fn add_product<S: Simd>(
    simd: S,
    a: Matrix<'_>,
    b: Matrix<'_>,
    c: &mut [f32],
    buffers: &mut Buffers,
) {
    let width = panel_width::<S>();
    multiply(simd, a, b, 0..a.rows, 0..b.columns.div_ceil(width), buffers);
    for (row, c) in c.chunks_exact_mut(b.columns).enumerate() {
        for (panel, c) in c.chunks_mut(width).enumerate() {
            add(c, sums_of_row(buffers, panel, a.rows, row, width));
        }
    }
}

/// Adds the front of `values` to `sums`, or all of `values` to the front of `sums`.
pub fn add(sums: &mut [f32], values: &[f32]) {
    sums.iter_mut().zip(values).for_each(|(sum, value)| *sum += value);
}

/// Copies the elements of `b` in `terms` and `columns` to `block` (terms, panel width); columns that
/// fill the panel up are 0.
#[inline(always)]
fn copy_block<S: Simd>(
    simd: S,
    b: Matrix<'_>,
    terms: std::ops::Range<usize>,
    columns: std::ops::Range<usize>,
    block: &mut [f32],
) {
    let width = panel_width::<S>();
    let own = columns.len();
    if !b.is_transposed() {
        for (k, block) in terms.zip(block.chunks_exact_mut(width)) {
            block[..own].copy_from_slice(&b.data()[k * b.columns..][columns.clone()]);
            block[own..].fill(0.0);
        }
        return;
    }
    // Column j of b is a row in memory.
    let row = |j: usize| &b.data()[(columns.start + j) * b.rows..][terms.clone()];
    let whole = terms.len() / S::LANES * S::LANES;
    for first in (0..width).step_by(S::LANES) {
        for k in (0..whole).step_by(S::LANES) {
            simd.transpose(
                |j| if first + j < own { simd.load(&row(first + j)[k..]) } else { simd.splat(0.0) },
                |t, column| simd.store(column, &mut block[(k + t) * width + first..]),
            );
        }
    }
    for (k, block) in block.chunks_exact_mut(width).enumerate().take(terms.len()).skip(whole) {
        for (j, element) in block.iter_mut().enumerate() {
            *element = if j < own { row(j)[k] } else { 0.0 };
        }
    }
}

/// Tile of the rows of a from `first_row` on.
struct TileOf<'a> {
    a: Matrix<'a>,
    first_row: usize,
    /// End of the rows. A tile that would reach beyond it computes the last row several times.
    end: usize,
    terms: std::ops::Range<usize>,
    /// Whether the terms are the first of the sums.
    is_new: bool,
}

impl TileOf<'_> {
    /// Adds the products with `block` to the tile's rows at the front of `sums`.
    #[inline(always)]
    fn add<S: Simd, const U: usize>(&self, simd: S, block: &[f32], sums: &mut [f32], width: usize) {
        let Self { a, first_row, end, terms, is_new } = self;
        let own = ROWS.min(end - first_row);
        let mut tile: Tile<S, ROWS, U> = [[simd.splat(0.0); U]; ROWS];
        for r in 0..if *is_new { 0 } else { own } {
            tile[r] = load(simd, &sums[r * width..]);
        }
        let rows = block.chunks_exact(width);
        let tile = if a.is_transposed() {
            let places: [usize; ROWS] = std::array::from_fn(|r| first_row + r.min(own - 1));
            let columns = a.data()[terms.start * a.rows..].chunks_exact(a.rows);
            let terms = columns.zip(rows).map(|(a, b)| (|r: usize| a[places[r]], b));
            outer_products(simd, tile, terms)
        } else {
            let of_a: [&[f32]; ROWS] = std::array::from_fn(|r| {
                &a.data()[(first_row + r.min(own - 1)) * a.columns..][(*terms).clone()]
            });
            let of_a = &of_a;
            let terms = (0..terms.len()).zip(rows).map(|(k, b)| (move |r: usize| of_a[r][k], b));
            outer_products(simd, tile, terms)
        };
        for r in 0..own {
            store(simd, tile[r], &mut sums[r * width..]);
        }
    }
}

/// Sums of row `row` in the panel `panel` of `buffers`, whose panels have `rows` rows and `width`
/// columns. Columns beyond the last one of b have any value.
pub fn sums_of_row(
    buffers: &Buffers,
    panel: usize,
    rows: usize,
    row: usize,
    width: usize,
) -> &[f32] {
    &buffers.sums[(panel * rows + row) * width..][..width]
}
