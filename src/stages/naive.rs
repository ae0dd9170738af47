//! # naive: the loops of the definition
//!
//! **Starting point.** None: this is the baseline that everything else is measured against and
//! checked against. It is the arithmetic of [`crate::nn`], which is compared with PyTorch.
//!
//! **Observation.** None yet.
//!
//! **Idea.** Write down the definition, one image at a time:
//!
//! ```text
//! for each image, output channel o, row i, column j
//!     y[o,i,j] = b[o]
//!     for each input channel c, kernel row m, kernel column k
//!         y[o,i,j] += x[c, i+m, j+k] · w[o,c,m,k]
//! ```
//!
//! Each `x[…]` and `w[…]` is an access through a tensor type that knows its strides and computes
//! Σ index·stride, every time.
//!
//! **What it costs.** Nothing to read, and most of the machine.
//!
//! **Measured.** OPTIMIZATIONS.md, chapter naive.

use crate::engine::Engine;
use crate::engine::layerwise::LayerwiseEngine;
use crate::model::architecture::Architecture;
use crate::nn::primitives::Reference;
use crate::optim::adam::Adam;

/// The layerwise engine with the reference arithmetic of [`crate::nn`].
pub fn build(architecture: &Architecture, adam: Adam) -> Box<dyn Engine> {
    Box::new(LayerwiseEngine::new(architecture, adam, Reference))
}
