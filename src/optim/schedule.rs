//! Cosine annealing of the learning rate (Loshchilov & Hutter 2017, equation 5, without restarts;
//! PyTorch's `CosineAnnealingLR`):
//!
//! ```text
//! lr(e) = lr_min + ½·(lr_max − lr_min)·(1 + cos(π·e/T_max))
//! ```
//!
//! e counts epochs from 0. With T_max 20, a run of 10 epochs ends half-way down. After T_max epochs
//! the rate rises again, as in PyTorch.

use std::f64::consts::PI;

/// Schedule that gives each epoch its learning rate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CosineAnnealing {
    /// Learning rate of epoch 0.
    pub initial_lr: f64,
    /// Learning rate of epoch `t_max`.
    pub min_lr: f64,
    /// Half a period of the cosine, in epochs.
    pub t_max: usize,
}

impl CosineAnnealing {
    /// Learning rate of `epoch`, counted from 0.
    pub fn lr(&self, epoch: usize) -> f64 {
        let phase = PI * epoch as f64 / self.t_max as f64;
        self.min_lr + 0.5 * (self.initial_lr - self.min_lr) * (1.0 + phase.cos())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_recipe_descends_as_the_source_program_does() {
        let schedule = CosineAnnealing { initial_lr: 1e-3, min_lr: 1e-5, t_max: 20 };
        // 1e-5 + ½·(1e-3 − 1e-5)·(1 + cos(π·e/20)), in units of 1e-3.
        let expected =
            [1.0, 0.9939, 0.9758, 0.9460, 0.9055, 0.8550, 0.7960, 0.7297, 0.6580, 0.5824];
        for (epoch, expected) in expected.into_iter().enumerate() {
            let found = schedule.lr(epoch) * 1e3;
            assert!((found - expected).abs() < 6e-5, "epoch {epoch}: {found}");
        }
        assert!((schedule.lr(20) - 1e-5).abs() < 1e-15);
        assert!((schedule.lr(40) - 1e-3).abs() < 1e-15);
    }
}
