//! Adam (Kingma & Ba 2015, algorithm 1) with coupled L2 and with the decoupled decay of AdamW
//! (Loshchilov & Hutter 2019, algorithm 2), in the order in which PyTorch computes it.
//!
//! ```text
//! g ← g + λ·w                         weights only, not biases
//! w ← (1 − α·δ)·w                     weights only, not biases
//! m ← m + (1 − β₁)·(g − m)
//! v ← β₂·v + (1 − β₂)·g²
//! w ← w − α/(1 − β₁ᵗ) · m / (√v / √(1 − β₂ᵗ) + ε)
//! ```
//!
//! t counts steps from 1. The coefficients that do not depend on the element are computed once a
//! step, in f64. λ·w, the *coupled* decay, goes through the moments, as `weight_decay` does in
//! PyTorch's `Adam`. α·δ·w, the *decoupled* decay, does not, as in PyTorch's `AdamW`: so a weight
//! with large gradients decays as fast as any other. One of λ and δ is usually 0. The reported loss
//! does not contain the term of L2, ½·λ·w².
//!
//! One thing differs from PyTorch: after every 64th step, weights and moments whose magnitude is
//! below 2⁻¹⁰⁰ are flushed to 0. The weights of a dead relu unit, whose output is 0 for every
//! image, have no gradient but λ·w, so they shrink for ever, and the default recipe ends with many
//! dead units. Without flushing, these weights, or λ times them, would become denormal (below
//! 1.2e-38). Many CPUs take a hundred cycles for an operation with a denormal number, so every
//! epoch would be slower than the one before. Flushing after every step would be a large part of
//! Adam's arithmetic, and it is not necessary: in 64 steps a first moment without a gradient
//! shrinks to a thousandth, which is far from denormal. Flushing does not change a result
//! noticeably: a number so small vanishes in a sum with any number that matters, and the root of
//! the largest v that is flushed, 9e-16, is negligible beside the default ε.

use super::magnitude::{magnitude, smallest};

/// Settings of Adam, which are constant in a run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Adam {
    /// β₁, decay of the first moment.
    pub beta1: f64,
    /// β₂, decay of the second moment.
    pub beta2: f64,
    /// ε, added to the root of the second moment.
    pub eps: f64,
    /// λ, factor of the L2 regularization of weights.
    pub l2: f64,
    /// δ, factor of the decoupled decay of weights.
    pub decay: f64,
}

impl Adam {
    /// Names of what Adam keeps for each weight: its moments m and v.
    pub const SLOTS: [&str; 2] = ["adam.m", "adam.v"];

    /// Coefficients of step `t`, counted from 1, at the learning rate `lr`.
    pub fn step(&self, t: u64, lr: f64) -> AdamStep {
        let smallest = smallest(t);
        let t = i32::try_from(t).unwrap_or(i32::MAX);
        let bias_correction = |beta: f64| 1.0 - beta.powi(t);
        AdamStep {
            blend1: (1.0 - self.beta1) as f32,
            beta2: self.beta2 as f32,
            blend2: (1.0 - self.beta2) as f32,
            step_size: (lr / bias_correction(self.beta1)) as f32,
            root_correction: bias_correction(self.beta2).sqrt() as f32,
            eps: self.eps as f32,
            l2: self.l2 as f32,
            keep: (1.0 - lr * self.decay) as f32,
            smallest,
        }
    }
}

/// Coefficients of one step, rounded to f32.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdamStep {
    /// 1 − β₁, weight of the gradient in the first moment.
    pub blend1: f32,
    /// β₂, decay of the second moment.
    pub beta2: f32,
    /// 1 − β₂, weight of the squared gradient in the second moment.
    pub blend2: f32,
    /// α / (1 − β₁ᵗ), learning rate with the bias correction of the first moment.
    pub step_size: f32,
    /// √(1 − β₂ᵗ), bias correction of the root of the second moment.
    pub root_correction: f32,
    /// ε, added to the root of the second moment.
    pub eps: f32,
    /// λ, factor of the L2 regularization; 0 for biases.
    pub l2: f32,
    /// 1 − α·δ, the part of a weight that decoupled decay leaves; 1 for biases.
    pub keep: f32,
    /// Magnitude below which weights and moments become 0 after the step; 0 in most steps.
    pub smallest: f32,
}

impl AdamStep {
    /// Coefficients of the same step for biases, which have neither L2 nor decoupled decay.
    pub fn without_decay(self) -> Self {
        Self { l2: 0.0, keep: 1.0, ..self }
    }

    /// Updates `w` and its moments `m` and `v` by the gradient `g`; the four slices have the same
    /// length. Returns whether every updated weight is finite.
    #[inline(always)] // So that it gets the vector instructions of its caller.
    pub fn update(&self, g: &[f32], w: &mut [f32], m: &mut [f32], v: &mut [f32]) -> bool {
        assert!([w.len(), m.len(), v.len()] == [g.len(); 3]);
        let mut largest = 0;
        let flush = |value: f32| if value.abs() < self.smallest { 0.0 } else { value };
        // Each value is stored once, so that the compiler can use vectors.
        for (((&g, w), m), v) in g.iter().zip(w).zip(m).zip(v) {
            let g = g + self.l2 * *w;
            let first = *m + self.blend1 * (g - *m);
            let second = self.beta2 * *v + self.blend2 * g * g;
            let change = self.step_size * first / (second.sqrt() / self.root_correction + self.eps);
            let weight = self.keep * *w - change;
            largest = magnitude(weight).max(largest);
            (*w, *m, *v) = (flush(weight), flush(first), flush(second));
        }
        largest < magnitude(f32::INFINITY)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::optim::magnitude::{FLUSH_STEPS, SMALLEST};

    const ADAM: Adam = Adam { beta1: 0.9, beta2: 0.999, eps: 1e-8, l2: 0.0, decay: 0.0 };

    fn close(found: f32, expected: f32) {
        assert!((found - expected).abs() <= 1e-6 * expected.abs().max(1e-6), "{found} {expected}");
    }

    #[test]
    fn two_steps_with_one_gradient_give_the_published_moments() {
        let (mut w, mut m, mut v) = ([0.5_f32, 0.5], [0.0], [0.0]);
        let g = [0.3];
        assert!(ADAM.step(1, 1e-3).update(&g, &mut w[..1], &mut m, &mut v));
        close(m[0], 0.1 * 0.3);
        close(v[0], 0.001 * 0.09);
        // The first step is the learning rate against the sign of the gradient.
        close(w[0], 0.5 - 1e-3);
        assert!(ADAM.step(2, 1e-3).update(&g, &mut w[..1], &mut m, &mut v));
        close(m[0], 0.19 * 0.3);
        close(v[0], 0.001_999 * 0.09);
    }

    #[test]
    fn a_weight_that_is_not_finite_is_reported() {
        for bad in [f32::INFINITY, -f32::INFINITY, f32::NAN] {
            for place in 0..40 {
                let (mut w, mut m, mut v) = ([1.0; 40], [0.0; 40], [0.0; 40]);
                let mut g = [-0.5; 40];
                assert!(ADAM.step(1, 1e-3).update(&g, &mut w, &mut m, &mut v));
                g[place] = bad;
                assert!(!ADAM.step(2, 1e-3).update(&g, &mut w, &mut m, &mut v), "{bad} {place}");
            }
        }
    }

    #[test]
    fn l2_pulls_weights_and_leaves_biases() {
        let step = Adam { l2: 0.1, beta1: 0.0, ..ADAM }.step(1, 1e-3);
        let (mut m, mut v) = ([0.0], [0.0]);
        step.update(&[0.0], &mut [2.0], &mut m, &mut v);
        close(m[0], 0.2);
        let (mut m, mut v) = ([0.0], [0.0]);
        step.without_decay().update(&[0.0], &mut [2.0], &mut m, &mut v);
        assert_eq!((m, v), ([0.0], [0.0]));
    }

    #[test]
    fn decoupled_decay_shrinks_weights_beside_the_moments_and_leaves_biases() {
        let step = Adam { decay: 0.1, ..ADAM }.step(1, 0.5);
        let (mut w, mut m, mut v) = ([2.0], [0.0], [0.0]);
        step.update(&[0.0], &mut w, &mut m, &mut v);
        close(w[0], 2.0 * (1.0 - 0.5 * 0.1));
        step.without_decay().update(&[0.0], &mut w, &mut m, &mut v);
        close(w[0], 1.9);
        assert_eq!((m, v), ([0.0], [0.0]));
    }

    #[test]
    fn weights_without_a_gradient_shrink_to_nothing_and_do_not_linger_as_denormal_numbers() {
        assert_eq!(SMALLEST, 2_f32.powi(-100));
        let adam = Adam { l2: 1e-4, ..ADAM };
        let (mut w, mut m, mut v) = ([1e-3, -1e-9, 1e-20], [0.0; 3], [0.0; 3]);
        let mut denormal_steps = 0;
        for t in 1..100_000 {
            adam.step(t, 1e-3).update(&[0.0; 3], &mut w, &mut m, &mut v);
            let values = || w.iter().chain(&m).chain(&v);
            let denormal = |x: &f32| x.is_subnormal() || (1e-4 * x).is_subnormal();
            denormal_steps += usize::from(values().any(denormal));
            let flushed = values().all(|&x| x == 0.0 || x.abs() >= SMALLEST);
            assert!(flushed || t % FLUSH_STEPS != 0, "{t}: {w:?} {m:?} {v:?}");
        }
        // A weight that changes its sign may be denormal for some steps.
        assert!(denormal_steps < 1000, "{denormal_steps} of 100,000 steps");
        assert!(w.iter().all(|w| w.abs() < 1e-24), "{w:?}");
    }
}
