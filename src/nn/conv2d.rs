//! The layer that convolves images with kernels and adds a bias.
//! [`primitives::convolution`](super::primitives::convolution) has the definition and the
//! derivation of the backward pass.

use std::fmt;

use super::kernels::Kernels;
use super::layer::{Backward, Forward, Kept, Layer, Module, Pass, Training};
use super::primitives::Primitives;
use super::primitives::convolution::{self, ConvBackward, ConvForward, Convolution};
use super::settings::Settings;
use super::shape::Shape;
use super::tensor::TensorSpec;
use crate::autograd::{Tape, Var};
use crate::onnx::{Graph, Value};
use crate::scalar::Scalar;

/// Layer `convOkKsSpP`: (C, H, W) → (O, H', W'). Its tensors are a weight (O, C, K, K) and a bias
/// (O).
#[derive(Debug)]
pub struct Conv2d(Kernels);

/// Convolution with the kernels in `settings`.
///
/// # Errors
/// The setting that is missing or not valid.
pub fn parse(settings: &mut Settings) -> Result<Box<dyn Layer>, String> {
    Ok(Box::new(Conv2d(Kernels::read(settings)?)))
}

impl Conv2d {
    /// Sizes of the convolution for images of shape `input`.
    fn on(&self, input: Shape) -> Convolution {
        let Kernels { out_channels, window } = self.0;
        Convolution { input: input.as_image(), out_channels, rows: window, columns: window }
    }
}

impl fmt::Display for Conv2d {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "conv{}", self.0)
    }
}

impl Layer for Conv2d {
    fn output(&self, input: Shape) -> Result<Shape, String> {
        let &[_, height, width] = input.sizes() else {
            return Err(format!("needs an image, gets {input}"));
        };
        let smallest = self.0.smallest();
        if height.min(width) < smallest {
            return Err(format!("needs at least {smallest}x{smallest} pixels, gets {input}"));
        }
        Ok(self.on(input).output().into())
    }

    fn tensors(&self, input: Shape) -> Vec<TensorSpec> {
        let conv = self.on(input);
        let fan_out = conv.out_channels * conv.rows.kernel * conv.columns.kernel;
        TensorSpec::weight_and_bias(&conv.weight_shape(), conv.taps(), fan_out)
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
        self.0.onnx(graph, x, tensors, 2)
    }

    fn pytorch(&self, input: Shape) -> Module {
        self.0.pytorch("Conv2d", input)
    }
}

impl<T: Scalar> Pass<T> for Conv2d {
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
        let [_, channels, height, width] = tape.shape(x).try_into().expect("x is images");
        let conv = self.on(Shape::image(channels, height, width));
        convolution::record(&conv, tape, x, tensors)
    }
}
