//! The layer that convolves signals with kernels and adds a bias: a
//! [two-dimensional convolution](super::primitives::convolution) of images with one row.
//!
//! # Definition
//! ```text
//! y[n,o,j] = b[o] + Σ_c Σ_k x[n, c, j·s + k − p] · w[o,c,k]
//! ```
//!
//! # Backward
//! The gradients are those of the convolution of images, with H = 1 and without the sums over rows:
//!
//! ```text
//! db[o]     = Σ_n Σ_j dy[n,o,j]
//! dw[o,c,k] = Σ_n Σ_j dy[n,o,j] · x[n, c, j·s + k − p]
//! dx[n,c,l] = Σ over all (o,j,k) with j·s + k − p = l of dy[n,o,j] · w[o,c,k]
//! ```

use std::fmt;

use super::kernels::Kernels;
use super::layer::{Backward, Forward, Kept, Layer, Module, Pass, Training};
use super::primitives::Primitives;
use super::primitives::convolution::{self, ConvBackward, ConvForward, Convolution};
use super::primitives::window::Window;
use super::settings::Settings;
use super::shape::Shape;
use super::tensor::TensorSpec;
use crate::autograd::{Tape, Var};
use crate::onnx::{Graph, Value};
use crate::scalar::Scalar;

/// Layer `conv1dOkKsSpP`: (C, L) → (O, L'). Its tensors are a weight (O, C, K) and a bias (O).
#[derive(Debug)]
pub struct Conv1d(Kernels);

/// Convolution of signals with the kernels in `settings`.
///
/// # Errors
/// The setting that is missing or not valid.
pub fn parse(settings: &mut Settings) -> Result<Box<dyn Layer>, String> {
    Ok(Box::new(Conv1d(Kernels::read(settings)?)))
}

impl Conv1d {
    /// Sizes of the convolution for signals of shape `input`.
    fn on(&self, input: Shape) -> Convolution {
        let Kernels { out_channels, window } = self.0;
        Convolution { input: input.as_image(), out_channels, rows: Window::ONE, columns: window }
    }
}

impl fmt::Display for Conv1d {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "conv1d{}", self.0)
    }
}

impl Layer for Conv1d {
    fn word(&self) -> String {
        "conv1d".into()
    }

    fn output(&self, input: Shape) -> Result<Shape, String> {
        let &[_, length] = input.sizes() else {
            return Err(format!("needs a signal, gets {input}; put 'channels' before it"));
        };
        let smallest = self.0.smallest();
        if length < smallest {
            return Err(format!("needs a signal of length {smallest} or more, gets {input}"));
        }
        Ok(Shape::matrix(self.0.out_channels, self.0.window.outputs(length)))
    }

    fn tensors(&self, input: Shape) -> Vec<TensorSpec> {
        let (conv, kernel) = (self.on(input), self.0.window.kernel);
        let shape = [self.0.out_channels, conv.input.channels, kernel];
        TensorSpec::weight_and_bias(&shape, conv.taps(), self.0.out_channels * kernel)
    }

    fn multiply_adds(&self, input: Shape) -> usize {
        let conv = self.on(input);
        conv.output().len() * conv.taps()
    }

    fn is_convolution(&self) -> bool {
        true
    }

    fn kept(&self, _: Shape) -> Kept {
        Kept { input: true, ..Kept::default() }
    }

    fn onnx(&self, graph: &mut Graph, _: Shape, x: Value, tensors: &[Value]) -> Value {
        self.0.onnx(graph, x, tensors, 1)
    }

    fn pytorch(&self, input: Shape) -> Module {
        self.0.pytorch("Conv1d", input)
    }
}

impl<T: Scalar> Pass<T> for Conv1d {
    fn forward(&self, primitives: &mut dyn Primitives<T>, io: Forward<'_, T>) {
        let conv = self.on(io.input);
        let (weight, bias) = io.parameters.split_at(conv.out_channels * conv.taps());
        primitives.convolve(&conv, ConvForward { x: io.x, weight, bias, y: io.y });
    }

    fn backward(&self, primitives: &mut dyn Primitives<T>, io: Backward<'_, T>) {
        let conv = self.on(io.input);
        let Backward { x, parameters, dy, dparameters, dx, .. } = io;
        let (dw, db) = dparameters.split_at_mut(conv.out_channels * conv.taps());
        let weight = &parameters[..dw.len()];
        primitives.convolve_backward(&conv, ConvBackward { x, weight, dy, dw, db, dx });
    }

    fn record(&self, tape: &mut Tape<T>, x: Var, tensors: &[Var], _: Training) -> Var {
        let [images, channels, length] = tape.shape(x).try_into().expect("x is signals");
        let conv = self.on(Shape::matrix(channels, length));
        let y = convolution::record(&conv, tape, x, tensors);
        tape.reshape(y, &[images, conv.out_channels, conv.output().width])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::grammar;
    use crate::nn::primitives::Reference;

    #[test]
    fn differences_of_neighbours_are_a_kernel_of_two() {
        let layer = grammar::layer("conv1d1k2").unwrap();
        let (x, mut y) = ([1., 4., 9., 16.], [f32::NAN; 3]);
        let io = Forward::new(Shape::matrix(1, 4), &x, &[-1., 1., 0.5], &mut y);
        layer.forward(&mut Reference, io);
        assert_eq!(y, [3.5, 5.5, 7.5]);
    }

    #[test]
    fn gradients_of_a_kernel_of_ones_count_the_windows() {
        let layer = grammar::layer("conv1d1k2").unwrap();
        let (mut dparameters, mut dx) = ([f32::NAN; 3], [f32::NAN; 4]);
        let io = Backward {
            input: Shape::matrix(1, 4),
            x: &[1., 2., 3., 4.],
            y: &[3., 5., 7.],
            parameters: &[1., 1., 0.],
            kept_bytes: &[],
            kept_floats: &[],
            scratch: &mut [],
            training: Training::default(),
            dy: &[1.; 3],
            dparameters: &mut dparameters,
            dx: Some(&mut dx),
        };
        layer.backward(&mut Reference, io);
        assert_eq!(dparameters, [6., 9., 3.]);
        assert_eq!(dx, [1., 2., 2., 1.]);
    }

    #[test]
    fn padding_and_stride_are_along_the_signal_alone() {
        let layer = grammar::layer("conv1d1k3s2p1").unwrap();
        assert_eq!(
            (layer.to_string().as_str(), layer.word().as_str()),
            ("conv1d1k3s2p1", "conv1d")
        );
        // Two channels, of which the kernel takes the sum of the first and the negative second.
        let (x, mut y) = ([1., 2., 3., 4., 5., 10., 20., 30., 40., 50.], [f32::NAN; 3]);
        let parameters = [1., 1., 1., 0., -1., 0., 0.];
        let io = Forward::new(Shape::matrix(2, 5), &x, &parameters, &mut y);
        layer.forward(&mut Reference, io);
        assert_eq!(y, [3. - 10., 9. - 30., 9. - 50.]);
    }

    #[test]
    fn a_signal_must_be_as_long_as_the_kernel() {
        let output = |text, input| grammar::layer(text).unwrap().output(input);
        assert_eq!(output("conv1d4k3", Shape::matrix(2, 3)), Ok(Shape::matrix(4, 1)));
        let problem = output("conv1d4k3", Shape::matrix(5, 2)).unwrap_err();
        assert_eq!(problem, "needs a signal of length 3 or more, gets 5x2");
        let problem = output("conv1d4k3", Shape::image(1, 28, 28)).unwrap_err();
        assert_eq!(problem, "needs a signal, gets 1x28x28; put 'channels' before it");
    }
}
