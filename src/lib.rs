//! mnist-train
pub mod cli;
pub mod commands;
pub mod data;
pub mod durable;
pub mod engine;
pub mod error;
pub mod measure;
pub mod model;
pub mod nn;
pub mod random;
pub mod report;
pub mod stages;
pub mod training;
