//! Max pooling: the maximum of each window of an image.
//!
//! # Definition
//! ```text
//! y[n,c,i,j] = max over 0 ≤ m,k < K of x[n, c, i·s + m, j·s + k]
//! ```
//!
//! The forward pass remembers the place of the maximum in its window, m·K + k, in one byte for each
//! output. If several elements are equal to the maximum, the first one, row by row, is taken.
//!
//! # Backward
//! A small change of the maximum changes y by the same amount; a small change of any other element
//! does not change y. So all of dy goes to the place of the maximum. If windows overlap, their
//! gradients are added.

use super::view::TensorView;
use crate::nn::shape::Shape;
use crate::scalar::Scalar;

/// Largest side of a window whose places, 0 to 255, fit into a byte.
pub const LARGEST_WINDOW: usize = 16;

/// Sizes of max pooling without padding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pooling {
    /// Shape of one image's input, (C, H, W).
    pub input: Shape,
    /// Side of the square window in pixels, K.
    pub kernel: usize,
    /// Distance between neighbouring windows in pixels, s.
    pub stride: usize,
}

impl Pooling {
    /// Shape of one image's output: (C, ⌊(H − K)/s⌋ + 1, ⌊(W − K)/s⌋ + 1). Rows and columns at the
    /// end that do not fill a window are ignored.
    ///
    /// # Panics
    /// When the window is larger than the image or than [`LARGEST_WINDOW`].
    pub fn output(&self) -> Shape {
        let side = |input: usize| {
            assert!(input >= self.kernel, "the pooling window is larger than its input");
            assert!(self.kernel <= LARGEST_WINDOW, "a place in the window fits a byte");
            (input - self.kernel) / self.stride + 1
        };
        let Shape { channels, height, width } = self.input;
        Shape::new(channels, side(height), side(width))
    }
}

/// Writes the maximum of each window to `y` and its place in the window to `argmax`, by the
/// reference arithmetic.
///
/// # Shapes
/// x (N, C, H, W) → y (N, C, H', W') and argmax (N, C, H', W'), whose elements are m·K + k.
pub fn forward<T: Scalar>(pool: &Pooling, x: &[T], y: &mut [T], argmax: &mut [u8]) {
    let output = pool.output();
    let samples = pool.input.images_in(x.len());
    assert_eq!((y.len(), argmax.len()), (samples * output.len(), samples * output.len()));
    for (sample, x) in x.chunks_exact(pool.input.len()).enumerate() {
        let x = TensorView::new(x, pool.input.sizes());
        let outputs = sample * output.len()..(sample + 1) * output.len();
        let mut y = TensorView::new(&mut y[outputs.clone()], output.sizes());
        let mut argmax = argmax[outputs].iter_mut();
        for c in 0..output.channels {
            for i in 0..output.height {
                for j in 0..output.width {
                    let (mut best, mut best_at) = (T::neg_infinity(), 0);
                    for m in 0..pool.kernel {
                        for k in 0..pool.kernel {
                            let value = x.get([c, i * pool.stride + m, j * pool.stride + k]);
                            if value > best || value.is_nan() {
                                (best, best_at) = (value, m * pool.kernel + k);
                            }
                        }
                    }
                    *y.at([c, i, j]) = best;
                    *argmax.next().expect("as many as outputs") = best_at as u8;
                }
            }
        }
    }
}

/// Overwrites the gradient `dx` of the input of max pooling, by the reference arithmetic.
///
/// # Shapes
/// argmax and dy (N, C, H', W') → dX (N, C, H, W).
pub fn backward<T: Scalar>(pool: &Pooling, argmax: &[u8], dy: &[T], dx: &mut [T]) {
    let output = pool.output();
    let samples = pool.input.images_in(dx.len());
    assert_eq!((dy.len(), argmax.len()), (samples * output.len(), samples * output.len()));
    dx.fill(T::zero());
    for (sample, dx) in dx.chunks_exact_mut(pool.input.len()).enumerate() {
        let mut dx = TensorView::new(dx, pool.input.sizes());
        let outputs = sample * output.len()..(sample + 1) * output.len();
        let dy = TensorView::new(&dy[outputs.clone()], output.sizes());
        let mut argmax = argmax[outputs].iter();
        for c in 0..output.channels {
            for i in 0..output.height {
                for j in 0..output.width {
                    let place = usize::from(*argmax.next().expect("as many as outputs"));
                    let (m, k) = (place / pool.kernel, place % pool.kernel);
                    *dx.at([c, i * pool.stride + m, j * pool.stride + k]) += dy.get([c, i, j]);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    //! Cases whose results were published with two other implementations.

    use super::*;

    const POOL: Pooling = Pooling { input: Shape::new(1, 4, 4), kernel: 2, stride: 2 };

    fn forward_of(pool: &Pooling, x: &[f32]) -> (Vec<f32>, Vec<u8>) {
        let outputs = pool.output().len() * pool.input.images_in(x.len());
        let (mut y, mut argmax) = (vec![f32::NAN; outputs], vec![255; outputs]);
        forward(pool, x, &mut y, &mut argmax);
        (y, argmax)
    }

    #[test]
    fn the_largest_of_each_window_is_kept_with_its_place() {
        let x = [1., 3., 2., 4., 5., 6., 1., 2., 7., 2., 3., 1., 4., 8., 5., 6.];
        let (y, argmax) = forward_of(&POOL, &x);
        assert_eq!(y, [6., 4., 8., 6.]);
        assert_eq!(argmax, [3, 1, 3, 3]);

        let mut dx = [f32::NAN; 16];
        backward(&POOL, &argmax, &[1., 2., 3., 4.], &mut dx);
        let mut expected = [0.0; 16];
        for ((row, column), value) in [((1, 1), 1.), ((0, 3), 2.), ((3, 1), 3.), ((3, 3), 4.)] {
            expected[row * 4 + column] = value;
        }
        assert_eq!(dx, expected);
    }

    #[test]
    fn the_gradient_goes_to_the_centre_when_the_centre_is_largest() {
        let x = [1., 2., 3., 4., 5., 9., 8., 7., 0., 6., 5., 4., 3., 2., 1., 0.];
        let (y, argmax) = forward_of(&POOL, &x);
        assert_eq!(y, [9., 8., 6., 5.]);
        let mut dx = [f32::NAN; 16];
        backward(&POOL, &argmax, &[1.; 4], &mut dx);
        assert_eq!(dx, [0., 0., 0., 0., 0., 1., 1., 0., 0., 1., 1., 0., 0., 0., 0., 0.]);
    }

    #[test]
    fn the_first_of_equal_elements_wins_also_below_zero() {
        let (y, argmax) = forward_of(&POOL, &[-1.0; 16]);
        assert_eq!(y, [-1.0; 4]);
        assert_eq!(argmax, [0; 4]);
    }

    #[test]
    fn overlapping_windows_add_their_gradients() {
        let pool = Pooling { input: Shape::new(1, 5, 5), kernel: 3, stride: 2 };
        let mut x = [0.0; 25];
        x[12] = 1.0;
        let (_, argmax) = forward_of(&pool, &x);
        assert_eq!(argmax, [8, 6, 2, 0]);
        let mut dx = [f32::NAN; 25];
        backward(&pool, &argmax, &[1., 2., 3., 4.], &mut dx);
        assert_eq!(dx[12], 10.0);
        assert_eq!(dx.iter().sum::<f32>(), 10.0);
    }

    #[test]
    fn output_sides_are_those_of_pytorch() {
        let output = |side, kernel, stride| {
            Pooling { input: Shape::new(1, side, side), kernel, stride }.output().height
        };
        assert_eq!(
            (output(4, 2, 2), output(6, 2, 2), output(8, 3, 2), output(7, 2, 2)),
            (2, 3, 3, 3)
        );
    }
}
