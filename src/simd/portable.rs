//! Vectors as plain arrays. The compiler turns them into the vectors that every CPU of the target
//! has (SSE2, NEON).

use super::pixels::{Bytes, Pixels};
use super::vector::Simd;

/// Plain arrays of 8 floats, which need no CPU feature.
#[derive(Debug, Clone, Copy)]
pub struct Portable;

type Vector = [f32; 8];

#[inline(always)]
fn lanes(value: impl Fn(usize) -> f32) -> Vector {
    std::array::from_fn(value)
}

impl Simd for Portable {
    const LANES: usize = 8;
    const REGISTERS: usize = 16;
    type Vector = Vector;
    type Expansion = u16;

    #[inline(always)]
    fn vectorize<R>(self, kernel: impl FnOnce() -> R) -> R {
        kernel()
    }

    #[inline(always)]
    fn splat(self, value: f32) -> Vector {
        [value; 8]
    }

    #[inline(always)]
    fn load(self, values: &[f32]) -> Vector {
        values[..8].try_into().expect("eight")
    }

    #[inline(always)]
    fn store(self, vector: Vector, to: &mut [f32]) {
        to[..8].copy_from_slice(&vector);
    }

    #[inline(always)]
    fn add(self, a: Vector, b: Vector) -> Vector {
        lanes(|i| a[i] + b[i])
    }

    #[inline(always)]
    fn sub(self, a: Vector, b: Vector) -> Vector {
        lanes(|i| a[i] - b[i])
    }

    #[inline(always)]
    fn mul(self, a: Vector, b: Vector) -> Vector {
        lanes(|i| a[i] * b[i])
    }

    #[inline(always)]
    fn div(self, a: Vector, b: Vector) -> Vector {
        lanes(|i| a[i] / b[i])
    }

    #[inline(always)]
    fn sqrt(self, a: Vector) -> Vector {
        lanes(|i| a[i].sqrt())
    }

    #[inline(always)]
    fn mul_add(self, a: Vector, b: Vector, c: Vector) -> Vector {
        // `f32::mul_add` is a call into a library where the target has no such instruction.
        if cfg!(any(target_feature = "fma", target_arch = "aarch64")) {
            lanes(|i| a[i].mul_add(b[i], c[i]))
        } else {
            lanes(|i| a[i] * b[i] + c[i])
        }
    }

    #[inline(always)]
    fn max(self, a: Vector, b: Vector) -> Vector {
        lanes(|i| if a[i] > b[i] { a[i] } else { b[i] })
    }

    #[inline(always)]
    fn greater(self, a: Vector, b: Vector) -> u16 {
        (0..8).map(|i| u16::from(a[i] > b[i]) << i).sum()
    }

    #[inline(always)]
    fn select(self, mask: u16, vector: Vector) -> Vector {
        lanes(|i| if mask >> i & 1 == 1 { vector[i] } else { 0.0 })
    }

    #[inline(always)]
    fn flush_small(self, vector: Vector, smallest: Vector) -> Vector {
        lanes(|i| if vector[i].abs() < smallest[i] { 0.0 } else { vector[i] })
    }

    #[inline(always)]
    fn sum(self, vector: Vector) -> f32 {
        vector.iter().sum()
    }

    #[inline(always)]
    fn expansion(self, lanes: u16) -> u16 {
        lanes
    }

    #[inline(always)]
    fn expand(self, vector: Vector, expansion: &u16) -> Vector {
        let mut values = vector.into_iter();
        let mut next = |i: usize| (expansion >> i & 1 == 1).then(|| values.next());
        std::array::from_fn(|i| next(i).flatten().unwrap_or(0.0))
    }

    #[inline(always)]
    fn compress(self, vector: Vector, expansion: &u16) -> Vector {
        let mut set = (0..Self::LANES).filter(|i| expansion >> i & 1 == 1);
        std::array::from_fn(|_| set.next().map_or(0.0, |i| vector[i]))
    }

    #[inline(always)]
    fn transpose(self, row: impl Fn(usize) -> Vector, mut column: impl FnMut(usize, Vector)) {
        let rows: [Vector; 8] = std::array::from_fn(row);
        (0..8).for_each(|j| column(j, lanes(|i| rows[i][j])));
    }

    #[inline(always)]
    fn prefetch_l1<T>(self, _: &[T], _: usize) {}

    #[inline(always)]
    fn prefetch_l2<T>(self, _: &[T], _: usize) {}
}

impl Bytes for Portable {
    #[inline(always)]
    fn nonzero(self, bytes: &[u8; 32]) -> u32 {
        bytes.iter().enumerate().map(|(i, &byte)| u32::from(byte != 0) << i).sum()
    }

    #[inline(always)]
    fn u8_to_f32(self, bytes: [u8; 16], to: &mut [f32]) {
        let to = &mut to[..16];
        to.iter_mut().zip(bytes).for_each(|(to, byte)| *to = f32::from(byte));
    }
}

impl Pixels for Portable {
    type Pixel = f32;
    type Factors = Vector;
    type Indices = [u8; 8];

    #[inline(always)]
    fn u8_to_pixels(self, bytes: [u8; 16], to: &mut [f32]) {
        self.u8_to_f32(bytes, to);
    }

    #[inline(always)]
    fn indices(self, [lower, _]: [u16; 2], [right, _]: [u16; 2]) -> [u8; 8] {
        std::array::from_fn(|i| (lower >> i & 1) as u8 * 8 + (right >> i & 1) as u8)
    }

    #[inline(always)]
    fn permute(self, table: &[f32], indices: [u8; 8]) -> Vector {
        let table: &[f32; 16] = table[..16].try_into().expect("sixteen");
        lanes(|i| table[usize::from(indices[i] & 15)])
    }
}
