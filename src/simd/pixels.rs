//! Operations that only kernels over small images of bytes need.

use super::vector::Simd;

/// Operations on 32 bytes at once.
pub trait Bytes: Simd {
    /// Mask with one bit for each byte, set if the byte is not 0; byte 0 has the lowest bit.
    fn nonzero(self, bytes: &[u8; 32]) -> u32;
    /// Writes `bytes` as floats to the first 16 of `to`.
    fn u8_to_f32(self, bytes: [u8; 16], to: &mut [f32]);
}

/// Pixels as factors of products. A factor is one number in f32, or a pair of numbers in bf16.
pub trait Pixels: Bytes {
    /// Pixel in memory: a number from 0 to 255, in f32 or bf16.
    type Pixel: Copy + Default + Send + Sync;
    /// Vector of factors, one for each lane of [`Simd::Vector`].
    type Factors: Copy;
    /// Indices with which [`permute`](Pixels::permute) reads its table: one for each number.
    type Indices: Copy;

    /// Writes `bytes` as numbers to the first 16 pixels of `to`, exactly.
    fn u8_to_pixels(self, bytes: [u8; 16], to: &mut [Self::Pixel]);
    /// Indices into a table of rows of eight pixels. The masks `lower[k]` and `right[k]` choose,
    /// lane by lane, the pixel for the k-th number of a factor. In f32, k is 0, and the index is
    /// 8·lower + right. In bf16, rows of the first and of the second number alternate, and the
    /// index is 16·lower + 8·k + right.
    fn indices(self, lower: [u16; 2], right: [u16; 2]) -> Self::Indices;
    /// Factors of the pixels that `indices` choose for each lane. The table is the first 16 pixels
    /// of `table` in f32, and the first 32 in bf16.
    fn permute(self, table: &[Self::Pixel], indices: Self::Indices) -> Self::Factors;
}
