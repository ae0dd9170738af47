//! mnist-train
pub mod data;
pub mod error;
pub mod random;
