//! The forward and the backward pass of a network, one layer after the other.
//!
//! The passes walk a [`Plan`]. They keep the outputs of all layers for the backward pass. The
//! gradient of the activations needs two buffers: each layer reads the gradient of its output from
//! one and writes the gradient of its input to the other.

use std::mem;

use super::phases::{Phase, PhaseClock};
use super::plan::{Plan, PlannedLayer};
use crate::model::architecture::Architecture;
use crate::nn::cross_entropy::{self, LossSum};
use crate::nn::layer::{Backward, Forward, Layer, Pass};
use crate::nn::primitives::Primitives;
use crate::scalar::Scalar;

/// Both passes of a network with their buffers, in the number format T.
pub struct Passes<T> {
    architecture: Architecture,
    plan: Plan,
    /// Number of images of the present batch.
    images: usize,
    /// Arena of the plan's floats.
    floats: Vec<T>,
    /// Arena of the plan's bytes.
    bytes: Vec<u8>,
}

impl<T: Scalar> Passes<T>
where
    dyn Layer: Pass<T>,
{
    /// Passes of `architecture`.
    pub fn new(architecture: &Architecture) -> Self {
        Self {
            architecture: architecture.clone(),
            plan: Plan::new(architecture, 0),
            images: 0,
            floats: Vec::new(),
            bytes: Vec::new(),
        }
    }

    /// Layers that the passes execute.
    pub fn layers(&self) -> &[PlannedLayer] {
        &self.plan.layers
    }

    /// Begins a batch of `images` images. Returns the memory of its input, (N, C, H, W), to be
    /// written. Allocates only if no earlier batch had as many images.
    pub fn begin(&mut self, images: usize) -> &mut [T] {
        if self.plan.images < images {
            self.plan = Plan::new(&self.architecture, images);
            self.floats = vec![T::zero(); self.plan.floats];
            self.bytes = vec![0; self.plan.bytes];
        }
        self.images = images;
        &mut self.floats[..images * self.architecture.input().len()]
    }

    /// Writes the output of every layer from layer `first` on to its place in the arena; the last
    /// output is the logits. The input of layer `first` is there already.
    pub fn forward(
        &mut self,
        first: usize,
        parameters: &[T],
        primitives: &mut dyn Primitives<T>,
        clock: &mut PhaseClock,
    ) {
        let images = self.images;
        for planned in &self.plan.layers[first..] {
            let PlannedLayer { layer, input, x, y, kept, kept_len, .. } = planned;
            let (before, from_y) = self.floats.split_at_mut(*y);
            let io = Forward {
                input: *input,
                x: &before[*x..][..images * input.len()],
                parameters: &parameters[planned.parameters.clone()],
                y: &mut from_y[..images * planned.output_len],
                kept: &mut self.bytes[*kept..][..images * kept_len],
            };
            clock.run(phases(planned)[0], images * planned.flops[0], || {
                layer.forward(primitives, io);
            });
        }
    }

    /// Logits of the batch, (N, classes).
    pub fn logits(&self) -> &[T] {
        logits(&self.plan, &self.floats, self.images)
    }

    /// Loss of the batch with the right `labels`. Writes the gradient of the loss with respect to
    /// the logits to the first of the two buffers of gradients.
    pub fn loss(&mut self, labels: impl ExactSizeIterator<Item = u8> + Clone) -> LossSum {
        let (activations, deltas) = self.floats.split_at_mut(self.plan.deltas);
        let logits = logits(&self.plan, activations, self.images);
        cross_entropy::backward(logits, labels, self.images, &mut deltas[..logits.len()])
    }

    /// Overwrites the `gradients` of all parameters, and the gradient `dx` of the input if it is
    /// wanted. The gradient with respect to the logits is in the first of the two buffers of
    /// gradients.
    pub fn backward(
        &mut self,
        parameters: &[T],
        gradients: &mut [T],
        mut dx: Option<&mut [T]>,
        primitives: &mut dyn Primitives<T>,
        clock: &mut PhaseClock,
    ) {
        let Self { plan, images, .. } = self;
        let images = *images;
        let (activations, deltas) = self.floats.split_at_mut(plan.deltas);
        let (mut delta, mut next_delta) = deltas.split_at_mut(plan.delta);
        for (index, planned) in plan.layers.iter().enumerate().rev() {
            let PlannedLayer { layer, input, output_len, x, y, kept, kept_len, .. } = planned;
            let io = Backward {
                input: *input,
                x: &activations[*x..][..images * input.len()],
                y: &activations[*y..][..images * output_len],
                parameters: &parameters[planned.parameters.clone()],
                kept: &self.bytes[*kept..][..images * kept_len],
                dy: &delta[..images * output_len],
                dparameters: &mut gradients[planned.parameters.clone()],
                dx: match index {
                    0 => dx.take(),
                    _ => Some(&mut next_delta[..images * input.len()]),
                },
            };
            clock.run(phases(planned)[1], images * planned.flops[1], || {
                layer.backward(primitives, io);
            });
            mem::swap(&mut delta, &mut next_delta);
        }
    }
}

/// Logits of the first `images` images, which are a part of the `activations`.
fn logits<'a, T>(plan: &Plan, activations: &'a [T], images: usize) -> &'a [T] {
    let PlannedLayer { y, output_len, .. } = plan.layers.last().expect("a network has layers");
    &activations[*y..][..images * output_len]
}

/// Phases to which the time of a layer is added, as \[forward, backward\]. A layer whose input has
/// rows and columns counts for the convolution, any other layer for the linear layers. So relu and
/// pooling count for the layer before them.
fn phases(planned: &PlannedLayer) -> [Phase; 2] {
    if planned.input.plane() > 1 {
        [Phase::ConvForward, Phase::ConvBackward]
    } else {
        [Phase::LinearForward, Phase::LinearBackward]
    }
}
