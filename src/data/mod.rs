//! From files (or a generator) to shuffled batches of pixels that are still bytes.

pub mod batches;
pub mod dataset;
pub mod idx;
