//! # bf16: products of half the precision, twice as many of them
//!
//! **Starting point.** [sparse](super::sparse), whose engine this is. This is the first stage that
//! is not exact: its results differ from f32's by more than the order of sums, and the program
//! takes it only when it is asked for.
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
//! product                     pairs are                 copies in bf16, made right before
//! conv forward                taps side by side         the weights, interleaved; pixels
//! z += a·W                    channels                  a, rounded; W, interleaved
//! da = dz·Wᵀ                  hidden units              dz, rounded; Wᵀ, interleaved
//! conv backward               images                    da, interleaved; pixels of two images
//! g = aᵀ·dz                   images                    a and dz, interleaved
//! ```
//!
//! 1. **All state stays f32**: weights, moments, activations, gradients, sums. Adam moves a weight
//!    by 10⁻³ or less at a time, which bf16 could not tell from nothing.
//! 2. **Pixels are exact.** A pixel is a whole number up to 255, which is 8 bits. The division by
//!    255 is folded into the weights of the convolution.
//! 3. **The numbers of a pair follow each other along the sum**, so every product wants other
//!    pairs. The numbers of some factors lie side by side already; these are only rounded. Of other
//!    factors, two rows are interleaved.
//! 4. **The convolution's taps** pair up in rows of five, with a sixth of weight 0.
//! 5. **The convolution's gradient** takes its pixels from the patches of two images at once: one
//!    shuffle of 32 numbers brings to each lane the pixel under its maximum in either image.
//!
//! **What it costs.** A trait ([`fused::products`](super::fused)) between kernels and instructions,
//! and copies of every factor. The CPU needs AVX-512 BF16. The stage is not exact: OPTIMIZATIONS.md
//! has the accuracy of ten seeds beside the accuracy in f32.
//!
//! **Measured.** OPTIMIZATIONS.md, chapter bf16.
