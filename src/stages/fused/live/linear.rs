//! Products of the live activations of one cell with the first linear layer: its part of the forward
//! sums, and both gradients.

#![allow(clippy::needless_range_loop)] // See tile.rs.

use super::rows::{self, Bits, LiveChannel, LiveRows};
use crate::simd::Simd;
use crate::stages::floats::{self, Floats};
use crate::stages::fused::network::ALIGNMENT;
use crate::stages::fused::tile;

/// Calls `$tile::<S, $u>` with U = `$units`, which is one of `$u`.
macro_rules! with_units {
    ($units:expr, [$($u:literal)*], $tile:ident::<$s:ident, U>, $arguments:tt) => {
        match $units {
            $($u => $tile::<$s, $u> $arguments,)*
            units => unreachable!("a tile of {units} vectors"),
        }
    };
}

/// Number of vectors of columns that [`forward`] sums at once, in registers.
pub const FORWARD_VECTORS: usize = 8;

/// Adds x · W, over the live channels of x, to the sums of the images, for the `columns` of W.
///
/// The head adds the sums of the last row, the blank images' x · W, to every image. So they are
/// subtracted from the sums of the images that are listed here.
///
/// # Shapes
/// `weight` (C, `stride`); `sums` (N + 1, `stride`).
#[inline(always)]
pub fn forward<S: Simd>(
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
                FORWARD_VECTORS.. => {
                    forward_tile::<S, FORWARD_VECTORS>(simd, rows, weight, stride, sums)
                }
                4.. => forward_tile::<S, 4>(simd, rows, weight, stride, sums),
                2.. => forward_tile::<S, 2>(simd, rows, weight, stride, sums),
                _ => forward_tile::<S, 1>(simd, rows, weight, stride, sums),
            };
    }
}

/// Adds the first U vectors of columns of [`forward`]; returns U.
#[inline(always)]
fn forward_tile<S: Simd, const U: usize>(
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
    rows::for_each_one(
        bits.iter().map(|bits| bits.live),
        #[inline(always)]
        |channel| {
            let weight: [S::Vector; U] = tile::vectors(simd, &weight[channel * stride..]);
            let x = simd.splat(x[channel]);
            for u in 0..U {
                sums[u] = simd.mul_add(x, weight[u], sums[u]);
            }
        },
    );
    sums
}

/// Largest number of vectors of a gradient that [`backward`] sums at once, in registers. With 16
/// registers the weights are read from the first-level cache.
const BACKWARD_VECTORS: usize = 10;

/// Memory for the `dots` of [`backward`]: a vector for each of `rows` rows of a cell.
pub fn dots(rows: usize) -> Floats {
    floats::zeros(rows.next_multiple_of(ALIGNMENT) * ALIGNMENT)
}

/// Gradients of the hidden units, packed to the active units.
#[derive(Clone, Copy)]
pub struct Dz<'a> {
    /// Gradient of every image, (N, `Active::stride`).
    pub images: &'a [f32],
    /// Sum of the gradients of the blank images, (`Active::stride`).
    pub blank: &'a [f32],
}

impl<'a> Dz<'a> {
    /// Gradient of `image`; image N stands for all blank images.
    #[inline(always)]
    fn of(&self, image: usize) -> &'a [f32] {
        let rest = self.images.get(image * self.blank.len()..);
        rest.filter(|dz| !dz.is_empty()).unwrap_or(self.blank)
    }
}

/// Computes both products of a channel in one pass: `gradient` = Σ a\[n\] · dz\[n\], and
/// da\[n\] = dz\[n\] · `weight`, over the first `active` hidden units. Each vector of dz that is
/// loaded serves two multiply-adds.
///
/// # Shapes
/// `weight` and `gradient` (H padded), packed to the active units; `da` (at least L, whole vectors);
/// `dots` (at least L, lanes), memory for the products of `weight` and dz, summed to one vector for
/// each row.
#[inline(always)]
pub fn backward<S: Simd>(
    simd: S,
    (channel, dz, active): (LiveChannel<'_>, Dz<'_>, usize),
    weight: &[f32],
    gradient: &mut [f32],
    da: &mut [f32],
    dots: &mut [f32],
) {
    let vectors = active.div_ceil(S::LANES);
    let tiles = vectors.div_ceil(BACKWARD_VECTORS).max(1);
    // The tiles have about the same width.
    let first = |tile: usize| tile * vectors / tiles;
    for tile in 0..tiles {
        let (width, from) = (first(tile + 1) - first(tile), first(tile) * S::LANES);
        let (weight, gradient) = (&weight[from..], &mut gradient[from..]);
        with_units!(
            width, [0 1 2 3 4 5 6 7 8 9 10],
            backward_tile::<S, U>, (simd, channel, dz, from, weight, gradient, dots)
        );
    }
    let squares = dots.chunks_exact(S::LANES * S::LANES);
    let da = da.chunks_exact_mut(S::LANES).zip(squares);
    for (da, dots) in da.take(channel.live().div_ceil(S::LANES)) {
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

/// Computes U vectors of the gradient from the hidden unit `from` on, and adds their part of the
/// products of `weight` and dz to the `dots`, which the first tile begins.
#[inline(always)]
fn backward_tile<S: Simd, const U: usize>(
    simd: S,
    channel: LiveChannel<'_>,
    dz: Dz<'_>,
    from: usize,
    weight: &[f32],
    gradient: &mut [f32],
    dots: &mut [f32],
) {
    let [mut sums] = tile::zeros::<S, 1, U>(simd);
    let weight: [S::Vector; U] = tile::vectors(simd, weight);
    let mut dots = dots.chunks_exact_mut(S::LANES);
    channel.for_each_row(
        #[inline(always)]
        |row| {
            let dz = dz.of(channel.image(row));
            let dz = &dz[from..][..U * S::LANES];
            let x = simd.splat(channel.x(row));
            let dot = dots.next().expect("as many as rows");
            // Two sums, because a multiply-add waits for the one before in its sum.
            let before = if from == 0 { simd.splat(0.0) } else { simd.load(dot) };
            let mut parts = [before, simd.splat(0.0)];
            for u in 0..U {
                let dz = simd.load(&dz[u * S::LANES..]);
                sums[u] = simd.mul_add(x, dz, sums[u]);
                parts[u % 2] = simd.mul_add(weight[u], dz, parts[u % 2]);
            }
            simd.store(simd.add(parts[0], parts[1]), dot);
        },
    );
    tile::store(simd, sums, gradient);
}
