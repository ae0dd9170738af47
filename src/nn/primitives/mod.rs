//! What a stage may replace: the operations that layers are made of.
//!
//! Layers are written once over these operations. A set of primitives is one way to compute them;
//! an operation that a set does not replace is the reference arithmetic, which does what the
//! definition says in the order in which it says it.

pub mod convolution;
pub mod pooling;
pub mod product;
mod view;

use self::convolution::{ConvGradients, Convolution};
use self::pooling::Pooling;
use self::product::Matrix;
use crate::optim::adam::AdamStep;

/// One way to compute what layers are made of.
///
/// The number of images, N, follows from the lengths of the slices; activations are (N, C, H, W).
/// Every operation is right for every size: any stride, padding, number of channels and side.
pub trait Primitives {
    /// c += a · b, with c (a.rows, b.columns) row by row: [`product::add_product`].
    fn add_product(&mut self, a: Matrix<'_>, b: Matrix<'_>, c: &mut [f32]) {
        product::add_product(a, b, c);
    }

    /// The output of a convolution: [`convolution::forward`].
    fn convolve(
        &mut self,
        conv: &Convolution,
        x: &[f32],
        weight: &[f32],
        bias: &[f32],
        y: &mut [f32],
    ) {
        convolution::forward(conv, x, weight, bias, y);
    }

    /// The gradients of a convolution, which are overwritten: [`convolution::backward`].
    fn convolve_backward(
        &mut self,
        conv: &Convolution,
        x: &[f32],
        weight: &[f32],
        dy: &[f32],
        gradients: ConvGradients<'_>,
    ) {
        convolution::backward(conv, x, weight, dy, gradients);
    }

    /// The maximum of each window and its place: [`pooling::forward`].
    fn max_pool(&mut self, pool: &Pooling, x: &[f32], y: &mut [f32], argmax: &mut [u8]) {
        pooling::forward(pool, x, y, argmax);
    }

    /// The gradient of max pooling, which is overwritten: [`pooling::backward`].
    fn max_pool_backward(&mut self, pool: &Pooling, argmax: &[u8], dy: &[f32], dx: &mut [f32]) {
        pooling::backward(pool, argmax, dy, dx);
    }

    /// y = `function`(x), which works element by element and may be given any part of both.
    fn map(&mut self, x: &[f32], y: &mut [f32], function: fn(&[f32], &mut [f32])) {
        function(x, y);
    }

    /// y = `function`(a, b), which works element by element and may be given any part of all three.
    fn map2(
        &mut self,
        a: &[f32],
        b: &[f32],
        y: &mut [f32],
        function: fn(&[f32], &[f32], &mut [f32]),
    ) {
        function(a, b, y);
    }

    /// Adam's update of the weights `w`: [`AdamStep::update`]. Every element stands for itself, so
    /// sets differ in the sharing of the work alone.
    fn update(
        &mut self,
        step: &AdamStep,
        g: &[f32],
        w: &mut [f32],
        m: &mut [f32],
        v: &mut [f32],
    ) -> bool {
        step.update(g, w, m, v)
    }

    /// Number of threads that share the operations.
    fn threads(&self) -> usize {
        1
    }
}

/// The reference arithmetic of every operation.
#[derive(Debug, Clone, Copy, Default)]
pub struct Reference;

impl Primitives for Reference {}
