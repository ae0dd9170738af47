//! Adam (Kingma & Ba 2015, algorithm 1) with coupled L2, in the order in which PyTorch computes it.
//!
//! ```text
//! g ← g + λ·w                         weights only, not biases
//! m ← m + (1 − β₁)·(g − m)
//! v ← β₂·v + (1 − β₂)·g²
//! w ← w − α/(1 − β₁ᵗ) · m / (√v / √(1 − β₂ᵗ) + ε)
//! ```
//!
//! One thing is added: after every 64th step, weights and moments below 2⁻¹⁰⁰ become 0. A relu unit
//! that has died has no gradient left but λ·w, under which its weights shrink for ever, and the
//! default recipe ends with many such units. Without the cut their weights, or λ times them, become
//! denormal (below 1.2e-38), and many CPUs take a hundred cycles for an operation that meets a
//! denormal number: every epoch would be slower than the one before. In 64 steps a first moment
//! without a gradient shrinks to a thousandth, which is still far from denormal; a cut in every
//! step would be a large part of Adam's arithmetic. Nothing that small can be seen in a
//! sum with anything that matters; the root of a v that is cut, 9e-16, is nothing beside the
//! default ε.
//!
//! t counts steps from 1. The factors that do not depend on the element are computed once a step,
//! in f64. λ·w goes through the moments, as `weight_decay` does in PyTorch's `Adam` (and not in its
//! `AdamW`); the reported loss does not contain it.

/// The settings that stay the same through a run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Adam {
    /// β₁, decay of the first moment.
    pub beta1: f64,
    /// β₂, decay of the second moment.
    pub beta2: f64,
    /// ε.
    pub eps: f64,
    /// λ.
    pub l2: f64,
}

impl Adam {
    /// Names of what Adam keeps for each weight: its moments m and v.
    pub const SLOTS: [&str; 2] = ["adam.m", "adam.v"];

    /// The factors of step `t`, counted from 1, at learning rate `lr`.
    pub fn step(&self, t: u64, lr: f64) -> AdamStep {
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
            smallest: if t % CUT_STEPS == 0 { SMALLEST } else { 0.0 },
        }
    }
}

/// 2⁻¹⁰⁰, about 8e-31. Small enough not to matter, and large enough that λ times it is not
/// denormal.
const SMALLEST: f32 = f32::from_bits(0x0d80_0000);
/// What is below it becomes 0 once in so many steps.
const CUT_STEPS: i32 = 64;

/// The factors of one step, rounded to f32.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdamStep {
    /// 1 − β₁.
    pub blend1: f32,
    /// β₂.
    pub beta2: f32,
    /// 1 − β₂.
    pub blend2: f32,
    /// α / (1 − β₁ᵗ).
    pub step_size: f32,
    /// √(1 − β₂ᵗ).
    pub root_correction: f32,
    /// ε.
    pub eps: f32,
    /// λ.
    pub l2: f32,
    /// Weights and moments below this become 0 after the step; 0 in most steps.
    pub smallest: f32,
}

impl AdamStep {
    /// The same step for biases, which have no L2.
    pub fn without_l2(self) -> Self {
        Self { l2: 0.0, ..self }
    }

    /// Updates `w` and its moments `m` and `v` by the gradient `g`; four slices of one length.
    /// Returns whether every weight is finite then.
    pub fn update(&self, g: &[f32], w: &mut [f32], m: &mut [f32], v: &mut [f32]) -> bool {
        assert!([w.len(), m.len(), v.len()] == [g.len(); 3]);
        // Without their signs, bits are in the order of numbers, and above infinity there are none.
        let magnitude = |value: f32| value.to_bits() << 1;
        let mut largest = 0;
        for (((&g, w), m), v) in g.iter().zip(w).zip(m).zip(v) {
            let g = g + self.l2 * *w;
            *m += self.blend1 * (g - *m);
            *v = self.beta2 * *v + self.blend2 * g * g;
            *w -= self.step_size * *m / (v.sqrt() / self.root_correction + self.eps);
            largest = magnitude(*w).max(largest);
            for value in [w, m, v] {
                *value = if value.abs() < self.smallest { 0.0 } else { *value };
            }
        }
        largest < magnitude(f32::INFINITY)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADAM: Adam = Adam { beta1: 0.9, beta2: 0.999, eps: 1e-8, l2: 0.0 };

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
    fn a_weight_that_is_not_finite_is_told() {
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
        step.without_l2().update(&[0.0], &mut [2.0], &mut m, &mut v);
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
            let cut = values().all(|&x| x == 0.0 || x.abs() >= SMALLEST);
            assert!(cut || t % CUT_STEPS as u64 != 0, "{t}: {w:?} {m:?} {v:?}");
        }
        // Weights that swing from one sign to the other pass through them before they are cut.
        assert!(denormal_steps < 1000, "{denormal_steps} of 100,000 steps");
        assert!(w.iter().all(|w| w.abs() < 1e-24), "{w:?}");
    }
}
