//! Products of one cell with the first linear layer: its part of the forward sums, and the gradient
//! of its activations.

#![allow(clippy::needless_range_loop)] // See tile.rs.

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
