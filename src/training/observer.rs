//! Observer of a run: what the training loop tells while it trains, and to whom.

use std::time::Duration;

use crate::files::durable::Kept;
use crate::model::checkpoint::EpochRecord;

/// Observer of a run, which may also stop it.
pub trait Observer {
    /// Called before the first step, with the number of the epoch to which it belongs, and the results
    /// of the epochs before.
    fn begin(&mut self, epoch: usize, history: &[EpochRecord]);
    /// Called after each batch.
    fn batch(&mut self, progress: &Progress);
    /// Called after each epoch.
    fn epoch(&mut self, report: &EpochReport);
    /// Called after each step whose gradient has a large `norm`, above 10, and is not clipped.
    fn large_gradient(&mut self, norm: f64);
    /// Called when the checkpoint replaced another run's file, which was `kept`.
    fn kept_previous(&mut self, kept: &Kept);
    /// Number of the signal that asks the run to stop, if one has come.
    fn stop(&self) -> Option<i32>;
}

/// Progress of an epoch.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Progress {
    /// Number of the epoch, counted from 0.
    pub epoch: usize,
    /// Number of finished batches.
    pub batch: usize,
    /// Number of batches in the whole epoch.
    pub batches: usize,
    /// Number of images in the finished batches.
    pub images: usize,
    /// Mean loss of the finished images, each with the weights before its step.
    pub loss: f64,
    /// Share of the finished images that the model classified correctly, each with the weights
    /// before its step.
    pub accuracy: f64,
}

/// Result of one epoch.
#[derive(Debug, Clone, PartialEq)]
pub struct EpochReport {
    /// Results of the epoch, as checkpoints keep them.
    pub record: EpochRecord,
    /// Duration of the epoch's training steps in this process.
    pub duration: Duration,
    /// Number of images trained on in this process: only the rest of the epoch after resuming
    /// within it.
    pub images: usize,
}
