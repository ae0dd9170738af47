//! # parallel: rows of cells shared over the cores
//!
//! **Starting point.** [`fused`], whose engine this is.
//!
//! **Observation.** The fused stage runs at more than half of what one core can do, and the other
//! cores stand idle. A step is short: by the time a sleeping thread has been woken, the work that
//! it was woken for would be done.
//!
//! **Idea.** Share the cells and not the images. A row of 14 cells has its weights, moments,
//! activations and sums to itself, so cores meet only where sums over all cells are needed:
//!
//! ```text
//! each row of cells    conv, relu, pooling; its partial sums of the hidden units     ┐ any core,
//! ── wait ──                                                                         │ any order
//! each 8 images        add the 14 partial sums, in the order of the rows; logits     │
//! ── wait ──                                                                         │
//! each 8 images        loss, dlogits, dz; gradients of the head                      │
//! ── wait ──           add the head's gradients, in the order of the images          │
//! each row of cells    dX, conv backward, dW, L2, Adam; its own conv gradient        ┘
//! ── wait ──           add the 14 conv gradients, in the order of the rows; Adam on conv and head
//! ```
//!
//! 1. **Same bits for any number of threads.** Rows and groups of images do not depend on the
//!    number of threads, no item's result depends on who computes it, and what they leave is added
//!    in a fixed order when all are done.
//! 2. **Little to exchange.** Split by images, every core would need a gradient of its own for all
//!    weights of the first linear layer, and all of them would have to be added. Split by cells,
//!    the cores exchange the sums of the hidden units and a gradient for the convolution.
//! 3. **Waiting without sleeping.** Members of a [`Team`](crate::team::Team) look at a number in
//!    memory until it changes. They sleep only when nothing has come for a while.
//! 4. **A queue.** Who is done with a row takes the next, so a core that a neighbour disturbs gets
//!    fewer of them.
//!
//! **What it costs.** A module with `unsafe` code for the team, because threads that outlive a
//! piece of work borrow what the piece works on. Threads that look at a number use their core while
//! they wait. There are 14 rows: a number of threads that does not divide 14 leaves some of them
//! waiting at the end, and more than 14 are not started.
//!
//! **Measured.** OPTIMIZATIONS.md, chapter parallel.

use super::fused;
use crate::engine::Engine;
use crate::engine::compute::{Compute, Precision};
use crate::error::Result;
use crate::model::architecture::Architecture;
use crate::optim::adam::Adam;

/// The fused engine on all the threads that it may use.
///
/// # Errors
/// When the operating system refuses to start the threads.
///
/// # Panics
/// When the stage [lacks something](super::Stage::unmet).
pub fn build(architecture: &Architecture, adam: Adam, compute: Compute) -> Result<Box<dyn Engine>> {
    fused::build(architecture, adam, compute, Precision::F32, false)
}
