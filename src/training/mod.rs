//! Training: the loop over epochs, what it tells its observer, evaluation, and the thread that writes
//! checkpoints.

pub mod ahead;
pub mod checkpoints;
pub mod evaluation;
pub mod observer;
pub mod trainer;
