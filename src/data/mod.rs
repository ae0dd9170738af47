//! From files (or a generator) to shuffled batches of pixels that are still bytes.

pub mod batches;
pub mod dataset;
#[cfg(feature = "download")]
pub mod download;
pub mod files;
pub mod idx;
pub mod remote;
pub mod source;
pub mod synthetic;
