//! Small tensors of a layer with their moments and gradients.

use super::update::{self, AdamVectors};
use crate::simd::Simd;

/// Tensors of a layer in the layout of the kernels.
pub trait Tensors<const T: usize> {
    /// Values of every tensor of the layer.
    fn tensors(&self) -> [&[f32]; T];
    /// Mutable values of every tensor of the layer.
    fn tensors_mut(&mut self) -> [&mut [f32]; T];

    /// Sets all values to 0.
    fn clear(&mut self) {
        self.tensors_mut().into_iter().for_each(|tensor| tensor.fill(0.0));
    }

    /// Adds the values of `other`.
    fn add(&mut self, other: &Self) {
        for (sums, others) in self.tensors_mut().into_iter().zip(other.tensors()) {
            sums.iter_mut().zip(others).for_each(|(sum, other)| *sum += other);
        }
    }
}

/// Tensors with their moments and their gradient.
pub struct Trained<T> {
    /// Weights and biases of the layer.
    pub w: T,
    /// First moments of `w`.
    pub m: T,
    /// Second moments of `w`.
    pub v: T,
    /// Gradient of the loss with respect to `w`.
    pub gradient: T,
}

impl<T> Trained<T> {
    /// Tensors, moments and gradient that `zeros` makes.
    pub fn new(zeros: impl Fn() -> T) -> Self {
        Self { w: zeros(), m: zeros(), v: zeros(), gradient: zeros() }
    }

    /// Updates each tensor by its gradient with its own coefficients of Adam. Returns whether every
    /// updated weight is finite.
    #[inline(always)]
    pub fn update<S: Simd, const N: usize>(&mut self, simd: S, adam: [&AdamVectors<S>; N]) -> bool
    where
        T: Tensors<N>,
    {
        let Self { w, m, v, gradient } = self;
        let moments = m.tensors_mut().into_iter().zip(v.tensors_mut());
        let weights = w.tensors_mut().into_iter().zip(moments);
        for ((adam, g), (w, (m, v))) in adam.into_iter().zip(gradient.tensors()).zip(weights) {
            adam.update_all(simd, g, w, m, v);
        }
        w.tensors().into_iter().all(|w| update::are_finite(simd, w))
    }
}
