//! Stages measured against each other.

pub mod agreement;
pub mod contestant;
pub mod protocol;
