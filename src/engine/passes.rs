//! The forward and the backward pass of a network, one layer after the other.
//!
//! The passes walk a [`Plan`]. They keep the outputs of all layers for the backward pass. The
//! gradient of the activations needs two buffers: each layer reads the gradient of its output from
//! one and writes the gradient of its input to the other.
//!
//! If the plan has several segments, the backward pass first computes what is inside a segment once
//! more. The second computation is the same code on the same numbers, so it gives the same bits.

use std::mem;
use std::ops::Range;

use super::phases::{Phase, PhaseClock};
use super::plan::{Plan, PlannedLayer, Shortcut, Step};
use crate::model::architecture::Architecture;
use crate::nn::cross_entropy::{self, LossSum};
use crate::nn::layer::{Backward, Forward, Layer, Pass, Training};
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
    /// Distance between kept activations, in layers.
    keep_every: usize,
    /// Whether the gradients of the parameters of convolutional layers are 0, and not computed where
    /// nothing else needs the computation.
    pub freezes_convolutions: bool,
}

impl<T: Scalar> Passes<T>
where
    dyn Layer: Pass<T>,
{
    /// Passes of `architecture`, which keep every `keep_every`-th activation for the backward pass.
    pub fn new(architecture: &Architecture, keep_every: usize) -> Self {
        Self {
            architecture: architecture.clone(),
            plan: Plan::new(architecture, 0, keep_every),
            images: 0,
            floats: Vec::new(),
            bytes: Vec::new(),
            keep_every,
            freezes_convolutions: false,
        }
    }

    /// What the forward pass does, in this order.
    pub fn steps(&self) -> &[Step] {
        &self.plan.steps
    }

    /// Begins a batch of `images` images. Returns the memory of its input, (N, input), to be
    /// written. Allocates only if no earlier batch had as many images.
    pub fn begin(&mut self, images: usize) -> &mut [T] {
        if self.plan.images < images {
            self.plan = Plan::new(&self.architecture, images, self.keep_every);
            self.floats = vec![T::zero(); self.plan.floats];
            self.bytes = vec![0; self.plan.bytes];
        }
        self.images = images;
        &mut self.floats[..images * self.architecture.input().len()]
    }

    /// Writes the output of every layer from step `first` on to its place in the arena; the last
    /// output is the logits. The input of step `first` is there already. `training` is the place of the
    /// pass in a training; in an evaluation it is `None`.
    pub fn forward(
        &mut self,
        first: usize,
        parameters: &[T],
        training: Option<Training>,
        primitives: &mut dyn Primitives<T>,
        clock: &mut PhaseClock,
    ) {
        self.forward_steps(first..self.plan.steps.len(), parameters, training, primitives, clock);
    }

    /// Executes the `steps` of the forward pass.
    fn forward_steps(
        &mut self,
        steps: Range<usize>,
        parameters: &[T],
        training: Option<Training>,
        primitives: &mut dyn Primitives<T>,
        clock: &mut PhaseClock,
    ) {
        let images = self.images;
        let (activations, scratch) = self.floats.split_at_mut(self.plan.scratch);
        for step in &self.plan.steps[steps] {
            match step {
                Step::Layer(planned) => {
                    let PlannedLayer { layer, index, input, x, y, .. } = planned;
                    let at = [
                        (*x, input.len()),
                        (*y, planned.output_len),
                        (planned.kept_floats, planned.kept_floats_len),
                    ];
                    let at = at.map(|(first, len)| first..first + images * len);
                    let [x, y, kept_floats] =
                        activations.get_disjoint_mut(at).expect("the plan keeps them apart");
                    let io = Forward {
                        input: *input,
                        x,
                        parameters: &parameters[planned.parameters.clone()],
                        y,
                        kept_bytes: &mut self.bytes[planned.kept_bytes..]
                            [..images * planned.kept_bytes_len],
                        kept_floats,
                        scratch: &mut scratch[..images * planned.scratch_len],
                        training: training.map(|place| Training { layer: *index, ..place }),
                    };
                    clock.run(phases(planned)[0], images * planned.flops[0], || {
                        layer.forward(primitives, io);
                    });
                }
                Step::Open(_) => {}
                Step::Close(Shortcut { x, f, y, len, .. }) => {
                    let at = [x, f, y].map(|first| *first..first + images * len);
                    let [x, f, y] =
                        activations.get_disjoint_mut(at).expect("the plan keeps them apart");
                    clock.run(Phase::ConvForward, 0, || primitives.map2(x, f, y, |x, f| x + f));
                }
            }
        }
    }

    /// Logits of the batch, (N, classes).
    pub fn logits(&self) -> &[T] {
        &self.floats[self.plan.logits..][..self.images * self.architecture.classes()]
    }

    /// Sum of the losses with the right `labels`, of whose target the part `smoothing` is spread
    /// over all classes. Writes the gradient of the mean loss of `images` images, of which the images
    /// of the passes are all or a part, to the first of the two buffers of gradients.
    pub fn loss(
        &mut self,
        labels: impl ExactSizeIterator<Item = u16> + Clone,
        images: usize,
        smoothing: f64,
    ) -> LossSum {
        let (activations, deltas) = self.floats.split_at_mut(self.plan.deltas);
        let logits = &activations[self.plan.logits..][..self.images * self.architecture.classes()];
        let dlogits = &mut deltas[..logits.len()];
        cross_entropy::backward(logits, labels, images, smoothing, dlogits)
    }

    /// Overwrites the `gradients` of all parameters, and the gradient `dx` of the input if it is
    /// wanted. The gradient with respect to the logits is in the first of the two buffers of
    /// gradients. `training` is that of the forward pass.
    pub fn backward(
        &mut self,
        parameters: &[T],
        gradients: &mut [T],
        dx: Option<&mut [T]>,
        training: Training,
        primitives: &mut dyn Primitives<T>,
        clock: &mut PhaseClock,
    ) {
        // The gradient of the images, at place 0, is computed only if it is wanted.
        let is_wanted = |x: usize| x > 0 || dx.is_some();
        // Whether the gradient of the present activations is in the second buffer of the two.
        let mut is_second = false;
        let segments = self.plan.segments.len();
        for segment in (0..segments).rev() {
            let steps = self.plan.segments[segment].clone();
            if segment + 1 < segments {
                self.forward_steps(steps.clone(), parameters, Some(training), primitives, clock);
            }
            let Self { plan, images, floats, bytes, freezes_convolutions, .. } = self;
            let images = *images;
            let (activations, rest) = floats.split_at_mut(plan.scratch);
            let (scratch, rest) = rest.split_at_mut(plan.saved - plan.scratch);
            let (saved, deltas) = rest.split_at_mut(plan.deltas - plan.saved);
            for step in plan.steps[steps].iter().rev() {
                let (mut delta, mut next_delta) = deltas.split_at_mut(plan.delta);
                if is_second {
                    mem::swap(&mut delta, &mut next_delta);
                }
                match step {
                    Step::Layer(planned) => {
                        let PlannedLayer { layer, index, input, output_len, x, y, .. } = planned;
                        let is_frozen = *freezes_convolutions && layer.is_convolution();
                        if is_frozen && !is_wanted(*x) {
                            gradients[planned.parameters.clone()].fill(T::zero());
                            is_second = !is_second;
                            continue;
                        }
                        let io = Backward {
                            input: *input,
                            x: &activations[*x..][..images * input.len()],
                            y: &activations[*y..][..images * output_len],
                            parameters: &parameters[planned.parameters.clone()],
                            kept_bytes: &bytes[planned.kept_bytes..]
                                [..images * planned.kept_bytes_len],
                            kept_floats: &activations[planned.kept_floats..]
                                [..images * planned.kept_floats_len],
                            scratch: &mut scratch[..images * planned.scratch_len],
                            training: Training { layer: *index, ..training },
                            dy: &delta[..images * output_len],
                            dparameters: &mut gradients[planned.parameters.clone()],
                            dx: is_wanted(*x).then(|| &mut next_delta[..images * input.len()]),
                        };
                        clock.run(phases(planned)[1], images * planned.flops[1], || {
                            layer.backward(primitives, io);
                        });
                        if is_frozen {
                            gradients[planned.parameters.clone()].fill(T::zero());
                        }
                        is_second = !is_second;
                    }
                    // y = f(x) + x, so f(x) and x get the gradient of y.
                    Step::Close(Shortcut { saved: at, len, .. }) => {
                        let saved = &mut saved[at - plan.saved..][..images * len];
                        primitives.map(&delta[..images * len], saved, |delta| delta);
                    }
                    Step::Open(Shortcut { x, saved: at, len, .. }) if is_wanted(*x) => {
                        let saved = &saved[at - plan.saved..][..images * len];
                        let (delta, sum) =
                            (&delta[..images * len], &mut next_delta[..images * len]);
                        clock.run(Phase::ConvBackward, 0, || {
                            primitives.map2(delta, saved, sum, |delta, saved| delta + saved);
                        });
                        is_second = !is_second;
                    }
                    Step::Open(_) => {}
                }
            }
        }
        if let Some(dx) = dx {
            let first = self.plan.deltas + if is_second { self.plan.delta } else { 0 };
            dx.copy_from_slice(&self.floats[first..][..dx.len()]);
        }
    }
}

/// Phases to which the time of a layer is added, as \[forward, backward\]. A layer whose input is an
/// image counts for the convolution, any other layer for the linear layers. So relu and pooling count
/// for the layer before them.
fn phases(planned: &PlannedLayer) -> [Phase; 2] {
    if planned.input.sizes().len() == 3 {
        [Phase::ConvForward, Phase::ConvBackward]
    } else {
        [Phase::LinearForward, Phase::LinearBackward]
    }
}
