//! The optimizers, which turn gradients into new weights, and the learning rate of each step.

pub mod adam;
pub mod clip;
mod magnitude;
pub mod schedule;
pub mod sgd;

use self::adam::{Adam, AdamStep};
use self::sgd::{Sgd, SgdStep};

/// Largest number of slots of an optimizer.
pub const MOST_SLOTS: usize = 2;

/// Optimizer with its settings, which are constant in a run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Optimizer {
    /// Adam, with coupled or with decoupled decay.
    Adam(Adam),
    /// Gradient descent, with or without momentum.
    Sgd(Sgd),
}

impl Optimizer {
    /// Names of what the optimizer keeps for each weight from step to step.
    pub fn slots(&self) -> &'static [&'static str] {
        match self {
            Self::Adam(_) => &Adam::SLOTS,
            Self::Sgd(sgd) => sgd.slots(),
        }
    }

    /// Coefficients of step `t`, counted from 1, at the learning rate `lr`.
    pub fn step(&self, t: u64, lr: f64) -> Step {
        match self {
            Self::Adam(adam) => Step::Adam(adam.step(t, lr)),
            Self::Sgd(sgd) => Step::Sgd(sgd.step(t, lr)),
        }
    }
}

/// Coefficients of one step of an optimizer, rounded to f32.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Step {
    /// Coefficients of a step of Adam.
    Adam(AdamStep),
    /// Coefficients of a step of gradient descent.
    Sgd(SgdStep),
}

/// Weights of a tensor with the slots of the optimizer. A slot that the optimizer has is as long as
/// the weights; the others are empty.
#[derive(Debug)]
pub struct Weights<'a> {
    /// Weights or biases.
    pub w: &'a mut [f32],
    /// Slots of the weights, in the optimizer's order.
    pub slots: [&'a mut [f32]; MOST_SLOTS],
}

impl<'a> Weights<'a> {
    /// Parts of `size` weights with their slots, from the front; the last part may be smaller.
    pub fn chunks(self, size: usize) -> impl Iterator<Item = Self> {
        let Self { w, slots: [a, b] } = self;
        let mut slots = [a.chunks_mut(size), b.chunks_mut(size)];
        w.chunks_mut(size).map(move |w| {
            let slots = slots.each_mut().map(|chunks| chunks.next().unwrap_or_default());
            Self { w, slots }
        })
    }
}

impl Step {
    /// Coefficients of the same step for parameters that do not decay, such as biases.
    pub fn without_decay(self) -> Self {
        match self {
            Self::Adam(step) => Self::Adam(step.without_decay()),
            Self::Sgd(step) => Self::Sgd(step.without_decay()),
        }
    }

    /// Updates `weights` and their slots by the gradient `g`, which is as long as the weights.
    /// Returns whether every updated weight is finite.
    #[inline(always)] // So that it gets the vector instructions of its caller.
    pub fn update(&self, g: &[f32], weights: Weights<'_>) -> bool {
        let Weights { w, slots: [a, b] } = weights;
        match self {
            Self::Adam(step) => step.update(g, w, a, b),
            Self::Sgd(step) => step.update(g, w, a),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_hold_the_weights_that_belong_together() {
        let (mut w, mut a) = ([0.0, 1.0, 2.0, 3.0, 4.0], [5.0, 6.0, 7.0, 8.0, 9.0]);
        let weights = Weights { w: &mut w, slots: [&mut a, &mut []] };
        let chunks: Vec<_> = weights
            .chunks(2)
            .map(|Weights { w, slots: [a, b] }| (w.to_vec(), a.to_vec(), b.len()))
            .collect();
        let expected = [
            (vec![0.0, 1.0], vec![5.0, 6.0], 0),
            (vec![2.0, 3.0], vec![7.0, 8.0], 0),
            (vec![4.0], vec![9.0], 0),
        ];
        assert_eq!(chunks, expected);
    }
}
