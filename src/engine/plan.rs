//! The plan of a step's memory: the place of every buffer in one of two arenas.

use std::ops::Range;
use std::sync::Arc;

use crate::model::architecture::Architecture;
use crate::nn::layer::Layer;
use crate::nn::shape::Shape;

/// Plan of the memory of a step, for one network and a number of images. The engine makes it before
/// the first step, and anew only for a batch that is larger than all batches before. The plan gives
/// every buffer a place in one of two arenas, one of floats and one of bytes:
///
/// ```text
/// floats   images (N, input) │ output of each layer (N, output) … │ delta │ next delta
/// bytes    bytes that each layer keeps for its backward pass (N, kept) …
/// ```
///
/// A layer reads the gradient of its output from one of `delta` and `next delta`, and writes the
/// gradient of its input to the other. A smaller batch uses the front of every buffer.
#[derive(Debug)]
pub struct Plan {
    /// Largest number of images of a batch, N.
    pub images: usize,
    /// Layers of the network in their order, without layers that only change the shape.
    pub layers: Vec<PlannedLayer>,
    /// Index of the first float of `delta`. The outputs of all layers are before it.
    pub deltas: usize,
    /// Number of floats in `delta`, and in `next delta`: as many as in the largest activations.
    pub delta: usize,
    /// Number of floats in the arena of floats.
    pub floats: usize,
    /// Number of bytes in the arena of bytes.
    pub bytes: usize,
}

/// Layer with the places of its buffers in the arenas.
#[derive(Debug)]
pub struct PlannedLayer {
    /// Layer that is executed.
    pub layer: Arc<dyn Layer>,
    /// Shape of one image's input.
    pub input: Shape,
    /// Number of elements of one image's output.
    pub output_len: usize,
    /// Index of the first float of the input: the output of the layer before, or the images.
    pub x: usize,
    /// Index of the first float of the output.
    pub y: usize,
    /// Index of the first byte that the layer keeps for its backward pass.
    pub kept: usize,
    /// Number of bytes for each image that the layer keeps for its backward pass.
    pub kept_len: usize,
    /// Range of the layer's parameters among all parameters of the network.
    pub parameters: Range<usize>,
    /// Number of floating-point operations in the products for one image, as \[forward, backward\].
    pub flops: [usize; 2],
}

impl Plan {
    /// Plan for `architecture` and batches of up to `images` images.
    pub fn new(architecture: &Architecture, images: usize) -> Self {
        let (mut x, mut bytes) = (0, 0);
        let mut floats = images * architecture.input().len();
        let mut widest = floats;
        let mut layers = Vec::new();
        for (index, placed) in architecture.layers().iter().enumerate() {
            if placed.layer.is_view() {
                continue;
            }
            let kept_len = placed.layer.kept(placed.input).bytes;
            let output_len = placed.output.len();
            layers.push(PlannedLayer {
                layer: Arc::clone(&placed.layer),
                input: placed.input,
                output_len,
                x,
                y: floats,
                kept: bytes,
                kept_len,
                parameters: placed.parameters.clone(),
                flops: architecture.work(index, 1).map(|work| work.flops),
            });
            x = floats;
            floats += images * output_len;
            bytes += images * kept_len;
            widest = widest.max(images * output_len);
        }
        Self { images, layers, deltas: floats, delta: widest, floats: floats + 2 * widest, bytes }
    }
}
