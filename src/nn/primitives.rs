//! The seam under the layerwise engine: the arithmetic of one layer at a time.

use crate::nn::geometry::{Conv2d, Linear, MaxPool2d};
use crate::nn::gradients::Gradients;
use crate::optim::adam::AdamStep;

/// One set of kernels.
///
/// The number of images, N, follows from the lengths of the slices; activations are (N, C, H, W).
/// Every kernel is right for every geometry: any stride, padding, number of channels and side.
/// Backward kernels overwrite the gradients with the sum over the batch. Definitions, shapes and
/// derivations are in [`crate::nn`].
///
/// Implementations are `#[inline(never)]`, so that a profile shows them by name. A step calls a dozen
/// of them.
pub trait LayerKernels {
    /// [`crate::nn::conv2d::forward`].
    fn conv2d_forward(
        &mut self,
        conv: &Conv2d,
        x: &[f32],
        weight: &[f32],
        bias: &[f32],
        y: &mut [f32],
    );

    /// [`crate::nn::conv2d::backward`].
    fn conv2d_backward(
        &mut self,
        conv: &Conv2d,
        x: &[f32],
        weight: &[f32],
        dy: &[f32],
        gradients: Gradients<'_>,
    );

    /// [`crate::nn::relu::forward`].
    fn relu_forward(&mut self, x: &[f32], y: &mut [f32]);

    /// [`crate::nn::relu::backward`].
    fn relu_backward(&mut self, y: &[f32], dy: &[f32], dx: &mut [f32]);

    /// [`crate::nn::maxpool2d::forward`].
    fn maxpool2d_forward(&mut self, pool: &MaxPool2d, x: &[f32], y: &mut [f32], argmax: &mut [u8]);

    /// [`crate::nn::maxpool2d::backward`].
    fn maxpool2d_backward(&mut self, pool: &MaxPool2d, argmax: &[u8], dy: &[f32], dx: &mut [f32]);

    /// [`crate::nn::linear::forward`].
    fn linear_forward(
        &mut self,
        linear: &Linear,
        x: &[f32],
        weight: &[f32],
        bias: &[f32],
        y: &mut [f32],
    );

    /// [`crate::nn::linear::backward`].
    fn linear_backward(
        &mut self,
        linear: &Linear,
        x: &[f32],
        weight: &[f32],
        dy: &[f32],
        gradients: Gradients<'_>,
    );

    /// [`AdamStep::update`]. Every element stands for itself, so only the sharing of the work can
    /// differ between stages.
    fn adam(
        &mut self,
        step: &AdamStep,
        g: &[f32],
        w: &mut [f32],
        m: &mut [f32],
        v: &mut [f32],
    ) -> bool {
        step.update(g, w, m, v)
    }

    /// Threads that the kernels use.
    fn threads(&self) -> usize {
        1
    }
}
