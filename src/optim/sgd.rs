//! Stochastic gradient descent with momentum (Polyak 1964; Sutskever et al. 2013) and coupled L2,
//! as PyTorch's `SGD` computes it.
//!
//! ```text
//! g ← g + λ·w                         weights only, not biases
//! v ← μ·v + g                         with momentum
//! w ← w − α·v                         or, with Nesterov's momentum, w ← w − α·(g + μ·v)
//! ```
//!
//! Without momentum, v is g, and nothing is kept from step to step. In this form the learning rate
//! α is outside of v, so a change of it acts at once. v begins at 0, so the first v is the first g.
//!
//! After every 64th step, small weights and velocities are flushed to 0, for the reason that
//! [Adam](super::adam) gives: a velocity without a gradient shrinks by μ in every step.

use super::magnitude::{magnitude, smallest};

/// Settings of gradient descent, which are constant in a run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sgd {
    /// μ, the part of the velocity that a step keeps; 0 for none.
    pub momentum: f64,
    /// Whether a step looks ahead along the velocity.
    pub nesterov: bool,
    /// λ, factor of the L2 regularization of weights.
    pub l2: f64,
}

impl Sgd {
    /// Names of what momentum keeps for each weight: the velocity v. Without momentum nothing is
    /// kept.
    pub fn slots(&self) -> &'static [&'static str] {
        if self.momentum > 0.0 { &["sgd.v"] } else { &[] }
    }

    /// Coefficients of step `t`, counted from 1, at the learning rate `lr`.
    pub fn step(&self, t: u64, lr: f64) -> SgdStep {
        SgdStep {
            lr: lr as f32,
            momentum: self.momentum as f32,
            nesterov: self.nesterov,
            l2: self.l2 as f32,
            smallest: smallest(t),
        }
    }
}

/// Coefficients of one step, rounded to f32.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SgdStep {
    /// α, learning rate.
    pub lr: f32,
    /// μ, the part of the velocity that the step keeps; 0 for none.
    pub momentum: f32,
    /// Whether the step looks ahead along the velocity.
    pub nesterov: bool,
    /// λ, factor of the L2 regularization; 0 for biases.
    pub l2: f32,
    /// Magnitude below which weights and velocities become 0 after the step; 0 in most steps.
    pub smallest: f32,
}

impl SgdStep {
    /// Coefficients of the same step for biases, which have no L2 regularization.
    pub fn without_decay(self) -> Self {
        Self { l2: 0.0, ..self }
    }

    /// Updates `w` and its velocities `v` by the gradient `g`; the slices have the same length, but
    /// `v` is empty without momentum. Returns whether every updated weight is finite.
    #[inline(always)] // So that it gets the vector instructions of its caller.
    pub fn update(&self, g: &[f32], w: &mut [f32], v: &mut [f32]) -> bool {
        assert_eq!(w.len(), g.len());
        let Self { momentum, l2, .. } = *self;
        if momentum == 0.0 {
            return self.descend(w, g.iter().map(|&g| (g, 0.0)), |(g, _), w| g + l2 * w);
        }
        assert_eq!(v.len(), g.len());
        for ((v, &g), &w) in v.iter_mut().zip(g).zip(w.iter()) {
            *v = momentum * *v + (g + l2 * w);
            *v = if v.abs() < self.smallest { 0.0 } else { *v };
        }
        let pairs = g.iter().copied().zip(v.iter().copied());
        match self.nesterov {
            true => self.descend(w, pairs, |(g, v), w| (g + l2 * w) + momentum * v),
            false => self.descend(w, pairs, |(_, v), _| v),
        }
    }

    /// Subtracts α times the direction that `direction` makes of a gradient, a velocity and a
    /// weight from each weight. Returns whether every updated weight is finite.
    #[inline(always)]
    fn descend(
        &self,
        w: &mut [f32],
        pairs: impl Iterator<Item = (f32, f32)>,
        direction: impl Fn((f32, f32), f32) -> f32,
    ) -> bool {
        let mut largest = 0;
        for (w, pair) in w.iter_mut().zip(pairs) {
            *w -= self.lr * direction(pair, *w);
            largest = magnitude(*w).max(largest);
            *w = if w.abs() < self.smallest { 0.0 } else { *w };
        }
        largest < magnitude(f32::INFINITY)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::optim::magnitude::SMALLEST;

    const SGD: Sgd = Sgd { momentum: 0.0, nesterov: false, l2: 0.0 };

    fn close(found: f32, expected: f32) {
        assert!((found - expected).abs() <= 1e-6 * expected.abs(), "{found} {expected}");
    }

    #[test]
    fn two_steps_follow_the_definition() {
        let momentum = Sgd { momentum: 0.5, ..SGD };
        let nesterov = Sgd { nesterov: true, ..momentum };
        // Gradients 2 and 4 at the rate 0.1. The velocities are 2 and 0.5·2 + 4 = 5; Nesterov's
        // directions are 2 + 0.5·2 = 3 and 4 + 0.5·5 = 6.5.
        for (sgd, first, second) in [(SGD, 0.8, 0.4), (momentum, 0.8, 0.3), (nesterov, 0.7, 0.05)] {
            let (mut w, mut v) = ([1.0], [0.0]);
            let mut step = |t, g| {
                let v = if sgd.slots().is_empty() { &mut [][..] } else { &mut v };
                assert!(sgd.step(t, 0.1).update(&[g], &mut w, v));
                w[0]
            };
            close(step(1, 2.0), first);
            close(step(2, 4.0), second);
        }
    }

    #[test]
    fn two_steps_with_one_gradient_give_the_published_velocities() {
        let (g, mut w, mut v) = (0.3, [0.0], [0.0]);
        let sgd = Sgd { momentum: 0.9, ..SGD };
        for (t, expected) in [(1, g), (2, 1.9 * g)] {
            sgd.step(t, 0.1).update(&[g], &mut w, &mut v);
            close(v[0], expected);
        }
        close(w[0], -0.1 * 2.9 * g);
    }

    #[test]
    fn l2_pulls_weights_and_leaves_biases() {
        for sgd in [SGD, Sgd { momentum: 0.5, ..SGD }] {
            let step = Sgd { l2: 0.1, ..sgd }.step(1, 1.0);
            let (mut w, mut v) = ([2.0], [0.0]);
            step.update(&[0.0], &mut w, &mut v);
            close(w[0], 1.8);
            let (mut w, mut v) = ([2.0], [0.0]);
            step.without_decay().update(&[0.0], &mut w, &mut v);
            assert_eq!((w, v), ([2.0], [0.0]));
        }
    }

    #[test]
    fn a_weight_that_is_not_finite_is_reported() {
        for sgd in [SGD, Sgd { momentum: 0.5, ..SGD }] {
            for bad in [f32::INFINITY, f32::NAN] {
                let (mut w, mut v) = ([1.0; 3], [0.0; 3]);
                assert!(!sgd.step(1, 0.1).update(&[0.0, bad, 0.0], &mut w, &mut v));
            }
        }
    }

    #[test]
    fn velocities_without_a_gradient_do_not_linger_as_denormal_numbers() {
        let sgd = Sgd { momentum: 0.9, ..SGD };
        let (mut w, mut v) = ([1.0], [1.0]);
        for t in 1..10_000 {
            sgd.step(t, 0.1).update(&[0.0], &mut w, &mut v);
            assert!(v[0] == 0.0 || v[0] > SMALLEST * 1e-3, "{t}: {v:?}");
        }
        assert_eq!(v, [0.0]);
    }
}
