//! # bf16: products of half the precision, twice as many of them
//!
//! **Starting point.** [sparse](super::sparse), whose engine this is. The first stage that is not
//! exact: its results differ from f32's by more than rounding in another order, and the program
//! takes it only when it is asked for.
//!
//! **Observation.** What is left after sparse is multiply-adds, and they run at a good part of the
//! peak. The CPU has an instruction that does twice as many of them, if the factors have 8 bits of
//! significand instead of 24: a bf16 is the upper half of an f32, with its range and a 256th of its
//! resolution.
//!
//! **Idea.** Round the factors of the large products, and nothing else:
//!
//! ```text
//! vdpbf16ps    sum[l] += a[2l]·b[2l] + a[2l + 1]·b[2l + 1]         l < 16, sums in f32
//!
//! product                     pairs are                 copies in bf16, made right before
//! conv forward                taps side by side         the weights; pixels
//! z += a·W                    channels                  a by columns, W by rows
//! da = dz·Wᵀ                  hidden units              dz by columns, Wᵀ by rows
//! conv backward               images                    da, two images a lookup; pixels
//! g = aᵀ·dz                   images                    a and dz by rows
//! ```
//!
//! 1. **Everything that is kept stays f32**: weights, moments, activations, gradients, sums. Adam
//!    moves a weight by 10⁻³ or less at a time, which bf16 could not tell from nothing.
//! 2. **Pixels are exact.** A pixel is a whole number up to 255, which is 8 bits. What it is
//!    divided by goes to the weights of the convolution.
//! 3. **Pairs follow each other along the sum**, so every product wants other pairs. *By columns*
//!    means numbers that lie side by side already: rounding is all there is to do. *By rows* means
//!    that two rows are shuffled into each other.
//! 4. **The convolution's taps** pair up in rows of five, with a sixth of weight 0.
//! 5. **The convolution's gradient** takes its pixels from a table of two images at once: one
//!    shuffle of 32 numbers brings each lane the pixel under its maximum in either image.
//!
//! **What it costs.** A trait ([`fused::products`](super::fused)) between kernels and instructions,
//! and copies of every factor. The CPU needs AVX-512 BF16. And exactness: see the accuracy of ten
//! seeds beside those of f32 in OPTIMIZATIONS.md.
//!
//! **Measured.** OPTIMIZATIONS.md, chapter bf16.

use super::fused;
use crate::engine::Engine;
use crate::engine::compute::{Compute, Precision};
use crate::error::Result;
use crate::model::architecture::Architecture;
use crate::optim::adam::Adam;

/// The fused engine, leaving zeros out and multiplying bf16.
///
/// # Errors
/// When the operating system refuses to start the threads.
///
/// # Panics
/// When the stage [lacks something](super::Stage::unmet).
pub fn build(architecture: &Architecture, adam: Adam, compute: Compute) -> Result<Box<dyn Engine>> {
    fused::build(architecture, adam, compute, Precision::Bf16, true)
}
