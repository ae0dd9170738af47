//! Two-dimensional convolution (cross-correlation, as in every framework) with a bias.
//!
//! # Definition
//! The padding is p, the stride is s, and x is zero outside its H rows and W columns:
//!
//! ```text
//! y[n,o,i,j] = b[o] + Σ_c Σ_m Σ_k x[n, c, i·s + m − p, j·s + k − p] · w[o,c,m,k]
//! ```
//!
//! # Backward
//! Each product x·w above is a term of exactly one y. Let dy = ∂L/∂y. By the chain rule, the
//! gradient of a factor is a sum over all products with this factor. Each term of this sum is the
//! other factor times dy of the output that contains the product:
//!
//! ```text
//! db[o]       = Σ_n Σ_i Σ_j dy[n,o,i,j]
//! dw[o,c,m,k] = Σ_n Σ_i Σ_j dy[n,o,i,j] · x[n, c, i·s + m − p, j·s + k − p]
//! dx[n,c,h,w] = Σ over all (o,i,j,m,k) with i·s + m − p = h and j·s + k − p = w
//!               of dy[n,o,i,j] · w[o,c,m,k]
//! ```
//!
//! The sums for dw and db run over the batch. A program that keeps only the gradient of the last
//! image still learns, but worse; the tests use batches of three and more to notice this mistake.

use super::view::TensorView;
use super::window::Window;
use crate::autograd::{Tape, Var};
use crate::nn::shape::ImageShape;
use crate::scalar::Scalar;

/// Operands of the forward pass of a convolution.
#[derive(Debug)]
pub struct ConvForward<'a, T = f32> {
    /// Input, (N, C, H, W).
    pub x: &'a [T],
    /// Weight, (O, C, K, K).
    pub weight: &'a [T],
    /// Bias, (O).
    pub bias: &'a [T],
    /// Output, to be written, (N, O, H', W').
    pub y: &'a mut [T],
}

/// Operands of the backward pass of a convolution.
#[derive(Debug)]
pub struct ConvBackward<'a, T = f32> {
    /// Input of the forward pass, (N, C, H, W).
    pub x: &'a [T],
    /// Weight, (O, C, K, K).
    pub weight: &'a [T],
    /// Gradient of the output, (N, O, H', W').
    pub dy: &'a [T],
    /// Gradient of the weight, to be written, (O, C, K, K).
    pub dw: &'a mut [T],
    /// Gradient of the bias, to be written, (O).
    pub db: &'a mut [T],
    /// Gradient of the input, to be written, (N, C, H, W); `None` for the first layer, whose input
    /// is the image.
    pub dx: Option<&'a mut [T]>,
}

impl<T: Scalar> ConvBackward<'_, T> {
    /// Fills the gradients with zeros, so that sums can be added to them.
    pub fn cleared(mut self) -> Self {
        self.dw.fill(T::zero());
        self.db.fill(T::zero());
        if let Some(dx) = self.dx.as_deref_mut() {
            dx.fill(T::zero());
        }
        self
    }
}

/// Sizes of a convolution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Convolution {
    /// Shape of one image's input, (C, H, W).
    pub input: ImageShape,
    /// Number of output channels, O.
    pub out_channels: usize,
    /// Window along the rows. Its padding is rows of zeros.
    pub rows: Window,
    /// Window along the columns. Its padding is columns of zeros.
    pub columns: Window,
}

impl Convolution {
    /// Shape of one image's output: (O, ⌊(H + 2p − K)/s⌋ + 1, ⌊(W + 2p − K)/s⌋ + 1).
    pub fn output(&self) -> ImageShape {
        let (height, width) =
            (self.rows.outputs(self.input.height), self.columns.outputs(self.input.width));
        ImageShape::new(self.out_channels, height, width)
    }

    /// Number of products x·w in one output, C·K·K. It is the fan-in of the weight.
    pub fn taps(&self) -> usize {
        self.input.channels * self.rows.kernel * self.columns.kernel
    }

    /// Shape of the weight, (O, C, K, K).
    pub fn weight_shape(&self) -> [usize; 4] {
        [self.out_channels, self.input.channels, self.rows.kernel, self.columns.kernel]
    }
}

/// Writes the output of a convolution, by the reference arithmetic.
pub fn forward<T: Scalar>(conv: &Convolution, io: ConvForward<'_, T>) {
    let ConvForward { x, weight, bias, y } = io;
    let Convolution { input: ImageShape { channels, height, width }, rows, columns, .. } = *conv;
    let output = conv.output();
    let weight = TensorView::new(weight, conv.weight_shape());
    let samples = conv.input.images_in(x.len());
    assert_eq!(y.len(), samples * output.len());
    for (x, y) in x.chunks_exact(conv.input.len()).zip(y.chunks_exact_mut(output.len())) {
        let (x, mut y) =
            (TensorView::new(x, conv.input.sizes()), TensorView::new(y, output.sizes()));
        for (o, &bias) in bias.iter().enumerate() {
            for i in 0..output.height {
                for j in 0..output.width {
                    let mut sum = bias;
                    for c in 0..channels {
                        for m in rows.taps_inside(i, height) {
                            for k in columns.taps_inside(j, width) {
                                let (h, w) = (rows.position(i, m), columns.position(j, k));
                                sum += x.get([c, h, w]) * weight.get([o, c, m, k]);
                            }
                        }
                    }
                    *y.at([o, i, j]) = sum;
                }
            }
        }
    }
}

/// Overwrites the gradients of a convolution, by the reference arithmetic.
pub fn backward<T: Scalar>(conv: &Convolution, io: ConvBackward<'_, T>) {
    let ConvBackward { x, weight, dy, dw, db, mut dx } = io.cleared();
    let Convolution { input: ImageShape { channels, height, width }, rows, columns, .. } = *conv;
    let output = conv.output();
    let samples = conv.input.images_in(x.len());
    assert_eq!(dy.len(), samples * output.len());
    let weight = TensorView::new(weight, conv.weight_shape());
    let mut dw = TensorView::new(dw, conv.weight_shape());
    for sample in 0..samples {
        let inputs = sample * conv.input.len()..(sample + 1) * conv.input.len();
        let outputs = sample * output.len()..(sample + 1) * output.len();
        let x = TensorView::new(&x[inputs.clone()], conv.input.sizes());
        let dy = TensorView::new(&dy[outputs], output.sizes());
        let dx = dx.as_deref_mut().map(|dx| &mut dx[inputs]);
        let mut dx = dx.map(|dx| TensorView::new(dx, conv.input.sizes()));
        for (o, db) in db.iter_mut().enumerate() {
            for i in 0..output.height {
                for j in 0..output.width {
                    *db += dy.get([o, i, j]);
                    for c in 0..channels {
                        for m in rows.taps_inside(i, height) {
                            for k in columns.taps_inside(j, width) {
                                let (h, w) = (rows.position(i, m), columns.position(j, k));
                                *dw.at([o, c, m, k]) += dy.get([o, i, j]) * x.get([c, h, w]);
                                if let Some(dx) = &mut dx {
                                    *dx.at([c, h, w]) +=
                                        dy.get([o, i, j]) * weight.get([o, c, m, k]);
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Output of a convolution of `x` (N, C, H, W) with the `tensors` weight and bias, recorded on `tape`.
/// The pixels under each window are a column of a matrix, so that the sums over the taps are one
/// product: y = b + W·columns.
pub fn record<T: Scalar>(conv: &Convolution, tape: &mut Tape<T>, x: Var, tensors: &[Var]) -> Var {
    let Convolution { input: ImageShape { channels, height, width }, rows, columns, .. } = *conv;
    let (images, outputs, taps) = (tape.shape(x)[0], conv.output(), conv.taps());
    let unfolded = tape.gather(x, [taps, images * outputs.plane()], |[tap, window]| {
        let (c, tap) = (tap / (rows.kernel * columns.kernel), tap % (rows.kernel * columns.kernel));
        let (n, place) = (window / outputs.plane(), window % outputs.plane());
        let (m, k) = (tap / columns.kernel, tap % columns.kernel);
        let (i, j) = (place / outputs.width, place % outputs.width);
        let h = (i * rows.stride + m).checked_sub(rows.padding)?;
        let w = (j * columns.stride + k).checked_sub(columns.padding)?;
        let is_pixel = h < height && w < width;
        is_pixel.then_some(((n * channels + c) * height + h) * width + w)
    });
    let weight = tape.reshape(tensors[0], &[conv.out_channels, taps]);
    let products = tape.matmul(weight, unfolded);
    let bias = tape.reshape(tensors[1], &[conv.out_channels, 1]);
    let sums = tape.add(products, bias);
    let ImageShape { channels, height, width } = outputs;
    tape.gather(sums, [images, channels, height, width], |[n, o, i, j]| {
        Some(((o * images + n) * height + i) * width + j)
    })
}

#[cfg(test)]
mod tests {
    //! Cases whose results were published with two other implementations.

    use super::*;

    fn conv(side: usize, kernel: usize, stride: usize) -> Convolution {
        let window = Window { kernel, stride, padding: 0 };
        let input = ImageShape::new(1, side, side);
        Convolution { input, out_channels: 1, rows: window, columns: window }
    }

    fn counting(count: usize) -> Vec<f32> {
        (1..=count).map(|n| n as f32).collect()
    }

    /// Gradients (dW, db) by `backward`, which also writes `dx`.
    fn backward_of(
        conv: &Convolution,
        x: &[f32],
        weight: &[f32],
        dy: &[f32],
        dx: Option<&mut [f32]>,
    ) -> (Vec<f32>, [f32; 1]) {
        let (mut dw, mut db) = (vec![f32::NAN; weight.len()], [f32::NAN]);
        backward(conv, ConvBackward { x, weight, dy, dw: &mut dw, db: &mut db, dx });
        (dw, db)
    }

    fn forward_of(conv: &Convolution, x: &[f32], weight: &[f32], bias: f32) -> Vec<f32> {
        let mut y = vec![f32::NAN; conv.output().len()];
        forward(conv, ConvForward { x, weight, bias: &[bias], y: &mut y });
        y
    }

    #[test]
    fn a_sobel_kernel_on_a_ramp_gives_its_slope_everywhere() {
        let sobel = [1., 0., -1., 2., 0., -2., 1., 0., -1.];
        assert_eq!(forward_of(&conv(4, 3, 1), &counting(16), &sobel, 0.0), [-8.0; 4]);
    }

    #[test]
    fn gradients_of_the_sobel_case_overwrite_what_was_there() {
        let sobel = [1., 0., -1., 2., 0., -2., 1., 0., -1.];
        let (conv, x, dy, mut dx) = (conv(4, 3, 1), counting(16), [1., 0., 0., 1.], [f32::NAN; 16]);
        let (dw, db) = backward_of(&conv, &x, &sobel, &dy, Some(&mut dx));
        assert_eq!(db, [2.0]);
        assert_eq!(dw, [7., 9., 11., 15., 17., 19., 23., 25., 27.]);
        assert_eq!(dx, [1., 0., -1., 0., 2., 1., -2., -1., 1., 2., -1., -2., 0., 1., 0., -1.]);
    }

    #[test]
    fn a_kernel_of_ones_sums_its_window_and_the_bias() {
        assert_eq!(forward_of(&conv(3, 3, 1), &[1.0; 9], &[1.0; 9], 5.0), [14.0]);
        assert_eq!(
            forward_of(&conv(5, 2, 1), &counting(25), &[1.0; 4], 0.0),
            [16., 20., 24., 28., 36., 40., 44., 48., 56., 60., 64., 68., 76., 80., 84., 88.]
        );
        assert_eq!(
            forward_of(&conv(6, 2, 2), &counting(36), &[1.0; 4], 0.0),
            [18., 26., 34., 66., 74., 82., 114., 122., 130.]
        );
    }

    #[test]
    fn gradients_of_a_kernel_of_ones_count_the_windows() {
        let (ones, mut dx) = ([1.0; 4], [0.0; 9]);
        let (dw, db) = backward_of(&conv(3, 2, 1), &counting(9), &ones, &ones, Some(&mut dx));
        assert_eq!(dw, [12., 16., 24., 28.]);
        assert_eq!(db, [4.0]);
        assert_eq!(dx, [1., 2., 1., 2., 4., 2., 1., 2., 1.]);
    }

    #[test]
    fn two_channels_with_padding_give_the_published_map() {
        let window = Window { kernel: 3, stride: 1, padding: 1 };
        let input = ImageShape::new(2, 4, 4);
        let conv = Convolution { input, out_channels: 2, rows: window, columns: window };
        let weight: Vec<f32> = (0..36).map(|i| 0.1 * ((i % 9) as f32 - 4.0)).collect();
        let mut y = [f32::NAN; 32];
        let (x, bias) = (&counting(32), &[0.5, -0.5]);
        forward(&conv, ConvForward { x, weight: &weight, bias, y: &mut y });
        let first = [
            21.5, 26.5, 28.3, 13.9, 18.5, 16.1, 16.1, 1.1, 20.9, 16.1, 16.1, -1.3, -12.5, -31.1,
            -32.9, -31.3,
        ];
        for (place, expected) in first.into_iter().enumerate() {
            assert!((y[place] - expected).abs() < 1e-4, "{place}: {y:?}");
            assert!((y[16 + place] - (expected - 1.0)).abs() < 1e-4, "{place}: {y:?}");
        }
    }

    #[test]
    fn gradients_sum_over_the_batch() {
        let mut sums = (vec![0.0; 4], [0.0]);
        let x: Vec<f32> = counting(27);
        let dy: Vec<f32> = counting(12);
        for n in 0..3 {
            let (x, dy) = (&x[n * 9..][..9], &dy[n * 4..][..4]);
            let (dw, db) = backward_of(&conv(3, 2, 1), x, &[1.0; 4], dy, None);
            sums.0.iter_mut().zip(dw).for_each(|(sum, dw)| *sum += dw);
            sums.1[0] += db[0];
        }
        assert_eq!(backward_of(&conv(3, 2, 1), &x, &[1.0; 4], &dy, None), sums);
    }
}
