//! The product of two matrices in panels of columns.
//!
//! A *panel* is as many columns of the result as a tile is wide. The elements of b in a panel are
//! copied, term after term, which is the order in which tiles read them. Tiles read the rows of a
//! where they are; if a lies in memory column by column, its elements are copied, too.
//!
//! There are two ways to share the work. If the result has many rows, all of b is copied once, and
//! the threads share the rows:
//!
//! ```text
//! copy each panel of b                                          threads share panels
//! for each few tiles of rows                                    threads share rows
//!     for each block of the sum's terms
//!         for each panel, for each tile of the rows
//!             sums in registers += Σ over the terms of a · b    begins with c, ends in c
//! ```
//!
//! If it has few rows, or if so large a copy would only pass through the caches, the threads share
//! the panels. They copy a block of a panel, which stays in the first-level cache while all rows of
//! a pass by; the sums go to buffers, and from there to c, because the columns of c cannot be
//! shared:
//!
//! ```text
//! for each panel                                                threads share panels
//!     for each block of the sum's terms
//!         copy the block of the panel
//!         for each tile of rows
//!             sums in registers += Σ over the terms of a · b    begins and ends in a buffer
//! ```

use std::ops::Range;
use std::{array, mem};

use super::convolution::front;
use super::tile::{Tile, load, outer_products, store};
use crate::nn::primitives::product::Matrix;
use crate::simd::Simd;
use crate::stages::floats::{self, Floats};

/// Number of rows of a tile.
pub const ROWS: usize = 6;
/// Number of terms of a block.
const TERMS: usize = 256;
/// Number of tiles below which a result has few rows.
const FEW_TILES: usize = 8;
/// Number of tiles of rows that an item has at least, if each item reads a large copy of b.
const TILES_OF_LARGE: usize = 4;
/// Number of floats of b whose copy fits the second-level cache.
const LARGE: usize = 1 << 17;

/// Values with which the sums of a product begin.
#[derive(Debug, Clone, Copy)]
pub enum Begin<'a> {
    /// Zeros.
    Zeros,
    /// Row of numbers, one for each column, which is the same for all rows.
    Row(&'a [f32]),
    /// Values of the result so far.
    Sums,
}

impl Begin<'_> {
    /// The same for the columns from `column` on.
    fn from(self, column: usize) -> Self {
        match self {
            Self::Row(values) => Self::Row(&values[column..]),
            begin => begin,
        }
    }

    /// Writes the values to the rows of `c`, which are as long as `columns`.
    pub fn write(self, c: &mut [f32], columns: usize) {
        match self {
            Self::Zeros => c.fill(0.0),
            Self::Row(values) => {
                c.chunks_exact_mut(columns).for_each(|c| c.copy_from_slice(&values[..columns]));
            }
            Self::Sums => {}
        }
    }
}

/// Buffers of one item of work.
#[derive(Debug)]
pub struct Buffers {
    /// Block of a panel of b, (terms, columns of the panel).
    block: Floats,
    /// Block of a transposed a: for each tile of rows, (terms, ROWS).
    strip: Vec<[f32; ROWS]>,
    /// Sums of some panels, each (rows, columns of the panel).
    sums: Floats,
}

impl Default for Buffers {
    fn default() -> Self {
        let [block, sums] = std::array::from_fn(|_| floats::zeros(0));
        Self { block, strip: Vec::new(), sums }
    }
}

/// Number of columns of a panel: that of a tile of 12 or 24 sums.
pub fn panel_width<S: Simd>() -> usize {
    if S::REGISTERS >= 32 { 4 * S::LANES } else { 2 * S::LANES }
}

/// Whether to copy all of b once and to share the rows of the result, if an item has `own_tiles`
/// tiles of rows.
pub fn shares_rows(a: Matrix<'_>, b: Matrix<'_>, own_tiles: usize) -> bool {
    let is_large = b.rows * b.columns > LARGE;
    a.rows.div_ceil(ROWS) >= FEW_TILES && (!is_large || own_tiles >= TILES_OF_LARGE)
}

/// Copies the panels of `b` from `first` on to `panels`, each (b.rows, columns of a panel).
pub fn copy_panels<S: Simd>(simd: S, b: Matrix<'_>, first: usize, panels: &mut [f32]) {
    let width = panel_width::<S>();
    simd.vectorize(
        #[inline(always)]
        || {
            for (panel, block) in (first..).zip(panels.chunks_exact_mut(b.rows * width)) {
                let columns = panel * width..((panel + 1) * width).min(b.columns);
                copy_block(simd, b, 0..b.rows, columns, block);
            }
        },
    );
}

/// Writes the rows `rows` of the sum of `begin` and a · b to `c` (rows, columns of b). `panels` are
/// all panels of b, as [`copy_panels`] makes them.
pub fn multiply_rows<S: Simd>(
    simd: S,
    a: Matrix<'_>,
    rows: Range<usize>,
    panels: &[f32],
    begin: Begin<'_>,
    c: &mut [f32],
    Buffers { strip, sums, .. }: &mut Buffers,
) {
    let (width, columns) = (panel_width::<S>(), c.len() / rows.len());
    let sums = front(sums, rows.len() * width);
    simd.vectorize(
        #[inline(always)]
        || {
            for first in (0..a.columns).step_by(TERMS) {
                let terms = first..(first + TERMS).min(a.columns);
                let left = Left::of(a, rows.clone(), terms.clone(), strip);
                let begin = if first == 0 { begin } else { Begin::Sums };
                let panels = panels.chunks_exact(a.columns * width);
                for (column, panel) in (0..columns).step_by(width).zip(panels) {
                    let block = &panel[terms.start * width..terms.end * width];
                    let (begin, own) = (begin.from(column), width.min(columns - column));
                    if own == width {
                        left.multiply(simd, block, width, begin, &mut c[column..], columns);
                        continue;
                    }
                    // Vectors would reach beyond the end of a row of c.
                    let rows = sums.chunks_exact_mut(width).zip(c.chunks_exact_mut(columns));
                    for (sums, c) in rows {
                        begin.write(&mut c[column..], own);
                        sums[..own].copy_from_slice(&c[column..]);
                    }
                    left.multiply(simd, block, own, Begin::Sums, sums, width);
                    let rows = sums.chunks_exact(width).zip(c.chunks_exact_mut(columns));
                    rows.for_each(|(sums, c)| c[column..].copy_from_slice(&sums[..own]));
                }
            }
        },
    );
}

/// Writes the sum of `begin` and a · b to `c` (a.rows, b.columns) on this thread.
pub fn multiply<S: Simd>(
    simd: S,
    a: Matrix<'_>,
    b: Matrix<'_>,
    begin: Begin<'_>,
    c: &mut [f32],
    buffers: &mut Buffers,
) {
    let panels = b.columns.div_ceil(panel_width::<S>());
    let mut block = mem::replace(&mut buffers.block, floats::zeros(0));
    let of_b = front(&mut block, panels * b.rows * panel_width::<S>());
    copy_panels(simd, b, 0, of_b);
    multiply_rows(simd, a, 0..a.rows, of_b, begin, c, buffers);
    buffers.block = block;
}

/// Computes the panels `panels` of a · b, as sums of `buffers`: panel after panel, each (a.rows,
/// columns of a panel).
pub fn multiply_panels<S: Simd>(
    simd: S,
    a: Matrix<'_>,
    b: Matrix<'_>,
    panels: Range<usize>,
    Buffers { block, strip, sums }: &mut Buffers,
) {
    let width = panel_width::<S>();
    let block = front(block, TERMS * width);
    let sums = front(sums, panels.len() * a.rows * width);
    simd.vectorize(
        #[inline(always)]
        || {
            for first in (0..a.columns).step_by(TERMS) {
                let terms = first..(first + TERMS).min(a.columns);
                let left = Left::of(a, 0..a.rows, terms.clone(), strip);
                let begin = if first == 0 { Begin::Zeros } else { Begin::Sums };
                let panels = panels.clone().zip(sums.chunks_exact_mut(a.rows * width));
                for (panel, sums) in panels {
                    let columns = panel * width..((panel + 1) * width).min(b.columns);
                    let block = &mut block[..terms.len() * width];
                    copy_block(simd, b, terms.clone(), columns.clone(), block);
                    left.multiply(simd, block, columns.len(), begin, sums, width);
                }
            }
        },
    );
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
    terms: Range<usize>,
    columns: Range<usize>,
    block: &mut [f32],
) {
    let width = panel_width::<S>();
    let own = columns.len();
    if !b.is_transposed() {
        for (k, block) in terms.zip(block.chunks_exact_mut(width)) {
            let row = &b.data()[k * b.columns..][columns.clone()];
            if own == width {
                // A length that is known needs no call of a function that copies.
                for at in (0..width).step_by(S::LANES) {
                    simd.store(simd.load(&row[at..]), &mut block[at..]);
                }
                continue;
            }
            block[..own].copy_from_slice(row);
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

/// Some rows of a factor a, in a block of terms, as tiles read them.
struct Left<'a> {
    elements: Elements<'a>,
    rows: usize,
    terms: usize,
}

/// Elements of [`Left`].
enum Elements<'a> {
    /// Rows in memory, and the distance between the beginnings of two rows.
    Rows(&'a [f32], usize),
    /// For each tile of rows, for each term, the elements of the rows.
    Strip(&'a [[f32; ROWS]]),
}

impl<'a> Left<'a> {
    /// Rows `rows` of `a` in the `terms`. If a is transposed, they are copied to `strip`.
    #[inline(always)]
    fn of(
        a: Matrix<'a>,
        rows: Range<usize>,
        terms: Range<usize>,
        strip: &'a mut Vec<[f32; ROWS]>,
    ) -> Self {
        let (count, length) = (rows.len(), terms.len());
        if !a.is_transposed() {
            let elements =
                Elements::Rows(&a.data()[rows.start * a.columns + terms.start..], a.columns);
            return Self { elements, rows: count, terms: length };
        }
        let needed = count.div_ceil(ROWS) * length;
        if strip.len() < needed {
            strip.resize(needed, [0.0; ROWS]);
        }
        let strip = &mut strip[..needed];
        for (k, term) in terms.enumerate() {
            let (tiles, rest) = a.data()[term * a.rows..][rows.clone()].as_chunks::<ROWS>();
            let mut places = strip[k..].iter_mut().step_by(length);
            tiles.iter().zip(&mut places).for_each(|(tile, place)| *place = *tile);
            if let Some(place) = places.next() {
                *place = array::from_fn(|r| rest.get(r).copied().unwrap_or(0.0));
            }
        }
        Self { elements: Elements::Strip(strip), rows: count, terms: length }
    }

    /// Writes the sums of `begin` and the products with `block`, of whose columns the first
    /// `columns` are wanted, to rows of `sums` that begin `pitch` floats after each other. Whole
    /// vectors are written.
    #[inline(always)]
    fn multiply<S: Simd>(
        &self,
        simd: S,
        block: &[f32],
        columns: usize,
        begin: Begin<'_>,
        sums: &mut [f32],
        pitch: usize,
    ) {
        match columns.div_ceil(S::LANES) {
            1 => self.tiles::<S, 1>(simd, block, begin, sums, pitch),
            2 => self.tiles::<S, 2>(simd, block, begin, sums, pitch),
            _ => self.tiles::<S, 4>(simd, block, begin, sums, pitch),
        }
    }

    /// The same for U vectors of columns.
    #[inline(always)]
    fn tiles<S: Simd, const U: usize>(
        &self,
        simd: S,
        block: &[f32],
        begin: Begin<'_>,
        sums: &mut [f32],
        pitch: usize,
    ) {
        let columns = block.chunks_exact(panel_width::<S>());
        for first in (0..self.rows).step_by(ROWS) {
            let (own, sums) = (ROWS.min(self.rows - first), &mut sums[first * pitch..]);
            let mut tile: Tile<S, ROWS, U> = [[simd.splat(0.0); U]; ROWS];
            match begin {
                Begin::Zeros => {}
                Begin::Row(values) => tile = [load(simd, values); ROWS],
                Begin::Sums => {
                    for r in 0..ROWS {
                        if r < own {
                            tile[r] = load(simd, &sums[r * pitch..]);
                        }
                    }
                }
            }
            let tile = match self.elements {
                Elements::Strip(strip) => {
                    let strip = strip[first / ROWS * self.terms..].iter();
                    let terms = strip.zip(columns.clone()).map(|(a, b)| (|r: usize| a[r], b));
                    outer_products(simd, tile, terms)
                }
                Elements::Rows(rows, distance) => {
                    // The rest of a tile repeats the last row.
                    let rows: [&[f32]; ROWS] = array::from_fn(|r| {
                        &rows[(first + r.min(own - 1)) * distance..][..self.terms]
                    });
                    let terms = (0..self.terms).zip(columns.clone());
                    let terms = terms.map(|(k, b)| (move |r: usize| rows[r][k], b));
                    outer_products(simd, tile, terms)
                }
            };
            for r in 0..ROWS {
                if r < own {
                    store(simd, tile[r], &mut sums[r * pitch..]);
                }
            }
        }
    }
}
