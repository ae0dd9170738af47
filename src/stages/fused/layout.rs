//! Conversion between the canonical form of parameters and the layout of the kernels.
//!
//! ```text
//! conv1.weight [C, 1, K, K]   (K², C)
//! fc1.weight [H, C·14·14]     (cells, C, H padded) for each row of cells
//! fc2.weight [O, H]           (O, H padded)
//! ```

use super::cell_row::CellRow;
use super::conv::ConvWeights;
use super::head::HeadWeights;
use super::network::{CELLS, Network};
use super::products::Products;
use crate::model::parameters::Parameters;

/// Function that returns the weights of a row of cells, or one of their moments.
pub type Accessor<'a, S> = &'a dyn Fn(&mut CellRow<S>) -> &mut [f32];

/// Copies the `canonical` parameters, or a moment of them, to the layout of the kernels.
pub fn load<S: Products>(
    network: &Network,
    canonical: &Parameters,
    conv: &mut ConvWeights,
    cell_rows: &mut [CellRow<S>],
    part: Accessor<'_, S>,
    head: &mut HeadWeights,
) {
    let mut tensors = canonical.iter();
    let mut next = || tensors.next().expect("the pattern has six tensors").1;
    let (conv_weight, conv_bias) = (next(), next());
    let (weight1, bias1, weight2, bias2) = (next(), next(), next(), next());
    for (tap, row) in conv.weight.chunks_exact_mut(network.channels).enumerate() {
        for (value, weight) in row.iter_mut().zip(conv_weight.chunks_exact(network.taps())) {
            *value = weight[tap];
        }
    }
    conv.bias.copy_from_slice(conv_bias);
    head.bias1[..network.hidden].copy_from_slice(bias1);
    head.bias2[..network.classes].copy_from_slice(bias2);
    let rows = head.weight2.chunks_exact_mut(network.hidden_padded());
    for (row, canonical) in rows.zip(weight2.chunks_exact(network.hidden)) {
        row[..network.hidden].copy_from_slice(canonical);
    }
    for cell_row in cell_rows {
        let y = cell_row.cells.y;
        let values = part(cell_row);
        for_each_run(network, y, |index, start| {
            for (x, &value) in weight1[start..start + CELLS].iter().enumerate() {
                values[x * network.cell_weights() + index] = value;
            }
        });
    }
}

/// Copies parameters, or a moment of them, from the layout of the kernels to `canonical`.
pub fn store<S: Products>(
    network: &Network,
    canonical: &mut Parameters,
    conv: &ConvWeights,
    cell_rows: &[CellRow<S>],
    part: &dyn Fn(&CellRow<S>) -> &[f32],
    head: &HeadWeights,
) {
    let mut tensors = canonical.iter_mut();
    let mut next = || tensors.next().expect("the pattern has six tensors").1;
    for (channel, weight) in next().chunks_exact_mut(network.taps()).enumerate() {
        for (value, row) in weight.iter_mut().zip(conv.weight.chunks_exact(network.channels)) {
            *value = row[channel];
        }
    }
    next().copy_from_slice(&conv.bias);
    let weight1 = next();
    for cell_row in cell_rows {
        let y = cell_row.cells.y;
        let values = part(cell_row);
        for_each_run(network, y, |index, start| {
            for (x, value) in weight1[start..start + CELLS].iter_mut().enumerate() {
                *value = values[x * network.cell_weights() + index];
            }
        });
    }
    next().copy_from_slice(&head.bias1[..network.hidden]);
    let rows = head.weight2.chunks_exact(network.hidden_padded());
    for (canonical, row) in next().chunks_exact_mut(network.hidden).zip(rows) {
        canonical.copy_from_slice(&row[..network.hidden]);
    }
    next().copy_from_slice(&head.bias2[..network.classes]);
}

/// Calls `run` for every channel and hidden unit of row `y` of the cells, with the index of their
/// weight within a cell, and with the canonical index of this weight in the first cell of the row.
/// In the canonical form, the weights of the other cells of the row follow this weight.
fn for_each_run(network: &Network, y: usize, mut run: impl FnMut(usize, usize)) {
    let Network { channels, hidden, .. } = *network;
    for channel in 0..channels {
        for unit in 0..hidden {
            let start = ((unit * channels + channel) * CELLS + y) * CELLS;
            run(channel * network.hidden_padded() + unit, start);
        }
    }
}
