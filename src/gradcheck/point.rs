//! The point at which gradients are computed, and the three ways to compute them.

use std::ops::Range;

use crate::autograd::Tape;
use crate::engine::passes::Passes;
use crate::engine::phases::PhaseClock;
use crate::engine::plan::Step;
use crate::model::architecture::Architecture;
use crate::nn::cross_entropy;
use crate::nn::layer::Training;
use crate::nn::primitives::Primitives;
use crate::random::Stream;

/// Number of images of the batch. Their gradients must be added, and gemm cuts them into two chunks.
pub const IMAGES: usize = 5;

/// Most points that are drawn until every tensor has a gradient.
const MOST_DRAWS: u64 = 10;

/// Random parameters, images and labels of a network.
pub struct Point<'a> {
    architecture: &'a Architecture,
    /// Tensors of the network, and the input.
    pub tensors: Vec<Tensor>,
    /// Values of all tensors, one after the other: all parameters, and the images.
    pub values: Vec<f64>,
    /// Number of values that are parameters.
    pub parameter_count: usize,
    labels: Vec<u16>,
    seed: u64,
}

/// Tensor whose gradient is checked.
pub struct Tensor {
    /// Name of the tensor.
    pub name: String,
    /// Sizes of the tensor.
    pub shape: Vec<usize>,
    /// Place of the tensor's values among all values.
    pub place: Range<usize>,
    /// Whether the tensor is a running statistic, which has no gradient.
    pub is_running: bool,
}

impl Tensor {
    /// Index of element `place` along each axis.
    pub fn index(&self, mut place: usize) -> Vec<usize> {
        let mut index = self.shape.clone();
        for axis in index.iter_mut().rev() {
            let length = *axis;
            *axis = place % length;
            place /= length;
        }
        index
    }
}

impl<'a> Point<'a> {
    /// Point for `architecture`, drawn by `seed`, and the gradient of a tape there. A point at which
    /// a tensor has no gradient, because no relu behind it is active, is drawn again.
    pub fn draw(architecture: &'a Architecture, seed: u64) -> (Self, Vec<f64>) {
        let mut draw = 1;
        loop {
            let point = Self::new(architecture, seed, draw);
            let gradient = point.on_tape();
            let has_gradient = |tensor: &Tensor| largest(&gradient[tensor.place.clone()]) > 0.0;
            if draw == MOST_DRAWS || point.with_gradient().all(has_gradient) {
                return (point, gradient);
            }
            draw += 1;
        }
    }

    /// Draws values. Weights and biases are from U(±√(6/fan_in)), with which activations and
    /// gradients keep their size from layer to layer (He et al. 2015).
    fn new(architecture: &'a Architecture, seed: u64, draw: u64) -> Self {
        let mut stream = Stream::new(seed, "gradcheck", draw);
        let (mut tensors, mut values) = (Vec::new(), Vec::new());
        let parameters = architecture.tensors().into_iter();
        let parameters = parameters.map(|spec| {
            let role = spec.role;
            (spec.name, spec.shape, 6.0 / spec.fan_in as f32, role.is_running())
        });
        let images = ("input".to_string(), architecture.input().of_batch(IMAGES), 1.0, false);
        for (name, shape, square, is_running) in parameters.chain([images]) {
            let place = values.len()..values.len() + shape.iter().product::<usize>();
            let bound = f32::sqrt(square);
            values.extend(place.clone().map(|_| f64::from(stream.uniform(-bound, bound))));
            tensors.push(Tensor { name, shape, place, is_running });
        }
        let classes = architecture.classes().min(256) as u32;
        let labels = (0..IMAGES).map(|_| stream.below(classes) as u16).collect();
        let parameter_count = architecture.parameter_count();
        Self { architecture, tensors, values, parameter_count, labels, seed }
    }

    /// Tensors that have a gradient: all but running statistics.
    pub fn with_gradient(&self) -> impl Iterator<Item = &Tensor> {
        self.tensors.iter().filter(|tensor| !tensor.is_running)
    }

    /// Whether the gradient of a batch is the sum over its images.
    pub fn is_sum_of_images(&self) -> bool {
        !self.architecture.layers().iter().any(|placed| placed.layer.mixes_images())
    }

    /// Number of values of one image.
    pub fn pixels(&self) -> usize {
        self.architecture.input().len()
    }

    /// Passes of the network, without values.
    pub fn passes(&self) -> Passes<f64> {
        Passes::new(self.architecture, 1)
    }

    /// Gradient by the tape.
    fn on_tape(&self) -> Vec<f64> {
        let mut tape = Tape::new();
        let leaf = |Tensor { shape, place, .. }: &Tensor| {
            tape.leaf(shape, self.values[place.clone()].to_vec())
        };
        let nodes: Vec<_> = self.tensors.iter().map(leaf).collect();
        let (x, parameters) = nodes.split_last().expect("the input is the last tensor");
        let logits = self.architecture.record(&mut tape, *x, parameters, self.training(0));
        let loss = cross_entropy::record(&mut tape, logits, &self.labels);
        let gradients = tape.gradients(loss);
        nodes.iter().flat_map(|&node| gradients.of(node).to_vec()).collect()
    }

    /// Writes the gradient for the batch of these `images` to `gradient` by the backward pass: first
    /// that of all parameters, then that of the images.
    pub fn backward(
        &self,
        passes: &mut Passes<f64>,
        primitives: &mut dyn Primitives<f64>,
        images: Range<usize>,
        gradient: &mut [f64],
    ) {
        let (parameters, x) = self.values.split_at(self.parameter_count);
        let x = &x[images.start * self.pixels()..images.end * self.pixels()];
        let (dparameters, dx) = gradient.split_at_mut(self.parameter_count);
        let clock = &mut PhaseClock::new(false);
        let training = self.training(images.start);
        passes.begin(images.len()).copy_from_slice(x);
        passes.forward(0, parameters, Some(training), primitives, clock);
        passes.loss(self.labels[images.clone()].iter().copied(), images.len(), 0.0);
        passes.backward(parameters, dparameters, Some(dx), training, primitives, clock);
    }

    /// Place in a training of a pass whose first image is `first_image`.
    fn training(&self, first_image: usize) -> Training {
        Training { seed: self.seed, first_image, ..Training::default() }
    }
}

/// Largest magnitude of `values`.
pub fn largest(values: &[f64]) -> f64 {
    values.iter().fold(0.0, |largest, value| largest.max(value.abs()))
}

/// Slopes of the loss by differences.
pub struct Numerical<'a> {
    point: &'a Point<'a>,
    passes: Passes<f64>,
    primitives: Box<dyn Primitives<f64>>,
    /// Values of the point, some of them moved by a step.
    values: Vec<f64>,
    /// First step whose output depends on the present tensor.
    first: usize,
    /// Loss at the point.
    loss: f64,
}

/// Slopes to both sides along a direction.
pub struct Slopes {
    /// Slope to the left, (L(θ) − L(θ − ε))/ε.
    pub left: f64,
    /// Slope to the right, (L(θ + ε) − L(θ))/ε.
    pub right: f64,
    /// Bound of the error that rounding the losses makes.
    pub rounding: f64,
}

impl Slopes {
    /// Central difference, (L(θ + ε) − L(θ − ε))/2ε.
    pub fn central(&self) -> f64 {
        0.5 * (self.left + self.right)
    }
}

impl<'a> Numerical<'a> {
    /// Differences at `point`, by forward passes with `primitives`.
    pub fn new(point: &'a Point<'a>, primitives: Box<dyn Primitives<f64>>) -> Self {
        let (passes, values) = (point.passes(), point.values.clone());
        Self { point, passes, primitives, values, first: 0, loss: f64::NAN }
    }

    /// Prepares for steps in `tensor`: the layers before it are executed once, and not for every step.
    pub fn begin(&mut self, tensor: &Tensor) {
        self.first = 0;
        self.loss = self.loss_here();
        let has_tensor = |step: &Step| match step {
            Step::Layer(layer) => layer.parameters.contains(&tensor.place.start),
            _ => false,
        };
        self.first = self.passes.steps().iter().position(has_tensor).unwrap_or(0);
    }

    /// Slopes of the loss along the `direction` of the values at `place`, by steps of `eps`.
    pub fn slopes(&mut self, place: Range<usize>, direction: &[f64], eps: f64) -> Slopes {
        let [above, below] = [eps, -eps].map(|step| {
            for (index, &component) in place.clone().zip(direction) {
                self.values[index] = self.point.values[index] + step * component;
            }
            self.loss_here()
        });
        self.values[place.clone()].copy_from_slice(&self.point.values[place]);
        let (left, right) = ((self.loss - below) / eps, (above - self.loss) / eps);
        // A loss is a sum with an error of a few units in the last place.
        let rounding = 16.0 * f64::EPSILON * (1.0 + self.loss.abs()) / eps;
        Slopes { left, right, rounding }
    }

    /// Loss for the present values, from the first step on.
    fn loss_here(&mut self) -> f64 {
        let (parameters, x) = self.values.split_at(self.point.parameter_count);
        if self.first == 0 {
            self.passes.begin(IMAGES).copy_from_slice(x);
        }
        let clock = &mut PhaseClock::new(false);
        let training = Some(self.point.training(0));
        self.passes.forward(self.first, parameters, training, self.primitives.as_mut(), clock);
        self.passes.loss(self.point.labels.iter().copied(), IMAGES, 0.0).loss / IMAGES as f64
    }
}
