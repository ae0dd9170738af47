//! # im2col: convolution as a matrix product
//!
//! **Starting point.** [naive](super::naive).
//!
//! **Observation.** Nearly all the time goes to the convolution and the first linear layer. The
//! innermost loops of the convolution run over at most K taps, too few to fill a vector. In the
//! linear layer, each output of the forward pass is one long sum, and every addition waits for the
//! one before.
//!
//! **Idea.** Copy the window of every output into a column of a matrix, so that one product with
//! long rows does all the work (Chellapilla, Puri & Simard 2006, section 4.1):
//!
//! ```text
//! columns[c·K·K + m·K + k, i·W' + j] = x[c, i·s + m − p, j·s + k − p]   (C·K·K) × (H'·W')
//!
//! y  = w · columns                    (O) × (C·K·K) times (C·K·K) × (H'·W')
//! dw = Σ over images of dy · columnsᵀ
//! dcolumns = wᵀ · dy, and each of its elements is added to the x it was copied from
//! ```
//!
//! The program computes the product block by block, through copies that fit the cache, and inside a
//! block along the rows of the result. Neighbouring elements of a row are independent sums and fill
//! a vector. The linear layers are matrix products already.
//!
//! **What it costs.** Every pixel is copied K² times. Sums run in another order, so the results
//! agree with naive to rounding.
//!
//! **Measured.** OPTIMIZATIONS.md, chapter im2col.

mod product;

use self::product::add_product;
use crate::nn::primitives::Primitives;
use crate::nn::primitives::convolution::{ConvBackward, ConvForward, Convolution};
use crate::nn::primitives::product::Matrix;
use crate::scalar::Scalar;

/// Primitives that compute a convolution as a product with [unfolded](unfold) images.
#[derive(Debug)]
pub struct Im2col<T = f32> {
    /// Function that adds a · b to c (a.rows, b.columns): `product(a, b, c)`.
    product: fn(Matrix<'_, T>, Matrix<'_, T>, &mut [T]),
    /// Windows of one image or their gradient, (C·K·K, H'·W').
    columns: Vec<T>,
}

impl<T> Im2col<T> {
    /// Primitives with `product`.
    pub fn with(product: fn(Matrix<'_, T>, Matrix<'_, T>, &mut [T])) -> Self {
        Self { product, columns: Vec::new() }
    }
}

impl<T: Scalar> Default for Im2col<T> {
    /// Primitives with the product by blocks.
    fn default() -> Self {
        Self::with(add_product)
    }
}

/// Copies the windows of one image `x` (C, H, W) to `columns` (C·K·K, H'·W'); the padding is 0.
pub fn unfold<T: Scalar>(conv: &Convolution, x: &[T], columns: &mut [T]) {
    let output = conv.output();
    assert_eq!(x.len(), conv.input.len());
    assert_eq!(columns.len(), conv.taps() * output.plane());
    columns.fill(T::zero());
    for (row, columns) in columns.chunks_exact_mut(output.plane()).enumerate() {
        for_each_run(conv, row, |outputs, at, length| {
            let columns = &mut columns[outputs..outputs + length];
            if conv.columns.stride == 1 {
                columns.copy_from_slice(&x[at..at + length]);
            } else {
                columns
                    .iter_mut()
                    .zip(x[at..].iter().step_by(conv.columns.stride))
                    .for_each(|(c, x)| *c = *x);
            }
        });
    }
}

/// Adds every element of `columns` (C·K·K, H'·W') to the element of `x` (C, H, W) that
/// [`unfold`] would have copied it from.
pub fn fold<T: Scalar>(conv: &Convolution, columns: &[T], x: &mut [T]) {
    let output = conv.output();
    assert_eq!(x.len(), conv.input.len());
    assert_eq!(columns.len(), conv.taps() * output.plane());
    for (row, columns) in columns.chunks_exact(output.plane()).enumerate() {
        for_each_run(conv, row, |outputs, at, length| {
            let columns = &columns[outputs..outputs + length];
            x[at..]
                .iter_mut()
                .step_by(conv.columns.stride)
                .zip(columns)
                .for_each(|(x, &c)| *x += c);
        });
    }
}

/// Calls `run(outputs, at, length)` for every row of the output in which tap `row` (of C·K·K) lies
/// on pixels. For the outputs `outputs..outputs + length`, it lies on x at `at`, `at + stride`, ….
fn for_each_run(conv: &Convolution, row: usize, mut run: impl FnMut(usize, usize, usize)) {
    let Convolution { input, rows, columns, .. } = *conv;
    let output = conv.output();
    let (c, m, k) = (
        row / (rows.kernel * columns.kernel),
        row / columns.kernel % rows.kernel,
        row % columns.kernel,
    );
    let windows = columns.windows_inside(k, input.width, output.width);
    if windows.is_empty() {
        return;
    }
    for i in rows.windows_inside(m, input.height, output.height) {
        let at = c * input.plane()
            + rows.position(i, m) * input.width
            + columns.position(windows.start, k);
        run(i * output.width + windows.start, at, windows.len());
    }
}

impl<T: Scalar> Primitives<T> for Im2col<T> {
    fn add_product(&mut self, a: Matrix<'_, T>, b: Matrix<'_, T>, c: &mut [T]) {
        (self.product)(a, b, c);
    }

    fn convolve(&mut self, conv: &Convolution, io: ConvForward<'_, T>) {
        let ConvForward { x, weight, bias, y } = io;
        let output = conv.output();
        let images = conv.input.images_in(x.len());
        assert_eq!(y.len(), images * output.len());
        let weight = Matrix::new(weight, conv.out_channels, conv.taps());
        self.columns.resize(conv.taps() * output.plane(), T::zero());
        for (x, y) in x.chunks_exact(conv.input.len()).zip(y.chunks_exact_mut(output.len())) {
            unfold(conv, x, &mut self.columns);
            for (y, &bias) in y.chunks_exact_mut(output.plane()).zip(bias) {
                y.fill(bias);
            }
            (self.product)(weight, Matrix::new(&self.columns, conv.taps(), output.plane()), y);
        }
    }

    fn convolve_backward(&mut self, conv: &Convolution, io: ConvBackward<'_, T>) {
        let ConvBackward { x, weight, dy, dw, db, mut dx } = io.cleared();
        let output = conv.output();
        let images = conv.input.images_in(x.len());
        assert_eq!(dy.len(), images * output.len());
        let weight = Matrix::new(weight, conv.out_channels, conv.taps());
        self.columns.resize(conv.taps() * output.plane(), T::zero());
        let images = x.chunks_exact(conv.input.len()).zip(dy.chunks_exact(output.len()));
        for (image, (x, dy)) in images.enumerate() {
            for (db, dy) in db.iter_mut().zip(dy.chunks_exact(output.plane())) {
                *db += dy.iter().copied().sum();
            }
            let dy = Matrix::new(dy, conv.out_channels, output.plane());
            unfold(conv, x, &mut self.columns);
            let columns = Matrix::new(&self.columns, conv.taps(), output.plane());
            (self.product)(dy, columns.transposed(), dw);
            if let Some(dx) = dx.as_deref_mut() {
                self.columns.fill(T::zero());
                (self.product)(weight.transposed(), dy, &mut self.columns);
                fold(conv, &self.columns, &mut dx[image * conv.input.len()..][..conv.input.len()]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::primitives::window::Window;
    use crate::nn::shape::ImageShape;

    #[test]
    fn unfolding_gives_the_published_columns() {
        let window = Window { kernel: 3, stride: 1, padding: 1 };
        let input = ImageShape::new(1, 2, 2);
        let conv = Convolution { input, out_channels: 1, rows: window, columns: window };
        let mut columns = [f32::NAN; 36];
        unfold(&conv, &[1., 2., 3., 4.], &mut columns);
        let digits: String = columns.iter().map(|&value| (b'0' + value as u8) as char).collect();
        assert_eq!(digits, "000100120020010312342040030034004000");
    }

    #[test]
    fn folding_counts_how_often_each_pixel_was_copied() {
        let window = Window { kernel: 3, stride: 2, padding: 1 };
        let input = ImageShape::new(2, 5, 4);
        let conv = Convolution { input, out_channels: 1, rows: window, columns: window };
        let x: Vec<f32> = (1..=40).map(|n| n as f32).collect();
        let mut columns = vec![f32::NAN; conv.taps() * conv.output().plane()];
        unfold(&conv, &x, &mut columns);
        let mut folded = vec![0.0; 40];
        fold(&conv, &columns, &mut folded);
        for (index, (folded, x)) in folded.iter().zip(&x).enumerate() {
            let (h, w) = (index % 20 / 4, index % 4);
            let windows = |at, windows| {
                let taps = (0..windows).flat_map(|i| (0..3).map(move |m| (i, m)));
                // Stride 2 and padding 1.
                taps.filter(|(i, m)| 2 * i + m == at + 1).count()
            };
            let copies = windows(h, conv.output().height) * windows(w, conv.output().width);
            assert_eq!(*folded, *x * copies as f32, "at ({h}, {w})");
        }
    }
}
