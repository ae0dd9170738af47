//! mnist-train
pub mod data;
pub mod durable;
pub mod engine;
pub mod error;
pub mod model;
pub mod nn;
pub mod random;
pub mod stages;
pub mod training;
