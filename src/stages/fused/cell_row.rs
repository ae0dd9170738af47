//! A row of cells with its weights and buffers. Cores share a step by rows of cells.

use super::conv::{self, ConvPlan, ConvWeights, Masks};
use super::floats::{self, AlignedVec, Floats};
use super::images::Images;
use super::linear;
use super::network::{ALIGNMENT, CELLS, Network};
use super::products::Products;
use super::trained::Tensors;
use super::update::{self, Active, AdamVectors, Operands};
use crate::engine::phases::{Phase, PhaseClock, Phases};
use crate::optim::adam::Weights;

/// Number of hidden units in a block of columns in f32. A block is summed over all cells before the
/// next block. In the default network it has half of the partial sums and half of the weights of a
/// cell, which fit into the first-level cache together. In bf16 a block is twice as wide, because
/// weights take half the memory.
const COLUMN_BLOCK: usize = 64;

/// Data that all rows of cells read in a step.
#[derive(Clone, Copy)]
pub struct Shared<'a> {
    /// Sizes of the network.
    pub network: &'a Network,
    /// Images of the batch.
    pub images: &'a Images,
    /// Parameters of the convolution.
    pub plan: &'a ConvPlan,
    /// Whether a cell is computed only for the images in which it sees ink.
    pub skip_zeros: bool,
}

/// Data that all rows of cells read in the backward pass.
#[derive(Clone, Copy)]
pub struct SharedBackward<'a, S: Products> {
    /// Data that the forward pass reads too.
    pub forward: Shared<'a>,
    /// Hidden units that have a gradient.
    pub active: &'a Active<S>,
    /// Gradient dz of every image and, in row N, the sum over all images, (N + 1, H padded), packed
    /// to the active units.
    pub dz: &'a [f32],
    /// Factors of `dz` that lie side by side, (N + 1, H padded / depth).
    pub dz_factors: &'a [S::Factor],
    /// Coefficients of Adam for weights.
    pub adam: AdamVectors<S>,
}

/// Row of cells: its weights with their moments, and the buffers of its computation.
pub struct CellRow<S: Products> {
    /// Index of the row.
    y: usize,
    /// Weights of the first linear layer, (cells, C, H padded).
    pub w: Floats,
    /// First moments of `w`, (cells, C, H padded).
    pub m: Floats,
    /// Second moments of `w`, (cells, C, H padded).
    pub v: Floats,
    /// Images for which each cell is computed, in ascending order. With `skip_zeros`, a last entry
    /// N is the row that all blank images share.
    rows: [Vec<u32>; CELLS],
    /// Activations of the listed images, (cells, N + 1, C).
    activations: Floats,
    /// Masks of the listed images, (cells, N + 1, C / lanes).
    masks: Vec<Masks>,
    /// Sums that this row of cells adds to the hidden units of every image, (N + 1, H padded).
    pub partial_sums: Floats,
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
    /// Gradient of the convolution from the cells of this row, for pixels in 0..=255.
    pub gradient: ConvWeights,
    /// Whether all weights were finite after the last update.
    pub are_finite: bool,
    /// Cost of the phases in this row since the costs were last taken.
    pub phases: Phases,
}

impl<S: Products> CellRow<S> {
    /// Row `y` of the cells, with weights of 0.
    pub fn new(network: &Network, y: usize) -> Self {
        let weights = CELLS * network.cell_weights();
        Self {
            y,
            w: floats::zeros(weights),
            m: floats::zeros(weights),
            v: floats::zeros(weights),
            rows: Default::default(),
            activations: floats::zeros(0),
            masks: Vec::new(),
            partial_sums: floats::zeros(0),
            patches: floats::zeros(0),
            da: floats::zeros(0),
            transposed: floats::zeros(network.cell_weights()),
            packed: floats::zeros(8 * network.hidden_padded()),
            left: floats::zeros(0),
            right: floats::zeros(0),
            gradient: ConvWeights::new(network),
            are_finite: true,
            phases: Phases::default(),
        }
    }

    /// Grows the buffers to a batch of `images` images.
    pub fn reserve(&mut self, network: &Network, plan: &ConvPlan, images: usize) {
        if self.partial_sums.len() >= (images + 1) * network.hidden_padded() {
            return;
        }
        let rows = images + 1;
        for list in &mut self.rows {
            list.reserve_exact(rows);
        }
        self.activations.resize(CELLS * rows * network.channels, 0.0);
        self.masks.resize(CELLS * rows * network.channels / S::LANES, Masks::default());
        self.partial_sums.resize(rows * network.hidden_padded(), 0.0);
        let patches = images.div_ceil(S::DEPTH) * plan.patch_len();
        self.patches.resize(patches + S::DEPTH * ALIGNMENT, S::Pixel::default());
        self.da.resize(rows * network.channels, 0.0);
        self.left = S::copy_buffer(rows.next_multiple_of(S::DEPTH) * network.channels);
        let conv = plan.taps() * network.channels;
        let dz = rows.next_multiple_of(S::DEPTH) * network.hidden_padded();
        self.right = S::copy_buffer(conv.max(network.cell_weights()).max(dz));
    }

    /// Computes the activations of all cells of the row, and its partial sums.
    pub fn forward(&mut self, simd: S, shared: &Shared<'_>, clock: &mut PhaseClock) {
        let Network { channels, hidden, .. } = *shared.network;
        clock.run(Phase::Data, 0, || self.list_rows(shared));
        let inked: usize = self.inked_rows(shared).sum();
        let flops = 2 * 4 * inked * shared.network.taps() * channels;
        clock.run(Phase::ConvForward, flops, || self.convolve(simd, shared));
        let listed: usize = self.rows.iter().map(Vec::len).sum();
        let flops = 2 * listed * channels * hidden;
        clock.run(Phase::LinearForward, flops, || self.sum_linear(simd, shared));
    }

    /// Lists the images for which each cell is computed.
    fn list_rows(&mut self, shared: &Shared<'_>) {
        let count = shared.images.count() as u32;
        self.rows.iter_mut().for_each(Vec::clear);
        if shared.skip_zeros {
            for (image, cells) in (0..count).zip(shared.images.inked_cells(self.y)) {
                cells.for_each(|x| self.rows[x].push(image));
            }
            self.rows.iter_mut().for_each(|rows| rows.push(count));
        } else {
            self.rows.iter_mut().for_each(|rows| rows.extend(0..count));
        }
    }

    /// Number of images for which the convolution is computed, for each cell of the row.
    fn inked_rows(&self, shared: &Shared<'_>) -> impl Iterator<Item = usize> {
        let blank = usize::from(shared.skip_zeros);
        self.rows.iter().map(move |rows| rows.len() - blank)
    }

    /// Computes the activations and masks of all cells.
    #[inline(never)]
    fn convolve(&mut self, simd: S, shared: &Shared<'_>) {
        let Shared { network, images, plan, skip_zeros } = *shared;
        let channels = network.channels;
        let vectors = channels / S::LANES;
        let capacity = images.count() + 1;
        simd.vectorize(
            #[inline(always)]
            || {
                let (taps, columns, copy) = (plan.taps(), 0..channels, &mut self.right);
                let weight = simd.interleaved(&plan.weight, |k| k, taps, channels, columns, copy);
                let cells = self
                    .activations
                    .chunks_mut(capacity * channels)
                    .zip(self.masks.chunks_mut(capacity * vectors));
                for ((x, rows), (activations, masks)) in self.rows.iter().enumerate().zip(cells) {
                    let inked = rows.len() - usize::from(skip_zeros);
                    let each = self.patches.chunks_exact_mut(plan.patch_len());
                    for (patch, rows) in each.zip(rows[..inked].chunks(S::DEPTH)) {
                        images.patch(simd, rows, self.y, x, patch);
                    }
                    let (activations, blank) = activations.split_at_mut(inked * channels);
                    let masks = &mut masks[..inked * vectors];
                    conv::forward(simd, plan, weight, &self.patches, activations, masks);
                    blank[..channels].copy_from_slice(&plan.blank);
                }
            },
        );
    }

    /// Computes the partial sums of the hidden units.
    #[inline(never)]
    fn sum_linear(&mut self, simd: S, shared: &Shared<'_>) {
        let Shared { network, images, .. } = *shared;
        let width = network.hidden_padded();
        let capacity = images.count() + 1;
        simd.vectorize(
            #[inline(always)]
            || {
                self.partial_sums[..capacity * width].fill(0.0);
                for first in (0..width).step_by(COLUMN_BLOCK * S::DEPTH) {
                    let columns = first..(first + COLUMN_BLOCK * S::DEPTH).min(width);
                    let cells = self
                        .activations
                        .chunks(capacity * network.channels)
                        .zip(self.w.chunks_exact(network.cell_weights()));
                    for (rows, (activations, weight)) in self.rows.iter().zip(cells) {
                        let x = &activations[..rows.len() * network.channels];
                        let x = simd.rounded(x, &mut self.left);
                        let (channels, copy) = (network.channels, &mut self.right);
                        let weight =
                            simd.interleaved(weight, |k| k, channels, width, columns.clone(), copy);
                        let (columns, sums) = (columns.clone(), &mut self.partial_sums);
                        linear::forward(simd, x, rows, weight, width, columns, sums);
                    }
                }
            },
        );
    }

    /// Computes the part of the convolution's gradient that comes from this row, and updates the
    /// weights of the row.
    pub fn backward(&mut self, simd: S, shared: &SharedBackward<'_, S>, clock: &mut PhaseClock) {
        let Shared { network, skip_zeros, .. } = shared.forward;
        self.gradient.clear();
        self.are_finite = true;
        for x in 0..CELLS {
            let rows = self.rows[x].len();
            let inked = rows - usize::from(skip_zeros);
            let of_linear = 2 * rows * network.channels * shared.active.count;
            let of_conv = 2 * inked * network.taps() * network.channels;
            clock.run(Phase::LinearBackward, of_linear, || self.input_gradient(simd, shared, x));
            clock.run(Phase::ConvBackward, of_conv, || self.convolve_backward(simd, shared, x));
            clock.run(Phase::LinearUpdate, of_linear, || self.update(simd, shared, x));
        }
        clock.run(Phase::LinearUpdate, 0, || {
            simd.vectorize(
                #[inline(always)]
                || {
                    [&mut self.w, &mut self.m, &mut self.v]
                        .into_iter()
                        .for_each(|values| shared.adam.flush_small(simd, values));
                },
            );
        });
    }

    /// Computes `da` of cell `x`.
    #[inline(never)]
    fn input_gradient(&mut self, simd: S, shared: &SharedBackward<'_, S>, x: usize) {
        let network = shared.forward.network;
        let (width, channels) = (network.hidden_padded(), network.channels);
        let weight = &self.w[x * network.cell_weights()..][..network.cell_weights()];
        let Self { rows, transposed, da, right, .. } = self;
        let (rows, active) = (&rows[x], shared.active.count);
        simd.vectorize(
            #[inline(always)]
            || {
                linear::transpose(simd, weight, width, &shared.active.units, transposed);
                linear::input_gradient(
                    simd,
                    shared.dz_factors,
                    width / S::DEPTH,
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
    fn convolve_backward(&mut self, simd: S, shared: &SharedBackward<'_, S>, x: usize) {
        let Shared { network, images, plan, skip_zeros, .. } = shared.forward;
        let vectors = network.channels / S::LANES;
        let Self { rows, patches, masks, da, gradient, y, activations, .. } = self;
        let capacity = (images.count() + 1) * network.channels;
        let activations = &activations[x * capacity..][..rows[x].len() * network.channels];
        let inked = rows[x].len() - usize::from(skip_zeros);
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
                if skip_zeros {
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
    fn update(&mut self, simd: S, shared: &SharedBackward<'_, S>, x: usize) {
        let Shared { network, images, .. } = shared.forward;
        let (channels, stride) = (network.channels, network.hidden_padded());
        let first = x * network.cell_weights();
        let Self { rows, activations, packed, left, right, w, m, v, are_finite, .. } = self;
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
