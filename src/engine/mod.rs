//! The trait [`Engine`], through which training executes a step in one of several ways.
//!
//! All engines share the description of their resources in [`compute`] and the clock in [`phases`].
//! [`layerwise`] is the engine of the first stages; its two passes are in [`passes`], and [`plan`]
//! gives their buffers their places. [`tree_sum`] adds the gradients of the parts of a batch.

pub mod compute;
pub mod layerwise;
pub mod passes;
pub mod phases;
pub mod plan;
pub mod tree_sum;

use self::phases::Phases;
use crate::data::batches::Batch;
use crate::model::parameters::TrainState;
use crate::nn::cross_entropy::LossSum;
use crate::ranks::Ranks;

/// Complete way to execute a training step.
///
/// An engine may keep weights and moments in a layout of its own; [`load`](Self::load) and
/// [`store`](Self::store) convert from and to the canonical form. For the same initial state and
/// the same batches its results are the same, bit for bit, with any number of threads and of ranks.
pub trait Engine {
    /// Replaces the state of the engine by `state`.
    ///
    /// # Panics
    /// When `state` belongs to another architecture or another optimizer.
    fn load(&mut self, state: &TrainState);

    /// Shares all steps with other ranks; to be called before a state is loaded. From then on, all ranks
    /// call [`store`](Self::store), [`step`](Self::step) and [`predict`](Self::predict) together.
    ///
    /// # Panics
    /// When the stage cannot be shared by so many ranks.
    fn join(&mut self, ranks: Ranks);

    /// Copy of the engine's state in canonical form.
    fn store(&self) -> TrainState;

    /// Executes one training step on `batch`: forward pass, loss, backward pass, and the
    /// optimizer's update at the learning rate `lr`. Returns the sum of the losses, and the number
    /// of correct answers, under the weights before the update; the loss is NaN if a weight is not
    /// finite after the update. `batch` may also name the images of the next batch, to prefetch
    /// them; this does not affect any result.
    fn step(&mut self, batch: &Batch<'_>, lr: f64) -> LossSum;

    /// Freezes the convolutional layers in the following steps, or no longer: a frozen layer has no
    /// gradient, and its parameters and their slots keep their values. In a new engine no layer is
    /// frozen.
    fn freeze_convolutions(&mut self, frozen: bool);

    /// L2 norm of the gradient of the last step, over all parameters, without L2 and before it was
    /// clipped; `None` if the engine never holds a whole gradient.
    fn gradient_norm(&self) -> Option<f64> {
        None
    }

    /// Logits of each image of `batch`, (N, classes).
    fn predict(&mut self, batch: &Batch<'_>) -> &[f32];

    /// Number of threads that a step uses.
    fn threads(&self) -> usize;

    /// Turns the clock of the phases `on` or off for the following steps. The clock is off in a new
    /// engine; while it is on, it costs a few percent of the time.
    fn measure_phases(&mut self, on: bool);

    /// Costs of the phases, summed over the measured steps since the last call.
    fn take_phases(&mut self) -> Phases;
}
