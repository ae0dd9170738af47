//! The trait of all layers, and the operands of its two passes.

use std::fmt;

use super::primitives::Primitives;
use super::shape::Shape;
use super::tensor::TensorSpec;
use crate::autograd::{Tape, Var};
use crate::onnx::{Graph, Value};
use crate::scalar::Scalar;

/// Layer of a network, of any kind.
///
/// A layer holds its settings and nothing else. Its caller tells it the shape of its input. It owns
/// neither parameters nor buffers: the engine's plan says where they are. Its `Display` is its text
/// in the [network language](super::grammar).
pub trait Layer: Pass<f32> + Pass<f64> + fmt::Debug + fmt::Display + Send + Sync {
    /// Word with which the layer's text begins. The network makes the names of the layer and its
    /// tensors from it: `conv`, `relu`.
    fn word(&self) -> String {
        self.to_string().chars().take_while(char::is_ascii_alphabetic).collect()
    }

    /// Shape of the output for an input of shape `input`.
    ///
    /// # Errors
    /// The input that the layer needs, when it cannot take an input of this shape.
    fn output(&self, input: Shape) -> Result<Shape, String>;

    /// Tensors of the layer, weight before bias, with the names of PyTorch's module of this kind.
    fn tensors(&self, _input: Shape) -> Vec<TensorSpec> {
        Vec::new()
    }

    /// Number of multiply-adds of the forward pass of one image.
    fn multiply_adds(&self, _input: Shape) -> usize {
        0
    }

    /// Values of the forward pass that the backward pass needs.
    fn kept(&self, input: Shape) -> Kept;

    /// Number of floats for each image that either pass needs while it runs, and not after it.
    fn scratch(&self, _input: Shape) -> usize {
        0
    }

    /// Whether the output has the same values as the input under another shape. The engine does not
    /// call such a layer.
    fn is_view(&self) -> bool {
        false
    }

    /// Whether the layer convolves its input with kernels that are trained.
    fn is_convolution(&self) -> bool {
        false
    }

    /// Whether, in training, the output for an image depends on the other images of the batch. Then
    /// the gradient of a batch is not the sum over its images.
    fn mixes_images(&self) -> bool {
        false
    }

    /// Output of the layer in an evaluation, as calls of operators of ONNX that are added to `graph`.
    /// The input `x` has the shape (N, `input`), and the output has (N, output); `tensors` are those
    /// of the layer.
    fn onnx(&self, graph: &mut Graph, input: Shape, x: Value, tensors: &[Value]) -> Value;

    /// Module of PyTorch that computes the layer for an input of shape `input`, and has its tensors.
    fn pytorch(&self, input: Shape) -> Module;
}

/// Module of PyTorch, as a text of Python that knows the names `torch` and `nn`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Module {
    /// Expression that makes the module, like `nn.Linear(128, 10)`.
    pub expression: String,
    /// Definition of the class of the module; empty if PyTorch has the class.
    pub class: &'static str,
}

impl From<String> for Module {
    /// Module of a class that PyTorch has.
    fn from(expression: String) -> Self {
        Self { expression, class: "" }
    }
}

/// The arithmetic of a layer in the number format T. A layer is written once, for every format:
/// training computes in f32, and `gradcheck` runs the same code in f64.
pub trait Pass<T: Scalar> {
    /// Computes the output `io.y`, and writes to `io.kept` what only the backward pass needs.
    fn forward(&self, primitives: &mut dyn Primitives<T>, io: Forward<'_, T>);

    /// Computes the gradients `io.dparameters` and `io.dx`. Overwrites the gradient of the
    /// parameters with the sum over the batch.
    fn backward(&self, primitives: &mut dyn Primitives<T>, io: Backward<'_, T>);

    /// Output of the layer in a step of `training`, recorded on `tape` from its definition alone,
    /// without the code of the two passes: the tape's gradient is a second opinion on the backward
    /// pass. The input `x` has the shape (N, input), and the output has (N, output); `tensors` are
    /// those of the layer.
    fn record(&self, tape: &mut Tape<T>, x: Var, tensors: &[Var], training: Training) -> Var;
}

/// Place of a pass in a training. What is random in a layer is drawn from it alone, so threads, a
/// resumed run and a second computation of the same pass all draw the same.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Training {
    /// Seed of the run.
    pub seed: u64,
    /// Number of steps before this one.
    pub step: u64,
    /// Index of the first image of the pass among the images of the step.
    pub first_image: usize,
    /// Index of the layer in the network.
    pub layer: usize,
}

/// Values of the forward pass that a layer's backward pass needs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Kept {
    /// Whether the backward pass needs the input of the forward pass.
    pub input: bool,
    /// Whether the backward pass needs the output of the forward pass.
    pub output: bool,
    /// Number of bytes for each image that the backward pass needs beside input and output.
    pub bytes: usize,
    /// Number of floats for each image that the backward pass needs beside input and output.
    pub floats: usize,
}

/// Operands of a forward pass of N images.
#[derive(Debug)]
pub struct Forward<'a, T = f32> {
    /// Shape of one image's input.
    pub input: Shape,
    /// Input of the layer, (N, input).
    pub x: &'a [T],
    /// Parameters of the layer: the elements of its tensors, one tensor after the other.
    pub parameters: &'a [T],
    /// Output of the layer, to be written, (N, output).
    pub y: &'a mut [T],
    /// Memory for what the backward pass needs beside input and output, to be written,
    /// (N, [`Kept::bytes`]).
    pub kept_bytes: &'a mut [u8],
    /// The same in floats, (N, [`Kept::floats`]).
    pub kept_floats: &'a mut [T],
    /// Memory for the pass itself, with any values, (N, [`Layer::scratch`]).
    pub scratch: &'a mut [T],
    /// Place of the pass in a training; `None` in an evaluation.
    pub training: Option<Training>,
}

impl<'a, T> Forward<'a, T> {
    /// Operands of a layer that keeps nothing beside input and output, in an evaluation.
    pub fn new(input: Shape, x: &'a [T], parameters: &'a [T], y: &'a mut [T]) -> Self {
        let (kept_bytes, kept_floats, scratch) = Default::default();
        Self { input, x, parameters, y, kept_bytes, kept_floats, scratch, training: None }
    }
}

/// Operands of a backward pass of N images.
#[derive(Debug)]
pub struct Backward<'a, T = f32> {
    /// Shape of one image's input.
    pub input: Shape,
    /// Input of the forward pass, (N, input).
    pub x: &'a [T],
    /// Output of the forward pass, (N, output).
    pub y: &'a [T],
    /// Parameters of the layer: the elements of its tensors, one tensor after the other.
    pub parameters: &'a [T],
    /// Bytes that the forward pass has written to [`Forward::kept_bytes`], (N, [`Kept::bytes`]).
    pub kept_bytes: &'a [u8],
    /// Floats that the forward pass has written to [`Forward::kept_floats`], (N, [`Kept::floats`]).
    pub kept_floats: &'a [T],
    /// Memory for the pass itself, with any values, (N, [`Layer::scratch`]).
    pub scratch: &'a mut [T],
    /// Place of the pass in the training.
    pub training: Training,
    /// Gradient of the loss with respect to the output, (N, output).
    pub dy: &'a [T],
    /// Gradient of the loss with respect to the parameters, to be written, in the order of
    /// `parameters`.
    pub dparameters: &'a mut [T],
    /// Gradient of the loss with respect to the input, to be written, (N, input); `None` for the
    /// first layer, whose input is the image.
    pub dx: Option<&'a mut [T]>,
}

/// Work of a pass: its floating-point operations and its memory traffic.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Work {
    /// Number of floating-point operations: two for each multiply-add. No other operations are
    /// counted, so that the number can be compared with a machine's peak.
    pub flops: usize,
    /// Number of bytes of memory traffic, if each activation and parameter is read or written once.
    pub bytes: usize,
}

impl std::ops::AddAssign for Work {
    fn add_assign(&mut self, other: Self) {
        self.flops += other.flops;
        self.bytes += other.bytes;
    }
}

impl Work {
    /// Work of `layer` on `images` images of shape `input`, as \[forward, backward\], if every
    /// tensor were read or written exactly once. `wants_dx` says whether the backward pass computes
    /// the gradient of the input.
    pub fn of(layer: &dyn Layer, input: Shape, images: usize, wants_dx: bool) -> [Self; 2] {
        if layer.is_view() {
            return [Self::default(); 2];
        }
        let output = layer.output(input).expect("the network was checked");
        let (x, y) = (images * input.len(), images * output.len());
        let Kept { input: reads_x, output: reads_y, bytes, floats } = layer.kept(input);
        let parameters: usize = layer.tensors(input).iter().map(TensorSpec::len).sum();
        let products = 2 * images * layer.multiply_adds(input);
        let work = |flops, floats| Self { flops, bytes: floats * size_of::<f32>() };
        // The forward pass reads x and the parameters, and writes y.
        let mut forward = work(products, x + parameters + y);
        // The backward pass reads dy and the kept values, and writes dW and db. With dX, it also
        // reads the weights and writes dX.
        let kept = if reads_x { x } else { 0 } + if reads_y { y } else { 0 };
        let mut backward = work(products, y + kept + parameters);
        if wants_dx {
            backward += work(products, parameters + x);
        }
        let kept_bytes = bytes + floats * size_of::<f32>();
        [&mut forward, &mut backward]
            .into_iter()
            .for_each(|work| work.bytes += images * kept_bytes);
        [forward, backward]
    }
}
