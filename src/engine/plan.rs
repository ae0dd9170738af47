//! Where everything that a step computes with lies in memory.

use std::ops::Range;
use std::sync::Arc;

use crate::model::architecture::Architecture;
use crate::nn::layer::Layer;
use crate::nn::shape::Shape;

/// The memory of a step of a network on a number of images, made once: one arena of floats and one
/// of bytes, with a place for every buffer.
///
/// ```text
/// floats   images (N, input) │ output of each layer (N, output) … │ delta │ next delta
/// bytes    what each layer keeps beside input and output (N, kept) …
/// ```
///
/// Fewer images use the front of every buffer.
#[derive(Debug)]
pub struct Plan {
    /// Number of images that there is room for, N.
    pub images: usize,
    /// Layers that compute something, in their order.
    pub layers: Vec<PlannedLayer>,
    /// First float of the gradients of activations; behind the outputs of all layers.
    pub deltas: usize,
    /// Length of each of the two buffers for these gradients: the widest activations.
    pub delta: usize,
    /// Length of the arena of floats.
    pub floats: usize,
    /// Length of the arena of bytes.
    pub bytes: usize,
}

/// A layer and the places of its buffers.
#[derive(Debug)]
pub struct PlannedLayer {
    /// The layer.
    pub layer: Arc<dyn Layer>,
    /// Shape of one image's input.
    pub input: Shape,
    /// Number of elements of one image's output.
    pub output_len: usize,
    /// First float of the input; the output of the layer before, or the images.
    pub x: usize,
    /// First float of the output.
    pub y: usize,
    /// First byte of what is kept.
    pub kept: usize,
    /// Number of bytes an image that are kept.
    pub kept_len: usize,
    /// Place of the layer's parameters among all of them.
    pub parameters: Range<usize>,
    /// Operations of the products for one image, forward and backward.
    pub flops: [usize; 2],
}

impl Plan {
    /// The plan of `architecture` for up to `images` at once.
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
