//! Pooling: the maximum or the average of each window of an image.
//!
//! # Definition
//! A window has the taps (m, k) with 0 ≤ m,k < K that lie on the image; taps on the padding do not
//! count. In every window there is at least one tap on the image. #window is the number of its
//! taps.
//!
//! ```text
//! max       y[n,c,i,j] = max over (m, k) of x[n, c, i·s + m − p, j·s + k − p]
//! average   y[n,c,i,j] = Σ over (m, k) of x[n, c, i·s + m − p, j·s + k − p] / #window
//! ```
//!
//! The forward pass of max pooling remembers the place of the maximum in its window, m·K + k, in
//! one byte for each output. If several elements are equal to the maximum, the first one, row by
//! row, is taken.
//!
//! # Backward
//! A small change of the maximum changes y by the same amount; a small change of any other element
//! does not change y. So all of dy goes to the place of the maximum. Of an average, each element
//! has the share 1/#window, so each gets dy/#window. If windows overlap, their gradients are added.

use std::ops::Range;

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
    /// Window along the rows. Its padding is shorter than the window, so every window has an
    /// element.
    pub rows: Window,
    /// Window along the columns.
    pub columns: Window,
}

impl Pooling {
    /// Shape of one image's output: (C, ⌊(H + 2p − K)/s⌋ + 1, ⌊(W + 2p − K)/s⌋ + 1). Rows and
    /// columns at the end that do not fill a window are ignored.
    pub fn output(&self) -> ImageShape {
        let ImageShape { channels, height, width } = self.input;
        ImageShape::new(channels, self.rows.outputs(height), self.columns.outputs(width))
    }

    /// Pixels under each window of one channel, row by row: a range of rows and a range of columns.
    fn windows(&self) -> impl Iterator<Item = [Range<usize>; 2]> {
        let Self { input, rows, columns } = *self;
        let ImageShape { height, width, .. } = self.output();
        let pixels = |axis: Window, window: usize, length: usize| {
            let taps = axis.taps_inside(window, length);
            let first = axis.position(window, taps.start);
            first..first + taps.len()
        };
        (0..height).flat_map(move |i| {
            let of_rows = pixels(rows, i, input.height);
            (0..width).map(move |j| [of_rows.clone(), pixels(columns, j, input.width)])
        })
    }
}

/// Writes the maximum of each window to `y` and its place in the window to `argmax`, by the
/// reference arithmetic.
///
/// # Shapes
/// x (N, C, H, W) → y (N, C, H', W') and argmax (N, C, H', W'), whose elements are m·K + k.
pub fn max_forward<T: Scalar>(pool: &Pooling, x: &[T], y: &mut [T], argmax: &mut [u8]) {
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
pub fn max_backward<T: Scalar>(pool: &Pooling, argmax: &[u8], dy: &[T], dx: &mut [T]) {
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

/// Writes the average of each window to `y`, by the reference arithmetic.
///
/// # Shapes
/// x (N, C, H, W) → y (N, C, H', W').
pub fn average_forward<T: Scalar>(pool: &Pooling, x: &[T], y: &mut [T]) {
    let width = pool.input.width;
    let samples = pool.input.images_in(x.len());
    assert_eq!(y.len(), samples * pool.output().len());
    let maps = x.chunks_exact(pool.input.plane()).zip(y.chunks_exact_mut(pool.output().plane()));
    for (x, y) in maps {
        for (y, [rows, columns]) in y.iter_mut().zip(pool.windows()) {
            let taps = rows.len() * columns.len();
            let mut sum = T::zero();
            for row in rows {
                sum = x[row * width..][columns.clone()].iter().fold(sum, |sum, &x| sum + x);
            }
            *y = sum / T::of(taps as f64);
        }
    }
}

/// Overwrites the gradient `dx` of the input of average pooling, by the reference arithmetic.
///
/// # Shapes
/// dy (N, C, H', W') → dX (N, C, H, W).
pub fn average_backward<T: Scalar>(pool: &Pooling, dy: &[T], dx: &mut [T]) {
    let width = pool.input.width;
    let samples = pool.input.images_in(dx.len());
    assert_eq!(dy.len(), samples * pool.output().len());
    dx.fill(T::zero());
    let maps = dy.chunks_exact(pool.output().plane()).zip(dx.chunks_exact_mut(pool.input.plane()));
    for (dy, dx) in maps {
        for (&dy, [rows, columns]) in dy.iter().zip(pool.windows()) {
            let share = dy / T::of((rows.len() * columns.len()) as f64);
            for row in rows {
                dx[row * width..][columns.clone()].iter_mut().for_each(|dx| *dx += share);
            }
        }
    }
}

/// The pixels of `x` (N, C, H, W) under each window as a row of a matrix (windows, taps), recorded
/// on `tape`. A tap on the padding is the first pixel of the window once more, so that it changes
/// no maximum.
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

/// Average of the pixels of `x` (N, C, H, W) under each window, recorded on `tape` as a tensor
/// (N·C, H'·W', 1).
pub fn record_averages<T: Scalar>(pool: &Pooling, tape: &mut Tape<T>, x: Var) -> Var {
    let Pooling { input: ImageShape { channels, height, width }, rows, columns } = *pool;
    let (images, outputs) = (tape.shape(x)[0], pool.output());
    let (windows, taps) = (outputs.plane(), rows.kernel * columns.kernel);
    // The pixel of a channel under this tap of a window, unless the tap is on the padding.
    let pixel = |window: usize, tap: usize| {
        let (i, j) = (window / outputs.width, window % outputs.width);
        let (m, k) = (tap / columns.kernel, tap % columns.kernel);
        let row = (i * rows.stride + m).checked_sub(rows.padding).filter(|row| *row < height)?;
        let column = (j * columns.stride + k).checked_sub(columns.padding)?;
        (column < width).then_some(row * width + column)
    };
    let pixels = tape.gather(x, [images * channels, windows, taps], |[map, window, tap]| {
        pixel(window, tap).map(|pixel| map * height * width + pixel)
    });
    let taps_inside = |window| (0..taps).filter(|&tap| pixel(window, tap).is_some()).count();
    let counts = (0..windows).map(|window| T::of(taps_inside(window) as f64)).collect();
    let counts = tape.leaf(&[windows, 1], counts);
    let sums = tape.sum(pixels, 2);
    tape.div(sums, counts)
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
        max_forward(pool, x, &mut y, &mut argmax);
        (y, argmax)
    }

    #[test]
    fn the_largest_of_each_window_is_kept_with_its_place() {
        let x = [1., 3., 2., 4., 5., 6., 1., 2., 7., 2., 3., 1., 4., 8., 5., 6.];
        let (y, argmax) = forward_of(&POOL, &x);
        assert_eq!(y, [6., 4., 8., 6.]);
        assert_eq!(argmax, [3, 1, 3, 3]);

        let mut dx = [f32::NAN; 16];
        max_backward(&POOL, &argmax, &[1., 2., 3., 4.], &mut dx);
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
        max_backward(&POOL, &argmax, &[1.; 4], &mut dx);
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
        max_backward(&pool, &argmax, &[1., 2., 3., 4.], &mut dx);
        assert_eq!(dx[12], 10.0);
        assert_eq!(dx.iter().sum::<f32>(), 10.0);
    }

    #[test]
    fn the_average_of_each_window_is_the_published_one() {
        let x = [1., 3., 2., 4., 5., 6., 1., 2., 7., 2., 3., 1., 4., 8., 5., 6.];
        let mut y = [f32::NAN; 4];
        average_forward(&POOL, &x, &mut y);
        assert_eq!(y, [3.75, 2.25, 5.25, 3.75]);

        let mut dx = [f32::NAN; 16];
        average_backward(&POOL, &[4., 8., 12., 16.], &mut dx);
        assert_eq!(dx, [1., 1., 2., 2., 1., 1., 2., 2., 3., 3., 4., 4., 3., 3., 4., 4.]);
    }

    #[test]
    fn averages_at_the_edge_leave_out_the_padding_in_both_passes() {
        let window = Window { kernel: 2, stride: 2, padding: 1 };
        let pool = Pooling { input: ImageShape::new(1, 3, 3), rows: window, columns: window };
        let mut y = [f32::NAN; 4];
        average_forward(&pool, &[1., 2., 3., 4., 5., 6., 7., 8., 9.], &mut y);
        assert_eq!(y, [1., 2.5, 5.5, 7.]);
        let mut dx = [f32::NAN; 9];
        average_backward(&pool, &[1.; 4], &mut dx);
        assert_eq!(dx, [1., 0.5, 0.5, 0.5, 0.25, 0.25, 0.5, 0.25, 0.25]);
    }

    #[test]
    fn padding_counts_for_no_average() {
        let window = Window { kernel: 2, stride: 2, padding: 1 };
        let pool = Pooling { input: ImageShape::new(1, 2, 2), rows: window, columns: window };
        let mut y = [f32::NAN; 4];
        average_forward(&pool, &[1., 2., 3., 4.], &mut y);
        assert_eq!(y, [1., 2., 3., 4.]);
        let mut dx = [f32::NAN; 4];
        average_backward(&pool, &[5., 6., 7., 8.], &mut dx);
        assert_eq!(dx, [5., 6., 7., 8.]);
    }
}
