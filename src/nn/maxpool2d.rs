//! Max pooling as a layer; [`primitives::pooling`](super::primitives::pooling) has its definition.

use std::fmt;

use super::layer::{Backward, Forward, Kept, Layer};
use super::primitives::Primitives;
use super::primitives::pooling::{LARGEST_WINDOW, Pooling};
use super::settings::Settings;
use super::shape::Shape;

/// The layer `maxpoolKsS`: (C, H, W) → (C, H', W').
#[derive(Debug)]
pub struct MaxPool2d {
    /// Side of the window, K.
    pub kernel: usize,
    /// Distance between two windows.
    pub stride: usize,
}

/// The layer that `settings`, its window and its stride, describe.
pub fn parse(settings: &mut Settings) -> Result<Box<dyn Layer>, String> {
    let kernel = settings.count("window side")?;
    if kernel > LARGEST_WINDOW {
        return Err(format!("a window has at most {LARGEST_WINDOW} rows"));
    }
    Ok(Box::new(MaxPool2d { kernel, stride: settings.letter('s')?.unwrap_or(kernel) }))
}

impl MaxPool2d {
    /// The pooling of images of shape `input`.
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
    fn word(&self) -> &'static str {
        "maxpool"
    }

    fn output(&self, input: Shape) -> Result<Shape, String> {
        let kernel = self.kernel;
        if input.height.min(input.width) < kernel {
            return Err(format!("needs at least {kernel}x{kernel} pixels, gets {input}"));
        }
        Ok(self.on(input).output())
    }

    /// A byte for each output: the place of the maximum in its window.
    fn kept(&self, input: Shape) -> Kept {
        Kept { bytes: self.on(input).output().len(), ..Kept::default() }
    }

    fn forward(&self, primitives: &mut dyn Primitives, io: Forward<'_>) {
        primitives.max_pool(&self.on(io.input), io.x, io.y, io.kept);
    }

    fn backward(&self, primitives: &mut dyn Primitives, io: Backward<'_>) {
        if let Some(dx) = io.dx {
            primitives.max_pool_backward(&self.on(io.input), io.kept, io.dy, dx);
        }
    }
}
