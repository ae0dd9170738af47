//! The last pass over the weights of a cell: their gradient, L2 and Adam. Each weight and moment is
//! read from memory once.
//!
//! ```text
//! for each four channels c                               lanes are hidden units
//!     for each image of the list
//!         g[c] += a[image][c] · dz[image]                sums stay in registers
//!     w[c], m[c], v[c] = Adam(g[c] + λ·w[c], …)          contiguous in memory
//! ```
//!
//! The gradient of 800,000 weights is never in memory as a whole.

use super::network::ALIGNMENT;
use super::products::Products;
use super::tile;
use crate::optim::adam::AdamStep;
use crate::simd::Simd;

/// Number of images that a product adds between two updates of a channel.
const IMAGES_PER_UPDATE: usize = 8;
/// Number of floats in a cache line.
const LINE: usize = 16;
/// Number of channels in a tile.
const TILE_CHANNELS: usize = 4;

/// Weights with their moments; the three slices have the same length.
#[derive(Debug)]
pub struct Weights<'a> {
    /// Weights of some cells.
    pub w: &'a mut [f32],
    /// First moments of the weights.
    pub m: &'a mut [f32],
    /// Second moments of the weights.
    pub v: &'a mut [f32],
}

/// Hidden units that have a gradient in this step, and the expansion of packed gradients to all
/// hidden units.
#[derive(Debug)]
pub struct Active<S: Simd> {
    /// Mark of each hidden unit, 1 if it is active, else 0, (H padded).
    pub units: Vec<u32>,
    /// Number of active units, A.
    pub count: usize,
    /// Indices of the active units, in ascending order, (A).
    indices: Vec<u32>,
    /// Packed index of the first active unit of each vector of hidden units.
    starts: Vec<usize>,
    /// Expansion of each vector of hidden units to its active lanes.
    expansions: Vec<S::Expansion>,
}

impl<S: Simd> Active<S> {
    /// Set in which all `hidden` hidden units are active.
    pub fn all(simd: S, hidden: usize) -> Self {
        let vectors = hidden / S::LANES;
        let mut all = Self {
            units: vec![1; hidden],
            count: hidden,
            indices: vec![0; hidden],
            starts: vec![0; vectors],
            expansions: vec![simd.expansion(u16::MAX); vectors],
        };
        all.rebuild(simd);
        all
    }

    /// Computes the other fields from `units`.
    pub fn rebuild(&mut self, simd: S) {
        let active = (0..).zip(&self.units).filter(|&(_, &unit)| unit == 1);
        self.indices.clear();
        self.indices.extend(active.map(|(index, _)| index));
        self.count = 0;
        let vectors = self.starts.iter_mut().zip(&mut self.expansions);
        for (units, (start, expansion)) in self.units.chunks_exact(S::LANES).zip(vectors) {
            *start = self.count;
            let lanes = units.iter().rev().fold(0, |lanes, &unit| lanes << 1 | unit as u16);
            *expansion = simd.expansion(lanes);
            self.count += lanes.count_ones() as usize;
        }
    }

    /// Length of a row that is packed to the active units: A, rounded up to whole cache lines, and
    /// at least one. Rows of this length lie evenly over the sets of the first-level cache.
    pub fn stride(&self) -> usize {
        self.count.max(1).next_multiple_of(ALIGNMENT)
    }

    /// Copies the active units of `row` (H padded) to the front of `packed`, and fills the rest
    /// with zeros.
    pub fn pack(&self, row: &[f32], packed: &mut [f32]) {
        for (packed, &index) in packed.iter_mut().zip(&self.indices) {
            *packed = row[index as usize];
        }
        packed[self.count..].fill(0.0);
    }

    /// Copies the active units of each row of `matrix` (R, H padded) to the front of the row of
    /// `packed` (R, H padded). The other values of `packed` have no meaning.
    #[inline(always)]
    pub fn compress(&self, simd: S, matrix: &[f32], packed: &mut [f32]) {
        let width = self.units.len();
        for (vector, (&start, expansion)) in self.starts.iter().zip(&self.expansions).enumerate() {
            let from = matrix[vector * S::LANES..].chunks(width);
            for (from, to) in from.zip(packed[start..].chunks_mut(width)) {
                // Values that are not of active units are overwritten by the next vector.
                simd.store(simd.compress(simd.load(from), expansion), to);
            }
        }
    }
}

/// Updates the weights of the first cell by their `gradient` (C, H padded), packed to the active
/// units.
#[inline(always)]
pub fn update_live<S: Simd>(
    simd: S,
    adam: &AdamVectors<S>,
    active: &Active<S>,
    gradient: &[f32],
    stride: usize,
    weights: Weights<'_>,
) {
    let Weights { w, m, v } = weights;
    let moments = m.chunks_exact_mut(stride).zip(v.chunks_exact_mut(stride));
    let rows = w.chunks_exact_mut(stride).zip(moments);
    for (gradient, (w, (m, v))) in gradient.chunks_exact(stride).zip(rows) {
        let moments = m.chunks_exact_mut(S::LANES).zip(v.chunks_exact_mut(S::LANES));
        let vectors = w.chunks_exact_mut(S::LANES).zip(moments);
        let gradients = active.starts.iter().zip(&active.expansions);
        for ((w, (m, v)), (&start, expansion)) in vectors.zip(gradients) {
            let g = simd.expand(simd.load(&gradient[start..]), expansion);
            adam.update(simd, g, w, m, v);
        }
    }
}

/// Coefficients of an [`AdamStep`] in vectors.
#[derive(Clone, Copy)]
pub struct AdamVectors<S: Simd> {
    /// λ, factor of the L2 regularization.
    l2: S::Vector,
    /// 1 − β₁, weight of the gradient in the first moment.
    blend1: S::Vector,
    /// β₂, decay of the second moment.
    beta2: S::Vector,
    /// 1 − β₂, weight of the squared gradient in the second moment.
    blend2: S::Vector,
    /// Step size s = α / (1 − β₁ᵗ), multiplied by the root correction r, with a minus.
    scale: S::Vector,
    /// Part of a weight that decoupled decay leaves; 1 without it.
    keep: S::Vector,
    /// ε, multiplied by the root correction r.
    eps: S::Vector,
    /// Magnitude below which values are flushed to 0; 0 in most steps.
    smallest: f32,
}

impl<S: Simd> AdamVectors<S> {
    /// Vectors of the coefficients of `step`. The numerator and the denominator of
    /// s·m / (√v / r + ε) are multiplied by r, the root correction, which leaves one division. The
    /// minus of the step makes one multiply-add of decay and step.
    #[inline(always)]
    pub fn new(simd: S, step: &AdamStep) -> Self {
        Self {
            l2: simd.splat(step.l2),
            blend1: simd.splat(step.blend1),
            beta2: simd.splat(step.beta2),
            blend2: simd.splat(step.blend2),
            scale: simd.splat(-step.step_size * step.root_correction),
            keep: simd.splat(step.keep),
            // An ε that rounds to 0 would make a fraction of 0 and 0.
            eps: simd.splat((step.eps * step.root_correction).max(f32::MIN_POSITIVE)),
            smallest: step.smallest,
        }
    }

    /// Updates the first lanes of `w`, `m` and `v` by the gradient `g`, as [`AdamStep::update`]
    /// does, but without [flushing](Self::flush_small).
    #[inline(always)]
    pub fn update(&self, simd: S, g: S::Vector, w: &mut [f32], m: &mut [f32], v: &mut [f32]) {
        let weight = simd.load(w);
        let g = simd.mul_add(self.l2, weight, g);
        let first = simd.load(m);
        let first = simd.mul_add(self.blend1, simd.sub(g, first), first);
        let second = simd.mul(self.beta2, simd.load(v));
        let second = simd.mul_add(simd.mul(self.blend2, g), g, second);
        let root = simd.add(simd.sqrt(second), self.eps);
        let step = simd.div(simd.mul(self.scale, first), root);
        simd.store(first, m);
        simd.store(second, v);
        simd.store(simd.mul_add(self.keep, weight, step), w);
    }

    /// Flushes small `values` to 0, if this step does so. The length of `values` is a multiple of
    /// [`LANES`](Simd::LANES).
    #[inline(always)]
    pub fn flush_small(&self, simd: S, values: &mut [f32]) {
        if self.smallest > 0.0 {
            let smallest = simd.splat(self.smallest);
            for value in values.chunks_exact_mut(S::LANES) {
                simd.store(simd.flush_small(simd.load(value), smallest), value);
            }
        }
    }

    /// Updates all of `w`, `m` and `v` by the gradient `g`, as [`AdamStep::update`] does. The
    /// length of the slices is a multiple of [`LANES`](Simd::LANES).
    #[inline(always)]
    pub fn update_all(&self, simd: S, g: &[f32], w: &mut [f32], m: &mut [f32], v: &mut [f32]) {
        assert!([w.len(), m.len(), v.len()] == [g.len(); 3] && g.len().is_multiple_of(S::LANES));
        let vectors = |values| <[f32]>::chunks_exact_mut(values, S::LANES);
        let weights = vectors(&mut *w).zip(vectors(&mut *m).zip(vectors(&mut *v)));
        for (g, (w, (m, v))) in g.chunks_exact(S::LANES).zip(weights) {
            self.update(simd, simd.load(g), w, m, v);
        }
        [w, m, v].into_iter().for_each(|values| self.flush_small(simd, values));
    }
}

/// Whether all `values` are finite: only then is each of their products with 0 equal to 0. The
/// length of `values` is a multiple of [`LANES`](Simd::LANES).
#[inline(always)]
pub fn are_finite<S: Simd>(simd: S, values: &[f32]) -> bool {
    assert!(values.len().is_multiple_of(S::LANES));
    let zero = simd.splat(0.0);
    // There are several sums, because an addition waits for the one before in its sum.
    let mut sums = [zero; 4];
    let fours = values.chunks_exact(4 * S::LANES);
    for vector in fours.remainder().chunks_exact(S::LANES) {
        sums[0] = simd.mul_add(simd.load(vector), zero, sums[0]);
    }
    for four in fours {
        for (sum, vector) in sums.iter_mut().zip(four.chunks_exact(S::LANES)) {
            *sum = simd.mul_add(simd.load(vector), zero, *sum);
        }
    }
    let [a, b, c, d] = sums;
    simd.sum(simd.add(simd.add(a, b), simd.add(c, d))) == 0.0
}

/// Operands of the product dW = xᵀ · dz.
#[derive(Clone, Copy)]
pub struct Operands<'a, F> {
    /// Activations, (R, C), as [`Products::interleaved`] returns them.
    pub x: &'a [F],
    /// Index of the row of dz that belongs to each row of `x`, (R).
    pub rows: &'a [u32],
    /// Rows of dz, (N + 1, `stride`), packed to the active units, as [`Products::interleaved`]
    /// returns them.
    pub dz: &'a [F],
    /// Number of channels, C.
    pub channels: usize,
    /// Length of a row of `dz`.
    pub stride: usize,
}

/// Updates the weights of the first cell. `weights` (cells, C, H padded) are the weights of this
/// cell and of the cells after it. `packed` (2, 4, H padded) is memory for the gradients of two
/// tiles.
///
/// Products keep the multiply-add units busy, and Adam the unit that divides. So after every
/// [`IMAGES_PER_UPDATE`] images of a tile, the loop also updates one channel of the previous tile.
#[inline(always)]
pub fn update<S: Products>(
    simd: S,
    adam: &AdamVectors<S>,
    active: &Active<S>,
    operands: Operands<'_, S::Factor>,
    weights: Weights<'_>,
    packed: &mut [f32],
) {
    let (channels, stride) = (operands.channels, active.units.len());
    let Weights { w, m, v } = weights;
    let tile_weights = TILE_CHANNELS * stride;
    let (mut present, mut past) = packed.split_at_mut(tile_weights);
    // There is one round more than there are tiles: the last round only updates.
    for channel in (0..=channels).step_by(TILE_CHANNELS) {
        let behind = channel.saturating_sub(TILE_CHANNELS) * stride;
        let mut pending = PendingAdam {
            adam,
            active,
            gradient: past,
            stride,
            weights: Weights { w: &mut w[behind..], m: &mut m[behind..], v: &mut v[behind..] },
            left: if channel == 0 { 0 } else { TILE_CHANNELS },
            cell: channels * stride,
        };
        if channel < channels {
            let gradient = Gradient { operands, channel };
            let mut first = 0;
            while first < active.count {
                let vectors = (active.count - first).div_ceil(S::LANES);
                let pending = &mut pending;
                first += S::LANES
                    * match (vectors, S::REGISTERS) {
                        (5, 32) => gradient.tile::<S, 5>(simd, first, pending, present),
                        (4 | 7.., 32) => gradient.tile::<S, 4>(simd, first, pending, present),
                        (3 | 6, 32) => gradient.tile::<S, 3>(simd, first, pending, present),
                        (2.., _) => gradient.tile::<S, 2>(simd, first, pending, present),
                        (_, _) => gradient.tile::<S, 1>(simd, first, pending, present),
                    };
            }
        }
        while pending.left > 0 {
            pending.update_channel(simd);
        }
        std::mem::swap(&mut present, &mut past);
    }
}

/// Updates by Adam that are still to be done for a tile whose gradient is complete.
struct PendingAdam<'a, S: Simd> {
    /// Coefficients of Adam for weights.
    adam: &'a AdamVectors<S>,
    /// Hidden units that have a gradient.
    active: &'a Active<S>,
    /// Gradient of the remaining channels, packed to the active units, (remaining channels, H
    /// padded).
    gradient: &'a [f32],
    /// Length of a row of weights, H padded.
    stride: usize,
    /// Weights of the remaining channels, (remaining channels, H padded), and of the tiles after
    /// them, which are prefetched: to load a line from the third-level cache takes about as long as
    /// the products of a tile.
    weights: Weights<'a>,
    /// Number of remaining channels: channels of the tile that are not updated yet.
    left: usize,
    /// Number of weights of a cell.
    cell: usize,
}

impl<S: Simd> PendingAdam<'_, S> {
    /// Updates the weights of the next channel, if there is one.
    #[inline(always)]
    fn update_channel(&mut self, simd: S) {
        if self.left == 0 {
            return;
        }
        self.left -= 1;
        let (packed, gradient) = self.gradient.split_at(self.stride);
        self.gradient = gradient;
        let Weights { w, m, v } = &mut self.weights;
        let (w, m, v) =
            (take_row(w, self.stride), take_row(m, self.stride), take_row(v, self.stride));
        let moments = m.chunks_exact_mut(S::LANES).zip(v.chunks_exact_mut(S::LANES));
        let vectors = w.chunks_exact_mut(S::LANES).zip(moments);
        let gradients = self.active.starts.iter().zip(&self.active.expansions);
        for ((w, (m, v)), (&start, expansion)) in vectors.zip(gradients) {
            let g = simd.expand(simd.load(&packed[start..]), expansion);
            self.adam.update(simd, g, w, m, v);
        }
        let later = (TILE_CHANNELS - 1) * self.stride;
        for line in (later..later + self.stride).step_by(LINE) {
            simd.prefetch_l1(self.weights.m, line);
            simd.prefetch_l1(self.weights.v, line);
        }
        let next_cell = self.cell - self.stride;
        for line in (next_cell..next_cell + self.stride).step_by(LINE) {
            simd.prefetch_l2(self.weights.w, line);
        }
    }
}

/// Splits the first `length` values off `values` and returns them.
#[inline(always)]
fn take_row<'a>(values: &mut &'a mut [f32], length: usize) -> &'a mut [f32] {
    let (row, rest) = std::mem::take(values).split_at_mut(length);
    *values = rest;
    row
}

/// Gradient dW of [`TILE_CHANNELS`] channels.
struct Gradient<'a, F> {
    /// Operands of the product that makes the gradient.
    operands: Operands<'a, F>,
    /// First channel of the tile.
    channel: usize,
}

impl<F: Copy> Gradient<'_, F> {
    /// Writes U vectors of packed columns from `first` on to `packed` (4, H padded), and runs
    /// `pending` updates in between; returns U.
    #[inline(always)]
    fn tile<S: Products<Factor = F>, const U: usize>(
        &self,
        simd: S,
        first: usize,
        pending: &mut PendingAdam<'_, S>,
        packed: &mut [f32],
    ) -> usize {
        let Operands { x, rows, dz, channels, stride } = self.operands;
        let packed_stride = packed.len() / TILE_CHANNELS;
        let mut sums = tile::zeros::<S, TILE_CHANNELS, U>(simd);
        let mut x = &x[self.channel..];
        for k in 0..rows.len().div_ceil(S::DEPTH) {
            if k % (IMAGES_PER_UPDATE / S::DEPTH) == 0 {
                pending.update_channel(simd);
            }
            let row = S::interleaved_row(rows, k);
            let dz: [S::Factors; U] = tile::factors(simd, &dz[row * stride + first..]);
            let factors: &[F; TILE_CHANNELS] = x.first_chunk().expect("a row of x");
            for (sums, &factor) in sums.iter_mut().zip(factors) {
                let factor = simd.splat_factor(factor);
                for u in 0..U {
                    sums[u] = simd.multiply_add(factor, dz[u], sums[u]);
                }
            }
            x = x.get(channels..).unwrap_or_default();
        }
        for (c, sums) in sums.into_iter().enumerate() {
            tile::store(simd, sums, &mut packed[c * packed_stride + first..]);
        }
        U
    }
}
