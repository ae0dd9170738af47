//! Convolution, relu and max pooling of one cell, forward and backward.
//!
//! # Forward
//! A cell is a 2×2 window of the convolution's output. Adding the bias keeps the order of numbers,
//! and so does relu; therefore max pooling can go first:
//!
//! ```text
//! for each image of the list                    lanes are channels
//!     four sums = 0                             one for each pixel of the window
//!     for each tap (i, j)
//!         sum[p, q] += weight[tap] · patch[i + p][j + q]          p, q in {0, 1}
//!     a = relu(max(sums) + bias)
//!     masks = which sum was the largest, and whether a > 0
//! ```
//!
//! The (C, 28, 28) map of the layer never exists: the sums of a few images at a time stay in
//! registers. The kernel writes C activations of the cell and three bits for each channel.
//!
//! # Backward
//! Max pooling and relu pass the gradient only to the largest pixel of the window, and only where
//! a > 0. So every tap takes one multiply-add for each channel, instead of one for each of the four
//! pixels:
//!
//! ```text
//! for each image of the list
//!     d = da where a > 0, else 0
//!     for each tap (i, j)
//!         dweight[tap] += d · patch[i + p][j + q]     (p, q) of the largest, lane by lane
//!     dbias += d
//! ```
//!
//! Lanes need pixels from up to four positions. Two rows of the patch fit into one vector of 16
//! floats, and one permutation brings to each lane its pixel.

#![allow(clippy::needless_range_loop)] // See tile.rs.

use super::images::PATCH_ROW;
use super::masks::Masks;
use super::network::Network;
use super::products::Products;
use super::skip::Skip;
use super::tile;
use super::trained::Tensors;
use crate::stages::floats::{self, Floats};

/// Parameters of the convolution in the layout of the kernels, or their gradient, or a moment.
#[derive(Debug)]
pub struct ConvWeights {
    /// Weights of the convolution, (K², C).
    pub weight: Floats,
    /// Biases of the convolution, (C).
    pub bias: Floats,
}

impl ConvWeights {
    /// Weights and biases that are all 0.
    pub fn new(network: &Network) -> Self {
        Self {
            weight: floats::zeros(network.taps() * network.channels),
            bias: floats::zeros(network.channels),
        }
    }

    /// Turns the gradient of the weights for pixels in 0..=255 into the gradient for pixels in
    /// 0..=1.
    pub fn scale_gradient(&mut self) {
        self.weight.iter_mut().for_each(|gradient| *gradient *= PIXEL);
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

/// Value of a pixel whose byte is 1. Pixels are multiplied as the numbers 0..=255 of the file,
/// which f32 and bf16 both hold exactly, and the weights are multiplied by this factor instead.
const PIXEL: f32 = 1.0 / 255.0;

/// Data of the convolution that all cells share in a step.
#[derive(Debug)]
pub struct ConvPlan {
    /// Side of the kernel, K.
    pub kernel: usize,
    /// Number of numbers in a factor: 1 in f32, 2 in bf16.
    depth: usize,
    /// Index in a patch at which the pixels of each factor of taps begin.
    offsets: Vec<usize>,
    /// Weights for pixels in 0..=255, (taps, C). Every row of taps is padded to whole factors.
    pub weight: Floats,
    /// Biases of the convolution, (C).
    pub bias: Floats,
    /// Activation of a cell without ink, (C); 0 if blank cells are not skipped. The dense kernels
    /// subtract it from every activation that they store.
    pub blank: Floats,
    /// Number of floats in a vector.
    lanes: usize,
    /// Weights for pixels in 0..=255 between two rows of zeros, (C / lanes, K + 2, K, lanes): the
    /// order in which the kernel of live activations reads them.
    pub live_weight: Floats,
}

impl ConvPlan {
    /// Plan with parameters of 0.
    pub fn new<S: Products>(network: &Network) -> Self {
        let Network { kernel, channels, .. } = *network;
        let offsets = |row| (0..kernel).step_by(S::DEPTH).map(move |tap| (row, tap));
        let place = |(row, tap)| row * S::DEPTH * PATCH_ROW + tap;
        let taps = kernel * kernel.next_multiple_of(S::DEPTH);
        Self {
            kernel,
            depth: S::DEPTH,
            offsets: (0..kernel).flat_map(offsets).map(place).collect(),
            weight: floats::zeros(taps * channels),
            bias: floats::zeros(channels),
            blank: floats::zeros(channels),
            lanes: S::LANES,
            live_weight: floats::zeros((kernel + 2) * kernel * channels),
        }
    }

    /// Sets the weights of the step, which leaves out the products of `skip`.
    pub fn set_weights(&mut self, weights: &ConvWeights, skip: Skip) {
        let row = self.kernel * self.bias.len();
        let padded_row = self.weight.len() / self.kernel;
        let rows = self.weight.chunks_exact_mut(padded_row).zip(weights.weight.chunks_exact(row));
        for (scaled, weights) in rows {
            scaled.iter_mut().zip(weights).for_each(|(scaled, weight)| *scaled = weight * PIXEL);
        }
        self.bias.copy_from_slice(&weights.bias);
        if skip != Skip::Nothing {
            for (blank, &bias) in self.blank.iter_mut().zip(weights.bias.iter()) {
                // A bias that is not a number must not become 0.
                *blank = if bias <= 0.0 { 0.0 } else { bias };
            }
        }
        if skip == Skip::Zeros {
            assert_eq!(self.depth, 1, "the kernels of live activations compute in f32");
            let (channels, taps) = (self.bias.len(), self.kernel * self.kernel);
            let vector = (self.kernel + 2) * self.kernel * self.lanes;
            for (v, to) in self.live_weight.chunks_exact_mut(vector).enumerate() {
                let to = to[self.kernel * self.lanes..].chunks_exact_mut(self.lanes);
                for (from, to) in self.weight.chunks_exact(channels).zip(to).take(taps) {
                    to.copy_from_slice(&from[v * self.lanes..][..self.lanes]);
                }
            }
        }
    }

    /// Number of rows of `weight`: the taps and, in bf16, the padding of each row of taps.
    pub fn taps(&self) -> usize {
        self.offsets.len() * self.depth
    }

    /// Number of pixels in a patch: the pixels of one image in f32, of two images in bf16.
    pub fn patch_len(&self) -> usize {
        (self.kernel + 1) * self.depth * PATCH_ROW
    }
}

/// Computes the activations of one cell, and their masks.
///
/// # Shapes
/// `weight` (factors of taps, C); `patches` (R / depth, `patch_len`); `activations` (R, C); `masks`
/// (R, C / lanes).
#[inline(always)]
pub fn forward<S: Products>(
    simd: S,
    plan: &ConvPlan,
    weight: &[S::Factor],
    patches: &[S::Pixel],
    activations: &mut [f32],
    masks: &mut [Masks],
) {
    let channels = plan.bias.len();
    let tile_rows = match (S::REGISTERS, S::DEPTH) {
        (32, 1) => 3,
        (_, depth) => depth,
    };
    let width = 2 * S::LANES;
    let vectors = channels / S::LANES;
    assert_eq!(masks.len() / vectors, activations.len() / channels);
    let tiles = patches
        .chunks(tile_rows / S::DEPTH * plan.patch_len())
        .zip(activations.chunks_mut(tile_rows * channels))
        .zip(masks.chunks_mut(tile_rows * vectors));
    for ((patches, activations), masks) in tiles {
        let mut first = 0;
        while first < channels {
            let whole = first + width <= channels;
            let rows = activations.len() / channels;
            let mut out = TileOut { first, channels, activations, masks };
            match (rows, whole) {
                (3, true) => forward_tile::<S, 3, 2>(simd, plan, weight, patches, &mut out),
                (2, true) => forward_tile::<S, 2, 2>(simd, plan, weight, patches, &mut out),
                (_, true) => forward_tile::<S, 1, 2>(simd, plan, weight, patches, &mut out),
                (3, _) => forward_tile::<S, 3, 1>(simd, plan, weight, patches, &mut out),
                (2, _) => forward_tile::<S, 2, 1>(simd, plan, weight, patches, &mut out),
                (_, _) => forward_tile::<S, 1, 1>(simd, plan, weight, patches, &mut out),
            }
            first += width;
        }
    }
}

/// Destination of the results of a tile.
struct TileOut<'a> {
    /// First channel of the tile.
    first: usize,
    /// Number of channels, C.
    channels: usize,
    /// Activations of the images of the tile, (R, C).
    activations: &'a mut [f32],
    /// Masks of the images of the tile, (R, C / lanes).
    masks: &'a mut [Masks],
}

/// Computes a tile of activations, and their masks: R images and U vectors of channels, with four
/// sums for each activation.
#[inline(always)]
fn forward_tile<S: Products, const R: usize, const U: usize>(
    simd: S,
    plan: &ConvPlan,
    weight: &[S::Factor],
    patches: &[S::Pixel],
    out: &mut TileOut<'_>,
) {
    let TileOut { first, channels, .. } = *out;
    let mut rows = [patches; R];
    for r in 0..R {
        let start = r / S::DEPTH * plan.patch_len();
        rows[r] = &patches[start..][..plan.patch_len()][r % S::DEPTH * PATCH_ROW..];
    }
    let below = S::DEPTH * PATCH_ROW;
    let mut sums = [[[simd.splat(0.0); U]; 4]; R];
    for (&offset, weight) in plan.offsets.iter().zip(weight[first..].chunks(channels)) {
        let weight: [S::Factors; U] = tile::factors(simd, weight);
        for r in 0..R {
            let patch = &rows[r][offset..][..below + 1 + S::DEPTH];
            for (sums, pixel) in sums[r].iter_mut().zip([0, 1, below, below + 1]) {
                let pixel = simd.splat_pixels(&patch[pixel..]);
                for u in 0..U {
                    sums[u] = simd.multiply_add(pixel, weight[u], sums[u]);
                }
            }
        }
    }
    let (zero, negative) = (simd.splat(0.0), simd.splat(-1.0));
    let vectors = channels / S::LANES;
    for (r, sums) in sums.into_iter().enumerate() {
        for u in 0..U {
            let channel = first + u * S::LANES;
            let (a, b, c, d) = (sums[0][u], sums[1][u], sums[2][u], sums[3][u]);
            let (top, bottom) = (simd.max(a, b), simd.max(c, d));
            let lower = simd.greater(bottom, top);
            let right = simd.greater(d, c) & lower | simd.greater(b, a) & !lower;
            let sum = simd.add(simd.max(top, bottom), simd.load(&plan.bias[channel..]));
            // If the sum is not a number, this order of the arguments keeps it so, and the channel
            // is live, so that the loss shows it.
            let activation = simd.max(zero, sum);
            let live = simd.greater(activation, zero) | !simd.greater(activation, negative);
            let activation = simd.sub(activation, simd.load(&plan.blank[channel..]));
            simd.store(activation, &mut out.activations[r * channels + channel..]);
            out.masks[r * vectors + channel / S::LANES] = Masks { lower, right, live };
        }
    }
}

/// Adds the part of one cell to `gradient`.
///
/// `da` is the gradient of the stored activations, from which `blank` = relu(bias) was
/// subtracted. Where this is not 0, the gradient of the bias therefore loses the part that goes
/// through it.
///
/// The gradient of the weights is for pixels in 0..=255.
///
/// # Shapes
/// `patches` (R / depth, `patch_len`) and at least 16·depth further pixels; `da` (R, C); `masks`
/// (R, C / lanes).
#[inline(always)]
pub fn backward<S: Products>(
    simd: S,
    plan: &ConvPlan,
    patches: &[S::Pixel],
    da: &[f32],
    masks: &[Masks],
    gradient: &mut ConvWeights,
) {
    match plan.kernel {
        3 => backward_taps::<S, 3, 9>(simd, plan, patches, da, masks, gradient),
        5 => backward_taps::<S, 5, 25>(simd, plan, patches, da, masks, gradient),
        kernel => unreachable!("no network of the pattern has a {kernel}×{kernel} kernel"),
    }
}

/// Function [`backward`] for a K×K kernel with TAPS = K².
#[inline(always)]
fn backward_taps<S: Products, const K: usize, const TAPS: usize>(
    simd: S,
    plan: &ConvPlan,
    patches: &[S::Pixel],
    da: &[f32],
    masks: &[Masks],
    gradient: &mut ConvWeights,
) {
    let ConvWeights { weight: dweight, bias: dbias } = gradient;
    let channels = dbias.len();
    let vectors = channels / S::LANES;
    let zero = simd.splat(0.0);
    for vector in 0..vectors {
        let channel = vector * S::LANES;
        let blank_positive = simd.greater(simd.load(&plan.blank[channel..]), zero);
        let (mut sums, mut bias_sum) = ([zero; TAPS], zero);
        let mut starts = (0..).step_by(plan.patch_len());
        let (each_da, each_masks) = (da.chunks_exact(channels), masks.chunks_exact(vectors));
        let mut images = each_da.zip(each_masks).map(|(da, masks)| {
            let (da, masks) = (simd.load(&da[channel..]), masks[vector]);
            (masks, simd.select(masks.live, da), simd.select(blank_positive, da))
        });
        while let Some(first) = images.next() {
            // A last image without a partner is paired with a gradient of 0.
            let second = if S::DEPTH == 2 { images.next() } else { None };
            let second = second.unwrap_or((Masks::default(), zero, zero));
            let (masks, d) = ([first.0, second.0], [first.1, second.1]);
            let [a, b] = masks;
            let indices = simd.indices([a.lower, b.lower], [a.right, b.right]);
            let factors = simd.factors(|k| d[k]);
            let start = starts.next().expect("they have no end");
            let patch = &patches[start..][..S::DEPTH * (K * PATCH_ROW + 16)];
            for i in 0..K {
                for j in 0..K {
                    let row = i * S::DEPTH * PATCH_ROW;
                    let pixels = simd.permute(&patch[row + j..], indices);
                    sums[i * K + j] = simd.multiply_add(factors, pixels, sums[i * K + j]);
                }
            }
            bias_sum = simd.add(bias_sum, simd.sub(first.1, first.2));
            if S::DEPTH == 2 {
                bias_sum = simd.add(bias_sum, simd.sub(second.1, second.2));
            }
        }
        for (sum, dweight) in sums.into_iter().zip(dweight[channel..].chunks_mut(channels)) {
            simd.store(simd.add(simd.load(dweight), sum), dweight);
        }
        let dbias = &mut dbias[channel..];
        simd.store(simd.add(simd.load(dbias), bias_sum), dbias);
    }
}
