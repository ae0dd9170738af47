//! The optimizer, which turns gradients into new weights, and the learning rate of each epoch.

pub mod adam;
pub mod schedule;
