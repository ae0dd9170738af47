//! AVX-512 BF16: products of numbers in bf16, added up in f32. A number in bf16 is the upper half
//! of an f32.
//!
//! A vector of *pairs* holds two numbers for each lane of a vector of f32, and `Avx512Bf16::dot`
//! adds both products of a lane to its sum: twice as many multiply-adds in an instruction as in
//! f32. Numbers are rounded to the nearest, ties to even. The instruction treats denormal numbers
//! as 0.

use std::arch::x86_64::*;

use super::avx512::Avx512With;
use super::pixels::Pixels;
use super::vector::Simd;

/// AVX-512 F, BW, DQ, VL and BF16: products of pairs of numbers in bf16.
pub type Avx512Bf16 = Avx512With<true>;

/// Bits of two numbers in bf16.
pub type Pair = [u16; 2];

// SAFETY of every block below: a value of `Avx512Bf16` exists only where the CPU has the features
// that the intrinsics need. A block that relies on anything else says so. Vectors of 512 bits are
// transmuted only into each other.
impl Avx512Bf16 {
    /// `sums` plus, in each lane, both products of the numbers that `a` and `b` have in this lane.
    #[inline(always)]
    pub fn dot(self, a: __m512bh, b: __m512bh, sums: __m512) -> __m512 {
        // SAFETY: `self` proves the features.
        unsafe { _mm512_dpbf16_ps(sums, a, b) }
    }

    /// Pairs of the rounded numbers (`first[l]`, `second[l]`) in each lane l.
    #[inline(always)]
    pub fn pairs(self, first: __m512, second: __m512) -> __m512bh {
        const INTERLEAVED: [u16; 32] = {
            let mut indices = [0; 32];
            let mut lane = 0;
            while lane < 16 {
                indices[2 * lane] = lane as u16;
                indices[2 * lane + 1] = 16 + lane as u16;
                lane += 1;
            }
            indices
        };
        // SAFETY: `self` proves the features; `INTERLEAVED` is 512 bits long.
        unsafe {
            let halves =
                std::mem::transmute::<__m512bh, __m512i>(_mm512_cvtne2ps_pbh(second, first));
            let indices = _mm512_loadu_si512(INTERLEAVED.as_ptr().cast());
            std::mem::transmute(_mm512_permutexvar_epi16(indices, halves))
        }
    }

    /// Pairs with the first two of `numbers` in every lane.
    #[inline(always)]
    pub fn splat_pair(self, numbers: &[u16]) -> __m512bh {
        assert!(numbers.len() >= 2);
        // SAFETY: `self` proves the features; 32 bits are there.
        unsafe {
            let pair = numbers.as_ptr().cast::<i32>().read_unaligned();
            std::mem::transmute(_mm512_set1_epi32(pair))
        }
    }

    /// Vector of the first 16 of `pairs`.
    #[inline(always)]
    pub fn load_pairs(self, pairs: &[Pair]) -> __m512bh {
        assert!(pairs.len() >= Self::LANES);
        // SAFETY: `self` proves the features; 16 pairs are there.
        unsafe { pairs.as_ptr().cast::<__m512bh>().read_unaligned() }
    }

    /// Writes `pairs` to the first 16 of `to`.
    #[inline(always)]
    pub fn store_pairs(self, pairs: __m512bh, to: &mut [Pair]) {
        assert!(to.len() >= Self::LANES);
        // SAFETY: `self` proves the features; there is room for 16 pairs.
        unsafe { to.as_mut_ptr().cast::<__m512bh>().write_unaligned(pairs) }
    }

    /// Rounds the lanes of `vector` and writes them to the first 8 pairs of `to`.
    #[inline(always)]
    pub fn store_rounded(self, vector: __m512, to: &mut [Pair]) {
        assert!(to.len() >= Self::LANES / 2);
        // SAFETY: `self` proves the features; there is room for 256 bits.
        unsafe {
            to.as_mut_ptr().cast::<__m256bh>().write_unaligned(_mm512_cvtneps_pbh(vector));
        }
    }
}

impl Pixels for Avx512Bf16 {
    type Pixel = u16;
    type Factors = __m512bh;
    type Indices = __m512i;

    #[inline(always)]
    fn u8_to_pixels(self, bytes: [u8; 16], to: &mut [u16]) {
        assert!(to.len() >= 16);
        // SAFETY: `self` proves the features; `bytes` holds 128 bits, and there is room for 256.
        unsafe {
            let bytes = _mm512_cvtepu8_epi32(_mm_loadu_si128(bytes.as_ptr().cast()));
            let exact = _mm512_cvtneps_pbh(_mm512_cvtepi32_ps(bytes));
            to.as_mut_ptr().cast::<__m256bh>().write_unaligned(exact);
        }
    }

    #[inline(always)]
    fn indices(self, lower: [u16; 2], right: [u16; 2]) -> __m512i {
        // SAFETY: `self` proves the features.
        unsafe {
            let indices = _mm512_set1_epi32(8 << 16);
            let indices = _mm512_mask_add_epi32(indices, lower[0], indices, _mm512_set1_epi32(16));
            let indices = _mm512_mask_add_epi32(indices, right[0], indices, _mm512_set1_epi32(1));
            let indices =
                _mm512_mask_add_epi32(indices, lower[1], indices, _mm512_set1_epi32(16 << 16));
            _mm512_mask_add_epi32(indices, right[1], indices, _mm512_set1_epi32(1 << 16))
        }
    }

    #[inline(always)]
    fn permute(self, table: &[u16], indices: __m512i) -> __m512bh {
        assert!(table.len() >= 32);
        // SAFETY: `self` proves the features; 512 bits are there.
        unsafe {
            let table = _mm512_loadu_si512(table.as_ptr().cast());
            std::mem::transmute(_mm512_permutexvar_epi16(indices, table))
        }
    }
}
