//! The loop over epochs, and what it needs beside an engine.

pub mod checkpoints;
pub mod evaluation;
pub mod trainer;
