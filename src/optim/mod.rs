//! What turns a gradient into new weights, and the learning rate of each epoch.

pub mod adam;
pub mod schedule;
