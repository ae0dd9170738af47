//! AVX2 and FMA: 8 floats a vector, 16 vector registers.

use std::arch::x86_64::*;

use super::isa::Isa;
use super::pixels::{Bytes, Pixels};
use super::prefetch::prefetch_line;
use super::vector::Simd;

/// Proof that the CPU has AVX2 and FMA.
#[derive(Debug, Clone, Copy)]
pub struct Avx2 {
    _private: (),
}

impl Avx2 {
    /// Proof that the CPU has the instructions, if it has them.
    pub fn detect() -> Option<Self> {
        Isa::Avx2.is_available().then_some(Self { _private: () })
    }

    /// Vector with −1 in the lanes whose bit in `mask` is set, and 0 in all other lanes.
    #[inline(always)]
    fn lane_mask(self, mask: u16) -> __m256i {
        // SAFETY: `self` proves the features.
        unsafe {
            let lane = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
            _mm256_cmpeq_epi32(_mm256_and_si256(_mm256_set1_epi32(i32::from(mask)), lane), lane)
        }
    }
}

// SAFETY of every block below: a value of `Avx2` exists only where the CPU has the features that
// the intrinsics need. A block that relies on anything else says so.
#[allow(clippy::needless_range_loop)] // See stages::fused::tile.
impl Simd for Avx2 {
    const LANES: usize = 8;
    const REGISTERS: usize = 16;
    type Vector = __m256;
    /// For each lane the index of the value that it gets, and ones if it gets a value; then the
    /// indices of the lanes that get a value.
    type Expansion = ([i32; 8], [i32; 8], [i32; 8]);

    #[inline(always)]
    fn vectorize<R>(self, kernel: impl FnOnce() -> R) -> R {
        #[target_feature(enable = "avx2,fma")]
        fn inner<R>(kernel: impl FnOnce() -> R) -> R {
            kernel()
        }
        // SAFETY: `self` proves the features.
        unsafe { inner(kernel) }
    }

    #[inline(always)]
    fn splat(self, value: f32) -> __m256 {
        // SAFETY: `self` proves the features.
        unsafe { _mm256_set1_ps(value) }
    }

    #[inline(always)]
    fn load(self, values: &[f32]) -> __m256 {
        assert!(values.len() >= Self::LANES);
        // SAFETY: `self` proves the features; 8 floats are there.
        unsafe { _mm256_loadu_ps(values.as_ptr()) }
    }

    #[inline(always)]
    fn store(self, vector: __m256, to: &mut [f32]) {
        assert!(to.len() >= Self::LANES);
        // SAFETY: `self` proves the features; there is room for 8 floats.
        unsafe { _mm256_storeu_ps(to.as_mut_ptr(), vector) }
    }

    #[inline(always)]
    fn add(self, a: __m256, b: __m256) -> __m256 {
        // SAFETY: `self` proves the features.
        unsafe { _mm256_add_ps(a, b) }
    }

    #[inline(always)]
    fn sub(self, a: __m256, b: __m256) -> __m256 {
        // SAFETY: `self` proves the features.
        unsafe { _mm256_sub_ps(a, b) }
    }

    #[inline(always)]
    fn mul(self, a: __m256, b: __m256) -> __m256 {
        // SAFETY: `self` proves the features.
        unsafe { _mm256_mul_ps(a, b) }
    }

    #[inline(always)]
    fn div(self, a: __m256, b: __m256) -> __m256 {
        // SAFETY: `self` proves the features.
        unsafe { _mm256_div_ps(a, b) }
    }

    #[inline(always)]
    fn sqrt(self, a: __m256) -> __m256 {
        // SAFETY: `self` proves the features.
        unsafe { _mm256_sqrt_ps(a) }
    }

    #[inline(always)]
    fn mul_add(self, a: __m256, b: __m256, c: __m256) -> __m256 {
        // SAFETY: `self` proves the features.
        unsafe { _mm256_fmadd_ps(a, b, c) }
    }

    #[inline(always)]
    fn max(self, a: __m256, b: __m256) -> __m256 {
        // SAFETY: `self` proves the features.
        unsafe { _mm256_max_ps(a, b) }
    }

    #[inline(always)]
    fn greater(self, a: __m256, b: __m256) -> u16 {
        // SAFETY: `self` proves the features.
        unsafe { _mm256_movemask_ps(_mm256_cmp_ps::<_CMP_GT_OQ>(a, b)) as u16 }
    }

    #[inline(always)]
    fn select(self, mask: u16, vector: __m256) -> __m256 {
        // SAFETY: `self` proves the features.
        unsafe { _mm256_and_ps(_mm256_castsi256_ps(self.lane_mask(mask)), vector) }
    }

    #[inline(always)]
    fn flush_small(self, vector: __m256, smallest: __m256) -> __m256 {
        // SAFETY: `self` proves the features.
        unsafe {
            let magnitude = _mm256_andnot_ps(_mm256_set1_ps(-0.0), vector);
            _mm256_andnot_ps(_mm256_cmp_ps::<_CMP_LT_OQ>(magnitude, smallest), vector)
        }
    }

    #[inline(always)]
    fn sum(self, vector: __m256) -> f32 {
        // SAFETY: `self` proves the features.
        unsafe {
            let four =
                _mm_add_ps(_mm256_castps256_ps128(vector), _mm256_extractf128_ps::<1>(vector));
            let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
            _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)))
        }
    }

    #[inline(always)]
    fn expansion(self, lanes: u16) -> Self::Expansion {
        let (mut sources, mut kept, mut set, mut next) = ([0; 8], [0; 8], [0; 8], 0);
        for lane in 0..8 {
            if lanes >> lane & 1 == 1 {
                (sources[lane], kept[lane], set[next]) = (next as i32, -1, lane as i32);
                next += 1;
            }
        }
        (sources, kept, set)
    }

    #[inline(always)]
    fn expand(self, vector: __m256, (sources, kept, _): &Self::Expansion) -> __m256 {
        // SAFETY: `self` proves the features; both arrays hold 8 numbers.
        unsafe {
            let sources = _mm256_loadu_si256(sources.as_ptr().cast());
            let kept = _mm256_loadu_ps(kept.as_ptr().cast());
            _mm256_and_ps(kept, _mm256_permutevar8x32_ps(vector, sources))
        }
    }

    #[inline(always)]
    fn compress(self, vector: __m256, (_, _, set): &Self::Expansion) -> __m256 {
        // SAFETY: `self` proves the features; `set` holds 8 numbers.
        unsafe { _mm256_permutevar8x32_ps(vector, _mm256_loadu_si256(set.as_ptr().cast())) }
    }

    #[inline(always)]
    fn transpose(self, row: impl Fn(usize) -> __m256, mut column: impl FnMut(usize, __m256)) {
        // Joins the halves of rows i and i + 4; then interleaves pairs of the joined rows, and then
        // all four of them, within each half of four lanes.
        // SAFETY: `self` proves the features.
        unsafe {
            let mut r = [_mm256_setzero_ps(); 8];
            for i in 0..8 {
                r[i] = row(i);
            }
            let pair = |high: bool, a: __m256, b: __m256| {
                let (a, b) = (_mm256_castps_pd(a), _mm256_castps_pd(b));
                _mm256_castpd_ps(if high {
                    _mm256_unpackhi_pd(a, b)
                } else {
                    _mm256_unpacklo_pd(a, b)
                })
            };
            for half in 0..2 {
                // The result has lanes 4·half.. of row i, and then of row i + 4.
                let join = |i: usize| {
                    if half == 0 {
                        _mm256_permute2f128_ps::<0x20>(r[i], r[i + 4])
                    } else {
                        _mm256_permute2f128_ps::<0x31>(r[i], r[i + 4])
                    }
                };
                let (a, b, c, d) = (join(0), join(1), join(2), join(3));
                let (ab_low, ab_high) = (_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b));
                let (cd_low, cd_high) = (_mm256_unpacklo_ps(c, d), _mm256_unpackhi_ps(c, d));
                column(4 * half, pair(false, ab_low, cd_low));
                column(4 * half + 1, pair(true, ab_low, cd_low));
                column(4 * half + 2, pair(false, ab_high, cd_high));
                column(4 * half + 3, pair(true, ab_high, cd_high));
            }
        }
    }

    #[inline(always)]
    fn prefetch_l1<T>(self, values: &[T], index: usize) {
        prefetch_line::<_MM_HINT_T0, T>(values, index);
    }

    #[inline(always)]
    fn prefetch_l2<T>(self, values: &[T], index: usize) {
        prefetch_line::<_MM_HINT_T1, T>(values, index);
    }
}

impl Bytes for Avx2 {
    #[inline(always)]
    fn nonzero(self, bytes: &[u8; 32]) -> u32 {
        // SAFETY: `self` proves the features; `bytes` holds 32 bytes.
        unsafe {
            let bytes = _mm256_loadu_si256(bytes.as_ptr().cast());
            let zero = _mm256_cmpeq_epi8(bytes, _mm256_setzero_si256());
            !(_mm256_movemask_epi8(zero) as u32)
        }
    }

    #[inline(always)]
    fn u8_to_f32(self, bytes: [u8; 16], to: &mut [f32]) {
        // SAFETY: `self` proves the features; `bytes` holds 16 bytes.
        let (first, second) = unsafe {
            let bytes = _mm_loadu_si128(bytes.as_ptr().cast());
            let (first, second) = (bytes, _mm_unpackhi_epi64(bytes, bytes));
            (
                _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(first)),
                _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(second)),
            )
        };
        self.store(first, to);
        self.store(second, &mut to[8..]);
    }
}

impl Pixels for Avx2 {
    type Pixel = f32;
    type Factors = __m256;
    /// Column of the table for each lane, and a mask of the lanes that read the second row.
    type Indices = (__m256i, __m256);

    #[inline(always)]
    fn u8_to_pixels(self, bytes: [u8; 16], to: &mut [f32]) {
        self.u8_to_f32(bytes, to);
    }

    #[inline(always)]
    fn indices(self, [lower, _]: [u16; 2], [right, _]: [u16; 2]) -> Self::Indices {
        // SAFETY: `self` proves the features.
        unsafe {
            let columns = _mm256_and_si256(self.lane_mask(right), _mm256_set1_epi32(1));
            (columns, _mm256_castsi256_ps(self.lane_mask(lower)))
        }
    }

    #[inline(always)]
    fn permute(self, table: &[f32], (columns, second): Self::Indices) -> __m256 {
        let (upper, lower) = (self.load(table), self.load(&table[8..]));
        // SAFETY: `self` proves the features.
        unsafe {
            let upper = _mm256_permutevar8x32_ps(upper, columns);
            _mm256_blendv_ps(upper, _mm256_permutevar8x32_ps(lower, columns), second)
        }
    }
}
