//! Schedules of the learning rate, as PyTorch's `lr_scheduler` has them, and the warmup.
//!
//! e is the place in the training, in epochs; it counts from 0. By epoch, e is a whole number and
//! all steps of an epoch have one rate. By step, e grows by 1/B in each of the B steps of an epoch.
//! α is the rate at the start, α_min at the end, T the length of the schedule in epochs:
//!
//! ```text
//! cosine        α_min + ½·(α − α_min)·(1 + cos(π·e/T))       CosineAnnealingLR
//! constant      α
//! step          α·γ^⌊e/S⌋                                    StepLR
//! exponential   α·γ^e                                        ExponentialLR
//! linear        α + (α_min − α)·min(e/T, 1)                  LinearLR
//! onecycle      from α/25 up to α, then down to α_min,       OneCycleLR
//!               each half a period of the cosine
//! ```
//!
//! The cosine is that of Loshchilov & Hutter 2017, equation 5, without restarts. With T 20, a run
//! of 10 epochs ends half-way down. After T epochs the rate rises again, as in PyTorch. onecycle
//! (Smith & Topin 2018) has n = T rates by epoch, and n = T·B by step: it reaches α at the place
//! 0.3·n − 1 and α_min at the place n − 1, counted in rates from 0. There, linear and onecycle
//! stay.
//!
//! In the first W epochs, the *warmup*, the rate of step s, counted from 0, is multiplied by
//! (s + 1)/(W·B). So it grows in every step, also where the schedule goes by epochs.

use std::f64::consts::PI;

use serde::{Deserialize, Serialize};

/// Kind of a schedule.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Half a period of the cosine.
    #[default]
    Cosine,
    /// The same rate at every place.
    Constant,
    /// Steps down after equal numbers of epochs.
    Step,
    /// The same factor from each epoch to the next.
    Exponential,
    /// The same difference from each epoch to the next.
    Linear,
    /// Once up and down.
    OneCycle,
}

impl Kind {
    /// Names of the kinds in text and in JSON.
    pub const NAMES: [&str; 6] =
        ["cosine", "constant", "step", "exponential", "linear", "onecycle"];
    /// Kinds that have an end, T, and a rate at it, α_min.
    pub const TO_AN_END: [Self; 3] = [Self::Cosine, Self::Linear, Self::OneCycle];

    /// Name of the kind.
    pub fn name(self) -> &'static str {
        Self::NAMES[self as usize]
    }
}

/// Interval in which the rate changes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Interval {
    /// After every epoch.
    #[default]
    Epoch,
    /// After every step.
    Step,
}

impl Interval {
    /// Names of the intervals in text and in JSON.
    pub const NAMES: [&str; 2] = ["epoch", "step"];
}

/// Part of a cycle of onecycle in which the rate rises.
const RISE: f64 = 0.3;
/// Factor from the first rate of onecycle to the largest one.
const DIVISOR: f64 = 25.0;

/// Schedule that gives each step its learning rate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Schedule {
    /// Kind of the schedule.
    pub kind: Kind,
    /// Interval in which the rate changes.
    pub by: Interval,
    /// α, the learning rate at the start, or the largest one of onecycle.
    pub initial_lr: f64,
    /// α_min, the learning rate at the end of cosine, linear and onecycle.
    pub min_lr: f64,
    /// T, number of epochs that cosine, linear and onecycle take.
    pub t_max: f64,
    /// S, number of epochs from one step down to the next.
    pub step_size: usize,
    /// γ, factor of a step down, or of an epoch of exponential.
    pub gamma: f64,
    /// W, number of epochs in which the rate rises to the schedule's.
    pub warmup: f64,
}

impl Schedule {
    /// Learning rate of the step after `batch` batches of `epoch`, counted from 0. An epoch has
    /// `batches` batches.
    pub fn lr(&self, epoch: usize, batch: usize, batches: usize) -> f64 {
        let steps = epoch as f64 * batches as f64 + batch as f64;
        let lr = match self.by {
            Interval::Epoch => self.at(epoch as f64, 1.0),
            Interval::Step => self.at(steps, batches as f64),
        };
        let of_warmup = (steps + 1.0) / (self.warmup * batches as f64);
        if of_warmup < 1.0 { lr * of_warmup } else { lr }
    }

    /// Learning rate of the schedule at the place `at`, of which an epoch has `an_epoch`.
    fn at(&self, at: f64, an_epoch: f64) -> f64 {
        let Self { initial_lr: lr, min_lr, t_max, gamma, .. } = *self;
        let epochs = at / an_epoch;
        match self.kind {
            Kind::Cosine => cosine(lr, min_lr, epochs / t_max),
            Kind::Constant => lr,
            Kind::Step => lr * gamma.powf((epochs / self.step_size as f64).floor()),
            Kind::Exponential => lr * gamma.powf(epochs),
            Kind::Linear => lr + (min_lr - lr) * (epochs / t_max).min(1.0),
            Kind::OneCycle => {
                let rates = t_max * an_epoch;
                let (top, end) = (RISE * rates - 1.0, rates - 1.0);
                if at <= top && top > 0.0 {
                    cosine(lr / DIVISOR, lr, at / top)
                } else {
                    cosine(lr, min_lr, ((at - top) / (end - top)).min(1.0))
                }
            }
        }
    }
}

/// Number that goes from `from` to `to` along half a period of the cosine, at the `part` of the
/// way.
fn cosine(from: f64, to: f64, part: f64) -> f64 {
    to + 0.5 * (from - to) * (1.0 + (PI * part).cos())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCHEDULE: Schedule = Schedule {
        kind: Kind::Cosine,
        by: Interval::Epoch,
        initial_lr: 1e-3,
        min_lr: 1e-5,
        t_max: 20.0,
        step_size: 3,
        gamma: 0.1,
        warmup: 0.0,
    };

    /// The rates of the first steps of a schedule, in 1/1000, of epochs with `batches` steps.
    fn rates(schedule: &Schedule, steps: usize, batches: usize) -> Vec<f64> {
        let lr = |step: usize| 1e3 * schedule.lr(step / batches, step % batches, batches);
        (0..steps).map(lr).collect()
    }

    fn assert_close(found: &[f64], expected: &[f64]) {
        assert_eq!(found.len(), expected.len());
        for (found, expected) in found.iter().zip(expected) {
            assert!((found - expected).abs() < 1e-12 + 1e-9 * expected, "{found} {expected}");
        }
    }

    #[test]
    fn the_default_recipe_descends_as_the_source_program_does() {
        // 1e-5 + ½·(1e-3 − 1e-5)·(1 + cos(π·e/20)), in units of 1e-3.
        let expected =
            [1.0, 0.9939, 0.9758, 0.9460, 0.9055, 0.8550, 0.7960, 0.7297, 0.6580, 0.5824];
        for (epoch, expected) in expected.into_iter().enumerate() {
            for batch in [0, 937] {
                let found = SCHEDULE.lr(epoch, batch, 938) * 1e3;
                assert!((found - expected).abs() < 6e-5, "epoch {epoch}: {found}");
            }
        }
        assert!((SCHEDULE.lr(20, 0, 938) - 1e-5).abs() < 1e-15);
        assert!((SCHEDULE.lr(40, 0, 938) - 1e-3).abs() < 1e-15);
    }

    #[test]
    fn every_kind_follows_its_formula_by_epoch() {
        let of = |kind| rates(&Schedule { kind, t_max: 4.0, ..SCHEDULE }, 7, 1);
        let cosine = |e: f64| 0.01 + 0.5 * 0.99 * (1.0 + (PI * e / 4.0).cos());
        let expected: Vec<f64> = (0..7).map(|e| cosine(e.into())).collect();
        assert_close(&of(Kind::Cosine), &expected);
        assert_close(&of(Kind::Constant), &[1.0; 7]);
        assert_close(&of(Kind::Step), &[1.0, 1.0, 1.0, 0.1, 0.1, 0.1, 0.01]);
        let expected: Vec<f64> = (0..7).map(|e| 0.1_f64.powi(e)).collect();
        assert_close(&of(Kind::Exponential), &expected);
        let expected = [1.0, 1.0 - 0.99 / 4.0, 1.0 - 0.99 / 2.0, 1.0 - 0.99 * 0.75];
        let linear = of(Kind::Linear);
        assert_close(&linear[..4], &expected);
        assert_close(&linear[4..], &[0.01; 3]);
    }

    #[test]
    fn by_step_the_rate_changes_within_an_epoch() {
        let by_step = Schedule { by: Interval::Step, t_max: 2.0, ..SCHEDULE };
        for kind in [Kind::Cosine, Kind::Linear, Kind::Exponential] {
            // Two epochs of three steps are six rates on the way that two epochs have.
            let found = rates(&Schedule { kind, ..by_step }, 7, 3);
            let expected: Vec<f64> = (0..7)
                .map(|s| f64::from(s) / 3.0)
                .map(|e| match kind {
                    Kind::Cosine => 0.01 + 0.5 * 0.99 * (1.0 + (PI * e / 2.0).cos()),
                    Kind::Linear => 1.0 - 0.99 * e / 2.0,
                    _ => 0.1_f64.powf(e),
                })
                .collect();
            assert_close(&found, &expected);
        }
    }

    #[test]
    fn onecycle_rises_and_falls_as_in_pytorch() {
        // OneCycleLR(max_lr=1, total_steps=10, final_div_factor=0.04/0.01), in units of 1e-3:
        // the top at the place 0.3·10 − 1 = 2, the end at 9.
        let rise = |s: f64| 1.0 + 0.5 * (0.04 - 1.0) * (1.0 + (PI * s / 2.0).cos());
        let fall = |s: f64| 0.01 + 0.5 * (1.0 - 0.01) * (1.0 + (PI * (s - 2.0) / 7.0).cos());
        let mut expected = vec![0.04, rise(1.0), 1.0];
        expected.extend((3..10).map(|s| fall(s.into())));
        expected.push(0.01);
        let cycle = Schedule { kind: Kind::OneCycle, t_max: 10.0, ..SCHEDULE };
        assert_close(&rates(&cycle, 11, 1), &expected);
        let by_step = Schedule { by: Interval::Step, t_max: 2.0, ..cycle };
        assert_close(&rates(&by_step, 11, 5), &expected);
        // A cycle of one rate is at its end.
        assert_close(&rates(&Schedule { t_max: 1.0, ..cycle }, 2, 1), &[0.01; 2]);
    }

    #[test]
    fn the_warmup_grows_in_every_step() {
        let schedule = Schedule { kind: Kind::Constant, warmup: 1.5, ..SCHEDULE };
        let sixth = 1.0 / 6.0;
        let expected = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 6.0, 6.0].map(|s| s * sixth);
        assert_close(&rates(&schedule, 8, 4), &expected);
        let schedule = Schedule { warmup: 0.5, ..SCHEDULE };
        let first = rates(&schedule, 8, 4);
        assert_close(&first[..4], &[0.5, 1.0, 1.0, 1.0]);
        assert_close(&first[4..], &[1e3 * SCHEDULE.lr(1, 0, 4); 4]);
    }
}
