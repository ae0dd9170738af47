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

use std::array;
use std::sync::{Mutex, PoisonError};

use self::convolution::{ConvBackward, ConvForward, Convolution};
use self::pooling::Pooling;
use self::product::{Matrices, Matrix};
use crate::scalar::Scalar;
use crate::simd::{self, Isa};

/// Number of items into which work is cut, whatever the number of threads.
pub const ITEMS: usize = 16;

/// Smallest number of columns of a matrix in an item, about a cache line.
pub const COLUMNS: usize = 16;

/// Number of rows, images or elements in an item, of `count` in all.
pub fn share_of(count: usize) -> usize {
    count.div_ceil(ITEMS).max(1)
}

/// Set of the operations that layers are made of, computed in one way.
///
/// The number of images, N, follows from the lengths of the slices; activations are (N, C, H, W).
/// Every operation is right for every size: any stride, padding, number of channels and side.
///
/// T is the number format: f32 in training, f64 in the checks of gradients.
///
/// All other work of a layer is in loops of its own. The layer shares it in [`ITEMS`], and a set of
/// primitives says which threads do the items, and for which vector instructions the loops are
/// compiled.
pub trait Primitives<T: Scalar = f32> {
    /// Adds a product of matrices: c += a · b, with c (a.rows, b.columns) in row-major order, as
    /// [`product::add_product`] does.
    fn add_product(&mut self, a: Matrix<'_, T>, b: Matrix<'_, T>, c: &mut [T]) {
        product::add_product(a, b, c);
    }

    /// Writes a product of matrices, c = a · b, to each row of which the `bias` (b.columns) is
    /// added, if there is one.
    fn multiply(&mut self, a: Matrix<'_, T>, b: Matrix<'_, T>, bias: Option<&[T]>, c: &mut [T]) {
        match bias {
            Some(bias) => c.chunks_exact_mut(bias.len()).for_each(|c| c.copy_from_slice(bias)),
            None => c.fill(T::zero()),
        }
        self.add_product(a, b, c);
    }

    /// Writes the product of each pair of matrices: c\[i\] = a\[i\] · b\[i\]. There are as many a as
    /// b and c.
    fn multiply_pairs(&mut self, a: Matrices<'_, T>, b: Matrices<'_, T>, c: &mut [T]) {
        for (index, c) in c.chunks_exact_mut(a.rows * b.columns).enumerate() {
            self.multiply(a.get(index), b.get(index), None, c);
        }
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

    /// Calls `item` once with each number below [`ITEMS`], in any order, on any threads. `elements`
    /// is about the number of elements that the items work on; sharing few takes longer than the
    /// work.
    fn for_each_item(&mut self, _elements: usize, item: &(dyn Fn(usize) + Sync)) {
        (0..ITEMS).for_each(item);
    }

    /// Vector instructions for which the loops of shared work are compiled. They have no part in
    /// the results.
    fn isa(&self) -> Isa {
        Isa::Portable
    }

    /// Number of threads that share the operations.
    fn threads(&self) -> usize {
        1
    }
}

impl<T: Scalar> dyn Primitives<T> + '_ {
    /// Calls `work` once with each of the `items`, at most [`ITEMS`], in any order, on any threads.
    /// The result of an item must not depend on the other items. `elements` is about the number of
    /// elements that all items work on.
    pub fn share<I: Send>(
        &mut self,
        elements: usize,
        mut items: impl Iterator<Item = I>,
        work: impl Fn(I) + Sync,
    ) {
        let places: [_; ITEMS] = array::from_fn(|_| Mutex::new(items.next()));
        debug_assert!(items.next().is_none());
        let isa = self.isa();
        self.for_each_item(elements, &|index| {
            let item = places[index].lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some(item) = item {
                simd::vectorize(
                    isa,
                    #[inline(always)]
                    || work(item),
                );
            }
        });
    }

    /// Writes `function`(x) to each element of `y`.
    pub fn map(&mut self, x: &[T], y: &mut [T], function: impl Fn(T) -> T + Sync) {
        let own = share_of(y.len());
        self.share(
            y.len(),
            x.chunks(own).zip(y.chunks_mut(own)),
            #[inline(always)]
            |(x, y)| {
                // A call of `for_each` would not get the vector instructions of its caller if the
                // function is long.
                for (y, &x) in y.iter_mut().zip(x) {
                    *y = function(x);
                }
            },
        );
    }

    /// Writes `function`(a, b) to each element of `y`.
    pub fn map2(&mut self, a: &[T], b: &[T], y: &mut [T], function: impl Fn(T, T) -> T + Sync) {
        let own = share_of(y.len());
        self.share(
            y.len(),
            a.chunks(own).zip(b.chunks(own)).zip(y.chunks_mut(own)),
            #[inline(always)]
            |((a, b), y)| {
                for ((y, &a), &b) in y.iter_mut().zip(a).zip(b) {
                    *y = function(a, b);
                }
            },
        );
    }
}

/// Set of primitives in which every operation is the reference arithmetic.
#[derive(Debug, Clone, Copy, Default)]
pub struct Reference;

impl<T: Scalar> Primitives<T> for Reference {}
