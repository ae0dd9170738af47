//! Datasets: finds, downloads, reads or generates them, and cuts them into shuffled batches. Pixels
//! stay bytes.

pub mod batches;
pub mod dataset;
#[cfg(feature = "download")]
pub mod download;
pub mod files;
pub mod idx;
pub mod remote;
pub mod source;
pub mod synthetic;
