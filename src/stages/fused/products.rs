//! Factors of the large products of a step: numbers in f32, or pairs of numbers in bf16.
//!
//! A multiply-add multiplies two *factors* in each lane and adds their product to a sum in f32. In
//! f32 a factor is one number. In bf16 a factor is a pair of numbers that belong to neighbouring
//! terms of the sum, and the product of two factors is the sum of two products, so there are half
//! as many multiply-adds. [`DEPTH`](Products::DEPTH) is the number of numbers in a factor.
//!
//! ```text
//! Σ_k x[r][k] · M[k][c]      rows x[r]  numbers k and k + 1 lie side by side: rounding makes pairs
//!                            matrix M   rows k and k + 1 have to be interleaved
//! ```
//!
//! Weights, moments, activations and gradients are kept in f32. In bf16 they are copied to pairs
//! right before they are multiplied. In f32 nothing is copied: the matrix itself is multiplied.

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::{__m512, __m512bh};
use std::ops::Range;

#[cfg(target_arch = "x86_64")]
use crate::simd::Avx512Bf16;
#[cfg(target_arch = "x86_64")]
use crate::simd::bf16::Pair;
use crate::simd::{Pixels, Simd};
use crate::stages::floats::{self, AlignedVec};

/// Vector operations of the products in the fused engine.
pub trait Products: Pixels {
    /// Number of numbers in a factor: 1 in f32, 2 in bf16.
    const DEPTH: usize;
    /// Factor in memory: a number in f32, or a pair in bf16.
    type Factor: Copy + Default + Send + Sync;

    /// Vector of `sums` plus, in each lane, the product of the factors `a` and `b`.
    fn multiply_add(self, a: Self::Factors, b: Self::Factors, sums: Self::Vector) -> Self::Vector;
    /// Factors that consist, in each lane, of the numbers `number(k)`, k <
    /// [`DEPTH`](Products::DEPTH).
    fn factors(self, number: impl Fn(usize) -> Self::Vector) -> Self::Factors;
    /// Factors with `factor` in every lane.
    fn splat_factor(self, factor: Self::Factor) -> Self::Factors;
    /// Factors at the front of `from`.
    fn load_factors(self, from: &[Self::Factor]) -> Self::Factors;
    /// Factors with the pixels at the front of `pixels` in every lane.
    fn splat_pixels(self, pixels: &[Self::Pixel]) -> Self::Factors;

    /// Factors of the numbers that lie side by side in `matrix`. `copy` is memory for them, if they
    /// are copied.
    fn rounded<'a>(self, matrix: &'a [f32], copy: &'a mut [Self::Factor]) -> &'a [Self::Factor];
    /// Factors of the numbers that lie below each other in the `columns` of the rows `row(k)` of
    /// `matrix`, k < `count`; a last row without a partner is paired with zeros. A row of `matrix`
    /// has `stride` numbers, and a row of the result has `stride` factors. `copy` is memory for the
    /// factors, if they are copied; [`Products::interleaved_row`] says which row of the result to
    /// read.
    fn interleaved<'a>(
        self,
        matrix: &'a [f32],
        row: impl Fn(usize) -> usize,
        count: usize,
        stride: usize,
        columns: Range<usize>,
        copy: &'a mut [Self::Factor],
    ) -> &'a [Self::Factor];
    /// Row of the [`interleaved`](Products::interleaved) matrix that holds the k-th factors of the
    /// rows listed in `rows`.
    #[inline(always)]
    fn interleaved_row(rows: &[u32], k: usize) -> usize {
        if Self::DEPTH == 1 { rows[k] as usize } else { k }
    }
    /// Memory for the copy of `numbers` numbers; empty if they are not copied.
    fn copy_buffer(numbers: usize) -> AlignedVec<Self::Factor> {
        floats::zeros(if Self::DEPTH == 1 { 0 } else { numbers.div_ceil(Self::DEPTH) })
    }
}

impl<S> Products for S
where
    S: Pixels<Pixel = f32, Factors = <S as Simd>::Vector>,
{
    const DEPTH: usize = 1;
    type Factor = f32;

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
    fn splat_pixels(self, pixels: &[f32]) -> S::Vector {
        self.splat(pixels[0])
    }

    #[inline(always)]
    fn rounded<'a>(self, matrix: &'a [f32], _: &'a mut [f32]) -> &'a [f32] {
        matrix
    }

    #[inline(always)]
    fn interleaved<'a>(
        self,
        matrix: &'a [f32],
        _: impl Fn(usize) -> usize,
        _: usize,
        _: usize,
        _: Range<usize>,
        _: &'a mut [f32],
    ) -> &'a [f32] {
        matrix
    }
}

#[cfg(target_arch = "x86_64")]
impl Products for Avx512Bf16 {
    const DEPTH: usize = 2;
    type Factor = Pair;

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
    fn splat_pixels(self, pixels: &[u16]) -> __m512bh {
        self.splat_pair(pixels)
    }

    #[inline(always)]
    fn rounded<'a>(self, matrix: &'a [f32], copy: &'a mut [Pair]) -> &'a [Pair] {
        let numbers = matrix.chunks_exact(Self::LANES);
        assert!(numbers.remainder().is_empty(), "whole vectors");
        let copy = &mut copy[..matrix.len() / 2];
        for (pairs, numbers) in copy.chunks_exact_mut(Self::LANES / 2).zip(numbers) {
            self.store_rounded(self.load(numbers), pairs);
        }
        copy
    }

    #[inline(always)]
    fn interleaved<'a>(
        self,
        matrix: &'a [f32],
        row: impl Fn(usize) -> usize,
        count: usize,
        stride: usize,
        columns: Range<usize>,
        copy: &'a mut [Pair],
    ) -> &'a [Pair] {
        assert!(columns.len().is_multiple_of(Self::LANES), "whole vectors");
        let row = |k: usize| &matrix[row(k) * stride..];
        let copy = &mut copy[..count.div_ceil(2) * stride];
        let pairs = copy.chunks_exact_mut(stride);
        for (k, pairs) in (0..count).step_by(2).zip(pairs) {
            let (pairs, first) = (&mut pairs[columns.clone()], &row(k)[columns.clone()]);
            let first = first.chunks_exact(Self::LANES);
            let to = pairs.chunks_exact_mut(Self::LANES);
            if k + 1 < count {
                let second = row(k + 1)[columns.clone()].chunks_exact(Self::LANES);
                for ((first, second), to) in first.zip(second).zip(to) {
                    self.store_pairs(self.pairs(self.load(first), self.load(second)), to);
                }
            } else {
                for (first, to) in first.zip(to) {
                    self.store_pairs(self.pairs(self.load(first), self.splat(0.0)), to);
                }
            }
        }
        copy
    }
}
