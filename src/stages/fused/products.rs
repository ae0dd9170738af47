//! What the large products of a step are made of: factors in f32, or in bf16 two at a time.
//!
//! A multiply-add takes two *factors* a lane and adds their product to a sum in f32. In f32 a
//! factor is a number. In bf16 it is a pair of numbers that follow each other along the sum, and
//! its product with another is the sum of two products: half as many multiply-adds.
//! [`DEPTH`](Products::DEPTH) is how many numbers make a factor.
//!
//! ```text
//! Σ_k x[r][k] · M[k][c]      rows x[r]  numbers k, k + 1 lie side by side: pairs by columns
//!                            matrix M   rows k, k + 1 have to be interleaved: pairs by rows
//! ```
//!
//! Weights, moments, activations and gradients are kept in f32. Copies of them in pairs are made
//! right before they are multiplied; where a factor is a number, no copy is made.

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::{__m512, __m512bh, __m512i};
use std::ops::Range;

use super::floats::{self, Lines};
#[cfg(target_arch = "x86_64")]
use crate::simd::bf16::Pair;
#[cfg(target_arch = "x86_64")]
use crate::simd::{Avx2, Avx512, Avx512Bf16};
use crate::simd::{Portable, Simd};

/// Vectors with which the products of the fused engine are computed.
pub trait Products: Simd {
    /// Numbers of a factor.
    const DEPTH: usize;
    /// What is multiplied at once, in memory.
    type Factor: Copy + Default + Send + Sync;
    /// A vector of them.
    type Factors: Copy;
    /// A pixel, 0..=255.
    type Pixel: Copy + Default + Send + Sync;
    /// For each lane the places of the pixels of a factor, see [`Products::look_up_pixels`].
    type PixelPlaces: Copy;

    /// sums + the product of a and b
    fn multiply_add(self, a: Self::Factors, b: Self::Factors, sums: Self::Vector) -> Self::Vector;
    /// Factors of the numbers `number(k)`, k < [`DEPTH`](Products::DEPTH).
    fn factors(self, number: impl Fn(usize) -> Self::Vector) -> Self::Factors;
    /// `factor` in every lane.
    fn splat_factor(self, factor: Self::Factor) -> Self::Factors;
    /// The first factors of `from`.
    fn load_factors(self, from: &[Self::Factor]) -> Self::Factors;

    /// Writes 16 pixels to the front of `to`.
    fn store_pixels(self, bytes: [u8; 16], to: &mut [Self::Pixel]);
    /// The factor that begins at the front of `pixels`, in every lane.
    fn splat_pixels(self, pixels: &[Self::Pixel]) -> Self::Factors;
    /// The places 8·DEPTH·down + 8·k + right of the k-th numbers of factors; `marks(k)` has the
    /// bits (down, right) of the lanes.
    fn pixel_places(self, marks: impl Fn(usize) -> (u16, u16)) -> Self::PixelPlaces;
    /// For each lane the pixels at its places in the first 16·DEPTH of `table`.
    fn look_up_pixels(self, table: &[Self::Pixel], places: Self::PixelPlaces) -> Self::Factors;

    /// Room for the copy of `numbers` numbers, where one is made.
    fn room(numbers: usize) -> Lines<Self::Factor>;
    /// The rows of a matrix (R, C): factors are made of numbers beside each other.
    fn by_columns<'a>(self, matrix: &'a [f32], copy: &'a mut [Self::Factor]) -> &'a [Self::Factor];
    /// The `columns` of a matrix of `count` rows of length `stride`: factors are made of numbers
    /// below each other; behind an odd row there are zeros. Rows keep their length.
    fn by_rows<'a>(
        self,
        matrix: &'a [f32],
        count: usize,
        stride: usize,
        columns: Range<usize>,
        copy: &'a mut [Self::Factor],
    ) -> &'a [Self::Factor];
    /// Likewise of the `rows` of a matrix, in their order; [`Products::gathered`] says where they
    /// are.
    fn gather<'a>(
        self,
        matrix: &'a [f32],
        rows: &[u32],
        stride: usize,
        columns: Range<usize>,
        copy: &'a mut [Self::Factor],
    ) -> &'a [Self::Factor];
    /// Which row of what was gathered holds the factors at place `k` of the list `rows`.
    fn gathered(rows: &[u32], k: usize) -> usize;
}

/// Sets of instructions that multiply f32.
trait Single: Simd {}
impl Single for Portable {}
#[cfg(target_arch = "x86_64")]
impl Single for Avx2 {}
#[cfg(target_arch = "x86_64")]
impl Single for Avx512 {}

impl<S: Single> Products for S {
    const DEPTH: usize = 1;
    type Factor = f32;
    type Factors = S::Vector;
    type Pixel = f32;
    type PixelPlaces = S::Places;

    #[inline(always)]
    fn multiply_add(self, a: S::Vector, b: S::Vector, sums: S::Vector) -> S::Vector {
        self.mul_add(a, b, sums)
    }

    #[inline(always)]
    fn factors(self, number: impl Fn(usize) -> S::Vector) -> S::Vector {
        number(0)
    }

    #[inline(always)]
    fn splat_factor(self, factor: f32) -> S::Vector {
        self.splat(factor)
    }

    #[inline(always)]
    fn load_factors(self, from: &[f32]) -> S::Vector {
        self.load(from)
    }

    #[inline(always)]
    fn store_pixels(self, bytes: [u8; 16], to: &mut [f32]) {
        self.widen(bytes, to);
    }

    #[inline(always)]
    fn splat_pixels(self, pixels: &[f32]) -> S::Vector {
        self.splat(pixels[0])
    }

    #[inline(always)]
    fn pixel_places(self, marks: impl Fn(usize) -> (u16, u16)) -> S::Places {
        let (down, right) = marks(0);
        self.places(down, right)
    }

    #[inline(always)]
    fn look_up_pixels(self, table: &[f32], places: S::Places) -> S::Vector {
        self.look_up(table, places)
    }

    fn room(_: usize) -> Lines<f32> {
        floats::zeros(0)
    }

    #[inline(always)]
    fn by_columns<'a>(self, matrix: &'a [f32], _: &'a mut [f32]) -> &'a [f32] {
        matrix
    }

    #[inline(always)]
    fn by_rows<'a>(
        self,
        matrix: &'a [f32],
        _: usize,
        _: usize,
        _: Range<usize>,
        _: &'a mut [f32],
    ) -> &'a [f32] {
        matrix
    }

    #[inline(always)]
    fn gather<'a>(
        self,
        matrix: &'a [f32],
        _: &[u32],
        _: usize,
        _: Range<usize>,
        _: &'a mut [f32],
    ) -> &'a [f32] {
        matrix
    }

    #[inline(always)]
    fn gathered(rows: &[u32], k: usize) -> usize {
        rows[k] as usize
    }
}

#[cfg(target_arch = "x86_64")]
impl Products for Avx512Bf16 {
    const DEPTH: usize = 2;
    type Factor = Pair;
    type Factors = __m512bh;
    type Pixel = u16;
    type PixelPlaces = __m512i;

    #[inline(always)]
    fn multiply_add(self, a: __m512bh, b: __m512bh, sums: __m512) -> __m512 {
        self.dot(a, b, sums)
    }

    #[inline(always)]
    fn factors(self, number: impl Fn(usize) -> __m512) -> __m512bh {
        self.pairs(number(0), number(1))
    }

    #[inline(always)]
    fn splat_factor(self, factor: Pair) -> __m512bh {
        self.splat_pair(&factor)
    }

    #[inline(always)]
    fn load_factors(self, from: &[Pair]) -> __m512bh {
        self.load_pairs(from)
    }

    #[inline(always)]
    fn store_pixels(self, bytes: [u8; 16], to: &mut [u16]) {
        self.store_bytes(bytes, to);
    }

    #[inline(always)]
    fn splat_pixels(self, pixels: &[u16]) -> __m512bh {
        self.splat_pair(pixels)
    }

    #[inline(always)]
    fn pixel_places(self, marks: impl Fn(usize) -> (u16, u16)) -> __m512i {
        let (first, second) = (marks(0), marks(1));
        self.pair_places([first.0, second.0], [first.1, second.1])
    }

    #[inline(always)]
    fn look_up_pixels(self, table: &[u16], places: __m512i) -> __m512bh {
        self.look_up_pairs(table, places)
    }

    fn room(numbers: usize) -> Lines<Pair> {
        floats::zeros(numbers.div_ceil(2))
    }

    #[inline(always)]
    fn by_columns<'a>(self, matrix: &'a [f32], copy: &'a mut [Pair]) -> &'a [Pair] {
        let numbers = matrix.chunks_exact(Self::LANES);
        assert!(numbers.remainder().is_empty(), "whole vectors");
        let copy = &mut copy[..matrix.len() / 2];
        for (pairs, numbers) in copy.chunks_exact_mut(Self::LANES / 2).zip(numbers) {
            self.store_rounded(self.load(numbers), pairs);
        }
        copy
    }

    #[inline(always)]
    fn by_rows<'a>(
        self,
        matrix: &'a [f32],
        count: usize,
        stride: usize,
        columns: Range<usize>,
        copy: &'a mut [Pair],
    ) -> &'a [Pair] {
        interleave(self, |k| &matrix[k * stride..], count, stride, columns, copy)
    }

    #[inline(always)]
    fn gather<'a>(
        self,
        matrix: &'a [f32],
        rows: &[u32],
        stride: usize,
        columns: Range<usize>,
        copy: &'a mut [Pair],
    ) -> &'a [Pair] {
        let row = |k: usize| &matrix[rows[k] as usize * stride..];
        interleave(self, row, rows.len(), stride, columns, copy)
    }

    #[inline(always)]
    fn gathered(_: &[u32], k: usize) -> usize {
        k
    }
}

/// Pairs of each two rows.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn interleave<'a, 'b>(
    simd: Avx512Bf16,
    row: impl Fn(usize) -> &'b [f32],
    count: usize,
    stride: usize,
    columns: Range<usize>,
    copy: &'a mut [Pair],
) -> &'a [Pair] {
    assert!(columns.len().is_multiple_of(Avx512Bf16::LANES), "whole vectors");
    let copy = &mut copy[..count.div_ceil(2) * stride];
    let pairs = copy.chunks_exact_mut(stride);
    for (k, pairs) in (0..count).step_by(2).zip(pairs) {
        let (pairs, first) = (&mut pairs[columns.clone()], &row(k)[columns.clone()]);
        let first = first.chunks_exact(Avx512Bf16::LANES);
        let to = pairs.chunks_exact_mut(Avx512Bf16::LANES);
        if k + 1 < count {
            let second = row(k + 1)[columns.clone()].chunks_exact(Avx512Bf16::LANES);
            for ((first, second), to) in first.zip(second).zip(to) {
                simd.store_pairs(simd.pairs(simd.load(first), simd.load(second)), to);
            }
        } else {
            for (first, to) in first.zip(to) {
                simd.store_pairs(simd.pairs(simd.load(first), simd.splat(0.0)), to);
            }
        }
    }
    copy
}
