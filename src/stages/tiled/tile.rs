//! Tiles of sums that stay in registers: the two innermost loops of the stage.
//!
//! Arrays of vectors are filled by loops and not by `array::from_fn` or `map`: these functions lack
//! the CPU feature, and where the compiler does not inline them, vectors pass through memory.
#![allow(clippy::needless_range_loop)]

use crate::simd::Simd;

/// Tile of R rows of U vectors of sums.
pub type Tile<S, const R: usize, const U: usize> = [[<S as Simd>::Vector; U]; R];

/// Vectors at the front of `row`, U of them.
#[inline(always)]
pub fn load<S: Simd, const U: usize>(simd: S, row: &[f32]) -> [S::Vector; U] {
    let row = &row[..U * S::LANES];
    let mut vectors = [simd.splat(0.0); U];
    for u in 0..U {
        vectors[u] = simd.load(&row[u * S::LANES..]);
    }
    vectors
}

/// Writes `vectors` to the front of `row`.
#[inline(always)]
pub fn store<S: Simd, const U: usize>(simd: S, vectors: [S::Vector; U], row: &mut [f32]) {
    let row = &mut row[..U * S::LANES];
    for u in 0..U {
        simd.store(vectors[u], &mut row[u * S::LANES..]);
    }
}

/// Tile of the sums\[r\] + Σ a(r) · b over all `terms` (a, b), where b is a row of U vectors.
///
/// A term loads U vectors, broadcasts R factors and does R·U multiply-adds.
#[inline(always)]
pub fn outer_products<'b, S: Simd, F: Fn(usize) -> f32, const R: usize, const U: usize>(
    simd: S,
    mut sums: Tile<S, R, U>,
    terms: impl Iterator<Item = (F, &'b [f32])>,
) -> Tile<S, R, U> {
    for (a, b) in terms {
        let b: [S::Vector; U] = load(simd, b);
        for r in 0..R {
            let factor = simd.splat(a(r));
            for u in 0..U {
                sums[r][u] = simd.mul_add(factor, b[u], sums[r][u]);
            }
        }
    }
    sums
}

/// Tile of the sums\[r\]\[u\] + Σ a\[r\] · b\[u\] over all vectors of the rows, which have the length of
/// a\[0\], a multiple of the lanes. The lanes of a sum hold parts of it.
///
/// A step loads R + U vectors and does R·U multiply-adds.
#[inline(always)]
pub fn inner_products<S: Simd, const R: usize, const U: usize>(
    simd: S,
    mut sums: Tile<S, R, U>,
    a: [&[f32]; R],
    b: [&[f32]; U],
) -> Tile<S, R, U> {
    let length = a[0].len();
    let (mut rows, mut columns) = (a, b);
    for r in 0..R {
        rows[r] = &a[r][..length];
    }
    for u in 0..U {
        columns[u] = &b[u][..length];
    }
    let mut at = 0;
    while at + S::LANES <= length {
        let mut vectors = [simd.splat(0.0); U];
        for u in 0..U {
            vectors[u] = simd.load(&columns[u][at..at + S::LANES]);
        }
        for r in 0..R {
            let a = simd.load(&rows[r][at..at + S::LANES]);
            for u in 0..U {
                sums[r][u] = simd.mul_add(a, vectors[u], sums[r][u]);
            }
        }
        at += S::LANES;
    }
    sums
}
