//! The layer that convolves images with kernels and adds a bias.
//! [`primitives::convolution`](super::primitives::convolution) has the definition and the
//! derivation of the backward pass.

use std::fmt;

use super::layer::{Backward, Forward, Kept, Layer, Pass};
use super::primitives::Primitives;
use super::primitives::convolution::{ConvBackward, ConvForward, Convolution};
use super::settings::Settings;
use super::shape::Shape;
use super::tensor::TensorSpec;
use crate::autograd::{Tape, Var};
use crate::scalar::Scalar;

/// Layer `convOkKsSpP`: (C, H, W) → (O, H', W'). Its tensors are a weight (O, C, K, K) and a bias
/// (O).
#[derive(Debug)]
pub struct Conv2d {
    /// Number of output channels, O.
    pub out_channels: usize,
    /// Side of the square kernel in pixels, K.
    pub kernel: usize,
    /// Distance between neighbouring windows in pixels, S.
    pub stride: usize,
    /// Number of rows or columns of zeros added on each side of the image, P.
    pub padding: usize,
}

/// Convolution with the output channels, kernel, stride and padding in `settings`.
///
/// # Errors
/// The setting that is missing or not valid.
pub fn parse(settings: &mut Settings) -> Result<Box<dyn Layer>, String> {
    Ok(Box::new(Conv2d {
        out_channels: settings.count("output channels")?,
        kernel: settings.letter('k')?.ok_or("needs a kernel side: k3")?,
        stride: settings.letter('s')?.unwrap_or(1),
        padding: settings.letter_or_zero('p').unwrap_or(0),
    }))
}

impl Conv2d {
    /// Sizes of the convolution for images of shape `input`.
    fn on(&self, input: Shape) -> Convolution {
        let Self { out_channels, kernel, stride, padding } = *self;
        Convolution { input, out_channels, kernel, stride, padding }
    }
}

impl fmt::Display for Conv2d {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { out_channels, kernel, stride, padding } = self;
        write!(f, "conv{out_channels}k{kernel}")?;
        if *stride != 1 {
            write!(f, "s{stride}")?;
        }
        if *padding != 0 {
            write!(f, "p{padding}")?;
        }
        Ok(())
    }
}

impl Layer for Conv2d {
    fn output(&self, input: Shape) -> Result<Shape, String> {
        let smallest = self.kernel.saturating_sub(2 * self.padding);
        if input.height.min(input.width) < smallest {
            return Err(format!("needs at least {smallest}x{smallest} pixels, gets {input}"));
        }
        Ok(self.on(input).output())
    }

    fn tensors(&self, input: Shape) -> Vec<TensorSpec> {
        let conv = self.on(input);
        let fan_out = self.out_channels * self.kernel * self.kernel;
        TensorSpec::weight_and_bias(&conv.weight_shape(), conv.taps(), fan_out)
    }

    fn multiply_adds(&self, input: Shape) -> usize {
        let conv = self.on(input);
        conv.output().len() * conv.taps()
    }

    fn kept(&self, _: Shape) -> Kept {
        Kept { input: true, ..Kept::default() }
    }
}

impl<T: Scalar> Pass<T> for Conv2d {
    fn forward(&self, primitives: &mut dyn Primitives<T>, io: Forward<'_, T>) {
        let conv = self.on(io.input);
        let (weight, bias) = io.parameters.split_at(self.out_channels * conv.taps());
        primitives.convolve(&conv, ConvForward { x: io.x, weight, bias, y: io.y });
    }

    fn backward(&self, primitives: &mut dyn Primitives<T>, io: Backward<'_, T>) {
        let conv = self.on(io.input);
        let Backward { x, parameters, dy, dparameters, dx, .. } = io;
        let (dw, db) = dparameters.split_at_mut(self.out_channels * conv.taps());
        let weight = &parameters[..dw.len()];
        primitives.convolve_backward(&conv, ConvBackward { x, weight, dy, dw, db, dx });
    }

    /// The pixels under each window are a column of a matrix, so that the sums over the taps are one
    /// product: y = b + W·columns.
    fn record(&self, tape: &mut Tape<T>, x: Var, tensors: &[Var]) -> Var {
        let [images, channels, height, width] = tape.shape(x).try_into().expect("x is images");
        let conv = self.on(Shape::new(channels, height, width));
        let (outputs, taps, side) = (conv.output(), conv.taps(), self.kernel);
        let columns = tape.gather(x, [taps, images * outputs.plane()], |[tap, window]| {
            let (c, m, k) = (tap / (side * side), tap / side % side, tap % side);
            let (n, place) = (window / outputs.plane(), window % outputs.plane());
            let (i, j) = (place / outputs.width, place % outputs.width);
            let h = (i * self.stride + m).checked_sub(self.padding)?;
            let w = (j * self.stride + k).checked_sub(self.padding)?;
            let is_pixel = h < height && w < width;
            is_pixel.then_some(((n * channels + c) * height + h) * width + w)
        });
        let weight = tape.reshape(tensors[0], &[self.out_channels, taps]);
        let products = tape.matmul(weight, columns);
        let bias = tape.reshape(tensors[1], &[self.out_channels, 1]);
        let sums = tape.add(products, bias);
        let Shape { channels, height, width } = outputs;
        tape.gather(sums, [images, channels, height, width], |[n, o, i, j]| {
            Some(((o * images + n) * height + i) * width + j)
        })
    }
}
