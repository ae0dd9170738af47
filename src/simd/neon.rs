//! NEON: 8 floats a vector, 16 vectors in registers. A vector is a pair of vectors of the CPU, which
//! has 32 registers of 4 floats.
//!
//! The kernels need vectors of at least 8 floats, the length of a row of pixels. In pairs, a tile
//! fills the registers with as many sums as it would with vectors of 4 floats, and loads no more
//! values for each multiply-add. Sums run in the order of those of AVX2, and have the same bits.

use std::arch::aarch64::*;
use std::arch::asm;

use super::isa::Isa;
use super::pixels::{Bytes, Pixels};
use super::vector::Simd;

/// Proof that the CPU has NEON.
#[derive(Debug, Clone, Copy)]
pub struct Neon {
    _private: (),
}

/// Numbers whose bit k is set in lane k alone.
const LANE_BITS: [u32; 8] = [1, 2, 4, 8, 16, 32, 64, 128];
/// Bytes whose bit k is set in bytes k and k + 8 alone.
const BYTE_BITS: [u8; 16] = [1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128];

impl Neon {
    /// Proof that the CPU has the instructions, if it has them.
    pub fn detect() -> Option<Self> {
        Isa::Neon.is_available().then_some(Self { _private: () })
    }

    /// Numbers with all bits set in the lanes whose bit in `mask` is set, and 0 in all other lanes.
    #[inline(always)]
    fn lane_mask(self, mask: u16) -> uint32x4x2_t {
        // SAFETY: `self` proves the features; `LANE_BITS` holds 8 numbers.
        unsafe {
            let (mask, bits) = (vdupq_n_u32(u32::from(mask)), LANE_BITS.as_ptr());
            uint32x4x2_t(vtstq_u32(mask, vld1q_u32(bits)), vtstq_u32(mask, vld1q_u32(bits.add(4))))
        }
    }

    /// Vector of the bytes at `places` of `vector`; a byte is 0 if its place is beyond the vector.
    #[inline(always)]
    fn look_up(self, vector: float32x4x2_t, places: &[u8; 32]) -> float32x4x2_t {
        // SAFETY: `self` proves the features; `places` holds 32 bytes.
        unsafe {
            let (low, high) = (vld1q_u8(places.as_ptr()), vld1q_u8(places.as_ptr().add(16)));
            let bytes =
                uint8x16x2_t(vreinterpretq_u8_f32(vector.0), vreinterpretq_u8_f32(vector.1));
            float32x4x2_t(
                vreinterpretq_f32_u8(vqtbl2q_u8(bytes, low)),
                vreinterpretq_f32_u8(vqtbl2q_u8(bytes, high)),
            )
        }
    }

    /// Columns of the square matrix with the rows `r`.
    #[inline(always)]
    fn transpose_four(self, r: [float32x4_t; 4]) -> [float32x4_t; 4] {
        // SAFETY: `self` proves the features.
        unsafe {
            let even = |a, b| vreinterpretq_f64_f32(vtrn1q_f32(a, b));
            let odd = |a, b| vreinterpretq_f64_f32(vtrn2q_f32(a, b));
            let (a, b) = (even(r[0], r[1]), odd(r[0], r[1]));
            let (c, d) = (even(r[2], r[3]), odd(r[2], r[3]));
            [
                vreinterpretq_f32_f64(vtrn1q_f64(a, c)),
                vreinterpretq_f32_f64(vtrn1q_f64(b, d)),
                vreinterpretq_f32_f64(vtrn2q_f64(a, c)),
                vreinterpretq_f32_f64(vtrn2q_f64(b, d)),
            ]
        }
    }
}

// SAFETY of every block below: a value of `Neon` exists only where the CPU has the features that
// the intrinsics need. A block that relies on anything else says so.
#[allow(clippy::needless_range_loop)] // See stages::fused::tile.
impl Simd for Neon {
    const LANES: usize = 8;
    const REGISTERS: usize = 16;
    type Vector = float32x4x2_t;
    /// For each byte of the expanded vector the place of the byte that it gets, and 255 if it gets
    /// none; then the same for the compressed vector.
    type Expansion = ([u8; 32], [u8; 32]);

    #[inline(always)]
    fn vectorize<R>(self, kernel: impl FnOnce() -> R) -> R {
        kernel()
    }

    #[inline(always)]
    fn splat(self, value: f32) -> float32x4x2_t {
        // SAFETY: `self` proves the features.
        unsafe { float32x4x2_t(vdupq_n_f32(value), vdupq_n_f32(value)) }
    }

    #[inline(always)]
    fn load(self, values: &[f32]) -> float32x4x2_t {
        assert!(values.len() >= Self::LANES);
        // SAFETY: `self` proves the features; 8 floats are there.
        unsafe { float32x4x2_t(vld1q_f32(values.as_ptr()), vld1q_f32(values.as_ptr().add(4))) }
    }

    #[inline(always)]
    fn store(self, vector: float32x4x2_t, to: &mut [f32]) {
        assert!(to.len() >= Self::LANES);
        // SAFETY: `self` proves the features; there is room for 8 floats.
        unsafe {
            vst1q_f32(to.as_mut_ptr(), vector.0);
            vst1q_f32(to.as_mut_ptr().add(4), vector.1);
        }
    }

    #[inline(always)]
    fn add(self, a: float32x4x2_t, b: float32x4x2_t) -> float32x4x2_t {
        // SAFETY: `self` proves the features.
        unsafe { float32x4x2_t(vaddq_f32(a.0, b.0), vaddq_f32(a.1, b.1)) }
    }

    #[inline(always)]
    fn sub(self, a: float32x4x2_t, b: float32x4x2_t) -> float32x4x2_t {
        // SAFETY: `self` proves the features.
        unsafe { float32x4x2_t(vsubq_f32(a.0, b.0), vsubq_f32(a.1, b.1)) }
    }

    #[inline(always)]
    fn mul(self, a: float32x4x2_t, b: float32x4x2_t) -> float32x4x2_t {
        // SAFETY: `self` proves the features.
        unsafe { float32x4x2_t(vmulq_f32(a.0, b.0), vmulq_f32(a.1, b.1)) }
    }

    #[inline(always)]
    fn div(self, a: float32x4x2_t, b: float32x4x2_t) -> float32x4x2_t {
        // SAFETY: `self` proves the features.
        unsafe { float32x4x2_t(vdivq_f32(a.0, b.0), vdivq_f32(a.1, b.1)) }
    }

    #[inline(always)]
    fn sqrt(self, a: float32x4x2_t) -> float32x4x2_t {
        // SAFETY: `self` proves the features.
        unsafe { float32x4x2_t(vsqrtq_f32(a.0), vsqrtq_f32(a.1)) }
    }

    #[inline(always)]
    fn mul_add(self, a: float32x4x2_t, b: float32x4x2_t, c: float32x4x2_t) -> float32x4x2_t {
        // SAFETY: `self` proves the features.
        unsafe { float32x4x2_t(vfmaq_f32(c.0, a.0, b.0), vfmaq_f32(c.1, a.1, b.1)) }
    }

    #[inline(always)]
    fn max(self, a: float32x4x2_t, b: float32x4x2_t) -> float32x4x2_t {
        // `vmaxq_f32` would return any argument that is not a number.
        // SAFETY: `self` proves the features.
        unsafe {
            let max = |a, b| vbslq_f32(vcgtq_f32(a, b), a, b);
            float32x4x2_t(max(a.0, b.0), max(a.1, b.1))
        }
    }

    #[inline(always)]
    fn greater(self, a: float32x4x2_t, b: float32x4x2_t) -> u16 {
        // SAFETY: `self` proves the features; `LANE_BITS` holds 8 numbers.
        unsafe {
            let bits = LANE_BITS.as_ptr();
            let low = vandq_u32(vcgtq_f32(a.0, b.0), vld1q_u32(bits));
            let high = vandq_u32(vcgtq_f32(a.1, b.1), vld1q_u32(bits.add(4)));
            vaddvq_u32(vorrq_u32(low, high)) as u16
        }
    }

    #[inline(always)]
    fn select(self, mask: u16, vector: float32x4x2_t) -> float32x4x2_t {
        let mask = self.lane_mask(mask);
        // SAFETY: `self` proves the features.
        unsafe {
            let both =
                |mask, half| vreinterpretq_f32_u32(vandq_u32(mask, vreinterpretq_u32_f32(half)));
            float32x4x2_t(both(mask.0, vector.0), both(mask.1, vector.1))
        }
    }

    #[inline(always)]
    fn flush_small(self, vector: float32x4x2_t, smallest: float32x4x2_t) -> float32x4x2_t {
        // SAFETY: `self` proves the features.
        unsafe {
            let flush = |half, smallest| {
                let small = vcltq_f32(vabsq_f32(half), smallest);
                vreinterpretq_f32_u32(vbicq_u32(vreinterpretq_u32_f32(half), small))
            };
            float32x4x2_t(flush(vector.0, smallest.0), flush(vector.1, smallest.1))
        }
    }

    #[inline(always)]
    fn sum(self, vector: float32x4x2_t) -> f32 {
        // SAFETY: `self` proves the features.
        unsafe {
            let four = vaddq_f32(vector.0, vector.1);
            vaddv_f32(vadd_f32(vget_low_f32(four), vget_high_f32(four)))
        }
    }

    #[inline(always)]
    fn expansion(self, lanes: u16) -> Self::Expansion {
        let (mut expanded, mut compressed, mut next) = ([255; 32], [255; 32], 0);
        for lane in 0..8 {
            if lanes >> lane & 1 == 1 {
                for byte in 0..4 {
                    expanded[4 * lane + byte] = (4 * next + byte) as u8;
                    compressed[4 * next + byte] = (4 * lane + byte) as u8;
                }
                next += 1;
            }
        }
        (expanded, compressed)
    }

    #[inline(always)]
    fn expand(self, vector: float32x4x2_t, (expanded, _): &Self::Expansion) -> float32x4x2_t {
        self.look_up(vector, expanded)
    }

    #[inline(always)]
    fn compress(self, vector: float32x4x2_t, (_, compressed): &Self::Expansion) -> float32x4x2_t {
        self.look_up(vector, compressed)
    }

    #[inline(always)]
    fn transpose(
        self,
        row: impl Fn(usize) -> float32x4x2_t,
        mut column: impl FnMut(usize, float32x4x2_t),
    ) {
        let mut r = [self.splat(0.0); 8];
        for i in 0..8 {
            r[i] = row(i);
        }
        for half in 0..2 {
            // Lanes 4·half.. of four rows.
            let square = |i: usize| {
                let [a, b, c, d] = [r[i], r[i + 1], r[i + 2], r[i + 3]];
                self.transpose_four(if half == 0 {
                    [a.0, b.0, c.0, d.0]
                } else {
                    [a.1, b.1, c.1, d.1]
                })
            };
            let (first, last) = (square(0), square(4));
            for j in 0..4 {
                column(4 * half + j, float32x4x2_t(first[j], last[j]));
            }
        }
    }

    #[inline(always)]
    fn prefetch_l1<T>(self, values: &[T], index: usize) {
        if let Some(value) = values.get(index) {
            // SAFETY: the address is valid, and the instruction changes nothing but caches.
            unsafe {
                asm!(
                    "prfm pldl1keep, [{}]",
                    in(reg) value,
                    options(readonly, nostack, preserves_flags)
                );
            }
        }
    }

    #[inline(always)]
    fn prefetch_l2<T>(self, values: &[T], index: usize) {
        if let Some(value) = values.get(index) {
            // SAFETY: the address is valid, and the instruction changes nothing but caches.
            unsafe {
                asm!(
                    "prfm pldl2keep, [{}]",
                    in(reg) value,
                    options(readonly, nostack, preserves_flags)
                );
            }
        }
    }
}

impl Bytes for Neon {
    #[inline(always)]
    fn nonzero(self, bytes: &[u8; 32]) -> u32 {
        // SAFETY: `self` proves the features; `bytes` holds 32 bytes, and `BYTE_BITS` holds 16.
        unsafe {
            let bits = vld1q_u8(BYTE_BITS.as_ptr());
            let set = |bytes| vandq_u8(vtstq_u8(bytes, bytes), bits);
            let (low, high) = (vld1q_u8(bytes.as_ptr()), vld1q_u8(bytes.as_ptr().add(16)));
            // Three sums of neighbours join the bits of eight bytes.
            let sums = vpaddq_u8(set(low), set(high));
            let sums = vpaddq_u8(sums, sums);
            vgetq_lane_u32::<0>(vreinterpretq_u32_u8(vpaddq_u8(sums, sums)))
        }
    }

    #[inline(always)]
    fn u8_to_f32(self, bytes: [u8; 16], to: &mut [f32]) {
        // SAFETY: `self` proves the features; `bytes` holds 16 bytes.
        let (first, second) = unsafe {
            let floats = |eight| {
                let (low, high) = (vmovl_u16(vget_low_u16(eight)), vmovl_high_u16(eight));
                float32x4x2_t(vcvtq_f32_u32(low), vcvtq_f32_u32(high))
            };
            let bytes = vld1q_u8(bytes.as_ptr());
            (floats(vmovl_u8(vget_low_u8(bytes))), floats(vmovl_high_u8(bytes)))
        };
        self.store(first, to);
        self.store(second, &mut to[8..]);
    }
}

impl Pixels for Neon {
    type Pixel = f32;
    type Factors = float32x4x2_t;
    /// For each byte of the factors its place in four pixels: the first two of each row of the
    /// table.
    type Indices = uint8x16x2_t;

    #[inline(always)]
    fn u8_to_pixels(self, bytes: [u8; 16], to: &mut [f32]) {
        self.u8_to_f32(bytes, to);
    }

    #[inline(always)]
    fn indices(self, [lower, _]: [u16; 2], [right, _]: [u16; 2]) -> uint8x16x2_t {
        let (lower, right) = (self.lane_mask(lower), self.lane_mask(right));
        // SAFETY: `self` proves the features.
        unsafe {
            let places = |lower, right| {
                let row = vandq_u32(lower, vdupq_n_u32(0x0808_0808));
                let column = vandq_u32(right, vdupq_n_u32(0x0404_0404));
                let places = vorrq_u32(vorrq_u32(row, column), vdupq_n_u32(0x0302_0100));
                vreinterpretq_u8_u32(places)
            };
            uint8x16x2_t(places(lower.0, right.0), places(lower.1, right.1))
        }
    }

    #[inline(always)]
    fn permute(self, table: &[f32], indices: uint8x16x2_t) -> float32x4x2_t {
        assert!(table.len() >= 16);
        // SAFETY: `self` proves the features; 16 floats are there.
        unsafe {
            let (upper, lower) = (vld1_f32(table.as_ptr()), vld1_f32(table.as_ptr().add(8)));
            let pixels = vreinterpretq_u8_f32(vcombine_f32(upper, lower));
            float32x4x2_t(
                vreinterpretq_f32_u8(vqtbl1q_u8(pixels, indices.0)),
                vreinterpretq_f32_u8(vqtbl1q_u8(pixels, indices.1)),
            )
        }
    }
}
