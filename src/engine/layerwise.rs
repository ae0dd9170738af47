//! The engine of the first stages, which executes one layer after the other with a set of
//! primitives, and so runs any network.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::{array, mem};

use super::Engine;
use super::passes::Passes;
use super::phases::{Phase, PhaseClock, Phases};
use super::tree_sum::TreeSum;
use crate::data::batches::Batch;
use crate::model::architecture::Architecture;
use crate::model::parameters::{Parameters, TrainState};
use crate::model::recipe::Recipe;
use crate::nn::cross_entropy::LossSum;
use crate::nn::layer::Training;
use crate::nn::primitives::{Primitives, share_of};
use crate::nn::tensor::{MOMENTUM, TensorSpec};
use crate::optim::{MOST_SLOTS, Optimizer, Step, Weights, clip};
use crate::ranks::Ranks;

/// Engine that executes a step layer by layer with a set of primitives.
pub struct LayerwiseEngine {
    primitives: Box<dyn Primitives>,
    optimizer: Optimizer,
    /// Part of the target that is spread over all classes.
    smoothing: f64,
    /// Number of parts of a batch that are computed one after the other.
    accumulate: usize,
    /// Largest norm of the gradient; 0 for none.
    clip_norm: f64,
    /// Seed of what is random in a step.
    seed: u64,
    passes: Passes<f32>,
    /// Whether each tensor belongs to a convolutional layer.
    of_convolutions: Vec<bool>,
    state: TrainState,
    /// Gradient of the last step, or of a part of its batch, without L2.
    gradients: Parameters,
    /// Sum of the gradients of the parts of a batch, or of those that are this rank's.
    sum: TreeSum,
    /// Result of each part of a batch, as words: the loss, and the number of correct answers.
    results: Vec<[u32; 3]>,
    /// Processes that share the parts of a batch, if there are several.
    ranks: Option<Ranks>,
    /// Norm of the gradient of the last step, before it was clipped.
    gradient_norm: Option<f64>,
    measuring: bool,
    phases: Phases,
}

impl LayerwiseEngine {
    /// Engine that trains `architecture` by `recipe`. Its parameters are all zero until a state is
    /// loaded.
    pub fn new(
        architecture: &Architecture,
        recipe: &Recipe,
        primitives: Box<dyn Primitives>,
    ) -> Self {
        let parameters = Parameters::zeros(architecture);
        let optimizer = Optimizer::from(recipe);
        Self {
            primitives,
            optimizer,
            smoothing: recipe.label_smoothing,
            accumulate: recipe.accumulate,
            clip_norm: recipe.clip_norm,
            seed: recipe.seed,
            passes: Passes::new(architecture, recipe.checkpoint_activations),
            of_convolutions: of_convolutions(architecture),
            sum: TreeSum::new(recipe.accumulate, parameters.values().len()),
            results: Vec::with_capacity(recipe.accumulate),
            ranks: None,
            gradients: parameters.clone(),
            state: TrainState::new(parameters, optimizer.slots()),
            gradient_norm: None,
            measuring: false,
            phases: Phases::default(),
        }
    }

    /// Writes the pixels of `batch`, divided by 255, to the input of the passes.
    fn take_images(&mut self, batch: &Batch<'_>) {
        let x = self.passes.begin(batch.len());
        let (length, own) = (x.len() / batch.len(), share_of(batch.len()));
        self.primitives.as_mut().share(
            x.len(),
            x.chunks_mut(own * length).enumerate(),
            #[inline(always)]
            |(item, x)| {
                let images = batch.images().skip(item * own);
                for (image, x) in images.zip(x.chunks_exact_mut(length)) {
                    assert_eq!(image.len(), length);
                    x.iter_mut().zip(image).for_each(|(x, &pixel)| *x = f32::from(pixel) / 255.0);
                }
            },
        );
    }

    fn forward(&mut self, batch: &Batch<'_>, training: Option<Training>, clock: &mut PhaseClock) {
        clock.run(Phase::Data, 0, || self.take_images(batch));
        let Self { primitives, passes, state, .. } = self;
        passes.forward(0, state.parameters.values(), training, primitives.as_mut(), clock);
    }

    /// Computes the gradients of all parameters for `part` of a batch of `images` images. The
    /// gradients of all parts add up to the gradient of the mean loss. The place of a running
    /// statistic, which has no gradient, gets the part's share of the mean over all parts.
    fn gradient(
        &mut self,
        part: &Batch<'_>,
        images: usize,
        training: Training,
        clock: &mut PhaseClock,
    ) -> LossSum {
        self.forward(part, Some(training), clock);
        let Self { primitives, passes, state, gradients, smoothing, .. } = self;
        let sum = clock.run(Phase::Loss, 0, || passes.loss(part.labels(), images, *smoothing));
        let parameters = state.parameters.values();
        let primitives = primitives.as_mut();
        passes.backward(parameters, gradients.values_mut(), None, training, primitives, clock);
        if part.len() < images {
            let share = part.len() as f32 / images as f32;
            let statistics = gradients.iter_mut().filter(|(spec, _)| spec.role.is_running());
            statistics.for_each(|(_, values)| values.iter_mut().for_each(|value| *value *= share));
        }
        sum
    }

    /// Numbers of those of the `count` parts of a batch that this rank computes: its part of the tree in
    /// which the gradients are added.
    fn own_parts(&self, count: usize) -> Range<usize> {
        let Some(ranks) = &self.ranks else { return 0..count };
        let each = self.accumulate / ranks.count();
        let first = ranks.rank() * each;
        first.min(count)..(first + each).min(count)
    }

    /// Measures the norm of the gradient, and shortens the gradient if it is too long.
    fn clip(&mut self) {
        let is_gradient = |spec: &TensorSpec| !spec.role.is_running();
        let gradients = self.gradients.iter().filter(|(spec, _)| is_gradient(spec));
        let norm = gradients.map(|(_, g)| clip::sum_of_squares(g)).sum::<f64>().sqrt();
        self.gradient_norm = Some(norm);
        let factor = clip::factor(norm, self.clip_norm);
        if self.clip_norm > 0.0 && factor < 1.0 {
            let gradients = self.gradients.iter_mut().filter(|(spec, _)| is_gradient(spec));
            gradients.for_each(|(_, g)| g.iter_mut().for_each(|g| *g *= factor));
        }
    }

    /// Updates all parameters. Returns whether every updated value is finite.
    fn update(&mut self, lr: f64) -> bool {
        let TrainState { parameters, slots, steps } = &mut self.state;
        *steps += 1;
        let weights = self.optimizer.step(*steps, lr);
        let others = weights.without_decay();
        let gradients = self.gradients.iter().zip(parameters.iter_mut());
        let mut slots = slots.iter_mut();
        let mut slots: [_; MOST_SLOTS] =
            array::from_fn(|_| slots.next().map_or(&mut [][..], |slot| slot.values.values_mut()));
        let mut are_finite = true;
        let freezes = self.passes.freezes_convolutions;
        for (((spec, g), (_, w)), of_convolution) in gradients.zip(&self.of_convolutions) {
            let slots = slots.each_mut().map(|slot| {
                let own = spec.len().min(slot.len());
                slot.split_off_mut(..own).expect("the slot has a value for each parameter")
            });
            if freezes && *of_convolution {
                continue;
            }
            if spec.role.is_running() {
                for (w, &of_batch) in w.iter_mut().zip(g) {
                    *w += MOMENTUM * (of_batch - *w);
                    are_finite &= w.is_finite();
                }
                continue;
            }
            let step = if spec.role.has_l2() { &weights } else { &others };
            are_finite &= update(self.primitives.as_mut(), step, g, Weights { w, slots });
        }
        are_finite
    }
}

/// Whether this number of `ranks` can share the parts of a batch that is computed in `accumulate` parts.
pub fn is_shared(accumulate: usize, ranks: usize) -> bool {
    ranks.is_power_of_two() && accumulate.is_power_of_two() && ranks <= accumulate
}

/// Whether each tensor of `architecture` belongs to a convolutional layer, in canonical order.
fn of_convolutions(architecture: &Architecture) -> Vec<bool> {
    let tensors = architecture.layers().iter().flat_map(|placed| {
        let tensors = placed.layer.tensors(placed.input);
        tensors.into_iter().map(|_| placed.layer.is_convolution())
    });
    tensors.collect()
}

/// Updates `weights` and their slots by the gradient `g`, as [`Step::update`] does, and shares the
/// work. Returns whether every updated weight is finite.
fn update(primitives: &mut dyn Primitives, step: &Step, g: &[f32], weights: Weights<'_>) -> bool {
    let (own, are_finite) = (share_of(g.len()), AtomicBool::new(true));
    primitives.share(
        g.len(),
        g.chunks(own).zip(weights.chunks(own)),
        #[inline(always)]
        |(g, weights)| {
            if !step.update(g, weights) {
                are_finite.store(false, Ordering::Relaxed);
            }
        },
    );
    are_finite.into_inner()
}

impl Engine for LayerwiseEngine {
    fn load(&mut self, state: &TrainState) {
        assert_eq!(state.parameters.specs(), self.gradients.specs());
        assert!(state.slots.iter().map(|slot| &slot.name).eq(self.optimizer.slots()));
        self.state.clone_from(state);
    }

    fn join(&mut self, ranks: Ranks) {
        assert!(is_shared(self.accumulate, ranks.count()));
        self.sum = TreeSum::new(self.accumulate / ranks.count(), self.gradients.values().len());
        self.ranks = Some(ranks);
    }

    fn store(&self) -> TrainState {
        self.state.clone()
    }

    fn step(&mut self, batch: &Batch<'_>, lr: f64) -> LossSum {
        let mut clock = PhaseClock::new(self.measuring);
        let images = batch.len();
        let of_part = images.div_ceil(self.accumulate);
        let parts = batch.parts(of_part);
        let count = parts.len();
        self.results.clear();
        self.results.resize(count, [0; 3]);
        let own = self.own_parts(count);
        for (index, part) in parts.enumerate().skip(own.start).take(own.len()) {
            let (seed, step, first_image) = (self.seed, self.state.steps, index * of_part);
            let training = Training { seed, step, first_image, ..Training::default() };
            let LossSum { loss, correct } = self.gradient(&part, images, training, &mut clock);
            let bits = loss.to_bits();
            self.results[index] = [bits as u32, (bits >> 32) as u32, correct as u32];
            self.sum.add(index - own.start, own.len(), self.gradients.values_mut());
        }
        if let Some(ranks) = &self.ranks {
            let each = self.accumulate / ranks.count();
            let gradient = self.gradients.values_mut();
            ranks.sum(&mut [gradient], self.results.as_flattened_mut(), |rank| rank * each < count);
        }
        let mut sum = LossSum::default();
        for &[low, high, correct] in &self.results {
            let loss = f64::from_bits(u64::from(low) | u64::from(high) << 32);
            sum += LossSum { loss, correct: correct as usize };
        }
        let is_finite = clock.run(Phase::Optimizer, 0, || {
            self.clip();
            self.update(lr)
        });
        if !is_finite {
            sum.loss = f64::NAN;
        }
        self.phases += clock.phases();
        sum
    }

    fn freeze_convolutions(&mut self, frozen: bool) {
        self.passes.freezes_convolutions = frozen;
    }

    fn gradient_norm(&self) -> Option<f64> {
        self.gradient_norm
    }

    fn predict(&mut self, batch: &Batch<'_>) -> &[f32] {
        self.forward(batch, None, &mut PhaseClock::new(false));
        self.passes.logits()
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
