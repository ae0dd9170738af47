//! The layer that takes the maximum of each window of an image.
//! [`primitives::pooling`](super::primitives::pooling) has the definition and the backward pass.

use std::fmt;

use super::layer::{Backward, Forward, Kept, Layer, Pass};
use super::primitives::Primitives;
use super::primitives::pooling::{LARGEST_WINDOW, Pooling};
use super::settings::Settings;
use super::shape::Shape;
use crate::autograd::{Tape, Var};
use crate::scalar::Scalar;

/// Layer `maxpoolKsS`: (C, H, W) → (C, H', W').
#[derive(Debug)]
pub struct MaxPool2d {
    /// Side of the square window in pixels, K.
    pub kernel: usize,
    /// Distance between neighbouring windows in pixels, S.
    pub stride: usize,
}

/// Max pooling with the window and the stride in `settings`.
///
/// # Errors
/// The setting that is missing or not valid.
pub fn parse(settings: &mut Settings) -> Result<Box<dyn Layer>, String> {
    let kernel = settings.count("window side")?;
    if kernel > LARGEST_WINDOW {
        return Err(format!("a window has at most {LARGEST_WINDOW} rows"));
    }
    Ok(Box::new(MaxPool2d { kernel, stride: settings.letter('s')?.unwrap_or(kernel) }))
}

impl MaxPool2d {
    /// Sizes of the pooling for images of shape `input`.
    fn on(&self, input: Shape) -> Pooling {
        Pooling { input, kernel: self.kernel, stride: self.stride }
    }
}

impl fmt::Display for MaxPool2d {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kernel, stride } = self;
        write!(f, "maxpool{kernel}")?;
        if stride != kernel { write!(f, "s{stride}") } else { Ok(()) }
    }
}

impl Layer for MaxPool2d {
    fn output(&self, input: Shape) -> Result<Shape, String> {
        let kernel = self.kernel;
        if input.height.min(input.width) < kernel {
            return Err(format!("needs at least {kernel}x{kernel} pixels, gets {input}"));
        }
        Ok(self.on(input).output())
    }

    /// One byte for each output: the place of the maximum in its window.
    fn kept(&self, input: Shape) -> Kept {
        Kept { bytes: self.on(input).output().len(), ..Kept::default() }
    }
}

impl<T: Scalar> Pass<T> for MaxPool2d {
    fn forward(&self, primitives: &mut dyn Primitives<T>, io: Forward<'_, T>) {
        primitives.max_pool(&self.on(io.input), io.x, io.y, io.kept);
    }

    fn backward(&self, primitives: &mut dyn Primitives<T>, io: Backward<'_, T>) {
        if let Some(dx) = io.dx {
            primitives.max_pool_backward(&self.on(io.input), io.kept, io.dy, dx);
        }
    }

    /// The pixels under each window are a row, of which the maximum is taken.
    fn record(&self, tape: &mut Tape<T>, x: Var, _: &[Var]) -> Var {
        let [images, channels, height, width] = tape.shape(x).try_into().expect("x is images");
        let outputs = self.on(Shape::new(channels, height, width)).output();
        let (side, plane) = (self.kernel, outputs.plane());
        let windows =
            tape.gather(x, [images * channels * plane, side * side], |[window, place]| {
                let (map, i, j) =
                    (window / plane, window % plane / outputs.width, window % outputs.width);
                let (h, w) = (i * self.stride + place / side, j * self.stride + place % side);
                Some((map * height + h) * width + w)
            });
        let largest = tape.max(windows, 1);
        tape.reshape(largest, &[images, channels, outputs.height, outputs.width])
    }
}
