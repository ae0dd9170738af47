//! An epoch of a thousand images, again and again from the same weights, until there are samples
//! enough.
//!
//! The fast stages are through with it in tens of milliseconds, too short for a profiler that looks
//! 250 times a second; the slowest takes seconds. All of them train the same images in the same
//! batches, the last of which is cut short: 1000 = 15·64 + 40.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::sampler::Sampler;
use super::stacks::Folded;
use crate::data::batches::{batches, epoch_order};
use crate::data::dataset::Split;
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::model::architecture::Architecture;
use crate::model::parameters::TrainState;
use crate::model::recipe::Recipe;
use crate::optim::adam::Adam;

/// Images of a pass.
pub const IMAGES: usize = 1000;
/// Samples from which on the largest shares can be trusted to a few percent.
pub const ENOUGH_SAMPLES: usize = 1000;
/// Time between two looks at the samples.
const LOOK: Duration = Duration::from_millis(500);
/// How many times as long as it may take is waited for the first sample: where others keep the
/// cores busy, a short run may not be met at once.
const WITHOUT_SAMPLES: u32 = 10;

/// What was met in the passes of one stage.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sampled {
    /// Times that all images were trained on.
    pub passes: usize,
    /// Images of each pass.
    pub images: usize,
    /// Stacks of the passes.
    pub stacks: Folded,
}

/// The first epoch of a run, to be repeated.
pub struct CappedRun<'a> {
    images: &'a Split,
    recipe: &'a Recipe,
    order: Vec<u32>,
    initial: TrainState,
}

impl<'a> CappedRun<'a> {
    /// Of training on `images`, all of them in a pass.
    pub fn new(architecture: &Architecture, recipe: &'a Recipe, images: &'a Split) -> Self {
        let parameters = recipe.init.parameters(architecture, recipe.seed);
        Self {
            images,
            recipe,
            order: epoch_order(images.len(), recipe.seed, 0),
            initial: TrainState::new(parameters, &Adam::SLOTS),
        }
    }

    /// Passes of an engine that is `built` here, at least one, until there are enough samples; none
    /// begins after `limit`, or after ten times that where no sample has come until then.
    ///
    /// # Errors
    /// When the sampler does not work, or the engine cannot be built.
    pub fn sample(
        &self,
        built: impl FnOnce() -> Result<Box<dyn Engine>>,
        limit: Duration,
    ) -> Result<Sampled> {
        // Before the engine: its threads must not be in the allocator when the first signal comes.
        let sampler = Sampler::start().map_err(cannot_sample)?;
        let mut engine = built()?;
        let began = Instant::now();
        let (mut passes, mut limit_now) = (0, WITHOUT_SAMPLES * limit);
        loop {
            let look = Instant::now();
            while look.elapsed() < LOOK && (passes == 0 || began.elapsed() < limit_now) {
                engine.load(&self.initial);
                self.pass(engine.as_mut());
                passes += 1;
            }
            let stacks = Folded::of(&sampler.stacks().map_err(cannot_sample)?);
            if stacks.samples() > 0 {
                limit_now = limit;
            }
            if stacks.samples() >= ENOUGH_SAMPLES || began.elapsed() >= limit_now {
                return Ok(Sampled { passes, images: self.order.len(), stacks });
            }
        }
    }

    /// Passes for at least `duration` under no sampler of ours; returns their number.
    pub fn repeat(&self, mut engine: Box<dyn Engine>, duration: Duration) -> usize {
        let began = Instant::now();
        let mut passes = 0;
        while began.elapsed() < duration {
            engine.load(&self.initial);
            self.pass(engine.as_mut());
            passes += 1;
        }
        passes
    }

    /// One epoch.
    #[inline(never)] // Stacks of a pass are known by this frame.
    fn pass(&self, engine: &mut dyn Engine) {
        for batch in batches(self.images, &self.order, self.recipe.batch_size) {
            engine.step(&batch, self.recipe.lr);
        }
    }
}

fn cannot_sample(error: pprof::Error) -> Error {
    Error::Unavailable(format!("cannot sample call stacks: {error}"))
}
