//! How a network is trained: every number that decides what the weights become.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::init::Init;
use crate::optim::adam::Adam;
use crate::optim::schedule::CosineAnnealing;

/// The hyperparameters of a run. Two runs with the same recipe, data, stage and vector
/// instructions give the same weights; a checkpoint holds the recipe, and a run can only go on under
/// the same one.
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

impl From<&Recipe> for Adam {
    fn from(recipe: &Recipe) -> Self {
        let Recipe { beta1, beta2, eps, l2, .. } = *recipe;
        Self { beta1, beta2, eps, l2 }
    }
}

impl From<&Recipe> for CosineAnnealing {
    fn from(recipe: &Recipe) -> Self {
        Self { initial_lr: recipe.lr, min_lr: recipe.min_lr, t_max: recipe.t_max }
    }
}

/// Which numbers a hyperparameter can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Range {
    /// Finite and above 0.
    AboveZero,
    /// Finite, and 0 or more.
    NotNegative,
    /// From 0 to below 1.
    Decay,
}

impl Range {
    /// Whether `number` is one of them, also in f32: what overflows or vanishes there is not.
    pub fn contains(self, number: f64) -> bool {
        [number, f64::from(number as f32)].into_iter().all(|number| match self {
            Self::AboveZero => number > 0.0 && number.is_finite(),
            Self::NotNegative => number >= 0.0 && number.is_finite(),
            Self::Decay => (0.0..1.0).contains(&number),
        })
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AboveZero => "a finite number above 0",
            Self::NotNegative => "a finite number, 0 or more",
            Self::Decay => "in 0..1",
        })
    }
}
