//! The layer that takes the maximum of each window of an image or of a signal.
//! [`primitives::pooling`](super::primitives::pooling) has the definition and the backward pass.

use std::fmt;

use super::layer::{Backward, Forward, Kept, Layer, Module, Pass, Training};
use super::pool::Pool;
use super::primitives::Primitives;
use super::primitives::pooling::{self, LARGEST_WINDOW};
use super::settings::Settings;
use super::shape::Shape;
use crate::autograd::{Tape, Var};
use crate::onnx::{Graph, Value};
use crate::scalar::Scalar;

/// Layer `maxpoolKsSpP`: (C, H, W) → (C, H', W'), or (C, L) → (C, L').
#[derive(Debug)]
pub struct MaxPool(Pool);

/// Max pooling with the window in `settings`.
///
/// # Errors
/// The setting that is missing or not valid.
pub fn parse(settings: &mut Settings) -> Result<Box<dyn Layer>, String> {
    let pool = Pool::read(settings)?;
    if pool.0.kernel > LARGEST_WINDOW {
        return Err(format!("a window has at most {LARGEST_WINDOW} rows"));
    }
    Ok(Box::new(MaxPool(pool)))
}

impl fmt::Display for MaxPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "maxpool{}", self.0)
    }
}

impl Layer for MaxPool {
    fn output(&self, input: Shape) -> Result<Shape, String> {
        self.0.output(input)
    }

    /// One byte for each output: the place of the maximum in its window.
    fn kept(&self, input: Shape) -> Kept {
        Kept { bytes: self.0.on(input).output().len(), ..Kept::default() }
    }

    fn onnx(&self, graph: &mut Graph, input: Shape, x: Value, _: &[Value]) -> Value {
        self.0.onnx(graph, "MaxPool", input, x)
    }

    fn pytorch(&self, input: Shape) -> Module {
        self.0.pytorch("MaxPool", input, "")
    }
}

impl<T: Scalar> Pass<T> for MaxPool {
    fn forward(&self, primitives: &mut dyn Primitives<T>, io: Forward<'_, T>) {
        primitives.max_pool(&self.0.on(io.input), io.x, io.y, io.kept_bytes);
    }

    fn backward(&self, primitives: &mut dyn Primitives<T>, io: Backward<'_, T>) {
        if let Some(dx) = io.dx {
            primitives.max_pool_backward(&self.0.on(io.input), io.kept_bytes, io.dy, dx);
        }
    }

    /// The pixels under each window are a row, of which the maximum is taken.
    fn record(&self, tape: &mut Tape<T>, x: Var, _: &[Var], _: Training) -> Var {
        let input = Shape::of(&tape.shape(x)[1..]).expect("x is a batch");
        let windows = pooling::record_windows(&self.0.on(input), tape, x);
        let largest = tape.max(windows, 1);
        let shape = self.0.output(input).expect("the network was checked");
        let images = tape.shape(x)[0];
        tape.reshape(largest, &shape.of_batch(images))
    }
}
