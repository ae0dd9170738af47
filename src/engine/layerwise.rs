//! The engine of the first stages, which executes one layer after the other with a set of
//! primitives, and so runs any network.

use std::mem;

use super::Engine;
use super::passes::Passes;
use super::phases::{Phase, PhaseClock, Phases};
use crate::data::batches::Batch;
use crate::model::architecture::Architecture;
use crate::model::parameters::{Parameters, TrainState};
use crate::model::recipe::Recipe;
use crate::nn::cross_entropy::LossSum;
use crate::nn::layer::Training;
use crate::nn::primitives::Primitives;
use crate::nn::tensor::MOMENTUM;
use crate::optim::adam::{Adam, Weights};

/// Engine that executes a step layer by layer with a set of primitives.
pub struct LayerwiseEngine {
    primitives: Box<dyn Primitives>,
    adam: Adam,
    /// Seed of what is random in a step.
    seed: u64,
    passes: Passes<f32>,
    state: TrainState,
    /// Gradient of the last step, without L2.
    gradients: Parameters,
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
        Self {
            primitives,
            adam: Adam::from(recipe),
            seed: recipe.seed,
            passes: Passes::new(architecture),
            gradients: parameters.clone(),
            state: TrainState::new(parameters, &Adam::SLOTS),
            measuring: false,
            phases: Phases::default(),
        }
    }

    /// Writes the pixels of `batch`, divided by 255, to the input of the passes.
    fn take_images(&mut self, batch: &Batch<'_>) {
        let x = self.passes.begin(batch.len());
        let length = x.len() / batch.len();
        for (image, x) in batch.images().zip(x.chunks_exact_mut(length)) {
            assert_eq!(image.len(), length);
            x.iter_mut().zip(image).for_each(|(x, &pixel)| *x = f32::from(pixel) / 255.0);
        }
    }

    fn forward(&mut self, batch: &Batch<'_>, training: Option<Training>, clock: &mut PhaseClock) {
        clock.run(Phase::Data, 0, || self.take_images(batch));
        let Self { primitives, passes, state, .. } = self;
        passes.forward(0, state.parameters.values(), training, primitives.as_mut(), clock);
    }

    /// Computes the gradients of all parameters, after the loss.
    fn backward(&mut self, training: Training, clock: &mut PhaseClock) {
        let Self { primitives, passes, state, gradients, .. } = self;
        let (parameters, gradients) = (state.parameters.values(), gradients.values_mut());
        passes.backward(parameters, gradients, None, training, primitives.as_mut(), clock);
    }

    /// Updates all parameters. Returns whether every updated value is finite.
    fn update(&mut self, lr: f64) -> bool {
        let TrainState { parameters, slots, steps } = &mut self.state;
        let [m, v] = slots.as_mut_slice() else { unreachable!("Adam keeps two moments") };
        *steps += 1;
        let weights = self.adam.step(*steps, lr);
        let others = weights.without_l2();
        let gradients = self.gradients.iter().zip(parameters.iter_mut());
        let moments = m.values.iter_mut().zip(v.values.iter_mut());
        let mut are_finite = true;
        for (((spec, g), (_, w)), ((_, m), (_, v))) in gradients.zip(moments) {
            if spec.role.is_running() {
                for (w, &of_batch) in w.iter_mut().zip(g) {
                    *w += MOMENTUM * (of_batch - *w);
                    are_finite &= w.is_finite();
                }
                continue;
            }
            let step = if spec.role.has_l2() { &weights } else { &others };
            are_finite &= self.primitives.update(step, g, Weights { w, m, v });
        }
        are_finite
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
        let training = Training { seed: self.seed, step: self.state.steps, ..Training::default() };
        self.forward(batch, Some(training), &mut clock);
        let mut sum = clock.run(Phase::Loss, 0, || self.passes.loss(batch.labels()));
        self.backward(training, &mut clock);
        if !clock.run(Phase::Optimizer, 0, || self.update(lr)) {
            sum.loss = f64::NAN;
        }
        self.phases += clock.phases();
        sum
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
