//! Limits of two documents, and of ours, with what this program takes.
//!
//! Every value comes from one of the other measurements: of the tape, of layers, of steps, of
//! predictions and of memory. So every value was checked before it was timed, and this file has
//! nothing but the limits.

use super::autograd::{Autograd, NEW_TENSOR};
use super::contestant::Contestant;
use super::effort::Effort;
use super::infer::{self, Predictions};
use super::layers::cases::LayerCase;
use super::layers::{self, Layers};
use super::memory::Measured;
use super::observer::Observer;
use super::protocol::Benchmark;
use crate::data::dataset::Dataset;
use crate::data::dataset::ImageFormat;
use crate::engine::compute::Compute;
use crate::error::Result;
use crate::measure::contention::Contention;
use crate::measure::machine::Environment;
use crate::measure::statistics::Spread;
use crate::model::architecture::Architecture;
use crate::model::presets;
use crate::model::recipe::Recipe;
use crate::report::SCHEMA_VERSION;
use crate::report::autograd::AutogradRow;
use crate::report::budget::{BenchBudget, BudgetRow, Source, Unit};
use crate::report::layers::Direction;
use crate::report::measured::Circumstances;
use crate::stages::Stage;

/// Limits for computations on the tape, with their gradients: name of the computation, document, unit,
/// the document's limit, and ours.
const COMPUTATIONS: [(&str, Source, Unit, [f64; 2]); 7] = [
    ("add 1000", Source::Autograd, Unit::PerSecond, [1_000.0, 7_400.0]),
    ("mul 1000", Source::Autograd, Unit::PerSecond, [1_000.0, 7_300.0]),
    ("relu 10000", Source::Autograd, Unit::PerSecond, [10_000.0, 10_000.0]),
    ("sigmoid 10000", Source::Autograd, Unit::PerSecond, [5_000.0, 5_000.0]),
    ("matmul 100x100", Source::Autograd, Unit::PerSecond, [100.0, 210.0]),
    ("784-128-10, batch 32", Source::Autograd, Unit::PerSecond, [50.0, 74.0]),
    ("product, relu, mean", Source::Guide, Unit::Milliseconds, [100.0, 1.2]),
];

/// Limits for a new tensor of 1,000 x 1,000 elements, in milliseconds: the guide's, and ours.
const TENSOR_MS: [f64; 2] = [5.0, 2.6];

/// Layers with limits for their forward passes, in milliseconds: the guide's, and ours.
static LAYERS: [(LayerCase, [f64; 2]); 2] = [
    (LayerCase::new("product of 1000x500 and 500x200", "fc200", &[500], 1000), [50.0, 8.8]),
    (LayerCase::new("softmax of 1000 x 10000", "softmax", &[10_000], 1000), [100.0, 90.0]),
];

/// Limits for the default network: of a training step in milliseconds; of the time of an image in a
/// batch of 1 relative to a batch of 64; and of the bytes that a batch of 64 takes above a batch of 1.
const STEP_MS: [f64; 2] = [500.0, 21.0];
const IMAGE_OF_ONE_TO_64: [f64; 2] = [3.5, 3.5];
const BATCH_BYTES: [f64; 2] = [100e6, 30e6];

/// Network of some size, with its limits: the guide's, and ours.
struct Scale {
    /// Number of parameters, roughly.
    size: &'static str,
    /// Text of the network.
    network: &'static str,
    /// Seconds of training.
    training: [f64; 2],
    /// Milliseconds of the prediction of one image.
    prediction: [f64; 2],
    /// Bytes of training in batches of 64.
    memory: Option<[f64; 2]>,
}

const SCALES: [Scale; 4] = [
    Scale {
        size: "1K",
        network: "conv8k5s4,relu,maxpool2,flatten,fc10",
        training: [60.0, 27.0],
        prediction: [1.0, 0.084],
        memory: None,
    },
    Scale {
        size: "10K",
        network: "flatten,fc12,relu,fc10",
        training: [600.0, 14.0],
        prediction: [10.0, 0.092],
        memory: Some([50e6, 19e6]),
    },
    Scale {
        size: "100K",
        network: "flatten,fc126,relu,fc10",
        training: [3_600.0, 43.0],
        prediction: [100.0, 0.25],
        memory: Some([200e6, 29e6]),
    },
    Scale {
        size: "1M",
        network: "conv32k5p2,relu,maxpool2,flatten,fc159,relu,fc10",
        training: [21_600.0, 230.0],
        prediction: [1_000.0, 0.64],
        memory: Some([1e9, 200e6]),
    },
];

/// Number of images of the batches whose losses are compared with naive's, which is slow.
const COMPARED_IMAGES: usize = 8;
/// Length of a training: ten epochs of as many images as MNIST has.
const EPOCHS: usize = 10;
const IMAGES: usize = 60_000;

/// Measurement of everything that has a limit, before it begins.
pub struct Budget<'a> {
    /// Images to train on and to predict.
    pub dataset: &'a Dataset,
    /// Resources of a step and of a prediction.
    pub compute: Compute,
    /// Duration of the measurement.
    pub effort: Effort,
    /// Number of rounds of each measurement.
    pub rounds: usize,
    /// Machine and time of the measurement.
    pub environment: Environment,
}

impl Budget<'_> {
    /// Measures everything that has a limit.
    ///
    /// # Errors
    /// When a result is wrong, or the operating system refuses to start threads.
    ///
    /// # Panics
    /// When there are fewer images than the largest batch has.
    pub fn measure(self, observer: &mut dyn Observer) -> Result<BenchBudget> {
        let contention = Contention::start();
        let mut rows = self.of_the_tape(observer)?;
        rows.extend(self.of_layers(observer)?);
        rows.extend(self.of_networks(observer)?);
        Ok(BenchBudget {
            circumstances: Circumstances {
                schema: SCHEMA_VERSION,
                version: env!("CARGO_PKG_VERSION"),
                environment: self.environment,
                rounds: self.rounds,
                quick: self.effort == Effort::Quick,
                share_of_others: contention.share_of_others(),
            },
            dataset: self.dataset.kind().name().into(),
            rows,
        })
    }

    fn of_the_tape(&self, observer: &mut dyn Observer) -> Result<Vec<BudgetRow>> {
        let names = COMPUTATIONS.map(|(name, ..)| name);
        let autograd = Autograd::named(&names, self.effort, self.rounds, self.environment.clone());
        let bench = autograd.measure(observer)?;
        let computations = COMPUTATIONS.into_iter().map(|(name, source, unit, limits)| {
            let is_it = |row: &&AutogradRow| row.name == name;
            let found = bench.rows.iter().find(is_it).expect("it was measured");
            let ms = found.forward_backward.call_ms.median;
            let value = if unit == Unit::PerSecond { 1e3 / ms } else { ms };
            row(format!("{name}, with gradients"), source, unit, value, limits)
        });
        let mut rows: Vec<_> = computations.collect();
        let tensor = bench.bookkeeping.iter().find(|row| row.name == NEW_TENSOR);
        let ms = tensor.expect("it was measured").timed.call_ms.median;
        rows.push(row(NEW_TENSOR.into(), Source::Guide, Unit::Milliseconds, ms, TENSOR_MS));
        Ok(rows)
    }

    fn of_layers(&self, observer: &mut dyn Observer) -> Result<Vec<BudgetRow>> {
        let Compute { threads, isa } = self.compute;
        let layers = Layers {
            cases: &LAYERS.each_ref().map(|(case, _)| case),
            contestants: &layers::contestants(threads),
            isa,
            effort: self.effort,
            rounds: self.rounds,
            environment: self.environment.clone(),
        };
        let bench = layers.measure(observer)?;
        let rows = bench.layers.iter().zip(&LAYERS).map(|(layer, (case, limits))| {
            let forward = layer.rows.iter().rfind(|row| row.pass == Direction::Forward);
            let ms = forward.expect("tiled on all threads").timed.call_ms.median;
            row(case.name.into(), Source::Guide, Unit::Milliseconds, ms, *limits)
        });
        Ok(rows.collect())
    }

    fn of_networks(&self, observer: &mut dyn Observer) -> Result<Vec<BudgetRow>> {
        let recipe = Recipe::default();
        let guide =
            |name: String, unit, value, limits| row(name, Source::Guide, unit, value, limits);
        let default =
            presets::network("default", ImageFormat::MNIST).expect("a network of the table");
        let mut rows = Vec::new();

        let one = Network::new(self, &default, &recipe);
        let step_ms = one.step_ms(observer)?;
        rows.push(guide(
            "step of the default network".into(),
            Unit::Milliseconds,
            step_ms,
            STEP_MS,
        ));
        let [of_one, of_64] = one.image_ms([1, 64], observer)?;
        let name = "time an image, batch of 1 to 64".into();
        rows.push(guide(name, Unit::Ratio, of_one / of_64, IMAGE_OF_ONE_TO_64));
        if let [Some(few), Some(more)] = [one.training_bytes(1)?, one.training_bytes(64)?] {
            let name = "bytes of a batch of 64 above 1".into();
            rows.push(guide(name, Unit::Bytes, more - few, BATCH_BYTES));
        }
        for Scale { size, network, training, prediction, memory } in SCALES {
            let architecture =
                presets::network(network, ImageFormat::MNIST).expect("the table has networks");
            let one = Network::new(self, &architecture, &recipe);
            let steps = (EPOCHS * IMAGES.div_ceil(recipe.batch_size)) as f64;
            let seconds = 1e-3 * one.step_ms(observer)? * steps;
            rows.push(guide(
                format!("{size} parameters, training"),
                Unit::Seconds,
                seconds,
                training,
            ));
            let [ms] = one.image_ms([1], observer)?;
            let name = format!("{size} parameters, one image");
            rows.push(guide(name, Unit::Milliseconds, ms, prediction));
            if let Some((limits, bytes)) = memory.zip(one.training_bytes(64)?) {
                rows.push(guide(format!("{size} parameters, memory"), Unit::Bytes, bytes, limits));
            }
        }
        Ok(rows)
    }
}

/// Row of the report, with the limits of the document and of ours.
fn row(
    name: String,
    source: Source,
    unit: Unit,
    value: f64,
    [limit, own_limit]: [f64; 2],
) -> BudgetRow {
    let met = [limit, own_limit].map(|limit| unit.factor(value, limit) >= 1.0);
    let factor = unit.factor(value, limit);
    BudgetRow { name, source, unit, value, limit, own_limit, factor, passed: met == [true; 2] }
}

/// Network that is measured, by the stage that trains it fastest.
struct Network<'a> {
    budget: &'a Budget<'a>,
    benchmark: Benchmark<'a>,
    contestant: Contestant,
}

impl<'a> Network<'a> {
    fn new(budget: &'a Budget<'a>, architecture: &'a Architecture, recipe: &'a Recipe) -> Self {
        let Compute { threads, isa } = budget.compute;
        let stage = Stage::fastest_exact(architecture, recipe);
        let benchmark = Benchmark::new(architecture, recipe, &budget.dataset.train, isa);
        let contestant = Contestant { stage, threads: stage.threads(threads) };
        Self { budget, benchmark, contestant }
    }

    /// Median time of a training step in milliseconds.
    fn step_ms(&self, observer: &mut dyn Observer) -> Result<f64> {
        let contestants = [self.contestant];
        observer.part("comparing losses with naive's");
        let Benchmark { architecture, recipe, images, .. } = self.benchmark;
        let few = Recipe { batch_size: COMPARED_IMAGES, ..recipe.clone() };
        let compared = Benchmark::new(architecture, &few, images, self.budget.compute.isa);
        let agreed = compared.agreement(&contestants);
        observer.finished();
        agreed?;
        let (measured, _) = self.benchmark.measure(&contestants, self.budget.rounds, observer)?;
        Ok(Spread::of(&measured[0].timing.call_ms()).median)
    }

    /// Median time of the prediction of an image in milliseconds, in batches of these sizes.
    fn image_ms<const N: usize>(
        &self,
        batches: [usize; N],
        observer: &mut dyn Observer,
    ) -> Result<[f64; N]> {
        let cases = batches.map(|batch| {
            let name = infer::batch_name(batch, self.contestant.threads);
            Predictions::new(&self.benchmark, self.contestant, batch, name)
        });
        let Budget { effort, rounds, .. } = *self.budget;
        let rows = infer::rows(cases.into(), effort, rounds, observer)?;
        Ok(std::array::from_fn(|index| rows[index].ms_per_image))
    }

    /// Peak of the bytes that training in batches of `batch_size` images allocates, if the program
    /// counts them.
    fn training_bytes(&self, batch_size: usize) -> Result<Option<f64>> {
        let Benchmark { architecture, recipe, images, .. } = self.benchmark;
        let recipe = Recipe { batch_size, ..recipe.clone() };
        let isa = self.budget.compute.isa;
        let measured = Measured { architecture, recipe: &recipe, isa, contestant: self.contestant };
        Ok(measured.of_step(images)?.map(|bytes| bytes.peak_bytes as f64))
    }
}
