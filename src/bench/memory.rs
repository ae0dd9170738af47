//! The measurement of memory: by layers, and by sizes of the batch, of predictions and of training.
//!
//! The bytes of an engine are counted by the program's allocator, in this process. The peak of a whole
//! process, which also has the images and the program itself, is measured in a child process.

use super::child::Workload;
use super::contestant::Contestant;
use super::ladder;
use super::observer::Observer;
use crate::data::batches::Batch;
use crate::data::dataset::Split;
use crate::engine::Engine;
use crate::engine::compute::Compute;
use crate::error::Result;
use crate::measure::allocations::{self, Usage};
use crate::measure::machine::Environment;
use crate::measure::statistics::Line;
use crate::model::architecture::{Architecture, PlacedLayer};
use crate::model::parameters::TrainState;
use crate::model::recipe::Recipe;
use crate::optim::Optimizer;
use crate::report::SCHEMA_VERSION;
use crate::report::memory::{BenchMemory, Bytes, LayerMemory, MemoryRow};
use crate::simd::Isa;

/// Numbers of images of a batch.
const BATCHES: [usize; 6] = [1, 8, 16, 32, 64, LARGEST_BATCH];
/// Number of images of the largest batch, which the measurement needs.
pub const LARGEST_BATCH: usize = 128;
/// Number of batches of a run whose process is measured.
const CHILD_BATCHES: usize = 2;

/// Measurement of memory, before it begins.
pub struct Memory<'a> {
    /// Training that is measured: the network, the recipe, and the data folder. The size of the batches
    /// is not the recipe's.
    pub workload: Workload,
    /// Stage and number of threads of a step.
    pub contestant: Contestant,
    /// Images to train on, read from the data folder of the workload.
    pub images: &'a Split,
    /// Machine and time of the measurement.
    pub environment: Environment,
}

impl Memory<'_> {
    /// Measures the memory with each size of the batches.
    ///
    /// # Errors
    /// When the operating system refuses to start threads or a child process.
    pub fn measure(mut self, observer: &mut dyn Observer) -> anyhow::Result<BenchMemory> {
        let Contestant { stage, threads } = self.contestant;
        let mut rows = Vec::new();
        for batch_size in BATCHES {
            observer.part(&format!("measuring batches of {batch_size}"));
            let row = self.row(batch_size);
            observer.finished();
            rows.push(row?);
        }
        // One more engine comes and goes.
        let before = allocations::usage();
        self.measured().of_step(self.images)?;
        let after = allocations::usage();
        let fit = |bytes: fn(&MemoryRow) -> Option<Bytes>| {
            let points =
                rows.iter().map(|row| Some((row.batch_size as f64, bytes(row)?.live_bytes as f64)));
            Some(Line::fit(&points.collect::<Option<Vec<_>>>()?))
        };
        let Workload { architecture, recipe, .. } = &self.workload;
        let parameter_bytes = (size_of::<f32>() * architecture.parameter_count()) as u64;
        let layer = |placed: &PlacedLayer| {
            let kept = placed.layer.kept(placed.input);
            let outputs = if placed.layer.is_view() { 0 } else { placed.output.len() };
            LayerMemory {
                name: placed.name.clone(),
                layer: placed.layer.to_string(),
                parameter_bytes: (size_of::<f32>() * placed.parameters.len()) as u64,
                output_bytes_per_image: (size_of::<f32>() * outputs) as u64,
                kept_bytes_per_image: (kept.bytes + size_of::<f32>() * kept.floats) as u64,
            }
        };
        Ok(BenchMemory {
            schema: SCHEMA_VERSION,
            version: env!("CARGO_PKG_VERSION"),
            architecture: architecture.to_string(),
            stage: stage.name,
            threads,
            parameter_bytes,
            gradient_bytes: parameter_bytes,
            moment_bytes: Optimizer::from(recipe).slots().len() as u64 * parameter_bytes,
            layers: architecture.layers().iter().map(layer).collect(),
            inference_fit: fit(|row| row.inference),
            training_fit: fit(|row| row.training),
            kept_bytes: before
                .zip(after)
                .map(|(before, after)| after.live_bytes as i64 - before.live_bytes as i64),
            rows,
            environment: self.environment,
        })
    }

    /// Row of batches of `batch_size` images.
    fn row(&mut self, batch_size: usize) -> anyhow::Result<MemoryRow> {
        self.workload.recipe.batch_size = batch_size;
        let images = CHILD_BATCHES * batch_size;
        let process_peak_bytes = ladder::peak_rss_bytes(&self.workload, self.contestant, images)?;
        let measured = self.measured();
        let Measured { architecture, recipe, contestant: Contestant { stage, .. }, .. } = measured;
        Ok(MemoryRow {
            batch_size,
            expected_bytes: stage.memory_bytes(architecture, recipe),
            activation_bytes: stage.activation_bytes(architecture, recipe) as u64,
            inference: measured.of_prediction(self.images)?,
            training: measured.of_step(self.images)?,
            process_peak_bytes,
        })
    }

    fn measured(&self) -> Measured<'_> {
        let Workload { architecture, recipe, isa, .. } = &self.workload;
        Measured { architecture, recipe, isa: *isa, contestant: self.contestant }
    }
}

/// Training whose memory is measured, in batches of the size of the recipe.
#[derive(Clone, Copy)]
pub(super) struct Measured<'a> {
    pub architecture: &'a Architecture,
    pub recipe: &'a Recipe,
    pub isa: Isa,
    pub contestant: Contestant,
}

impl Measured<'_> {
    /// Bytes that a new engine and a prediction of the first of `images` allocate, if the program
    /// counts them.
    ///
    /// # Errors
    /// When the operating system refuses to start threads.
    fn of_prediction(&self, images: &Split) -> Result<Option<Bytes>> {
        self.of(images, |engine, batch| _ = engine.predict(batch))
    }

    /// Bytes that a new engine and a step on the first of `images` allocate, if the program counts
    /// them.
    ///
    /// # Errors
    /// When the operating system refuses to start threads.
    pub fn of_step(&self, images: &Split) -> Result<Option<Bytes>> {
        self.of(images, |engine, batch| _ = engine.step(batch, self.recipe.lr))
    }

    /// Bytes that a new engine and its `work` on the first of `images` allocate.
    fn of(
        &self,
        images: &Split,
        work: impl Fn(&mut dyn Engine, &Batch<'_>),
    ) -> Result<Option<Bytes>> {
        let Self { architecture, recipe, isa, contestant: Contestant { stage, threads } } = *self;
        let indices: Vec<u32> = (0..recipe.batch_size as u32).collect();
        let parameters = recipe.init.parameters(architecture, recipe.seed);
        let state = TrainState::new(parameters, Optimizer::from(recipe).slots());
        allocations::restart_peak();
        let before = allocations::usage();
        let mut engine = stage.build(architecture, recipe, Compute { threads, isa })?;
        engine.load(&state);
        work(engine.as_mut(), &Batch::new(images, &indices));
        let after = allocations::usage();
        let bytes = |before: Usage, after: Usage| Bytes {
            live_bytes: after.live_bytes - before.live_bytes,
            peak_bytes: after.peak_bytes - before.live_bytes,
        };
        Ok(before.zip(after).map(|(before, after)| bytes(before, after)))
    }
}
