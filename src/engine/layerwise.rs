//! The engine of the first stages, which executes one layer after the other with a set of
//! primitives.
//!
//! It runs any network by walking its [`Plan`]. It keeps the outputs of all layers for the backward
//! pass. The gradient of the activations needs two buffers: each layer reads the gradient of its
//! output from one and writes the gradient of its input to the other.

use std::mem;

use super::Engine;
use super::phases::{Phase, PhaseClock, Phases};
use super::plan::{Plan, PlannedLayer};
use crate::data::batches::Batch;
use crate::model::architecture::Architecture;
use crate::model::parameters::{Parameters, TrainState};
use crate::nn::cross_entropy::{self, LossSum};
use crate::nn::layer::{Backward, Forward};
use crate::nn::primitives::Primitives;
use crate::nn::tensor::Role;
use crate::optim::adam::{Adam, Weights};

/// Engine that executes a step layer by layer with a set of primitives.
pub struct LayerwiseEngine {
    primitives: Box<dyn Primitives>,
    adam: Adam,
    architecture: Architecture,
    plan: Plan,
    /// Arena of the plan's floats.
    floats: Vec<f32>,
    /// Arena of the plan's bytes.
    bytes: Vec<u8>,
    state: TrainState,
    /// Gradient of the last step, without L2.
    gradients: Parameters,
    measuring: bool,
    phases: Phases,
}

impl LayerwiseEngine {
    /// Engine for `architecture` whose parameters are all zero until a state is loaded.
    pub fn new(architecture: &Architecture, adam: Adam, primitives: Box<dyn Primitives>) -> Self {
        let parameters = Parameters::zeros(architecture);
        Self {
            primitives,
            adam,
            architecture: architecture.clone(),
            plan: Plan::new(architecture, 0),
            floats: Vec::new(),
            bytes: Vec::new(),
            gradients: parameters.clone(),
            state: TrainState::new(parameters, &Adam::SLOTS),
            measuring: false,
            phases: Phases::default(),
        }
    }

    /// Makes room for `images` images. Allocates only if no earlier batch had as many.
    fn reserve(&mut self, images: usize) {
        if self.plan.images < images {
            self.plan = Plan::new(&self.architecture, images);
            self.floats = vec![0.0; self.plan.floats];
            self.bytes = vec![0; self.plan.bytes];
        }
    }

    /// Writes the pixels of `batch`, divided by 255, to the front of the arena of floats.
    fn take_images(&mut self, batch: &Batch<'_>) {
        let length = self.architecture.input().len();
        for (image, x) in batch.images().zip(self.floats.chunks_exact_mut(length)) {
            assert_eq!(image.len(), length);
            x.iter_mut().zip(image).for_each(|(x, &pixel)| *x = f32::from(pixel) / 255.0);
        }
    }

    /// Writes the output of every layer to its place in the arena; the last output is the logits.
    fn forward(&mut self, batch: &Batch<'_>, clock: &mut PhaseClock) {
        let images = batch.len();
        self.reserve(images);
        clock.run(Phase::Data, 0, || self.take_images(batch));
        let parameters = self.state.parameters.values();
        for planned in &self.plan.layers {
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
                layer.forward(self.primitives.as_mut(), io);
            });
        }
    }

    /// Loss of `batch`. Writes the gradient of the loss with respect to the logits to the first of
    /// the two buffers of gradients.
    fn loss(&mut self, batch: &Batch<'_>) -> LossSum {
        let (activations, deltas) = self.floats.split_at_mut(self.plan.deltas);
        let logits = logits(&self.plan, activations, batch.len());
        cross_entropy::backward(logits, batch.labels(), batch.len(), &mut deltas[..logits.len()])
    }

    /// Computes the gradients of all parameters from the gradient with respect to the logits, which
    /// is in the first of the two buffers of gradients.
    fn backward(&mut self, images: usize, clock: &mut PhaseClock) {
        let Self { primitives, plan, state, gradients, .. } = self;
        let (activations, deltas) = self.floats.split_at_mut(plan.deltas);
        let (mut delta, mut next_delta) = deltas.split_at_mut(plan.delta);
        for (index, planned) in plan.layers.iter().enumerate().rev() {
            let PlannedLayer { layer, input, output_len, x, y, kept, kept_len, .. } = planned;
            let dx = &mut next_delta[..images * input.len()];
            let io = Backward {
                input: *input,
                x: &activations[*x..][..images * input.len()],
                y: &activations[*y..][..images * output_len],
                parameters: &state.parameters.values()[planned.parameters.clone()],
                kept: &self.bytes[*kept..][..images * kept_len],
                dy: &delta[..images * output_len],
                dparameters: &mut gradients.values_mut()[planned.parameters.clone()],
                dx: (index > 0).then_some(dx),
            };
            clock.run(phases(planned)[1], images * planned.flops[1], || {
                layer.backward(primitives.as_mut(), io);
            });
            mem::swap(&mut delta, &mut next_delta);
        }
    }

    /// Updates all weights and biases. Returns whether every updated value is finite.
    fn update(&mut self, lr: f64) -> bool {
        let TrainState { parameters, slots, steps } = &mut self.state;
        let [m, v] = slots.as_mut_slice() else { unreachable!("Adam keeps two moments") };
        *steps += 1;
        let weights = self.adam.step(*steps, lr);
        let biases = weights.without_l2();
        let gradients = self.gradients.iter().zip(parameters.iter_mut());
        let moments = m.values.iter_mut().zip(v.values.iter_mut());
        let mut are_finite = true;
        for (((spec, g), (_, w)), ((_, m), (_, v))) in gradients.zip(moments) {
            let step = match spec.role {
                Role::Weight => &weights,
                Role::Bias => &biases,
            };
            are_finite &= self.primitives.update(step, g, Weights { w, m, v });
        }
        are_finite
    }
}

/// Logits of the first `images` images, which are a part of the `activations`.
fn logits<'a>(plan: &Plan, activations: &'a [f32], images: usize) -> &'a [f32] {
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

impl Engine for LayerwiseEngine {
    fn load(&mut self, state: &TrainState) {
        assert_eq!(state.parameters.specs(), self.gradients.specs());
        self.state.clone_from(state);
    }

    fn store(&self) -> TrainState {
        self.state.clone()
    }

    fn step(&mut self, batch: &Batch<'_>, lr: f64) -> LossSum {
        let mut clock = PhaseClock::new(self.measuring);
        self.forward(batch, &mut clock);
        let mut sum = clock.run(Phase::Loss, 0, || self.loss(batch));
        self.backward(batch.len(), &mut clock);
        if !clock.run(Phase::Optimizer, 0, || self.update(lr)) {
            sum.loss = f64::NAN;
        }
        self.phases += clock.phases();
        sum
    }

    fn predict(&mut self, batch: &Batch<'_>) -> &[f32] {
        self.forward(batch, &mut PhaseClock::new(false));
        logits(&self.plan, &self.floats, batch.len())
    }

    fn threads(&self) -> usize {
        self.primitives.threads()
    }

    fn measure_phases(&mut self, on: bool) {
        self.measuring = on;
    }

    fn take_phases(&mut self) -> Phases {
        mem::take(&mut self.phases)
    }
}
