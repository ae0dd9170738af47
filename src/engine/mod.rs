//! The seam between training and the ways to execute it.

pub mod compute;
pub mod layerwise;
pub mod phases;
pub mod plan;

use self::phases::Phases;
use crate::data::batches::Batch;
use crate::model::parameters::TrainState;
use crate::nn::cross_entropy::LossSum;

/// One complete way to execute a training step.
///
/// An engine keeps weights and moments in whatever layout suits it and is handed, and hands back,
/// the canonical form. For a given batch size, order and starting state its results are the same
/// bits for any number of threads.
pub trait Engine {
    /// Takes over `state`.
    ///
    /// # Panics
    /// When `state` belongs to another architecture.
    fn load(&mut self, state: &TrainState);

    /// The present state in canonical form.
    fn store(&self) -> TrainState;

    /// One step of forward, loss, backward and Adam at learning rate `lr`. The loss is that of the
    /// weights before the update, or NaN if one is not finite after it. What `batch` says of the
    /// next one is a hint, and changes nothing.
    fn step(&mut self, batch: &Batch<'_>, lr: f64) -> LossSum;

    /// The logits of each image, (N, classes).
    fn predict(&mut self, batch: &Batch<'_>) -> &[f32];

    /// Threads that a step uses.
    fn threads(&self) -> usize;

    /// Begins to measure the phases of the steps that follow, or stops; off at first. Measuring
    /// costs a few percent.
    fn measure_phases(&mut self, on: bool);

    /// The cost of the phases of the steps measured since the last call.
    fn take_phases(&mut self) -> Phases;
}
