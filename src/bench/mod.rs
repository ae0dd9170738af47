//! Stages measured against each other.

pub mod agreement;
pub mod child;
pub mod contestant;
pub mod ladder;
pub mod protocol;
mod rows;
