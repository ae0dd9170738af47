//! The engine of the first stages: one layer after the other, with one set of kernels.
//!
//! It runs any architecture. Activations of every layer are kept for the backward pass; the
//! gradient with respect to the activations lives in two buffers that change places.

use crate::data::batches::Batch;
use crate::engine::Engine;
use crate::engine::phases::{Phase, PhaseClock, Phases};
use crate::model::architecture::{Architecture, Layer};
use crate::model::parameters::{Parameters, TrainState};
use crate::nn::cross_entropy::{self, LossSum};
use crate::nn::geometry::Shape;
use crate::nn::gradients::Gradients;
use crate::nn::primitives::LayerKernels;
use crate::optim::adam::Adam;

/// Executes a step layer by layer with the kernels `K`.
pub struct LayerwiseEngine<K> {
    kernels: K,
    adam: Adam,
    input: Shape,
    /// Flatten moves nothing in memory and is left out.
    layers: Vec<LayerState>,
    state: TrainState,
    /// Gradient of the last step, without L2.
    gradients: Parameters,
    /// (N, C, H, W), pixels in 0..=1.
    images: Vec<f32>,
    /// ∂L/∂output of the layer at hand and ∂L/∂input in the making, each at the front of a buffer
    /// as long as the widest activations.
    delta: Vec<f32>,
    next_delta: Vec<f32>,
    measuring: bool,
    phases: Phases,
}

/// A layer and what its forward pass leaves for its backward pass.
struct LayerState {
    layer: Layer,
    /// Which pair (weight, bias) of the parameters is this layer's.
    pair: Option<usize>,
    /// (N, output shape).
    output: Vec<f32>,
    /// (N, output shape), for max pooling.
    argmax: Vec<u8>,
    /// Of the step, forward and backward.
    phases: [Phase; 2],
    /// Of the products for one image, forward and backward.
    flops: [usize; 2],
}

impl<K: LayerKernels> LayerwiseEngine<K> {
    /// An engine with all parameters zero, to be loaded.
    pub fn new(architecture: &Architecture, adam: Adam, kernels: K) -> Self {
        let mut pairs = 0..;
        let mut phases = [Phase::ConvForward, Phase::ConvBackward];
        let layer_state = |(index, &layer): (usize, &Layer)| {
            if matches!(layer, Layer::Linear(_)) {
                phases = [Phase::LinearForward, Phase::LinearBackward];
            }
            LayerState {
                layer,
                pair: matches!(layer, Layer::Conv2d(_) | Layer::Linear(_))
                    .then(|| pairs.next().expect("endless")),
                output: Vec::new(),
                argmax: Vec::new(),
                phases,
                flops: architecture.work(index, 1).map(|work| work.flops),
            }
        };
        let layers = architecture
            .layers()
            .iter()
            .enumerate()
            .filter(|(_, layer)| !matches!(layer, Layer::Flatten(_)))
            .map(layer_state)
            .collect();
        let parameters = Parameters::zeros(architecture);
        Self {
            kernels,
            adam,
            input: architecture.input(),
            layers,
            gradients: parameters.clone(),
            state: TrainState::new(architecture, parameters),
            images: Vec::new(),
            delta: Vec::new(),
            next_delta: Vec::new(),
            measuring: false,
            phases: Phases::default(),
        }
    }

    fn take_images(&mut self, batch: &Batch<'_>) {
        self.images.clear();
        for image in batch.images() {
            assert_eq!(image.len(), self.input.len());
            self.images.extend(image.iter().map(|&pixel| f32::from(pixel) / 255.0));
        }
    }

    /// Leaves every layer's output in place; the last one is the logits.
    fn forward(&mut self, batch: &Batch<'_>, clock: &mut PhaseClock) {
        let images = batch.len();
        clock.run(Phase::Data, 0, || self.take_images(batch));
        let mut x = &self.images;
        for LayerState { layer, pair, output: y, argmax, phases, flops } in &mut self.layers {
            y.resize(images * layer.output().len(), 0.0);
            let parameters = pair.map(|pair| self.state.parameters.pair(pair));
            clock.run(phases[0], images * flops[0], || match (&*layer, parameters) {
                (Layer::Conv2d(conv), Some((weight, bias))) => {
                    self.kernels.conv2d_forward(conv, x, weight, bias, y);
                }
                (Layer::Linear(linear), Some((weight, bias))) => {
                    self.kernels.linear_forward(linear, x, weight, bias, y);
                }
                (Layer::MaxPool2d(pool), _) => {
                    argmax.resize(y.len(), 0);
                    self.kernels.maxpool2d_forward(pool, x, y, argmax);
                }
                (Layer::Relu(_), _) => self.kernels.relu_forward(x, y),
                _ => unreachable!("{layer} without parameters"),
            });
            x = y;
        }
    }

    /// Turns ∂L/∂logits in `delta` into the gradients of all parameters.
    fn backward(&mut self, images: usize, clock: &mut PhaseClock) {
        let Self { kernels, delta, next_delta, gradients, .. } = self;
        for index in (0..self.layers.len()).rev() {
            let LayerState { layer, pair, output, argmax, phases, flops } = &self.layers[index];
            let x = index.checked_sub(1).map_or(&self.images, |i| &self.layers[i].output);
            let (dy, dx) = (&delta[..output.len()], &mut next_delta[..x.len()]);
            clock.run(phases[1], images * flops[1], || match (layer, pair) {
                (Layer::Relu(_), _) => kernels.relu_backward(output, dy, dx),
                (Layer::MaxPool2d(pool), _) => {
                    kernels.maxpool2d_backward(pool, argmax, dy, dx);
                }
                (_, Some(pair)) => {
                    let (weight, _) = self.state.parameters.pair(*pair);
                    let (dw, db) = gradients.pair_mut(*pair);
                    let dx = (index > 0).then_some(dx);
                    let gradients = Gradients { weight: dw, bias: db, input: dx };
                    match layer {
                        Layer::Conv2d(conv) => {
                            kernels.conv2d_backward(conv, x, weight, dy, gradients);
                        }
                        Layer::Linear(linear) => {
                            kernels.linear_backward(linear, x, weight, dy, gradients);
                        }
                        _ => unreachable!("{layer} with parameters"),
                    }
                }
                _ => unreachable!("{layer} without parameters"),
            });
            std::mem::swap(delta, next_delta);
        }
    }

    /// Returns whether every weight is finite then.
    fn update(&mut self, lr: f64) -> bool {
        let TrainState { parameters, first_moment, second_moment, steps } = &mut self.state;
        *steps += 1;
        let weights = self.adam.step(*steps, lr);
        let biases = weights.without_l2();
        let tensors = self.gradients.iter().zip(parameters.values_mut());
        let moments = first_moment.values_mut().zip(second_moment.values_mut());
        let mut are_finite = true;
        for (((spec, g), w), (m, v)) in tensors.zip(moments) {
            let step = if spec.is_bias() { &biases } else { &weights };
            are_finite &= self.kernels.adam(step, g, w, m, v);
        }
        are_finite
    }

    fn logits(&self) -> &[f32] {
        &self.layers.last().expect("a network has layers").output
    }
}

impl<K: LayerKernels> Engine for LayerwiseEngine<K> {
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
        let logits = &self.layers.last().expect("a network has layers").output;
        let widest = self.layers.iter().map(|layer| layer.output.len()).max();
        let widest = widest.unwrap_or(0).max(self.images.len());
        for delta in [&mut self.delta, &mut self.next_delta] {
            if delta.len() < widest {
                delta.resize(widest, 0.0);
            }
        }
        let dlogits = &mut self.delta[..logits.len()];
        let mut sum = clock.run(Phase::Loss, 0, || {
            cross_entropy::backward(logits, batch.labels(), batch.len(), dlogits)
        });
        self.backward(batch.len(), &mut clock);
        if !clock.run(Phase::Optimizer, 0, || self.update(lr)) {
            sum.loss = f64::NAN;
        }
        self.phases += clock.phases();
        sum
    }

    fn predict(&mut self, batch: &Batch<'_>) -> &[f32] {
        self.forward(batch, &mut PhaseClock::new(false));
        self.logits()
    }

    fn threads(&self) -> usize {
        self.kernels.threads()
    }

    fn measure_phases(&mut self, on: bool) {
        self.measuring = on;
    }

    fn take_phases(&mut self) -> Phases {
        std::mem::take(&mut self.phases)
    }
}
