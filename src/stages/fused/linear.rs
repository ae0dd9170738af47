//! Products of one cell with the first linear layer: its part of the forward sums, and the gradient
//! of its activations.

#![allow(clippy::needless_range_loop)] // See tile.rs.

use super::floats::{self, Floats};
use super::live::LiveRows;
use super::masks::Bits;
use super::network::ALIGNMENT;
use super::products::Products;
use super::tile;
use crate::simd::Simd;

/// Calls `$tile::<S, R, $u>` with R = `$rows`, which is one of `$r`.
macro_rules! with_rows {
    ($rows:expr, [$($r:literal)*], $tile:ident::<$s:ident, R, $u:literal>, $arguments:tt) => {
        match $rows {
            $($r => $tile::<$s, $r, $u> $arguments,)*
            rows => unreachable!("a tile of {rows} rows"),
        }
    };
}

/// Calls `$self.$tile::<S, $u>` with U = `$units`, which is one of `$u`.
macro_rules! with_units {
    ($units:expr, [$($u:literal)*], $self:ident.$tile:ident::<$s:ident, U>, $arguments:tt) => {
        match $units {
            $($u => $self.$tile::<$s, $u> $arguments,)*
            units => unreachable!("a tile of {units} vectors"),
        }
    };
}

/// Adds x · W to the sums of the images listed in `rows`: sums\[rows\[r\]\] += x\[r\] · W, for the
/// `columns` of W.
///
/// # Shapes
/// `x` (R, C), as [`Products::rounded`] returns it; `rows` (R); `weight` (C, `stride`), as
/// [`Products::interleaved`] returns it; `sums` (N + 1, `stride`).
#[inline(always)]
pub fn forward<S: Products>(
    simd: S,
    x: &[S::Factor],
    rows: &[u32],
    weight: &[S::Factor],
    stride: usize,
    columns: std::ops::Range<usize>,
    sums: &mut [f32],
) {
    let depth = x.len() / rows.len();
    let widest = if S::REGISTERS == 32 { 4 } else { 2 };
    for (x, rows) in x.chunks(6 * depth).zip(rows.chunks(6)) {
        let mut first = columns.start;
        while first < columns.end {
            let weight = &weight[first..];
            let vectors = (columns.end - first) / S::LANES;
            let out = Out { rows, stride, first };
            first += S::LANES
                * if vectors >= 4 && widest == 4 {
                    with_rows!(
                        rows.len(), [1 2 3 4 5 6],
                        forward_tile::<S, R, 4>, (simd, x, weight, out, sums)
                    )
                } else if vectors >= 2 {
                    with_rows!(
                        rows.len(), [1 2 3 4 5 6],
                        forward_tile::<S, R, 2>, (simd, x, weight, out, sums)
                    )
                } else {
                    with_rows!(
                        rows.len(), [1 2 3 4 5 6],
                        forward_tile::<S, R, 1>, (simd, x, weight, out, sums)
                    )
                };
        }
    }
}

/// Place of the sums to which a tile adds.
#[derive(Clone, Copy)]
struct Out<'a> {
    /// Indices of the rows of the sums, (R).
    rows: &'a [u32],
    /// Length of a row of the sums.
    stride: usize,
    /// First column of the tile.
    first: usize,
}

/// Adds a tile of R rows and U vectors of columns to the sums; returns U.
#[inline(always)]
fn forward_tile<S: Products, const R: usize, const U: usize>(
    simd: S,
    x: &[S::Factor],
    weight: &[S::Factor],
    out: Out<'_>,
    sums: &mut [f32],
) -> usize {
    let depth = x.len() / R;
    let (mut rows, mut starts, mut tile) = ([x; R], [0; R], tile::zeros::<S, R, U>(simd));
    for r in 0..R {
        rows[r] = &x[r * depth..][..depth];
        starts[r] = out.rows[r] as usize * out.stride + out.first;
        tile[r] = tile::vectors(simd, &sums[starts[r]..]);
    }
    let tile = tile::multiply_add(simd, tile, rows, weight, out.stride);
    for r in 0..R {
        tile::store(simd, tile[r], &mut sums[starts[r]..]);
    }
    U
}

/// Number of vectors of columns that [`forward_live`] sums at once, in registers.
pub const LIVE_VECTORS: usize = 8;

/// Adds x · W, over the live channels of x, to the sums of the images, for the `columns` of W.
///
/// The head adds the sums of the last row, the blank images' x · W, to every image. So they are
/// subtracted from the sums of the images that are listed here.
///
/// # Shapes
/// `weight` (C, `stride`); `sums` (N + 1, `stride`).
#[inline(always)]
pub fn forward_live<S: Simd>(
    simd: S,
    rows: LiveRows<'_>,
    weight: &[f32],
    stride: usize,
    columns: std::ops::Range<usize>,
    sums: &mut [f32],
) {
    let mut first = columns.start;
    while first < columns.end {
        let (weight, vectors) = (&weight[first..], (columns.end - first) / S::LANES);
        let sums = &mut sums[first..];
        first += S::LANES
            * match vectors {
                LIVE_VECTORS.. => {
                    forward_live_tile::<S, LIVE_VECTORS>(simd, rows, weight, stride, sums)
                }
                4.. => forward_live_tile::<S, 4>(simd, rows, weight, stride, sums),
                2.. => forward_live_tile::<S, 2>(simd, rows, weight, stride, sums),
                _ => forward_live_tile::<S, 1>(simd, rows, weight, stride, sums),
            };
    }
}

/// [`forward_live`] for the first U vectors of columns; returns U.
#[inline(always)]
fn forward_live_tile<S: Simd, const U: usize>(
    simd: S,
    rows: LiveRows<'_>,
    weight: &[f32],
    stride: usize,
    sums: &mut [f32],
) -> usize {
    let last = rows.images.len() - 1;
    let [zeros] = tile::zeros::<S, 1, U>(simd);
    let blank = add_live(simd, zeros, rows.row(last), weight, stride);
    for (r, &image) in rows.images.iter().enumerate() {
        let sums = &mut sums[image as usize * stride..];
        let mut tile: [S::Vector; U] = tile::vectors(simd, sums);
        if r == last {
            for u in 0..U {
                tile[u] = simd.add(tile[u], blank[u]);
            }
        } else {
            for u in 0..U {
                tile[u] = simd.sub(tile[u], blank[u]);
            }
            tile = add_live(simd, tile, rows.row(r), weight, stride);
        }
        tile::store(simd, tile, sums);
    }
    U
}

/// Adds x · W, over the channels whose bit is set, to the sums of one image.
#[inline(always)]
fn add_live<S: Simd, const U: usize>(
    simd: S,
    mut sums: [S::Vector; U],
    (x, bits): (&[f32], &[Bits]),
    weight: &[f32],
    stride: usize,
) -> [S::Vector; U] {
    for (word, bits) in bits.iter().enumerate() {
        let mut left = bits.live;
        while left != 0 {
            let channel = 64 * word + left.trailing_zeros() as usize;
            left &= left - 1;
            let weight: [S::Vector; U] = tile::vectors(simd, &weight[channel * stride..]);
            let x = simd.splat(x[channel]);
            for u in 0..U {
                sums[u] = simd.mul_add(x, weight[u], sums[u]);
            }
        }
    }
    sums
}

/// Computes the gradient of x: dx\[r\] = dz\[rows\[r\]\] · Wᵀ, over the first `active` columns of
/// dz and rows of Wᵀ. `active` and `stride` are numbers of factors.
///
/// # Shapes
/// `dz` (N + 1, `stride`), as [`Products::rounded`] returns it; `rows` (R); `transposed` (`active`,
/// C), as [`Products::interleaved`] returns it; `dx` (R, C).
#[inline(always)]
pub fn input_gradient<S: Products>(
    simd: S,
    dz: &[S::Factor],
    stride: usize,
    active: usize,
    rows: &[u32],
    transposed: &[S::Factor],
    dx: &mut [f32],
) {
    let channels = dx.len() / rows.len();
    let tile_rows = if S::REGISTERS == 32 { 12 } else { 6 };
    for (rows, dx) in rows.chunks(tile_rows).zip(dx.chunks_mut(tile_rows * channels)) {
        let dz = DzRows { dz, stride, active, rows };
        let mut first = 0;
        while first < channels {
            let (transposed, dx) = (&transposed[first..], &mut dx[first..]);
            first += S::LANES
                * if channels - first >= 2 * S::LANES {
                    with_rows!(
                        rows.len(), [1 2 3 4 5 6 7 8 9 10 11 12],
                        gradient_tile::<S, R, 2>, (simd, dz, transposed, channels, dx)
                    )
                } else {
                    with_rows!(
                        rows.len(), [1 2 3 4 5 6 7 8 9 10 11 12],
                        gradient_tile::<S, R, 1>, (simd, dz, transposed, channels, dx)
                    )
                };
        }
    }
}

/// Rows of dz that a tile multiplies.
#[derive(Clone, Copy)]
struct DzRows<'a, F> {
    /// Factors of dz, (N + 1, `stride`).
    dz: &'a [F],
    /// Number of factors in a row of dz.
    stride: usize,
    /// Number of factors of a row that are multiplied.
    active: usize,
    /// Indices of the rows, (R).
    rows: &'a [u32],
}

/// Writes a tile of R rows and U vectors of channels to `dx`; returns U.
#[inline(always)]
fn gradient_tile<S: Products, const R: usize, const U: usize>(
    simd: S,
    from: DzRows<'_, S::Factor>,
    transposed: &[S::Factor],
    channels: usize,
    dx: &mut [f32],
) -> usize {
    let DzRows { dz, stride, active, rows } = from;
    let mut x = [dz; R];
    for r in 0..R {
        x[r] = &dz[rows[r] as usize * stride..][..active];
    }
    let sums = tile::multiply_add(simd, tile::zeros::<S, R, U>(simd), x, transposed, channels);
    for (r, dx) in dx.chunks_mut(channels).enumerate().take(R) {
        tile::store(simd, sums[r], dx);
    }
    U
}

/// Writes the columns of `weight` (C, `stride`) that are marked with 1 in `active`, one after the
/// other as rows, to `transposed` (A, C). A is the number of marked columns.
#[inline(always)]
pub fn transpose<S: Simd>(
    simd: S,
    weight: &[f32],
    stride: usize,
    active: &[u32],
    transposed: &mut [f32],
) {
    let channels = weight.len() / stride;
    for channel in (0..channels).step_by(S::LANES) {
        let mut packed = 0;
        for first in (0..stride).step_by(S::LANES) {
            let row = |r: usize| simd.load(&weight[(channel + r) * stride + first..]);
            simd.transpose(
                row,
                #[inline(always)]
                |column, vector| {
                    // A column that is not active is overwritten by the next one.
                    simd.store(vector, &mut transposed[packed * channels + channel..]);
                    packed += active[first + column] as usize;
                },
            );
        }
    }
}

/// Largest number of vectors of a gradient that [`LiveChannel::multiply`] sums at once, in registers.
/// With 16 registers the weights are read from the first-level cache.
const MOST_VECTORS: usize = 10;

/// Memory for the dots of [`LiveChannel::multiply`]: a vector for each of `rows` rows of a cell.
pub fn dots(rows: usize) -> Floats {
    floats::zeros(rows.next_multiple_of(ALIGNMENT) * ALIGNMENT)
}

/// Gradients of the hidden units, packed to the active units.
#[derive(Clone, Copy)]
pub struct LiveDz<'a> {
    /// Gradient of every image, (N, `Active::stride`).
    pub images: &'a [f32],
    /// Sum of the gradients of the blank images, (`Active::stride`).
    pub blank: &'a [f32],
}

impl<'a> LiveDz<'a> {
    /// Gradient of `image`; image N stands for all blank images.
    #[inline(always)]
    fn of(&self, image: usize) -> &'a [f32] {
        let rest = self.images.get(image * self.blank.len()..);
        rest.filter(|dz| !dz.is_empty()).unwrap_or(self.blank)
    }
}

/// One channel of a cell, and the rows in which it is live.
pub struct LiveChannel<'a> {
    /// Index of the image of each row of the cell, (R).
    pub images: &'a [u32],
    /// Indices of the rows in which the channel is live, (L).
    pub rows: &'a [u32],
    /// Activations of the channel in these rows, (L).
    pub x: &'a [f32],
    /// Gradients of the hidden units.
    pub dz: LiveDz<'a>,
}

impl LiveChannel<'_> {
    /// Computes both products of the channel in one pass: `gradient` = Σ a\[n\] · dz\[n\], and
    /// da\[n\] = dz\[n\] · `weight`, over the first `active` hidden units. Each vector of dz that
    /// is loaded serves two multiply-adds.
    ///
    /// # Shapes
    /// `weight` and `gradient` (H padded), packed to the active units; `da` (at least L, whole
    /// vectors); `dots` (at least L, lanes), memory for the products of `weight` and dz, summed to
    /// one vector for each row.
    #[inline(always)]
    pub fn multiply<S: Simd>(
        &self,
        simd: S,
        active: usize,
        weight: &[f32],
        gradient: &mut [f32],
        da: &mut [f32],
        dots: &mut [f32],
    ) {
        let vectors = active.div_ceil(S::LANES);
        let tiles = vectors.div_ceil(MOST_VECTORS).max(1);
        let mut first = 0;
        for tile in 0..tiles {
            // The tiles have about the same width.
            let width = (vectors - first).div_ceil(tiles - tile);
            let from = first * S::LANES;
            let (weight, gradient) = (&weight[from..], &mut gradient[from..]);
            with_units!(
                width, [0 1 2 3 4 5 6 7 8 9 10],
                self.tile::<S, U>, (simd, from, weight, gradient, dots)
            );
            first += width;
        }
        let squares = dots.chunks_exact(S::LANES * S::LANES);
        let da = da.chunks_exact_mut(S::LANES).zip(squares);
        for (da, dots) in da.take(self.rows.len().div_ceil(S::LANES)) {
            let mut sums = simd.splat(0.0);
            simd.transpose(
                #[inline(always)]
                |row| simd.load(&dots[row * S::LANES..]),
                #[inline(always)]
                |_, column| sums = simd.add(sums, column),
            );
            simd.store(sums, da);
        }
    }

    /// Computes U vectors of the gradient from the hidden unit `from` on, and adds their part to
    /// the `dots`, which the first tile begins.
    #[inline(always)]
    fn tile<S: Simd, const U: usize>(
        &self,
        simd: S,
        from: usize,
        weight: &[f32],
        gradient: &mut [f32],
        dots: &mut [f32],
    ) {
        let [mut sums] = tile::zeros::<S, 1, U>(simd);
        let weight: [S::Vector; U] = tile::vectors(simd, weight);
        for ((&row, &x), dot) in self.rows.iter().zip(self.x).zip(dots.chunks_exact_mut(S::LANES)) {
            let dz = self.dz.of(self.images[row as usize] as usize);
            let dz = &dz[from..][..U * S::LANES];
            let x = simd.splat(x);
            // Two sums, because a multiply-add waits for the one before in its sum.
            let before = if from == 0 { simd.splat(0.0) } else { simd.load(dot) };
            let mut parts = [before, simd.splat(0.0)];
            for u in 0..U {
                let dz = simd.load(&dz[u * S::LANES..]);
                sums[u] = simd.mul_add(x, dz, sums[u]);
                parts[u % 2] = simd.mul_add(weight[u], dz, parts[u % 2]);
            }
            simd.store(simd.add(parts[0], parts[1]), dot);
        }
        tile::store(simd, sums, gradient);
    }
}
