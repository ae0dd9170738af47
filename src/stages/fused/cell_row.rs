//! A row of cells with its weights and buffers. Cores share a step by rows of cells.

use super::conv::{self, ConvPlan, ConvWeights};
use super::floats::{self, AlignedVec, Floats};
use super::images::{Images, PATCH_ROW};
use super::linear::{self, LIVE_VECTORS, LiveChannel, LiveDz};
use super::live::{LiveList, LiveLists, LiveRows};
use super::masks::{Bits, Masks};
use super::network::{ALIGNMENT, CELLS, Network};
use super::products::Products;
use super::skip::Skip;
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
    /// Products with 0 that are left out.
    pub skip: Skip,
}

/// Data that all rows of cells read in the backward pass.
#[derive(Clone, Copy)]
pub struct SharedBackward<'a, S: Products> {
    /// Data that the forward pass reads too.
    pub forward: Shared<'a>,
    /// Hidden units that have a gradient.
    pub active: &'a Active<S>,
    /// Gradient dz of every image and, in row N, the sum over all images, packed to the active
    /// units, (N + 1, [`Active::stride`]).
    pub dz: &'a [f32],
    /// Factors of `dz` that lie side by side, (N + 1, [`Active::stride`] / depth).
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
    /// For each cell the images for which it is computed, in ascending order. If blank cells are
    /// skipped, a last entry N is the row that all blank images share.
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
    /// Memory of the kernels that multiply live activations alone, if they are used.
    live: Option<LiveMemory>,
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
            live: None,
            left: floats::zeros(0),
            right: floats::zeros(0),
            gradient: ConvWeights::new(network),
            are_finite: true,
            phases: Phases::default(),
        }
    }

    /// Grows the buffers to a batch of `images` images.
    pub fn reserve(&mut self, network: &Network, plan: &ConvPlan, images: usize, skip: Skip) {
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
        self.live = (skip == Skip::Zeros).then(|| LiveMemory::new(network, rows));
    }

    /// Computes the activations of all cells of the row, and its partial sums.
    pub fn forward(&mut self, simd: S, shared: &Shared<'_>, clock: &mut PhaseClock) {
        let Network { channels, hidden, .. } = *shared.network;
        clock.run(Phase::Data, 0, || self.list_rows(shared));
        let inked: usize = self.inked_rows(shared).sum();
        let flops = 2 * 4 * inked * shared.network.taps() * channels;
        clock.run(Phase::ConvForward, flops, || self.convolve(simd, shared));
        let multiplied = match &self.live {
            Some(live) => {
                let bits = &live.bits[..CELLS * (shared.images.count() + 1) * live.words];
                bits.iter().map(|bits| bits.live.count_ones() as usize).sum()
            }
            None => channels * self.rows.iter().map(Vec::len).sum::<usize>(),
        };
        let flops = 2 * multiplied * hidden;
        let live = self.live.take();
        clock.run(Phase::LinearForward, flops, || match &live {
            Some(live) => self.sum_live(simd, live, shared),
            None => self.sum_linear(simd, shared),
        });
        self.live = live;
    }

    /// Lists the images for which each cell is computed.
    fn list_rows(&mut self, shared: &Shared<'_>) {
        let count = shared.images.count() as u32;
        self.rows.iter_mut().for_each(Vec::clear);
        if shared.skip != Skip::Nothing {
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
        let blank = usize::from(shared.skip != Skip::Nothing);
        self.rows.iter().map(move |rows| rows.len() - blank)
    }

    /// Computes the activations and masks of all cells.
    #[inline(never)]
    fn convolve(&mut self, simd: S, shared: &Shared<'_>) {
        let Shared { network, images, plan, skip } = *shared;
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
                let mut bits = self.live.iter_mut().flat_map(|live| live.cells_mut(capacity));
                for ((x, rows), (activations, masks)) in self.rows.iter().enumerate().zip(cells) {
                    let inked = rows.len() - usize::from(skip != Skip::Nothing);
                    let each = self.patches.chunks_exact_mut(plan.patch_len());
                    for (patch, rows) in each.zip(rows[..inked].chunks(S::DEPTH)) {
                        images.patch(simd, rows, self.y, x, patch);
                    }
                    let (inked_activations, blank) = activations.split_at_mut(inked * channels);
                    let masks = &mut masks[..inked * vectors];
                    conv::forward(simd, plan, weight, &self.patches, inked_activations, masks);
                    blank[..channels].copy_from_slice(&plan.blank);
                    if let Some(bits) = bits.next() {
                        bits.fill(Bits::default());
                        let mut each = bits.chunks_exact_mut(Bits::words(network));
                        for (masks, bits) in masks.chunks_exact(vectors).zip(&mut each) {
                            Bits::join(masks, S::LANES, bits);
                        }
                        Bits::of_blank(&plan.blank, each.next().expect("the last row"));
                    }
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

    /// Computes the partial sums of the hidden units from the live activations alone.
    #[inline(never)]
    fn sum_live(&mut self, simd: S, live: &LiveMemory, shared: &Shared<'_>) {
        let Shared { network, images, .. } = *shared;
        let (width, cell) = (network.hidden_padded(), network.cell_weights());
        let Self { rows, activations, partial_sums, w, .. } = self;
        let block = LIVE_VECTORS * S::LANES;
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
                            LiveRows::of_cell(network, count, x, rows, activations, &live.bits);
                        let columns = columns.clone();
                        linear::forward_live(simd, rows, weight, width, columns, partial_sums);
                    }
                }
            },
        );
    }

    /// Computes the part of the convolution's gradient that comes from this row, and updates the
    /// weights of the row.
    pub fn backward(&mut self, simd: S, shared: &SharedBackward<'_, S>, clock: &mut PhaseClock) {
        self.gradient.clear();
        self.are_finite = true;
        match self.live.take() {
            Some(mut live) => {
                self.backward_live(simd, &mut live, shared, clock);
                self.live = Some(live);
            }
            None => self.backward_dense(simd, shared, clock),
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

    /// Backward pass that multiplies all activations.
    fn backward_dense(&mut self, simd: S, shared: &SharedBackward<'_, S>, clock: &mut PhaseClock) {
        let Shared { network, skip, .. } = shared.forward;
        for x in 0..CELLS {
            let rows = self.rows[x].len();
            let inked = rows - usize::from(skip != Skip::Nothing);
            let of_linear = 2 * rows * network.channels * shared.active.count;
            let of_conv = 2 * inked * network.taps() * network.channels;
            clock.run(Phase::LinearBackward, of_linear, || self.input_gradient(simd, shared, x));
            clock.run(Phase::ConvBackward, of_conv, || self.convolve_backward(simd, shared, x));
            clock.run(Phase::LinearUpdate, of_linear, || self.update(simd, shared, x));
        }
    }

    /// Backward pass that multiplies live activations alone.
    fn backward_live(
        &mut self,
        simd: S,
        live: &mut LiveMemory,
        shared: &SharedBackward<'_, S>,
        clock: &mut PhaseClock,
    ) {
        let Shared { network, images, .. } = shared.forward;
        for x in 0..CELLS {
            let Self { rows, activations, .. } = &*self;
            let LiveMemory { bits, lists, .. } = live;
            let rows = LiveRows::of_cell(network, images.count(), x, rows, activations, bits);
            clock.run(Phase::Data, 0, || lists.fill(rows));
            let listed = live.lists.count();
            let of_linear = 4 * listed * shared.active.count;
            let of_conv = 2 * listed * network.taps();
            let multiply = || self.multiply_live(simd, live, shared, x);
            clock.run(Phase::LinearBackward, of_linear, multiply);
            let convolve = || self.convolve_live(simd, live, shared, x);
            clock.run(Phase::ConvBackward, of_conv, convolve);
            clock.run(Phase::LinearUpdate, 0, || self.update_live(simd, live, shared, x));
        }
        live.take_kernel_gradient(network, &mut self.gradient);
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
    fn convolve_backward(&mut self, simd: S, shared: &SharedBackward<'_, S>, x: usize) {
        let Shared { network, images, plan, skip, .. } = shared.forward;
        let vectors = network.channels / S::LANES;
        let Self { rows, patches, masks, da, gradient, y, activations, .. } = self;
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
    fn update(&mut self, simd: S, shared: &SharedBackward<'_, S>, x: usize) {
        let Shared { network, images, .. } = shared.forward;
        let (channels, stride) = (network.channels, shared.active.stride());
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

    /// Computes both products of cell `x` with its weights and activations: the gradient of the
    /// weights, and the gradient of the live activations.
    #[inline(never)]
    fn multiply_live(
        &self,
        simd: S,
        live: &mut LiveMemory,
        shared: &SharedBackward<'_, S>,
        x: usize,
    ) {
        let Shared { network, images, plan, .. } = shared.forward;
        let (width, cell) = (network.hidden_padded(), network.cell_weights());
        let LiveMemory { bits, lists, blank_dz, gradient, packed, dots, .. } = live;
        let rows =
            LiveRows::of_cell(network, images.count(), x, &self.rows, &self.activations, bits);
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
                let dz = LiveDz { images: dz, blank: blank_dz };
                for (weight, packed) in self.w[x * cell..][..cell]
                    .chunks_exact(width)
                    .zip(packed.chunks_exact_mut(width))
                {
                    active.compress(simd, weight, packed);
                }
                let weights = packed.chunks_exact(width);
                let products = weights.zip(gradient.chunks_exact_mut(width)).zip(lists.iter_mut());
                for ((weight, gradient), LiveList { rows: list, x, da }) in products {
                    let channel = LiveChannel { images: rows.images, rows: list, x, dz };
                    channel.multiply(simd, active.count, weight, gradient, da, dots);
                }
            },
        );
    }

    /// Adds the part of cell `x` to the gradient of the convolution.
    #[inline(never)]
    fn convolve_live(
        &mut self,
        simd: S,
        live: &mut LiveMemory,
        shared: &SharedBackward<'_, S>,
        x: usize,
    ) {
        let Shared { network, images, plan, .. } = shared.forward;
        let Self { rows, activations, patches, gradient, y, .. } = self;
        let LiveMemory { bits, lists, kernel_gradient, .. } = live;
        let rows = LiveRows::of_cell(network, images.count(), x, rows, activations, bits);
        let last = rows.images.len() - 1;
        simd.vectorize(
            #[inline(always)]
            || {
                let inked = rows.images[..last].chunks(1);
                for (patch, row) in patches.chunks_exact_mut(plan.patch_len()).zip(inked) {
                    images.patch(simd, row, *y, x, patch);
                }
                let gradients = kernel_gradient.chunks_exact_mut(conv::live_len(network));
                let sums = gradients.zip(gradient.bias.iter_mut()).zip(lists.iter_mut());
                for (channel, ((gradient, bias), LiveList { rows: list, da, .. })) in
                    sums.enumerate()
                {
                    // The patches of blank images are 0.
                    let blank = list.last().is_some_and(|&row| row as usize == last);
                    let (list, blank) = list.split_at(list.len() - usize::from(blank));
                    *bias += da[list.len()..][..blank.len()].iter().sum::<f32>();
                    let channel = (rows, channel);
                    *bias += conv::backward_live(simd, plan, channel, list, da, patches, gradient);
                }
            },
        );
    }

    /// Updates the weights of cell `x` by the gradient in `live`.
    #[inline(never)]
    fn update_live(
        &mut self,
        simd: S,
        live: &LiveMemory,
        shared: &SharedBackward<'_, S>,
        x: usize,
    ) {
        let network = shared.forward.network;
        let (first, stride) = (x * network.cell_weights(), network.hidden_padded());
        let Self { w, m, v, are_finite, .. } = self;
        simd.vectorize(
            #[inline(always)]
            || {
                let weights =
                    Weights { w: &mut w[first..], m: &mut m[first..], v: &mut v[first..] };
                let (adam, active) = (&shared.adam, shared.active);
                update::update_live(simd, adam, active, &live.gradient, stride, weights);
                *are_finite &= update::are_finite(simd, &w[first..][..network.cell_weights()]);
            },
        );
    }
}

/// Memory of a row of cells for the kernels that multiply live activations alone.
struct LiveMemory {
    /// Number of words of bits for a row of activations.
    words: usize,
    /// Bits of the channels, (cells, N + 1, words).
    bits: Vec<Bits>,
    /// Live activations of one cell.
    lists: LiveLists,
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

impl LiveMemory {
    /// Memory for `rows` = N + 1 rows of a cell.
    fn new(network: &Network, rows: usize) -> Self {
        let words = Bits::words(network);
        Self {
            words,
            bits: vec![Bits::default(); CELLS * rows * words],
            lists: LiveLists::new(rows, network.channels),
            blank_dz: floats::zeros(network.hidden_padded()),
            gradient: floats::zeros(network.cell_weights()),
            packed: floats::zeros(network.cell_weights()),
            dots: linear::dots(rows),
            kernel_gradient: floats::zeros(network.channels * conv::live_len(network)),
        }
    }

    /// Bits of each cell, in a batch with `rows` = N + 1 rows of a cell.
    fn cells_mut(&mut self, rows: usize) -> impl Iterator<Item = &mut [Bits]> {
        self.bits.chunks_exact_mut(rows * self.words).take(CELLS)
    }

    /// Moves the gradient of the convolution's weights to `gradient`.
    fn take_kernel_gradient(&mut self, network: &Network, gradient: &mut ConvWeights) {
        let channels = self.kernel_gradient.chunks_exact(conv::live_len(network));
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
