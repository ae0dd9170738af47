//! The plan of a step's memory: the place of every buffer in one of two arenas.

use std::mem;
use std::ops::Range;
use std::sync::Arc;

use crate::model::architecture::Architecture;
use crate::nn::layer::Layer;
use crate::nn::shape::Shape;

/// Plan of a step, for one network and a number of images: what the passes do one after the other, and
/// the place of every buffer in one of two arenas, of floats and of bytes. The engine makes the plan
/// before the first step, and anew only for a batch that is larger than all batches before.
///
/// ```text
/// floats   images (N, input)
///          for each segment its output (N, output)
///          for each layer its output (N, output), and what it keeps (N, kept)   one segment
///          for each residual block its output (N, output)                       at a time
///          scratch │ saved gradient of each open block … │ delta │ next delta
/// bytes    for each layer what it keeps (N, kept)                               likewise
/// ```
///
/// A *segment* is a range of steps. Usually all steps are one segment, and nothing is computed twice.
/// With [`Recipe::checkpoint_activations`](crate::model::recipe::Recipe) K above 1, a segment ends after
/// every K layers, and the segments have the memory of what is inside them in common (Chen et al. 2016,
/// "Training deep nets with sublinear memory cost"). So the output of every segment is kept from
/// the forward pass, and the backward pass computes what is inside a segment once more. A residual
/// block counts as one layer here.
///
/// A layer reads the gradient of its output from one of `delta` and `next delta`, and writes the
/// gradient of its input to the other. A smaller batch uses the front of every buffer.
#[derive(Debug)]
pub struct Plan {
    /// Largest number of images of a batch, N.
    pub images: usize,
    /// What the forward pass does, in this order; the backward pass goes back. Layers that only change
    /// the shape are left out.
    pub steps: Vec<Step>,
    /// Ranges of the steps that are kept or computed again together.
    pub segments: Vec<Range<usize>>,
    /// Index of the first float of the logits.
    pub logits: usize,
    /// Index of the first float of the scratch. The outputs of all layers are before it.
    pub scratch: usize,
    /// Index of the first float of the saved gradients. The scratch ends there.
    pub saved: usize,
    /// Index of the first float of `delta`.
    pub deltas: usize,
    /// Number of floats in `delta`, and in `next delta`: as many as in the largest activations.
    pub delta: usize,
    /// Number of floats in the arena of floats.
    pub floats: usize,
    /// Number of bytes in the arena of bytes.
    pub bytes: usize,
}

/// Step of the passes.
#[derive(Debug)]
pub enum Step {
    /// Layer, which is executed.
    Layer(PlannedLayer),
    /// Beginning of a residual block, at which the backward pass adds the saved gradient.
    Open(Shortcut),
    /// End of a residual block, at which the forward pass adds the input of the block, and the backward
    /// pass saves the gradient.
    Close(Shortcut),
}

/// Layer with the places of its buffers in the arenas.
#[derive(Debug)]
pub struct PlannedLayer {
    /// Layer that is executed.
    pub layer: Arc<dyn Layer>,
    /// Index of the layer in the network.
    pub index: usize,
    /// Shape of one image's input.
    pub input: Shape,
    /// Number of elements of one image's output.
    pub output_len: usize,
    /// Index of the first float of the input: the output of the step before, or the images.
    pub x: usize,
    /// Index of the first float of the output.
    pub y: usize,
    /// Index of the first float that the layer keeps for its backward pass.
    pub kept_floats: usize,
    /// Number of floats for each image that the layer keeps.
    pub kept_floats_len: usize,
    /// Index of the first byte that the layer keeps for its backward pass.
    pub kept_bytes: usize,
    /// Number of bytes for each image that the layer keeps.
    pub kept_bytes_len: usize,
    /// Number of floats of scratch for each image.
    pub scratch_len: usize,
    /// Range of the layer's parameters among all parameters of the network.
    pub parameters: Range<usize>,
    /// Number of floating-point operations in the products for one image, as \[forward, backward\].
    pub flops: [usize; 2],
}

/// Residual block with the places of its buffers: y = f(x) + x.
#[derive(Debug, Clone, Copy)]
pub struct Shortcut {
    /// Index of the first float of the block's input.
    pub x: usize,
    /// Index of the first float of f(x), the output of the last layer.
    pub f: usize,
    /// Index of the first float of the block's output.
    pub y: usize,
    /// Index of the first float of the saved gradient.
    pub saved: usize,
    /// Number of elements of one image.
    pub len: usize,
}

impl Plan {
    /// Plan for `architecture` and batches of up to `images` images. Every `keep_every`-th activation
    /// is kept, and the others are computed again; 1 keeps all.
    pub fn new(architecture: &Architecture, images: usize, keep_every: usize) -> Self {
        let ends = segment_ends(architecture, keep_every);
        let output = |&end: &usize| images * architecture.layers()[end].output.len();
        let inputs = images * architecture.input().len();
        // What is inside a segment begins after the outputs of all segments.
        let inside = inputs + ends.iter().map(output).sum::<usize>();
        let mut segments = Vec::new();
        let (mut next_output, mut floats, mut bytes) = (inputs, inside, 0);
        let (mut most_floats, mut most_bytes) = (inside, 0);
        let (mut widest, mut scratch) = (inputs, 0);
        let mut steps = Vec::new();
        let mut x = 0;
        // Open blocks: the step of the beginning, the place of the input, the depth in floats.
        let mut open: Vec<(usize, usize)> = Vec::new();
        let (mut depth, mut deepest) = (0, 0);
        for (index, placed) in architecture.layers().iter().enumerate() {
            for _ in architecture.blocks_from(index) {
                open.push((steps.len(), depth));
                let len = placed.input.len();
                // Where the block ends is not known yet.
                steps.push(Step::Open(Shortcut { x, f: 0, y: 0, saved: depth, len }));
                depth += images * len;
                deepest = deepest.max(depth);
            }
            let ends_segment = ends.get(segments.len()) == Some(&index);
            let mut closings = architecture.blocks_to(index).count();
            // Place of an output: the last output of a segment is kept, others are inside it.
            let mut place = |len: usize, is_last: bool, floats: &mut usize| {
                let next = if is_last { &mut next_output } else { floats };
                mem::replace(next, *next + images * len)
            };
            if !placed.layer.is_view() {
                let kept = placed.layer.kept(placed.input);
                let output_len = placed.output.len();
                let y = place(output_len, ends_segment && closings == 0, &mut floats);
                let scratch_len = placed.layer.scratch(placed.input);
                steps.push(Step::Layer(PlannedLayer {
                    layer: Arc::clone(&placed.layer),
                    index,
                    input: placed.input,
                    output_len,
                    x,
                    y,
                    kept_floats: floats,
                    kept_floats_len: kept.floats,
                    kept_bytes: bytes,
                    kept_bytes_len: kept.bytes,
                    scratch_len,
                    parameters: placed.parameters.clone(),
                    flops: architecture.work(index, 1).map(|work| work.flops),
                }));
                x = y;
                floats += images * kept.floats;
                bytes += images * kept.bytes;
                scratch = scratch.max(images * scratch_len);
                widest = widest.max(images * output_len);
            }
            while closings > 0 {
                closings -= 1;
                let (beginning, saved) = open.pop().expect("the block has a beginning");
                let Step::Open(block) = &mut steps[beginning] else {
                    unreachable!("a block begins there")
                };
                block.f = x;
                block.y = place(block.len, ends_segment && closings == 0, &mut floats);
                let block = *block;
                steps.push(Step::Close(block));
                depth = saved;
                x = block.y;
            }
            if ends_segment {
                let first = segments.last().map_or(0, |before: &Range<usize>| before.end);
                segments.push(first..steps.len());
                (most_floats, most_bytes) = (most_floats.max(floats), most_bytes.max(bytes));
                (floats, bytes) = (inside, 0);
            }
        }
        let saved = most_floats + scratch;
        let deltas = saved + deepest;
        for step in &mut steps {
            if let Step::Open(block) | Step::Close(block) = step {
                block.saved += saved;
            }
        }
        Self {
            images,
            steps,
            segments,
            logits: x,
            scratch: most_floats,
            saved,
            deltas,
            delta: widest,
            floats: deltas + 2 * widest,
            bytes: most_bytes,
        }
    }

    /// Number of bytes of both arenas, whose floats have 4 bytes.
    pub fn memory_bytes(&self) -> usize {
        self.floats * size_of::<f32>() + self.bytes
    }
}

/// Indices of the layers with which a segment ends.
fn segment_ends(architecture: &Architecture, keep_every: usize) -> Vec<usize> {
    let mut depth = 0;
    let mut units = Vec::new();
    for (index, placed) in architecture.layers().iter().enumerate() {
        let closed = architecture.blocks_to(index).count();
        depth += architecture.blocks_from(index).count();
        depth -= closed;
        if depth == 0 && (closed > 0 || !placed.layer.is_view()) {
            units.push(index);
        }
    }
    let size = if keep_every == 1 { units.len().max(1) } else { keep_every };
    units.chunks(size).filter_map(|segment| segment.last().copied()).collect()
}
