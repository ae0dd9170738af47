//! The innermost loop of the products with the weights of the first linear layer: a tile of sums
//! that stays in registers.
//!
//! Arrays of vectors are filled by loops and not by `array::from_fn` or `map`: these functions lack
//! the CPU feature, and where the compiler does not inline them, vectors pass through memory.
#![allow(clippy::needless_range_loop)]

use super::products::Products;
use crate::simd::Simd;

/// Tile of R rows of U vectors of sums.
pub type Tile<S, const R: usize, const U: usize> = [[<S as Simd>::Vector; U]; R];

/// Tile whose sums are 0.
#[inline(always)]
pub fn zeros<S: Simd, const R: usize, const U: usize>(simd: S) -> Tile<S, R, U> {
    [[simd.splat(0.0); U]; R]
}

/// Vectors at the front of `row`, U of them.
#[inline(always)]
pub fn vectors<S: Simd, const U: usize>(simd: S, row: &[f32]) -> [S::Vector; U] {
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

/// Vectors of factors at the front of `row`, U of them.
#[inline(always)]
pub fn factors<S: Products, const U: usize>(simd: S, row: &[S::Factor]) -> [S::Factors; U] {
    let row = &row[..U * S::LANES];
    let mut factors = [simd.load_factors(row); U];
    for u in 1..U {
        factors[u] = simd.load_factors(&row[u * S::LANES..]);
    }
    factors
}

/// Tile of the sums\[r\] + Σ_k x\[r\]\[k\] · matrix\[k\], for every k of the rows of x. The rows of
/// `matrix` are `stride` factors apart.
///
/// A step of the loop loads U vectors, broadcasts R factors and does R·U multiply-adds: with 6×4 or
/// 12×2 sums, ten or fourteen loads feed 24 multiply-adds, and the sums stay in registers.
#[inline(always)]
pub fn multiply_add<S: Products, const R: usize, const U: usize>(
    simd: S,
    mut sums: Tile<S, R, U>,
    x: [&[S::Factor]; R],
    matrix: &[S::Factor],
    stride: usize,
) -> Tile<S, R, U> {
    let depth = x[0].len();
    let mut rows = x;
    for r in 0..R {
        rows[r] = &x[r][..depth];
    }
    for (k, row) in (0..depth).zip(matrix.chunks(stride)) {
        let row: [S::Factors; U] = factors(simd, row);
        for r in 0..R {
            let factor = simd.splat_factor(rows[r][k]);
            for u in 0..U {
                sums[r][u] = simd.multiply_add(factor, row[u], sums[r][u]);
            }
        }
    }
    sums
}
