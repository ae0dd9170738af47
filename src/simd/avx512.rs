//! AVX-512: 16 floats a vector, 32 vector registers, masks in registers of their own.

use std::arch::x86_64::*;

use super::isa::{Isa, has_bf16};
use super::pixels::{Bytes, Pixels};
use super::prefetch::prefetch_line;
use super::vector::Simd;

/// Proof that the CPU has AVX-512 F, BW, DQ and VL; with `BF16`, that it also has AVX-512 BF16.
#[derive(Debug, Clone, Copy)]
pub struct Avx512With<const BF16: bool> {
    _private: (),
}

/// AVX-512 F, BW, DQ and VL: products of numbers in f32.
pub type Avx512 = Avx512With<false>;

impl<const BF16: bool> Avx512With<BF16> {
    /// Proof that the CPU has the instructions, if it has them.
    pub fn detect() -> Option<Self> {
        let available = if BF16 { has_bf16() } else { Isa::Avx512.is_available() };
        available.then_some(Self { _private: () })
    }
}

// SAFETY of every block below: a value of `Avx512With` exists only where the CPU has the features
// that the intrinsics need. A block that relies on anything else says so.
#[allow(clippy::needless_range_loop)] // See stages::fused::tile.
impl<const BF16: bool> Simd for Avx512With<BF16> {
    const LANES: usize = 16;
    const REGISTERS: usize = 32;
    type Vector = __m512;
    /// Index of the value that each lane gets, and the mask of the lanes that get a value.
    type Expansion = ([i32; 16], u16);

    #[inline(always)]
    fn vectorize<R>(self, kernel: impl FnOnce() -> R) -> R {
        #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
        fn inner<R>(kernel: impl FnOnce() -> R) -> R {
            kernel()
        }
        #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512bf16")]
        fn inner_bf16<R>(kernel: impl FnOnce() -> R) -> R {
            kernel()
        }
        // SAFETY: `self` proves the features.
        if BF16 { unsafe { inner_bf16(kernel) } } else { unsafe { inner(kernel) } }
    }

    #[inline(always)]
    fn splat(self, value: f32) -> __m512 {
        // SAFETY: `self` proves the features.
        unsafe { _mm512_set1_ps(value) }
    }

    #[inline(always)]
    fn load(self, values: &[f32]) -> __m512 {
        assert!(values.len() >= Self::LANES);
        // SAFETY: `self` proves the features; 16 floats are there.
        unsafe { _mm512_loadu_ps(values.as_ptr()) }
    }

    #[inline(always)]
    fn store(self, vector: __m512, to: &mut [f32]) {
        assert!(to.len() >= Self::LANES);
        // SAFETY: `self` proves the features; there is room for 16 floats.
        unsafe { _mm512_storeu_ps(to.as_mut_ptr(), vector) }
    }

    #[inline(always)]
    fn add(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: `self` proves the features.
        unsafe { _mm512_add_ps(a, b) }
    }

    #[inline(always)]
    fn sub(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: `self` proves the features.
        unsafe { _mm512_sub_ps(a, b) }
    }

    #[inline(always)]
    fn mul(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: `self` proves the features.
        unsafe { _mm512_mul_ps(a, b) }
    }

    #[inline(always)]
    fn div(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: `self` proves the features.
        unsafe { _mm512_div_ps(a, b) }
    }

    #[inline(always)]
    fn sqrt(self, a: __m512) -> __m512 {
        // SAFETY: `self` proves the features.
        unsafe { _mm512_sqrt_ps(a) }
    }

    #[inline(always)]
    fn mul_add(self, a: __m512, b: __m512, c: __m512) -> __m512 {
        // SAFETY: `self` proves the features.
        unsafe { _mm512_fmadd_ps(a, b, c) }
    }

    #[inline(always)]
    fn max(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: `self` proves the features.
        unsafe { _mm512_max_ps(a, b) }
    }

    #[inline(always)]
    fn greater(self, a: __m512, b: __m512) -> u16 {
        // SAFETY: `self` proves the features.
        unsafe { _mm512_cmp_ps_mask::<_CMP_GT_OQ>(a, b) }
    }

    #[inline(always)]
    fn select(self, mask: u16, vector: __m512) -> __m512 {
        // SAFETY: `self` proves the features.
        unsafe { _mm512_maskz_mov_ps(mask, vector) }
    }

    #[inline(always)]
    fn flush_small(self, vector: __m512, smallest: __m512) -> __m512 {
        // SAFETY: `self` proves the features.
        unsafe {
            let small = _mm512_cmp_ps_mask::<_CMP_LT_OQ>(_mm512_abs_ps(vector), smallest);
            _mm512_maskz_mov_ps(!small, vector)
        }
    }

    #[inline(always)]
    fn sum(self, vector: __m512) -> f32 {
        // SAFETY: `self` proves the features.
        unsafe { _mm512_reduce_add_ps(vector) }
    }

    #[inline(always)]
    fn expansion(self, lanes: u16) -> Self::Expansion {
        let (mut sources, mut next) = ([0; 16], 0);
        for (lane, source) in sources.iter_mut().enumerate() {
            *source = next;
            next += i32::from(lanes >> lane & 1);
        }
        (sources, lanes)
    }

    #[inline(always)]
    fn expand(self, vector: __m512, (sources, lanes): &Self::Expansion) -> __m512 {
        // This is a permutation and not `vexpandps`, because the compiler may let `vexpandps` read
        // from memory, which takes some fifty cycles on AMD's CPUs.
        // SAFETY: `self` proves the features; `sources` holds 16 numbers.
        unsafe {
            let sources = _mm512_loadu_si512(sources.as_ptr().cast());
            _mm512_maskz_permutexvar_ps(*lanes, sources, vector)
        }
    }

    #[inline(always)]
    fn compress(self, vector: __m512, (_, lanes): &Self::Expansion) -> __m512 {
        // SAFETY: `self` proves the features.
        unsafe { _mm512_maskz_compress_ps(*lanes, vector) }
    }

    #[inline(always)]
    fn transpose(self, row: impl Fn(usize) -> __m512, mut column: impl FnMut(usize, __m512)) {
        // Interleaves pairs of rows, and then fours of rows, within blocks of four lanes; then
        // moves the blocks.
        // SAFETY: `self` proves the features.
        unsafe {
            let zero = _mm512_setzero_ps();
            let (mut r, mut t, mut u) = ([zero; 16], [zero; 16], [zero; 16]);
            for i in 0..16 {
                r[i] = row(i);
            }
            for group in (0..16).step_by(4) {
                let (a, b, c, d) = (r[group], r[group + 1], r[group + 2], r[group + 3]);
                t[group] = _mm512_unpacklo_ps(a, b);
                t[group + 1] = _mm512_unpacklo_ps(c, d);
                t[group + 2] = _mm512_unpackhi_ps(a, b);
                t[group + 3] = _mm512_unpackhi_ps(c, d);
            }
            // u[4g + l] has, in block k, lane 4k + l of the four rows of group g.
            for pair in (0..16).step_by(2) {
                let (a, b) = (_mm512_castps_pd(t[pair]), _mm512_castps_pd(t[pair + 1]));
                u[pair] = _mm512_castpd_ps(_mm512_unpacklo_pd(a, b));
                u[pair + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(a, b));
            }
            for block in 0..4 {
                for lane in 0..4 {
                    let (a, b, c, d) = (u[lane], u[4 + lane], u[8 + lane], u[12 + lane]);
                    column(
                        4 * block + lane,
                        match block {
                            0 => {
                                let ab = _mm512_shuffle_f32x4::<0x88>(a, b);
                                _mm512_shuffle_f32x4::<0x88>(ab, _mm512_shuffle_f32x4::<0x88>(c, d))
                            }
                            1 => {
                                let ab = _mm512_shuffle_f32x4::<0xdd>(a, b);
                                _mm512_shuffle_f32x4::<0x88>(ab, _mm512_shuffle_f32x4::<0xdd>(c, d))
                            }
                            2 => {
                                let ab = _mm512_shuffle_f32x4::<0x88>(a, b);
                                _mm512_shuffle_f32x4::<0xdd>(ab, _mm512_shuffle_f32x4::<0x88>(c, d))
                            }
                            _ => {
                                let ab = _mm512_shuffle_f32x4::<0xdd>(a, b);
                                _mm512_shuffle_f32x4::<0xdd>(ab, _mm512_shuffle_f32x4::<0xdd>(c, d))
                            }
                        },
                    );
                }
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

impl<const BF16: bool> Bytes for Avx512With<BF16> {
    #[inline(always)]
    fn nonzero(self, bytes: &[u8; 32]) -> u32 {
        // SAFETY: `self` proves the features; `bytes` holds 32 bytes.
        unsafe {
            let bytes = _mm256_loadu_si256(bytes.as_ptr().cast());
            _mm256_test_epi8_mask(bytes, bytes)
        }
    }

    #[inline(always)]
    fn u8_to_f32(self, bytes: [u8; 16], to: &mut [f32]) {
        // SAFETY: `self` proves the features; `bytes` holds 16 bytes.
        let floats = unsafe {
            _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128(bytes.as_ptr().cast())))
        };
        self.store(floats, to);
    }
}

impl Pixels for Avx512 {
    type Pixel = f32;
    type Factors = __m512;
    type Indices = __m512i;

    #[inline(always)]
    fn u8_to_pixels(self, bytes: [u8; 16], to: &mut [f32]) {
        self.u8_to_f32(bytes, to);
    }

    #[inline(always)]
    fn indices(self, [lower, _]: [u16; 2], [right, _]: [u16; 2]) -> __m512i {
        // SAFETY: `self` proves the features.
        unsafe {
            let rows = _mm512_maskz_mov_epi32(lower, _mm512_set1_epi32(8));
            _mm512_mask_add_epi32(rows, right, rows, _mm512_set1_epi32(1))
        }
    }

    #[inline(always)]
    fn permute(self, table: &[f32], indices: __m512i) -> __m512 {
        // SAFETY: `self` proves the features.
        unsafe { _mm512_permutexvar_ps(indices, self.load(table)) }
    }
}
