//! The measurement of stages against each other: agreement, time, phases and memory; and the
//! measurement of single layers.

pub mod agreement;
pub mod child;
pub mod contestant;
pub mod gate;
pub mod ladder;
pub mod layers;
pub mod observer;
pub mod protocol;
mod rows;
pub mod suite;
pub mod timing;
