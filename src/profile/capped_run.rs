//! Samples an epoch of a thousand images, repeated from the same weights until there are enough
//! samples.
//!
//! A fast stage trains this epoch in tens of milliseconds, too short for a profiler that takes 250
//! samples a second; the slowest stage takes seconds. All stages train the same images in the same
//! batches, of which the last is smaller: 1000 = 15·64 + 40.

use std::env;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::sampler::Sampler;
use super::stacks::Folded;
use crate::data::batches::{batches, epoch_order};
use crate::data::dataset::Split;
use crate::engine::Engine;
use crate::error::{Error, Result, printable};
use crate::model::architecture::Architecture;
use crate::model::parameters::TrainState;
use crate::model::recipe::Recipe;
use crate::optim::Optimizer;

/// Number of images of a pass.
pub const IMAGES: usize = 1000;
/// Number of samples from which on the largest shares are right to a few percent.
pub const ENOUGH_SAMPLES: usize = 1000;
/// Time after which the samples are counted again.
const COUNT_INTERVAL: Duration = Duration::from_millis(500);
/// Factor of the time limit while there is no sample: if other programs keep the cores busy, a
/// short run may get no sample for some time.
const WITHOUT_SAMPLES: u32 = 10;

/// Call stacks that were sampled while one stage trained.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sampled {
    /// Number of passes over the images.
    pub passes: usize,
    /// Number of images of a pass.
    pub images: usize,
    /// Call stacks of all passes, folded.
    pub stacks: Folded,
}

/// First epoch of a run, which can be repeated.
pub struct CappedRun<'a> {
    images: &'a Split,
    recipe: &'a Recipe,
    order: Vec<u32>,
    initial: TrainState,
}

impl<'a> CappedRun<'a> {
    /// The first epoch of training on all `images`.
    pub fn new(architecture: &Architecture, recipe: &'a Recipe, images: &'a Split) -> Self {
        let parameters = recipe.initial_parameters(architecture, images);
        Self {
            images,
            recipe,
            order: epoch_order(images.len(), recipe.seed, 0),
            initial: TrainState::new(parameters, Optimizer::from(recipe).slots()),
        }
    }

    /// Samples an engine, which `build` builds, during passes until there are enough samples. At
    /// least one pass runs; no pass begins after `limit`, or after ten times `limit` while there is
    /// no sample.
    ///
    /// # Errors
    /// When the sampler does not work, or the engine cannot be built.
    pub fn sample(
        &self,
        build: impl FnOnce() -> Result<Box<dyn Engine>>,
        limit: Duration,
    ) -> Result<Sampled> {
        // The sampler starts before the engine is built, because no thread of the engine may be in
        // the allocator when the first signal comes.
        let sampler = Sampler::start().map_err(cannot_sample)?;
        let mut engine = build()?;
        let began = Instant::now();
        let (mut passes, mut limit_now) = (0, WITHOUT_SAMPLES * limit);
        loop {
            let counted = Instant::now();
            while counted.elapsed() < COUNT_INTERVAL && (passes == 0 || began.elapsed() < limit_now)
            {
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

    /// Runs passes for at least `duration` without this program's sampler; returns their number.
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

    /// Trains one epoch.
    #[inline(never)] // The stacks of a pass are recognized by this function.
    fn pass(&self, engine: &mut dyn Engine) {
        for batch in batches(self.images, &self.order, self.recipe.batch_size) {
            engine.step(&batch, self.recipe.lr);
        }
    }
}

fn cannot_sample(error: pprof::Error) -> Error {
    let reason = match error {
        // pprof says only that it could not be created: it had no temporary file.
        pprof::Error::CreatingError => format!(
            "the sampler cannot make a temporary file in {}: name a folder that can be written in \
             TMPDIR",
            printable(&env::temp_dir())
        ),
        error => error.to_string(),
    };
    Error::Unavailable(format!("cannot sample call stacks: {reason}"))
}
