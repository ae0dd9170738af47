//! # strided: index arithmetic hoisted out of the loops
//!
//! **Starting point.** [naive](super::naive).
//!
//! **Observation.** naive spends its time on offsets, not on products: for each of the 25 taps of
//! a window it multiplies seven indices by strides that never change, and asks twice whether the
//! tap lies in the padding.
//!
//! **Idea.** The strides are invariants of the layer and the padding is an invariant of the window,
//! so compute a row's start once, cut the taps to those inside the image once, and walk over
//! slices:
//!
//! ```text
//! for each image, o, i, j
//!     rows, columns = the taps of window (i, j) that lie inside
//!     for each c, m in rows
//!         y[o,i,j] += Σ over columns of x_row[…] · w_row[…]      two slices, no index
//! ```
//!
//! The order of every sum is that of naive, so the results are the same bits.
//!
//! **What it costs.** A few offsets spelled out by hand where naive has names.
//!
//! **Measured.** OPTIMIZATIONS.md, chapter strided.

use std::ops::Range;

use super::kernels::LayerKernels;
use crate::model::geometry::{Conv2d, Linear, MaxPool2d};
use crate::nn::{self, Gradients};

/// Loops over slices instead of indices.
#[derive(Debug, Clone, Copy, Default)]
pub struct Strided;

/// Where a window of a convolution meets the image: for each (c, m) a run of one row of x and the
/// run of the kernel's row that lies over it.
struct Window {
    kernel_rows: Range<usize>,
    kernel_columns: Range<usize>,
    /// Where kernel row 0 and the first column of `kernel_columns` would lie in a channel of x,
    /// plus `padding` rows so that it is not negative.
    start: usize,
}

impl Window {
    fn new(conv: &Conv2d, i: usize, j: usize) -> Self {
        let kernel_columns = conv.taps_inside(j, conv.input.width);
        if kernel_columns.is_empty() {
            return Self { kernel_rows: 0..0, kernel_columns, start: 0 };
        }
        let kernel_rows = conv.taps_inside(i, conv.input.height);
        let column = j * conv.stride + kernel_columns.start - conv.padding;
        Self { kernel_rows, kernel_columns, start: i * conv.stride * conv.input.width + column }
    }

    /// For each input channel and kernel row: the run in x (C, H, W) and in the kernel (C, K, K).
    fn runs(&self, conv: &Conv2d) -> impl Iterator<Item = (Range<usize>, Range<usize>)> + use<> {
        let Conv2d { input, kernel, padding, .. } = *conv;
        let Self { ref kernel_rows, ref kernel_columns, start } = *self;
        let (rows, first, length) =
            (kernel_rows.clone(), kernel_columns.start, kernel_columns.len());
        (0..input.channels).flat_map(move |c| {
            rows.clone().map(move |m| {
                let x = c * input.plane() + start + m * input.width - padding * input.width;
                let w = (c * kernel + m) * kernel + first;
                (x..x + length, w..w + length)
            })
        })
    }
}

impl LayerKernels for Strided {
    #[inline(never)]
    fn conv2d_forward(
        &mut self,
        conv: &Conv2d,
        x: &[f32],
        weight: &[f32],
        bias: &[f32],
        y: &mut [f32],
    ) {
        let output = conv.output();
        let samples = conv.input.images_in(x.len());
        assert_eq!(y.len(), samples * output.len());
        for (x, y) in x.chunks_exact(conv.input.len()).zip(y.chunks_exact_mut(output.len())) {
            let kernels = weight.chunks_exact(conv.taps()).zip(bias);
            for ((weight, &bias), y) in kernels.zip(y.chunks_exact_mut(output.plane())) {
                for (i, y) in y.chunks_exact_mut(output.width).enumerate() {
                    for (j, y) in y.iter_mut().enumerate() {
                        let mut sum = bias;
                        for (x_run, w_run) in Window::new(conv, i, j).runs(conv) {
                            for (&x, &w) in x[x_run].iter().zip(&weight[w_run]) {
                                sum += x * w;
                            }
                        }
                        *y = sum;
                    }
                }
            }
        }
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
        let output = conv.output();
        let samples = conv.input.images_in(x.len());
        assert_eq!(dy.len(), samples * output.len());
        let Gradients { weight: dw, bias: db, input: mut dx } = gradients.cleared();
        let samples = x.chunks_exact(conv.input.len()).zip(dy.chunks_exact(output.len()));
        for (sample, (x, dy)) in samples.enumerate() {
            let mut dx = dx
                .as_deref_mut()
                .map(|dx| &mut dx[sample * conv.input.len()..][..conv.input.len()]);
            let kernels = weight.chunks_exact(conv.taps()).zip(dw.chunks_exact_mut(conv.taps()));
            let channels = dy.chunks_exact(output.plane()).zip(db.iter_mut());
            for ((weight, dw), (dy, db)) in kernels.zip(channels) {
                for (window, &dy) in dy.iter().enumerate() {
                    *db += dy;
                    let (i, j) = (window / output.width, window % output.width);
                    for (x_run, w_run) in Window::new(conv, i, j).runs(conv) {
                        for (dw, &x) in dw[w_run.clone()].iter_mut().zip(&x[x_run.clone()]) {
                            *dw += dy * x;
                        }
                        if let Some(dx) = &mut dx {
                            for (dx, &w) in dx[x_run].iter_mut().zip(&weight[w_run]) {
                                *dx += dy * w;
                            }
                        }
                    }
                }
            }
        }
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
        let MaxPool2d { input, kernel, stride } = *pool;
        let output = pool.output();
        assert_eq!(x.len() / input.plane() * output.plane(), y.len());
        let rows = y.chunks_exact_mut(output.width).zip(argmax.chunks_exact_mut(output.width));
        // One row of outputs after the other, through all channels of all images.
        for (row, (y, argmax)) in rows.enumerate() {
            let (plane, i) = (row / output.height, row % output.height);
            let x = &x[plane * input.plane() + i * stride * input.width..][..kernel * input.width];
            for (j, (y, argmax)) in y.iter_mut().zip(argmax).enumerate() {
                let (mut best, mut best_at) = (f32::NEG_INFINITY, 0);
                for m in 0..kernel {
                    let taps = &x[m * input.width + j * stride..][..kernel];
                    for (k, &value) in taps.iter().enumerate() {
                        if value > best || value.is_nan() {
                            (best, best_at) = (value, m * kernel + k);
                        }
                    }
                }
                (*y, *argmax) = (best, best_at as u8);
            }
        }
    }

    #[inline(never)]
    fn maxpool2d_backward(&mut self, pool: &MaxPool2d, argmax: &[u8], dy: &[f32], dx: &mut [f32]) {
        let MaxPool2d { input, kernel, stride } = *pool;
        let output = pool.output();
        assert_eq!(dx.len() / input.plane() * output.plane(), dy.len());
        dx.fill(0.0);
        // Where each place of a window lies in x, counted from the window's first element.
        let offsets: Vec<usize> = (0..kernel * kernel)
            .map(|place| place / kernel * input.width + place % kernel)
            .collect();
        let planes = dx.chunks_exact_mut(input.plane());
        let pooled = argmax.chunks_exact(output.plane()).zip(dy.chunks_exact(output.plane()));
        for (dx, (argmax, dy)) in planes.zip(pooled) {
            let rows = argmax.chunks_exact(output.width).zip(dy.chunks_exact(output.width));
            for (i, (argmax, dy)) in rows.enumerate() {
                let dx = &mut dx[i * stride * input.width..];
                for (j, (&place, &dy)) in argmax.iter().zip(dy).enumerate() {
                    dx[j * stride + offsets[usize::from(place)]] += dy;
                }
            }
        }
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
        let Linear { in_features, out_features } = *linear;
        assert_eq!(x.len() / in_features, y.len() / out_features);
        for (x, y) in x.chunks_exact(in_features).zip(y.chunks_exact_mut(out_features)) {
            let rows = weight.chunks_exact(in_features).zip(bias);
            for ((weight, &bias), y) in rows.zip(y) {
                *y = x.iter().zip(weight).fold(bias, |sum, (&x, &w)| sum + x * w);
            }
        }
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
        let Linear { in_features, out_features } = *linear;
        assert_eq!(x.len() / in_features, dy.len() / out_features);
        let Gradients { weight: dw, bias: db, input: mut dx } = gradients.cleared();
        let samples = x.chunks_exact(in_features).zip(dy.chunks_exact(out_features));
        for (sample, (x, dy)) in samples.enumerate() {
            let mut dx = dx.as_deref_mut().map(|dx| &mut dx[sample * in_features..][..in_features]);
            let rows = weight.chunks_exact(in_features).zip(dw.chunks_exact_mut(in_features));
            for ((weight, dw), (&dy, db)) in rows.zip(dy.iter().zip(db.iter_mut())) {
                *db += dy;
                for (dw, &x) in dw.iter_mut().zip(x) {
                    *dw += dy * x;
                }
                if let Some(dx) = &mut dx {
                    for (dx, &w) in dx.iter_mut().zip(weight) {
                        *dx += dy * w;
                    }
                }
            }
        }
    }
}
