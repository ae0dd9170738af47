//! Primitives: the operations that layers are made of, each of which a stage may replace.
//!
//! Layers are written once over these operations. A set of primitives is one way to compute them.
//! An operation that a set does not replace is the reference arithmetic, which follows the
//! definition of the operation literally.

pub mod convolution;
pub mod pooling;
pub mod product;
mod view;
pub mod window;

use self::convolution::{ConvBackward, ConvForward, Convolution};
use self::pooling::Pooling;
use self::product::Matrix;
use crate::optim::{Step, Weights};
use crate::scalar::Scalar;

/// Function y = f(x) of each element: `function(x, y)`.
pub type Map<T = f32> = fn(&[T], &mut [T]);
/// Function y = f(a, b) of each pair of elements: `function(a, b, y)`.
pub type Map2<T = f32> = fn(&[T], &[T], &mut [T]);

/// Set of the operations that layers are made of, computed in one way.
///
/// The number of images, N, follows from the lengths of the slices; activations are (N, C, H, W).
/// Every operation is right for every size: any stride, padding, number of channels and side.
///
/// T is the number format: f32 in training, f64 in the checks of gradients. Weights are updated in
/// training alone, so the update is in f32.
pub trait Primitives<T: Scalar = f32> {
    /// Adds a product of matrices: c += a · b, with c (a.rows, b.columns) in row-major order, as
    /// [`product::add_product`] does.
    fn add_product(&mut self, a: Matrix<'_, T>, b: Matrix<'_, T>, c: &mut [T]) {
        product::add_product(a, b, c);
    }

    /// Writes the output of a convolution, as [`convolution::forward`] does.
    fn convolve(&mut self, conv: &Convolution, io: ConvForward<'_, T>) {
        convolution::forward(conv, io);
    }

    /// Overwrites the gradients of a convolution, as [`convolution::backward`] does.
    fn convolve_backward(&mut self, conv: &Convolution, io: ConvBackward<'_, T>) {
        convolution::backward(conv, io);
    }

    /// Writes the maximum of each window to `y` and its place in the window to `argmax`, as
    /// [`pooling::max_forward`] does.
    fn max_pool(&mut self, pool: &Pooling, x: &[T], y: &mut [T], argmax: &mut [u8]) {
        pooling::max_forward(pool, x, y, argmax);
    }

    /// Overwrites the gradient `dx` of the input of max pooling, as [`pooling::max_backward`] does.
    fn max_pool_backward(&mut self, pool: &Pooling, argmax: &[u8], dy: &[T], dx: &mut [T]) {
        pooling::max_backward(pool, argmax, dy, dx);
    }

    /// Writes the average of each window to `y`, as [`pooling::average_forward`] does.
    fn average_pool(&mut self, pool: &Pooling, x: &[T], y: &mut [T]) {
        pooling::average_forward(pool, x, y);
    }

    /// Overwrites the gradient `dx` of the input of average pooling, as
    /// [`pooling::average_backward`] does.
    fn average_pool_backward(&mut self, pool: &Pooling, dy: &[T], dx: &mut [T]) {
        pooling::average_backward(pool, dy, dx);
    }

    /// Computes y = `function`(x). The function works element by element, so it may be called on
    /// any parts of `x` and `y` that belong together.
    fn map(&mut self, x: &[T], y: &mut [T], function: Map<T>) {
        function(x, y);
    }

    /// Computes y = `function`(a, b). The function works element by element, so it may be called on
    /// any parts of `a`, `b` and `y` that belong together.
    fn map2(&mut self, a: &[T], b: &[T], y: &mut [T], function: Map2<T>) {
        function(a, b, y);
    }

    /// Updates `weights` and their slots by the gradient `g`, as [`Step::update`] does.
    /// Returns whether every updated weight is finite. The elements are independent of each other,
    /// so sets of primitives differ only in how they share the work among threads.
    fn update(&mut self, step: &Step, g: &[f32], weights: Weights<'_>) -> bool {
        step.update(g, weights)
    }

    /// Number of threads that share the operations.
    fn threads(&self) -> usize {
        1
    }
}

/// Set of primitives in which every operation is the reference arithmetic.
#[derive(Debug, Clone, Copy, Default)]
pub struct Reference;

impl<T: Scalar> Primitives<T> for Reference {}
