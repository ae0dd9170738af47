//! Convolution, relu and max pooling of one cell, forward and backward.
//!
//! # Forward
//! A cell is a 2×2 window of the convolution's output. Adding the bias and relu both keep the order
//! of numbers, so max pooling can go first:
//!
//! ```text
//! for each image of the list                    lanes are channels
//!     four sums = 0                             one for each pixel of the window
//!     for each tap (i, j)
//!         sum[p, q] += weight[tap] · patch[i + p][j + q]          p, q in {0, 1}
//!     a = relu(max(sums) + bias)
//!     remember which sum was the largest, and whether a > 0
//! ```
//!
//! The (C, 28, 28) map of the layer never exists: the sums live in registers, a few images at a time,
//! and what is written is the C values of the cell and three bits a channel.
//!
//! # Backward
//! Through max pooling and relu only the largest pixel of the window has a gradient, and only where
//! a > 0; so every tap has one multiply-add for each channel instead of four:
//!
//! ```text
//! for each image of the list
//!     d = da where a > 0, else 0
//!     for each tap (i, j)
//!         dweight[tap] += d · patch[i + p][j + q]     (p, q) of the largest, lane by lane
//!     dbias += d
//! ```
//!
//! Lanes want pixels from up to four places. Two rows of the patch stand in one vector of 16, and
//! one shuffle brings each lane its own.

#![allow(clippy::needless_range_loop)] // See tile.rs.

use super::Tensors;
use super::floats::{self, Floats};
use super::images::PATCH_ROW;
use super::network::Network;
use super::tile;
use crate::simd::Simd;

/// What backward needs to know of one vector of channels of one image: a bit a channel.
#[derive(Debug, Clone, Copy, Default)]
pub struct Marks {
    /// The largest sum is in the lower row of the window.
    down: u16,
    /// It is in the right column.
    right: u16,
    /// a > 0.
    alive: u16,
}

/// The convolution's parameters in the layout of the kernels, or a gradient of them, or a moment.
#[derive(Debug)]
pub struct ConvWeights {
    /// (K², C).
    pub weight: Floats,
    /// (C).
    pub bias: Floats,
}

impl ConvWeights {
    /// All zero.
    pub fn new(network: &Network) -> Self {
        Self {
            weight: floats::zeros(network.taps() * network.channels),
            bias: floats::zeros(network.channels),
        }
    }
}

impl Tensors<2> for ConvWeights {
    fn tensors(&self) -> [&[f32]; 2] {
        [&self.weight, &self.bias]
    }

    fn tensors_mut(&mut self) -> [&mut [f32]; 2] {
        [&mut self.weight, &mut self.bias]
    }
}

/// What all cells have in common in a step.
#[derive(Debug)]
pub struct ConvPlan {
    kernel: usize,
    /// (K²): where in a patch each tap begins.
    offsets: Vec<usize>,
    /// (C): subtracted from every activation before it is stored.
    pub blank: Floats,
}

impl ConvPlan {
    /// Nothing is subtracted yet.
    pub fn new(network: &Network) -> Self {
        let offset = |tap| tap / network.kernel * PATCH_ROW + tap % network.kernel;
        Self {
            kernel: network.kernel,
            offsets: (0..network.taps()).map(offset).collect(),
            blank: floats::zeros(network.channels),
        }
    }

    /// Floats of a patch.
    pub fn patch_len(&self) -> usize {
        (self.kernel + 1) * PATCH_ROW
    }
}

/// Activations of one cell.
///
/// # Shapes
/// `patches` (R, `patch_len`); `activations` (R, C); `marks` (R, C / lanes).
#[inline(always)]
pub fn forward<S: Simd>(
    simd: S,
    plan: &ConvPlan,
    weights: &ConvWeights,
    patches: &[f32],
    activations: &mut [f32],
    marks: &mut [Marks],
) {
    let patch_len = plan.patch_len();
    let channels = weights.bias.len();
    let tile_rows = if S::REGISTERS == 32 { 3 } else { 1 };
    let width = 2 * S::LANES;
    let vectors = channels / S::LANES;
    assert_eq!(marks.len() / vectors, activations.len() / channels);
    let tiles = patches
        .chunks(tile_rows * patch_len)
        .zip(activations.chunks_mut(tile_rows * channels))
        .zip(marks.chunks_mut(tile_rows * vectors));
    for ((patches, activations), marks) in tiles {
        let mut first = 0;
        while first < channels {
            let whole = first + width <= channels;
            let mut out = TileOut { first, channels, activations, marks };
            match (patches.len() / patch_len, whole) {
                (3, true) => forward_tile::<S, 3, 2>(simd, plan, weights, patches, &mut out),
                (2, true) => forward_tile::<S, 2, 2>(simd, plan, weights, patches, &mut out),
                (_, true) => forward_tile::<S, 1, 2>(simd, plan, weights, patches, &mut out),
                (3, _) => forward_tile::<S, 3, 1>(simd, plan, weights, patches, &mut out),
                (2, _) => forward_tile::<S, 2, 1>(simd, plan, weights, patches, &mut out),
                (_, _) => forward_tile::<S, 1, 1>(simd, plan, weights, patches, &mut out),
            }
            first += width;
        }
    }
}

/// Where the results of a tile go.
struct TileOut<'a> {
    /// First channel.
    first: usize,
    /// C.
    channels: usize,
    activations: &'a mut [f32],
    marks: &'a mut [Marks],
}

/// R images, U vectors of channels, four sums each.
#[inline(always)]
fn forward_tile<S: Simd, const R: usize, const U: usize>(
    simd: S,
    plan: &ConvPlan,
    weights: &ConvWeights,
    patches: &[f32],
    out: &mut TileOut<'_>,
) {
    let TileOut { first, channels, .. } = *out;
    let patch_len = plan.patch_len();
    let mut rows = [patches; R];
    for r in 0..R {
        rows[r] = &patches[r * patch_len..][..patch_len];
    }
    let mut sums = [[[simd.splat(0.0); U]; 4]; R];
    for (&offset, weight) in plan.offsets.iter().zip(weights.weight[first..].chunks(channels)) {
        let weight: [S::Vector; U] = tile::vectors(simd, weight);
        for r in 0..R {
            let patch: &[f32; PATCH_ROW + 2] = rows[r][offset..].first_chunk().expect("a tap");
            for (sums, pixel) in sums[r].iter_mut().zip([0, 1, PATCH_ROW, PATCH_ROW + 1]) {
                let pixel = simd.splat(patch[pixel]);
                for u in 0..U {
                    sums[u] = simd.mul_add(pixel, weight[u], sums[u]);
                }
            }
        }
    }
    let zero = simd.splat(0.0);
    let vectors = channels / S::LANES;
    for (r, sums) in sums.into_iter().enumerate() {
        for u in 0..U {
            let channel = first + u * S::LANES;
            let (a, b, c, d) = (sums[0][u], sums[1][u], sums[2][u], sums[3][u]);
            let (upper, lower) = (simd.max(a, b), simd.max(c, d));
            let down = simd.greater(lower, upper);
            let right = simd.greater(d, c) & down | simd.greater(b, a) & !down;
            let sum = simd.add(simd.max(upper, lower), simd.load(&weights.bias[channel..]));
            let alive = simd.greater(sum, zero);
            // In this order of the arguments a sum that is not a number stays so.
            let activation = simd.sub(simd.max(zero, sum), simd.load(&plan.blank[channel..]));
            simd.store(activation, &mut out.activations[r * channels + channel..]);
            out.marks[r * vectors + channel / S::LANES] = Marks { down, right, alive };
        }
    }
}

/// Adds one cell's share to `gradient`.
///
/// `da` is the gradient of the activations as they are stored, less `blank`, which is relu(bias);
/// where that is not 0 it takes a part of the bias's gradient with it.
///
/// # Shapes
/// `patches` (R, `patch_len`), readable for a further 16 floats; `da` (R, C); `marks`
/// (R, C / lanes).
#[inline(always)]
pub fn backward<S: Simd>(
    simd: S,
    plan: &ConvPlan,
    patches: &[f32],
    da: &[f32],
    marks: &[Marks],
    gradient: &mut ConvWeights,
) {
    match plan.kernel {
        3 => backward_taps::<S, 3, 9>(simd, plan, patches, da, marks, gradient),
        5 => backward_taps::<S, 5, 25>(simd, plan, patches, da, marks, gradient),
        kernel => unreachable!("no network of the pattern has a {kernel}×{kernel} kernel"),
    }
}

/// [`backward`] for a K×K kernel, TAPS being K².
#[inline(always)]
fn backward_taps<S: Simd, const K: usize, const TAPS: usize>(
    simd: S,
    plan: &ConvPlan,
    patches: &[f32],
    da: &[f32],
    marks: &[Marks],
    gradient: &mut ConvWeights,
) {
    let ConvWeights { weight: dweight, bias: dbias } = gradient;
    let channels = dbias.len();
    let vectors = channels / S::LANES;
    for vector in 0..vectors {
        let channel = vector * S::LANES;
        let mut sums = [simd.splat(0.0); TAPS];
        let mut bias_sum = simd.splat(0.0);
        let blank_alive = simd.greater(simd.load(&plan.blank[channel..]), bias_sum);
        for ((da, marks), start) in da
            .chunks_exact(channels)
            .zip(marks.chunks_exact(vectors))
            .zip((0..).step_by(plan.patch_len()))
        {
            let Marks { down, right, alive } = marks[vector];
            let da = simd.load(&da[channel..]);
            let d = simd.keep(alive, da);
            let places = simd.places(down, right);
            let patch = &patches[start..][..K * PATCH_ROW + 16];
            for i in 0..K {
                for j in 0..K {
                    let pixels = simd.look_up(&patch[i * PATCH_ROW + j..], places);
                    sums[i * K + j] = simd.mul_add(d, pixels, sums[i * K + j]);
                }
            }
            bias_sum = simd.add(bias_sum, simd.sub(d, simd.keep(blank_alive, da)));
        }
        for (sum, dweight) in sums.into_iter().zip(dweight[channel..].chunks_mut(channels)) {
            simd.store(simd.add(simd.load(dweight), sum), dweight);
        }
        let dbias = &mut dbias[channel..];
        simd.store(simd.add(simd.load(dbias), bias_sum), dbias);
    }
}
