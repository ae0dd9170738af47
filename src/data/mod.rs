//! Datasets: finds, downloads, reads or generates them, and cuts them into shuffled batches. Pixels
//! stay bytes. Prepares pictures to classify.

pub mod augment;
pub mod batches;
pub mod classes;
pub mod dataset;
#[cfg(feature = "download")]
pub mod download;
pub mod files;
pub mod idx;
pub mod known;
pub mod part;
pub mod picture;
pub mod remote;
pub mod source;
pub mod synthetic;
