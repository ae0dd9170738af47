//! The measurement of stages against each other: agreement, time, phases and memory; and the
//! measurements of single layers, of the tape and of predictions.

pub mod ablations;
pub mod agreement;
pub mod autograd;
pub mod budget;
pub mod child;
pub mod contestant;
pub mod effort;
pub mod gate;
pub mod infer;
pub mod ladder;
pub mod layers;
pub mod memory;
pub mod observer;
pub mod protocol;
mod rows;
pub mod suite;
pub mod timing;
