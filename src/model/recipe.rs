//! How a network is trained: every number that decides what the weights become.

use serde::{Deserialize, Serialize};

use super::init::Init;

/// The hyperparameters of a run. Two runs with the same recipe, data, stage and vector
/// instructions give the same weights; a checkpoint holds the recipe, and a run can only go on under the same one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// Images of a step; the last step of an epoch takes what is left.
    pub batch_size: usize,
    /// Adam's learning rate in epoch 0.
    pub lr: f64,
    /// The learning rate that cosine annealing reaches in epoch `t_max`.
    pub min_lr: f64,
    /// Half a period of cosine annealing, in epochs (PyTorch: `T_max`).
    pub t_max: usize,
    /// λ: λ·W is added to the gradient of every weight, not of biases.
    pub l2: f64,
    /// Decay of Adam's first moment.
    pub beta1: f64,
    /// Decay of Adam's second moment.
    pub beta2: f64,
    /// Added to Adam's denominator, outside the root.
    pub eps: f64,
    /// What initial weights and the order of images are drawn from.
    pub seed: u64,
    /// How weights start.
    pub init: Init,
    /// Train on this many images of the training set, the first ones.
    pub max_samples: Option<usize>,
}

impl Default for Recipe {
    fn default() -> Self {
        Self {
            batch_size: 64,
            lr: 1e-3,
            min_lr: 1e-5,
            t_max: 20,
            l2: 1e-4,
            beta1: 0.9,
            beta2: 0.999,
            eps: 1e-8,
            seed: 1,
            init: Init::Pytorch,
            max_samples: None,
        }
    }
}
