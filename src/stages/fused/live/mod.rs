//! Kernels of a row of cells that multiply live activations alone, those that are not 0 after relu,
//! and their memory. [`live`](crate::stages::live) is the chapter that tells about them.

mod conv;
mod linear;
mod rows;

use linear::{Dz, FORWARD_VECTORS};
use rows::{Bits, LiveColumns, LiveRows};

use super::cells::{Cells, Shared, SharedBackward};
use super::conv::ConvWeights;
use super::images::PATCH_ROW;
use super::network::{ALIGNMENT, CELLS, Network};
use super::products::Products;
use super::update::{self, Weights};
use crate::engine::phases::{Phase, PhaseClock};
use crate::simd::Bytes;
use crate::stages::floats::{self, Floats};

/// Memory of the kernels.
pub struct Live {
    /// Number of words of bits for a row of activations.
    words: usize,
    /// Bits of the channels, (cells, N + 1, words).
    bits: Vec<Bits>,
    /// Patches of the rows of one cell, (N + 1, K + 1, 8), and one further vector.
    patches: Floats,
    /// Bits of the rows of the patches that have ink, (N).
    inked_rows: Vec<u8>,
    /// Live rows of each channel of one cell.
    columns: LiveColumns,
    /// Gradient of the live activations of one cell, (C, N + 1 padded), each channel's in front.
    da: Floats,
    /// Sum of dz over the blank images of one cell, packed to the active units, (H padded).
    blank_dz: Floats,
    /// Gradient of the weights of one cell, packed to the active units, (C, H padded).
    gradient: Floats,
    /// Weights of one cell, packed to the active units, (C, H padded).
    packed: Floats,
    /// Memory for sums of each row, (N + 1, lanes).
    dots: Floats,
    /// Gradient of the convolution's weights, (C, rows, 8): the taps of a row lie in front.
    kernel_gradient: Floats,
}

impl Live {
    /// Memory for no images yet.
    pub fn new(network: &Network) -> Self {
        Self {
            words: Bits::words(network),
            bits: Vec::new(),
            patches: floats::zeros(0),
            inked_rows: Vec::new(),
            columns: LiveColumns::new(0, network.channels),
            da: floats::zeros(0),
            blank_dz: floats::zeros(network.hidden_padded()),
            gradient: floats::zeros(network.cell_weights()),
            packed: floats::zeros(network.cell_weights()),
            dots: floats::zeros(0),
            kernel_gradient: floats::zeros(network.channels * conv::gradient_len(network)),
        }
    }

    /// Grows the memory to a batch of `images` images.
    pub fn reserve(&mut self, network: &Network, images: usize) {
        let rows = images + 1;
        self.bits.resize(CELLS * rows * self.words, Bits::default());
        self.patches.resize(rows * conv::patch_len(network.kernel) + ALIGNMENT, 0.0);
        self.inked_rows.resize(images, 0);
        self.columns = LiveColumns::new(rows, network.channels);
        self.da.resize(network.channels * rows.next_multiple_of(ALIGNMENT), 0.0);
        self.dots = linear::dots(rows);
    }

    /// Computes the activations of all `cells`, and their partial sums.
    pub fn forward<S: Products>(
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
        let flops = 2 * self.live(cells, shared) * hidden;
        clock.run(Phase::LinearForward, flops, || self.sum(simd, cells, shared));
    }

    /// Computes the activations of all cells, and their bits.
    #[inline(never)]
    fn convolve<S: Bytes>(&mut self, simd: S, cells: &mut Cells, shared: &Shared<'_>) {
        let Shared { network, images, plan, .. } = *shared;
        let (channels, rows) = (network.channels, images.count() + 1);
        let Self { words, bits, patches, inked_rows, .. } = self;
        let activations = cells.activations.chunks_exact_mut(rows * channels);
        let each = activations.zip(bits.chunks_exact_mut(rows * *words));
        simd.vectorize(
            #[inline(always)]
            || {
                for ((x, list), (activations, bits)) in cells.rows.iter().enumerate().zip(each) {
                    let (_, list) = list.split_last().expect("the row of the blank images");
                    let each = patches.chunks_exact_mut(conv::patch_len(network.kernel));
                    for ((patch, inked_rows), &image) in each.zip(&mut *inked_rows).zip(list) {
                        *inked_rows = images.inked_patch(simd, image, cells.y, x, patch);
                    }
                    let inked_rows = &inked_rows[..list.len()];
                    let (activations, blank) = activations.split_at_mut(list.len() * channels);
                    let (bits, blank_bits) = bits.split_at_mut(list.len() * *words);
                    conv::forward(simd, plan, patches, inked_rows, activations, bits);
                    blank[..channels].copy_from_slice(&plan.blank);
                    Bits::of_blank(&plan.blank, &mut blank_bits[..*words]);
                }
            },
        );
    }

    /// Number of live activations of all cells.
    fn live(&self, cells: &Cells, shared: &Shared<'_>) -> usize {
        let Shared { network, images, .. } = *shared;
        let Cells { rows, activations, .. } = cells;
        let of_cell =
            |x| LiveRows::of_cell(network, images.count(), x, rows, activations, &self.bits).live();
        (0..CELLS).map(of_cell).sum()
    }

    /// Computes the partial sums of the hidden units from the live activations alone.
    #[inline(never)]
    fn sum<S: Products>(&self, simd: S, cells: &mut Cells, shared: &Shared<'_>) {
        let Shared { network, images, .. } = *shared;
        let (width, cell) = (network.hidden_padded(), network.cell_weights());
        let Cells { rows, activations, partial_sums, w, .. } = cells;
        let block = FORWARD_VECTORS * S::LANES;
        simd.vectorize(
            #[inline(always)]
            || {
                partial_sums[..(images.count() + 1) * width].fill(0.0);
                for first in (0..width).step_by(block) {
                    let columns = first..(first + block).min(width);
                    for (x, weight) in w.chunks_exact(cell).enumerate() {
                        // Live channels come in no order in which the CPU itself would prefetch.
                        for next in ((x + 1) * cell..(x + 2) * cell).step_by(width) {
                            for line in columns.clone().step_by(ALIGNMENT) {
                                simd.prefetch_l2(w, next + line);
                            }
                        }
                        let count = images.count();
                        let rows =
                            LiveRows::of_cell(network, count, x, rows, activations, &self.bits);
                        let columns = columns.clone();
                        linear::forward(simd, rows, weight, width, columns, partial_sums);
                    }
                }
            },
        );
    }

    /// Computes the gradient of the convolution from `cells`, and updates their weights.
    pub fn backward<S: Products>(
        &mut self,
        simd: S,
        cells: &mut Cells,
        shared: &SharedBackward<'_, S>,
        clock: &mut PhaseClock,
    ) {
        let Shared { network, images, .. } = shared.forward;
        for x in 0..CELLS {
            let Self { bits, columns, .. } = &mut *self;
            let Cells { rows, activations, .. } = &*cells;
            let rows = LiveRows::of_cell(network, images.count(), x, rows, activations, bits);
            clock.run(Phase::Data, 0, || {
                simd.vectorize(
                    #[inline(always)]
                    || columns.fill(rows),
                );
            });
            let live = rows.live();
            let of_linear = 4 * live * shared.active.count;
            let of_conv = 2 * live * network.taps();
            let multiply = || self.multiply(simd, cells, shared, x);
            clock.run(Phase::LinearBackward, of_linear, multiply);
            if !shared.freezes_convolution {
                let convolve = || self.convolve_backward(simd, cells, shared, x);
                clock.run(Phase::ConvBackward, of_conv, convolve);
            }
            clock.run(Phase::LinearUpdate, 0, || self.update(simd, cells, shared, x));
        }
        self.take_kernel_gradient(network, &mut cells.gradient);
    }

    /// Computes both products of cell `x` with its weights and activations: the gradient of the
    /// weights, and the gradient of the live activations.
    #[inline(never)]
    fn multiply<S: Products>(
        &mut self,
        simd: S,
        cells: &Cells,
        shared: &SharedBackward<'_, S>,
        x: usize,
    ) {
        let Shared { network, images, plan, .. } = shared.forward;
        let (width, cell) = (network.hidden_padded(), network.cell_weights());
        let Self { bits, columns, da, blank_dz, gradient, packed, dots, .. } = self;
        let rows =
            LiveRows::of_cell(network, images.count(), x, &cells.rows, &cells.activations, bits);
        simd.vectorize(
            #[inline(always)]
            || {
                let (active, stride) = (shared.active, shared.active.stride());
                let (dz, sum) = shared.dz.split_at(images.count() * stride);
                let blank_dz = &mut blank_dz[..stride];
                if plan.blank.iter().any(|&blank| blank != 0.0) {
                    blank_dz.copy_from_slice(&sum[..stride]);
                    for &row in &rows.images[..rows.images.len() - 1] {
                        let dz = dz[row as usize * stride..][..stride].chunks_exact(S::LANES);
                        for (rest, dz) in blank_dz.chunks_exact_mut(S::LANES).zip(dz) {
                            simd.store(simd.sub(simd.load(rest), simd.load(dz)), rest);
                        }
                    }
                }
                let dz = Dz { images: dz, blank: blank_dz };
                active.compress(simd, &cells.w[x * cell..][..cell], packed);
                let weights = packed.chunks_exact(width).zip(gradient.chunks_exact_mut(width));
                let capacity = da.len() / network.channels;
                let each = columns.channels(rows).zip(da.chunks_exact_mut(capacity));
                for (c, ((weight, gradient), (channel, da))) in weights.zip(each).enumerate() {
                    // The update reads the moments next, and the next cell its weights.
                    let row = x * cell + c * width;
                    for line in (row..row + width).step_by(ALIGNMENT) {
                        simd.prefetch_l2(&cells.m, line);
                        simd.prefetch_l2(&cells.v, line);
                        simd.prefetch_l2(&cells.w, line + cell);
                    }
                    let channel = (channel, dz, active.count);
                    linear::backward(simd, channel, weight, gradient, da, dots);
                }
            },
        );
    }

    /// Adds the part of cell `x` to the gradient of the convolution.
    #[inline(never)]
    fn convolve_backward<S: Products>(
        &mut self,
        simd: S,
        cells: &mut Cells,
        shared: &SharedBackward<'_, S>,
        x: usize,
    ) {
        let Shared { network, images, plan, .. } = shared.forward;
        let Cells { rows, activations, gradient, y, .. } = cells;
        let Self { bits, columns, da, kernel_gradient, patches, .. } = self;
        let rows = LiveRows::of_cell(network, images.count(), x, rows, activations, bits);
        let last = rows.images.len() - 1;
        simd.vectorize(
            #[inline(always)]
            || {
                let each = patches.chunks_exact_mut(conv::patch_len(network.kernel));
                for (patch, &image) in each.zip(&rows.images[..last]) {
                    images.inked_patch(simd, image, *y, x, patch);
                }
                // Blank images have no ink.
                let len = conv::patch_len(network.kernel);
                patches[last * len..][..len].fill(0.0);
                let gradients = kernel_gradient.chunks_exact_mut(conv::gradient_len(network));
                let capacity = da.len() / network.channels;
                let each = columns.channels(rows).zip(da.chunks_exact(capacity));
                let sums = gradients.zip(gradient.bias.iter_mut()).zip(each);
                for ((gradient, bias), (channel, da)) in sums {
                    *bias += conv::backward(simd, plan, channel, da, patches, gradient);
                }
            },
        );
    }

    /// Updates the weights of cell `x` by their gradient.
    #[inline(never)]
    fn update<S: Products>(
        &self,
        simd: S,
        cells: &mut Cells,
        shared: &SharedBackward<'_, S>,
        x: usize,
    ) {
        let network = shared.forward.network;
        let (first, stride) = (x * network.cell_weights(), network.hidden_padded());
        let Cells { w, m, v, are_finite, .. } = cells;
        simd.vectorize(
            #[inline(always)]
            || {
                let weights =
                    Weights { w: &mut w[first..], m: &mut m[first..], v: &mut v[first..] };
                let (adam, active) = (&shared.adam, shared.active);
                update::update_live(simd, adam, active, &self.gradient, stride, weights);
                *are_finite &= update::are_finite(simd, &w[first..][..network.cell_weights()]);
            },
        );
    }

    /// Moves the gradient of the convolution's weights to `gradient`.
    fn take_kernel_gradient(&mut self, network: &Network, gradient: &mut ConvWeights) {
        let channels = self.kernel_gradient.chunks_exact(conv::gradient_len(network));
        for (channel, rows) in channels.enumerate() {
            let rows = rows.chunks_exact(PATCH_ROW).take(network.kernel);
            let taps = rows.flat_map(|row| &row[..network.kernel]);
            for (gradient, &tap) in gradient.weight.chunks_exact_mut(network.channels).zip(taps) {
                gradient[channel] = tap;
            }
        }
        self.kernel_gradient.fill(0.0);
    }
}
