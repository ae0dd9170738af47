//! The cells of one row: their weights, and the results that a step leaves in them.

use super::conv::{ConvPlan, ConvWeights};
use super::images::Images;
use super::network::{CELLS, Network};
use super::products::Products;
use super::skip::Skip;
use super::update::{Active, AdamVectors};
use crate::stages::floats::{self, Floats};

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
    /// Whether the convolution is frozen, so that it needs no gradient.
    pub freezes_convolution: bool,
}

/// Row of cells: its weights with their moments, and the results of its computation.
pub struct Cells {
    /// Index of the row.
    pub y: usize,
    /// Weights of the first linear layer, (cells, C, H padded).
    pub w: Floats,
    /// First moments of `w`, (cells, C, H padded).
    pub m: Floats,
    /// Second moments of `w`, (cells, C, H padded).
    pub v: Floats,
    /// For each cell the images for which it is computed, in ascending order. If blank cells are
    /// skipped, a last entry N is the row that all blank images share.
    pub rows: [Vec<u32>; CELLS],
    /// Activations of the listed images, (cells, N + 1, C).
    pub activations: Floats,
    /// Sums that this row of cells adds to the hidden units of every image, (N + 1, H padded).
    pub partial_sums: Floats,
    /// Gradient of the convolution from the cells of this row, for pixels in 0..=255.
    pub gradient: ConvWeights,
    /// Whether all weights were finite after the last update.
    pub are_finite: bool,
}

impl Cells {
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
            partial_sums: floats::zeros(0),
            gradient: ConvWeights::new(network),
            are_finite: true,
        }
    }

    /// Grows the buffers to a batch of `images` images. Returns whether they were too small.
    pub fn reserve(&mut self, network: &Network, images: usize) -> bool {
        let rows = images + 1;
        let grows = self.partial_sums.len() < rows * network.hidden_padded();
        if grows {
            for list in &mut self.rows {
                list.reserve_exact(rows);
            }
            self.activations.resize(CELLS * rows * network.channels, 0.0);
            self.partial_sums.resize(rows * network.hidden_padded(), 0.0);
        }
        grows
    }

    /// Lists the images for which each cell is computed.
    pub fn list_rows(&mut self, shared: &Shared<'_>) {
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
    pub fn inked_rows(&self, shared: &Shared<'_>) -> impl Iterator<Item = usize> {
        let blank = usize::from(shared.skip != Skip::Nothing);
        self.rows.iter().map(move |rows| rows.len() - blank)
    }
}
