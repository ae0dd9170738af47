//! Kernels of a row of cells that multiply all activations, and their memory.

use super::cells::{Cells, Shared, SharedBackward};
use super::conv::{self, ConvPlan};
use super::linear;
use super::masks::Masks;
use super::network::{ALIGNMENT, CELLS, Network};
use super::products::Products;
use super::skip::Skip;
use super::update::{self, Operands, Weights};
use crate::engine::phases::{Phase, PhaseClock};
use crate::stages::floats::{self, AlignedVec, Floats};

/// Number of hidden units in a block of columns in f32. A block is summed over all cells before the
/// next block. In the default network it has half of the partial sums and half of the weights of a
/// cell, which fit into the first-level cache together. In bf16 a block is twice as wide, because
/// weights take half the memory.
const COLUMN_BLOCK: usize = 64;

/// Memory of the kernels.
pub struct Dense<S: Products> {
    /// Masks of the listed images, (cells, N + 1, C / lanes).
    masks: Vec<Masks>,
    /// Patches of the listed images for one cell, (N / depth, patch), and one further vector.
    patches: AlignedVec<S::Pixel>,
    /// Gradient of the activations of one cell, (N + 1, C).
    da: Floats,
    /// Weights of one cell, transposed and packed to the active units, (H padded, C).
    transposed: Floats,
    /// Gradients of two tiles of weights, packed to the active units, (2, 4, H padded).
    packed: Floats,
    /// Copy of the left operand of a product as factors; empty if operands are not copied.
    left: AlignedVec<S::Factor>,
    /// Copy of the right operand of a product as factors; empty if operands are not copied.
    right: AlignedVec<S::Factor>,
}

impl<S: Products> Dense<S> {
    /// Memory for no images yet.
    pub fn new(network: &Network) -> Self {
        Self {
            masks: Vec::new(),
            patches: floats::zeros(0),
            da: floats::zeros(0),
            transposed: floats::zeros(network.cell_weights()),
            packed: floats::zeros(8 * network.hidden_padded()),
            left: floats::zeros(0),
            right: floats::zeros(0),
        }
    }

    /// Grows the memory to a batch of `images` images.
    pub fn reserve(&mut self, network: &Network, plan: &ConvPlan, images: usize) {
        let rows = images + 1;
        self.masks.resize(CELLS * rows * network.channels / S::LANES, Masks::default());
        let patches = images.div_ceil(S::DEPTH) * plan.patch_len();
        self.patches.resize(patches + S::DEPTH * ALIGNMENT, S::Pixel::default());
        self.da.resize(rows * network.channels, 0.0);
        self.left = S::copy_buffer(rows.next_multiple_of(S::DEPTH) * network.channels);
        let conv = plan.taps() * network.channels;
        let dz = rows.next_multiple_of(S::DEPTH) * network.hidden_padded();
        self.right = S::copy_buffer(conv.max(network.cell_weights()).max(dz));
    }

    /// Computes the activations of all `cells`, and their partial sums.
    pub fn forward(
        &mut self,
        simd: S,
        cells: &mut Cells,
        shared: &Shared<'_>,
        clock: &mut PhaseClock,
    ) {
        let Network { channels, hidden, .. } = *shared.network;
        let inked: usize = cells.inked_rows(shared).sum();
        let flops = 2 * 4 * inked * shared.network.taps() * channels;
        clock.run(Phase::ConvForward, flops, || self.convolve(simd, cells, shared));
        let listed: usize = cells.rows.iter().map(Vec::len).sum();
        let flops = 2 * listed * channels * hidden;
        clock.run(Phase::LinearForward, flops, || self.sum(simd, cells, shared));
    }

    /// Computes the activations and masks of all cells.
    #[inline(never)]
    fn convolve(&mut self, simd: S, cells: &mut Cells, shared: &Shared<'_>) {
        let Shared { network, images, plan, skip } = *shared;
        let channels = network.channels;
        let vectors = channels / S::LANES;
        let capacity = images.count() + 1;
        simd.vectorize(
            #[inline(always)]
            || {
                let (taps, columns, copy) = (plan.taps(), 0..channels, &mut self.right);
                let weight = simd.interleaved(&plan.weight, |k| k, taps, channels, columns, copy);
                let Cells { y, rows, activations, .. } = cells;
                let each = activations
                    .chunks_mut(capacity * channels)
                    .zip(self.masks.chunks_mut(capacity * vectors));
                for ((x, rows), (activations, masks)) in rows.iter().enumerate().zip(each) {
                    let inked = rows.len() - usize::from(skip != Skip::Nothing);
                    let each = self.patches.chunks_exact_mut(plan.patch_len());
                    for (patch, rows) in each.zip(rows[..inked].chunks(S::DEPTH)) {
                        images.patch(simd, rows, *y, x, patch);
                    }
                    let (inked_activations, blank) = activations.split_at_mut(inked * channels);
                    let masks = &mut masks[..inked * vectors];
                    conv::forward(simd, plan, weight, &self.patches, inked_activations, masks);
                    blank[..channels].copy_from_slice(&plan.blank);
                }
            },
        );
    }

    /// Computes the partial sums of the hidden units.
    #[inline(never)]
    fn sum(&mut self, simd: S, cells: &mut Cells, shared: &Shared<'_>) {
        let Shared { network, images, .. } = *shared;
        let width = network.hidden_padded();
        let capacity = images.count() + 1;
        simd.vectorize(
            #[inline(always)]
            || {
                let Cells { rows, activations, partial_sums, w, .. } = cells;
                partial_sums[..capacity * width].fill(0.0);
                for first in (0..width).step_by(COLUMN_BLOCK * S::DEPTH) {
                    let columns = first..(first + COLUMN_BLOCK * S::DEPTH).min(width);
                    let each = activations
                        .chunks(capacity * network.channels)
                        .zip(w.chunks_exact(network.cell_weights()));
                    for (rows, (activations, weight)) in rows.iter().zip(each) {
                        let x = &activations[..rows.len() * network.channels];
                        let x = simd.rounded(x, &mut self.left);
                        let (channels, copy) = (network.channels, &mut self.right);
                        let weight =
                            simd.interleaved(weight, |k| k, channels, width, columns.clone(), copy);
                        let columns = columns.clone();
                        linear::forward(simd, x, rows, weight, width, columns, partial_sums);
                    }
                }
            },
        );
    }

    /// Computes the gradient of the convolution from `cells`, and updates their weights.
    pub fn backward(
        &mut self,
        simd: S,
        cells: &mut Cells,
        shared: &SharedBackward<'_, S>,
        clock: &mut PhaseClock,
    ) {
        let Shared { network, skip, .. } = shared.forward;
        for x in 0..CELLS {
            let rows = cells.rows[x].len();
            let inked = rows - usize::from(skip != Skip::Nothing);
            let of_linear = 2 * rows * network.channels * shared.active.count;
            let of_conv = 2 * inked * network.taps() * network.channels;
            if !shared.freezes_convolution {
                let input_gradient = || self.input_gradient(simd, cells, shared, x);
                clock.run(Phase::LinearBackward, of_linear, input_gradient);
                let convolve = || self.convolve_backward(simd, cells, shared, x);
                clock.run(Phase::ConvBackward, of_conv, convolve);
            }
            clock.run(Phase::LinearUpdate, of_linear, || self.update(simd, cells, shared, x));
        }
    }

    /// Computes `da` of cell `x`.
    #[inline(never)]
    fn input_gradient(&mut self, simd: S, cells: &Cells, shared: &SharedBackward<'_, S>, x: usize) {
        let network = shared.forward.network;
        let (width, channels) = (network.hidden_padded(), network.channels);
        let weight = &cells.w[x * network.cell_weights()..][..network.cell_weights()];
        let Self { transposed, da, right, .. } = self;
        let (rows, active) = (&cells.rows[x], shared.active.count);
        simd.vectorize(
            #[inline(always)]
            || {
                linear::transpose(simd, weight, width, &shared.active.units, transposed);
                linear::input_gradient(
                    simd,
                    shared.dz_factors,
                    shared.active.stride() / S::DEPTH,
                    active.div_ceil(S::DEPTH),
                    rows,
                    simd.interleaved(transposed, |k| k, active, channels, 0..channels, right),
                    &mut da[..rows.len() * channels],
                );
            },
        );
    }

    /// Adds the part of cell `x` to the gradient of the convolution.
    #[inline(never)]
    fn convolve_backward(
        &mut self,
        simd: S,
        cells: &mut Cells,
        shared: &SharedBackward<'_, S>,
        x: usize,
    ) {
        let Shared { network, images, plan, skip, .. } = shared.forward;
        let vectors = network.channels / S::LANES;
        let Self { patches, masks, da, .. } = self;
        let Cells { y, rows, activations, gradient, .. } = cells;
        let capacity = (images.count() + 1) * network.channels;
        let activations = &activations[x * capacity..][..rows[x].len() * network.channels];
        let inked = rows[x].len() - usize::from(skip != Skip::Nothing);
        let masks = &masks[x * (images.count() + 1) * vectors..][..inked * vectors];
        simd.vectorize(
            #[inline(always)]
            || {
                // The update reads the activations next.
                for line in (0..activations.len()).step_by(ALIGNMENT) {
                    simd.prefetch_l2(activations, line);
                }
                let each = patches.chunks_exact_mut(plan.patch_len());
                for (patch, rows) in each.zip(rows[x][..inked].chunks(S::DEPTH)) {
                    images.patch(simd, rows, *y, x, patch);
                }
                let (da, blank) = da.split_at(inked * network.channels);
                conv::backward(simd, plan, patches, da, masks, gradient);
                if skip != Skip::Nothing {
                    let terms = blank.iter().zip(plan.blank.iter());
                    for (sum, (&da, &blank)) in gradient.bias.iter_mut().zip(terms) {
                        *sum += if blank > 0.0 { da } else { 0.0 };
                    }
                }
            },
        );
    }

    /// Updates the weights of cell `x`.
    #[inline(never)]
    fn update(&mut self, simd: S, cells: &mut Cells, shared: &SharedBackward<'_, S>, x: usize) {
        let Shared { network, images, .. } = shared.forward;
        let (channels, stride) = (network.channels, shared.active.stride());
        let first = x * network.cell_weights();
        let Self { packed, left, right, .. } = self;
        let Cells { rows, activations, w, m, v, are_finite, .. } = cells;
        let rows = &rows[x];
        let capacity = (images.count() + 1) * channels;
        let activations = &activations[x * capacity..][..rows.len() * channels];
        // The last vector of active units may contain inactive ones.
        let columns = 0..shared.active.count.next_multiple_of(S::LANES);
        simd.vectorize(
            #[inline(always)]
            || {
                let x =
                    simd.interleaved(activations, |k| k, rows.len(), channels, 0..channels, left);
                let dz = simd.interleaved(
                    shared.dz,
                    |k| rows[k] as usize,
                    rows.len(),
                    stride,
                    columns,
                    right,
                );
                let weights =
                    Weights { w: &mut w[first..], m: &mut m[first..], v: &mut v[first..] };
                let operands = Operands { x, rows, dz, channels, stride };
                update::update(simd, &shared.adam, shared.active, operands, weights, packed);
                *are_finite &= update::are_finite(simd, &w[first..][..network.cell_weights()]);
            },
        );
    }
}
