//! A row of cells with the kernels that compute it. Cores share a step by rows of cells.

use super::cells::{Cells, Shared, SharedBackward};
use super::conv::ConvPlan;
use super::dense::Dense;
use super::live::Live;
use super::network::Network;
use super::products::Products;
use super::skip::Skip;
use super::trained::Tensors;
use crate::engine::phases::{Phase, PhaseClock, Phases};

/// Row of cells and its kernels.
pub struct CellRow<S: Products> {
    /// Cells of the row.
    pub cells: Cells,
    /// Kernels that compute the cells.
    kernels: Kernels<S>,
    /// Cost of the phases in this row since the costs were last taken.
    pub phases: Phases,
}

/// Kernels of a row of cells, with their memory.
enum Kernels<S: Products> {
    /// Kernels that multiply all activations.
    Dense(Dense<S>),
    /// Kernels that multiply live activations alone.
    Live(Live),
}

impl<S: Products> CellRow<S> {
    /// Row `y` of the cells, with weights of 0, whose kernels leave out the products of `skip`.
    pub fn new(network: &Network, y: usize, skip: Skip) -> Self {
        let kernels = match skip {
            Skip::Nothing | Skip::Blank => Kernels::Dense(Dense::new(network)),
            Skip::Zeros => Kernels::Live(Live::new(network)),
        };
        Self { cells: Cells::new(network, y), kernels, phases: Phases::default() }
    }

    /// Grows the buffers to a batch of `images` images.
    pub fn reserve(&mut self, network: &Network, plan: &ConvPlan, images: usize) {
        if self.cells.reserve(network, images) {
            match &mut self.kernels {
                Kernels::Dense(dense) => dense.reserve(network, plan, images),
                Kernels::Live(live) => live.reserve(network, images),
            }
        }
    }

    /// Computes the activations of all cells of the row, and its partial sums.
    pub fn forward(&mut self, simd: S, shared: &Shared<'_>, clock: &mut PhaseClock) {
        clock.run(Phase::Data, 0, || self.cells.list_rows(shared));
        match &mut self.kernels {
            Kernels::Dense(dense) => dense.forward(simd, &mut self.cells, shared, clock),
            Kernels::Live(live) => live.forward(simd, &mut self.cells, shared, clock),
        }
    }

    /// Computes the part of the convolution's gradient that comes from this row, and updates the
    /// weights of the row.
    pub fn backward(&mut self, simd: S, shared: &SharedBackward<'_, S>, clock: &mut PhaseClock) {
        let Self { cells, kernels, .. } = self;
        cells.gradient.clear();
        cells.are_finite = true;
        match kernels {
            Kernels::Dense(dense) => dense.backward(simd, cells, shared, clock),
            Kernels::Live(live) => live.backward(simd, cells, shared, clock),
        }
        clock.run(Phase::LinearUpdate, 0, || {
            simd.vectorize(
                #[inline(always)]
                || {
                    [&mut cells.w, &mut cells.m, &mut cells.v]
                        .into_iter()
                        .for_each(|values| shared.adam.flush_small(simd, values));
                },
            );
        });
    }
}
