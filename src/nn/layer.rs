//! What a layer is, and what it is given to compute with.

use std::any::Any;
use std::fmt;

use super::primitives::Primitives;
use super::shape::Shape;
use super::tensor::TensorSpec;

/// One layer of a network, of whatever kind.
///
/// A layer is its configuration. It learns the shape of its input from whoever asks, and owns
/// neither parameters nor buffers: the engine's plan says where they are. Its `Display` is its text
/// in the [network language](super::grammar).
pub trait Layer: Any + fmt::Debug + fmt::Display + Send + Sync {
    /// The word that the layer and its tensors are named after: `conv`, `relu`.
    fn word(&self) -> &'static str;

    /// The shape of the output for an `input` of this shape.
    ///
    /// # Errors
    /// What the layer needs instead, when it cannot take such an input.
    fn output(&self, input: Shape) -> Result<Shape, String>;

    /// The layer's tensors, weight before bias, named as in PyTorch's module of this kind.
    fn tensors(&self, _input: Shape) -> Vec<TensorSpec> {
        Vec::new()
    }

    /// Number of multiply-adds of the forward pass of one image.
    fn multiply_adds(&self, _input: Shape) -> usize {
        0
    }

    /// What the backward pass needs of the forward pass.
    fn kept(&self, input: Shape) -> Kept;

    /// Whether the output is the input under another shape, so that nothing is computed.
    fn is_view(&self) -> bool {
        false
    }

    /// Computes the output.
    fn forward(&self, primitives: &mut dyn Primitives, io: Forward<'_>);

    /// Computes the gradients: overwrites them with the sum over the batch.
    fn backward(&self, primitives: &mut dyn Primitives, io: Backward<'_>);
}

/// What a backward pass needs of the forward pass.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Kept {
    /// Whether the input.
    pub input: bool,
    /// Whether the output.
    pub output: bool,
    /// Number of bytes an image beside them.
    pub bytes: usize,
}

/// Operands of a forward pass of N images.
#[derive(Debug)]
pub struct Forward<'a> {
    /// Shape of one image's input.
    pub input: Shape,
    /// Input, (N, input).
    pub x: &'a [f32],
    /// The layer's tensors, one after the other.
    pub parameters: &'a [f32],
    /// Output to write, (N, output).
    pub y: &'a mut [f32],
    /// Room for what backward needs beside input and output, (N, [`Kept::bytes`]).
    pub kept: &'a mut [u8],
}

/// Operands of a backward pass of N images.
#[derive(Debug)]
pub struct Backward<'a> {
    /// Shape of one image's input.
    pub input: Shape,
    /// Input of the forward pass, (N, input).
    pub x: &'a [f32],
    /// Output of the forward pass, (N, output).
    pub y: &'a [f32],
    /// The layer's tensors, one after the other.
    pub parameters: &'a [f32],
    /// What the forward pass has left, (N, [`Kept::bytes`]).
    pub kept: &'a [u8],
    /// Gradient of the output, (N, output).
    pub dy: &'a [f32],
    /// Gradient of the parameters to write, shaped like `parameters`.
    pub dparameters: &'a mut [f32],
    /// Gradient of the input to write, (N, input); `None` for the first layer, whose input is the
    /// image.
    pub dx: Option<&'a mut [f32]>,
}

/// Floating-point operations and bytes of memory traffic.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Work {
    /// Multiply-adds × 2. Nothing else is counted, so that the count can be compared with a
    /// machine's peak.
    pub flops: usize,
    /// Bytes of activations and parameters, each read or written once.
    pub bytes: usize,
}

impl std::ops::AddAssign for Work {
    fn add_assign(&mut self, other: Self) {
        self.flops += other.flops;
        self.bytes += other.bytes;
    }
}

impl Work {
    /// The work of `layer` on `images` of shape `input`, forward and backward, if every tensor were
    /// read or written exactly once; `wants_dx` tells whether the gradient of the input is computed.
    pub fn of(layer: &dyn Layer, input: Shape, images: usize, wants_dx: bool) -> [Self; 2] {
        if layer.is_view() {
            return [Self::default(); 2];
        }
        let output = layer.output(input).expect("the network was checked");
        let (x, y) = (images * input.len(), images * output.len());
        let Kept { input: reads_x, output: reads_y, bytes } = layer.kept(input);
        let parameters: usize = layer.tensors(input).iter().map(TensorSpec::len).sum();
        let products = 2 * images * layer.multiply_adds(input);
        let work = |flops, floats| Self { flops, bytes: floats * size_of::<f32>() };
        // x and the parameters in, y out.
        let mut forward = work(products, x + parameters + y);
        // dy and what is kept in, dW and db out; with dX: the weights in, dX out.
        let kept = if reads_x { x } else { 0 } + if reads_y { y } else { 0 };
        let mut backward = work(products, y + kept + parameters);
        if wants_dx {
            backward += work(products, parameters + x);
        }
        [&mut forward, &mut backward].into_iter().for_each(|work| work.bytes += images * bytes);
        [forward, backward]
    }
}
