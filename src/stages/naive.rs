//! # naive: the loops of the definition
//!
//! **Starting point.** None: this is the baseline that everything else is measured against and
//! checked against. It is the arithmetic of [`crate::nn`], which is compared with PyTorch.
//!
//! **Observation.** None yet.
//!
//! **Idea.** Write down the definition, one image at a time:
//!
//! ```text
//! for each image, output channel o, row i, column j
//!     y[o,i,j] = b[o]
//!     for each input channel c, kernel row m, kernel column k
//!         y[o,i,j] += x[c, i+m, j+k] · w[o,c,m,k]
//! ```
//!
//! Each `x[…]` and `w[…]` is an access through a tensor type that knows its strides and computes
//! Σ index·stride, every time.
//!
//! **What it costs.** Nothing to read, and most of the machine.
//!
//! **Measured.** OPTIMIZATIONS.md, chapter naive.

use crate::nn;
use crate::nn::geometry::{Conv2d, Linear, MaxPool2d};
use crate::nn::gradients::Gradients;
use crate::nn::primitives::LayerKernels;

/// The reference arithmetic of [`crate::nn`].
#[derive(Debug, Clone, Copy, Default)]
pub struct Naive;

impl LayerKernels for Naive {
    #[inline(never)]
    fn conv2d_forward(
        &mut self,
        conv: &Conv2d,
        x: &[f32],
        weight: &[f32],
        bias: &[f32],
        y: &mut [f32],
    ) {
        nn::conv2d::forward(conv, x, weight, bias, y);
    }

    #[inline(never)]
    fn conv2d_backward(
        &mut self,
        conv: &Conv2d,
        x: &[f32],
        weight: &[f32],
        dy: &[f32],
        gradients: Gradients<'_>,
    ) {
        nn::conv2d::backward(conv, x, weight, dy, gradients);
    }

    #[inline(never)]
    fn relu_forward(&mut self, x: &[f32], y: &mut [f32]) {
        nn::relu::forward(x, y);
    }

    #[inline(never)]
    fn relu_backward(&mut self, y: &[f32], dy: &[f32], dx: &mut [f32]) {
        nn::relu::backward(y, dy, dx);
    }

    #[inline(never)]
    fn maxpool2d_forward(&mut self, pool: &MaxPool2d, x: &[f32], y: &mut [f32], argmax: &mut [u8]) {
        nn::maxpool2d::forward(pool, x, y, argmax);
    }

    #[inline(never)]
    fn maxpool2d_backward(&mut self, pool: &MaxPool2d, argmax: &[u8], dy: &[f32], dx: &mut [f32]) {
        nn::maxpool2d::backward(pool, argmax, dy, dx);
    }

    #[inline(never)]
    fn linear_forward(
        &mut self,
        linear: &Linear,
        x: &[f32],
        weight: &[f32],
        bias: &[f32],
        y: &mut [f32],
    ) {
        nn::linear::forward(linear, x, weight, bias, y);
    }

    #[inline(never)]
    fn linear_backward(
        &mut self,
        linear: &Linear,
        x: &[f32],
        weight: &[f32],
        dy: &[f32],
        gradients: Gradients<'_>,
    ) {
        nn::linear::backward(linear, x, weight, dy, gradients);
    }
}
