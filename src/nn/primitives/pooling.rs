//! Max pooling: the maximum of each window of an image.
//!
//! # Definition
//! ```text
//! y[n,c,i,j] = max over 0 ≤ m,k < K of x[n, c, i·s + m − p, j·s + k − p]
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
use super::window::Window;
use crate::autograd::{Tape, Var};
use crate::nn::shape::ImageShape;
use crate::scalar::Scalar;

/// Largest side of a window whose places, 0 to 255, fit into a byte.
pub const LARGEST_WINDOW: usize = 16;

/// Sizes of a pooling.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pooling {
    /// Shape of one image's input, (C, H, W).
    pub input: ImageShape,
    /// Window along the rows. Its padding is shorter than the window, so every window has an element.
    pub rows: Window,
    /// Window along the columns.
    pub columns: Window,
}

impl Pooling {
    /// Shape of one image's output: (C, ⌊(H + 2p − K)/s⌋ + 1, ⌊(W + 2p − K)/s⌋ + 1). Rows and columns
    /// at the end that do not fill a window are ignored.
    pub fn output(&self) -> ImageShape {
        let ImageShape { channels, height, width } = self.input;
        ImageShape::new(channels, self.rows.outputs(height), self.columns.outputs(width))
    }
}

/// Writes the maximum of each window to `y` and its place in the window to `argmax`, by the
/// reference arithmetic.
///
/// # Shapes
/// x (N, C, H, W) → y (N, C, H', W') and argmax (N, C, H', W'), whose elements are m·K + k.
pub fn forward<T: Scalar>(pool: &Pooling, x: &[T], y: &mut [T], argmax: &mut [u8]) {
    let Pooling { input: ImageShape { height, width, .. }, rows, columns } = *pool;
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
                    for m in rows.taps_inside(i, height) {
                        for k in columns.taps_inside(j, width) {
                            let value = x.get([c, rows.position(i, m), columns.position(j, k)]);
                            if value > best || value.is_nan() {
                                (best, best_at) = (value, m * columns.kernel + k);
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
    let Pooling { rows, columns, .. } = *pool;
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
                    let (m, k) = (place / columns.kernel, place % columns.kernel);
                    *dx.at([c, rows.position(i, m), columns.position(j, k)]) += dy.get([c, i, j]);
                }
            }
        }
    }
}

/// The pixels of `x` (N, C, H, W) under each window as a row of a matrix (windows, taps), recorded on
/// `tape`. A tap on the padding is the first pixel of the window once more, so that it changes no
/// maximum.
pub fn record_windows<T: Scalar>(pool: &Pooling, tape: &mut Tape<T>, x: Var) -> Var {
    let Pooling { input: ImageShape { channels, height, width }, rows, columns } = *pool;
    let (images, outputs) = (tape.shape(x)[0], pool.output());
    let windows = images * channels * outputs.plane();
    tape.gather(x, [windows, rows.kernel * columns.kernel], |[window, tap]| {
        let (map, place) = (window / outputs.plane(), window % outputs.plane());
        let (i, j) = (place / outputs.width, place % outputs.width);
        let (of_rows, of_columns) = (rows.taps_inside(i, height), columns.taps_inside(j, width));
        let (m, k) = (tap / columns.kernel, tap % columns.kernel);
        let is_inside = of_rows.contains(&m) && of_columns.contains(&k);
        let (m, k) = if is_inside { (m, k) } else { (of_rows.start, of_columns.start) };
        Some((map * height + rows.position(i, m)) * width + columns.position(j, k))
    })
}

#[cfg(test)]
mod tests {
    //! Cases whose results were published with two other implementations.

    use super::*;

    /// Pooling of a square image of this side by a window of side `kernel`.
    const fn pool(side: usize, kernel: usize, stride: usize) -> Pooling {
        let window = Window { kernel, stride, padding: 0 };
        Pooling { input: ImageShape::new(1, side, side), rows: window, columns: window }
    }

    const POOL: Pooling = pool(4, 2, 2);

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
        let pool = pool(5, 3, 2);
        let mut x = [0.0; 25];
        x[12] = 1.0;
        let (_, argmax) = forward_of(&pool, &x);
        assert_eq!(argmax, [8, 6, 2, 0]);
        let mut dx = [f32::NAN; 25];
        backward(&pool, &argmax, &[1., 2., 3., 4.], &mut dx);
        assert_eq!(dx[12], 10.0);
        assert_eq!(dx.iter().sum::<f32>(), 10.0);
    }
}
