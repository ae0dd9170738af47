//! # bf16: products of half the precision, twice as many of them
//!
//! **Starting point.** [sparse](super::sparse); the engine is the same. This is the first stage
//! that is not exact: its results differ from results in f32 by more than the rounding of sums in
//! another order, and the program takes it only when the user asks for it.
//!
//! **Observation.** After sparse, most of the time goes to multiply-adds that have to be done. The
//! CPU has an instruction that does twice as many of them, if the factors have 8 bits of
//! significand instead of 24: a bf16 is the upper half of an f32, with the same range.
//!
//! **Idea.** Round the factors of the large products, and nothing else:
//!
//! ```text
//! vdpbf16ps    sum[l] += a[2l]·b[2l] + a[2l + 1]·b[2l + 1]         l < 16, sums in f32
//!
//! product                     pairs are                 copies in bf16
//! conv forward                taps side by side         the weights, interleaved; pixels
//! z += a·W                    channels                  a, rounded; W, interleaved
//! da = dz·Wᵀ                  hidden units              dz, rounded; Wᵀ, interleaved
//! conv backward               images                    da, interleaved; pixels of two images
//! g = aᵀ·dz                   images                    a and dz, interleaved
//! ```
//!
//! 1. **All state stays f32**: weights, moments, activations, gradients, sums. Adam moves a weight
//!    by about 10⁻³ or less at a time, and a weight in bf16 would lose many of these small changes
//!    to rounding.
//! 2. **Pixels are exact.** A pixel is a whole number up to 255, which has 8 bits. The division by
//!    255 is folded into the weights of the convolution.
//! 3. **The numbers of a pair belong to neighbouring terms of the sum**, so every product needs
//!    pairs of its own. If the numbers lie side by side in memory, they are only rounded. If they
//!    lie in two rows of a matrix, the rows are interleaved. A copy is made right
//!    before its product.
//! 4. **The convolution's taps** are paired within a row of the kernel. A row has three or five
//!    taps, so one more tap with a weight of 0 completes the last pair.
//! 5. **The convolution's gradient** takes its pixels from the patches of two images at once: one
//!    permutation of 32 numbers brings to each lane two pixels, the pixel under the lane's maximum
//!    in each image.
//!
//! **What it costs.** A trait ([`fused::products`](super::fused)) connects kernels and
//! instructions, and every factor is copied. The CPU needs AVX-512 BF16. The stage is not exact:
//! OPTIMIZATIONS.md has the accuracy of ten seeds beside the accuracy in f32.
//!
//! **Measured.** OPTIMIZATIONS.md, chapter bf16.
