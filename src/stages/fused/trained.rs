//! Small tensors of a layer, with what training keeps beside them.

use super::update::{self, AdamVectors};
use crate::simd::Simd;

/// A layer's tensors in the layout of the kernels.
pub trait Tensors<const T: usize> {
    fn tensors(&self) -> [&[f32]; T];
    fn tensors_mut(&mut self) -> [&mut [f32]; T];

    /// Becomes zero.
    fn clear(&mut self) {
        self.tensors_mut().into_iter().for_each(|tensor| tensor.fill(0.0));
    }

    /// Adds `other`.
    fn add(&mut self, other: &Self) {
        for (sums, others) in self.tensors_mut().into_iter().zip(other.tensors()) {
            sums.iter_mut().zip(others).for_each(|(sum, other)| *sum += other);
        }
    }
}

/// Tensors with their moments, and room for their gradient.
pub struct Trained<T> {
    pub w: T,
    /// First moment.
    pub m: T,
    /// Second moment.
    pub v: T,
    pub gradient: T,
}

impl<T> Trained<T> {
    /// All from `zeros`.
    pub fn new(zeros: impl Fn() -> T) -> Self {
        Self { w: zeros(), m: zeros(), v: zeros(), gradient: zeros() }
    }

    /// Adam on each tensor, by its gradient, with its factors. Returns whether every weight is
    /// finite then.
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
