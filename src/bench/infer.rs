//! The measurement of predictions: how many a second, and how long one takes.
//!
//! 1. **Agreement.** Every contestant's logits must be naive's, up to rounding, or nothing is timed.
//! 2. **Rounds** are those of [`timing`](super::timing); a call predicts one batch. They give the
//!    throughput.
//! 3. **Latency** is the distribution of the times of single calls. They are made after each timed
//!    round, each with its own clock, and not derived from the throughput.
//!
//! Predictions leave products with zeros out, and training makes zeros, so the network is trained for
//! one epoch first.

use std::hint::black_box;
use std::time::Instant;

use super::contestant::Contestant;
use super::effort::Effort;
use super::observer::Observer;
use super::protocol::Benchmark;
use super::suite::{Row, Suite};
use super::timing::{Case, Protocol, Timing};
use crate::data::batches::Batch;
use crate::data::dataset::Dataset;
use crate::engine::Engine;
use crate::engine::compute::{Compute, Precision};
use crate::error::{Error, Result};
use crate::measure::contention::Contention;
use crate::measure::machine::Environment;
use crate::measure::roofline::Roofline;
use crate::measure::statistics::percentile;
use crate::model::architecture::Architecture;
use crate::model::mnist_cnn::MnistCnn;
use crate::model::recipe::Recipe;
use crate::report::SCHEMA_VERSION;
use crate::report::infer::{BenchInfer, InferRow, Latency, PrecisionRow, WidthRow};
use crate::report::measured::{Circumstances, Timed};
use crate::report::text::numbers::counted;
use crate::stages::{STAGES, Stage};
use crate::training::evaluation::Evaluation;

/// Numbers of images of a batch.
const BATCHES: [usize; 8] = [1, 4, 8, 16, 32, 64, 128, LARGEST_BATCH];
/// Number of images of the largest batch, which the measurement needs.
pub const LARGEST_BATCH: usize = 256;
/// Numbers of hidden units of the default network, in batches of `WIDTH_BATCH` images.
const WIDTHS: [usize; 4] = [128, 256, 512, 1024];
const WIDTH_BATCH: usize = 32;
/// Number of images of a batch in which formats are compared.
const PRECISION_BATCH: usize = 64;
/// Largest difference of a logit from naive's, relative to the largest logit: rounding in f32.
const TOLERANCE: f32 = 1e-4;
/// The same for a stage whose products are in bf16, which has 8 significant bits.
const BF16_TOLERANCE: f32 = 0.1;

/// Measurement of predictions, before it begins.
pub struct Infer<'a> {
    /// Network whose predictions are measured.
    pub architecture: &'a Architecture,
    /// Images to train and to test on.
    pub dataset: &'a Dataset,
    /// Resources of a prediction. It is also measured on one thread.
    pub compute: Compute,
    /// Duration of the measurement. If it is quick, the network is not trained.
    pub effort: Effort,
    /// Number of rounds; each round times every row of a table once.
    pub rounds: usize,
    /// Machine and time of the measurement.
    pub environment: Environment,
}

impl Infer<'_> {
    /// Trains the network, compares predictions with naive's, and measures their time.
    ///
    /// # Errors
    /// When a logit is not naive's, or the operating system refuses to start threads.
    ///
    /// # Panics
    /// When there are fewer images than the largest batch has, or no test images.
    pub fn measure(self, observer: &mut dyn Observer) -> Result<BenchInfer> {
        let networks = Networks::default();
        observer.part("training the network");
        let suite = InferSuite::new(&self, &networks);
        observer.finished();
        let suite = suite?;
        observer.part("measuring the limits of the machine");
        let mut thread_counts: Vec<_> = suite.contestants().iter().map(|one| one.threads).collect();
        thread_counts.dedup();
        let roofline = Roofline::measure(&thread_counts);
        observer.finished();
        let roofline = roofline?;
        let contention = Contention::start();
        let Self { architecture, dataset, compute, effort, rounds, environment } = &self;
        let (effort, rounds) = (*effort, *rounds);
        let rows = self::rows(suite.batches(), effort, rounds, observer)?;
        let of_widths = self::rows(suite.widths(), effort, rounds, observer)?;
        let of_formats = self::rows(suite.formats(), effort, rounds, observer)?;

        let test = dataset.test.as_ref().expect("test images");
        let mut precisions = Vec::new();
        for (contestant, row) in suite.formats_of_all_threads().into_iter().zip(of_formats) {
            let precision = contestant.stage.precision.name();
            observer.part(&format!("testing in {precision}"));
            let engine = suite.trained.engine(contestant);
            let evaluation =
                engine.map(|mut engine| Evaluation::of(engine.as_mut(), test, None, &|| false));
            observer.finished();
            precisions.push(PrecisionRow {
                precision,
                stage: contestant.stage.name,
                test_correct: evaluation?.expect("nothing stops it").correct,
                row,
            });
        }
        let widths = suite.of_widths.iter().zip(WIDTHS).zip(of_widths);
        Ok(BenchInfer {
            circumstances: Circumstances {
                schema: SCHEMA_VERSION,
                version: env!("CARGO_PKG_VERSION"),
                environment: environment.clone(),
                rounds,
                quick: effort == Effort::Quick,
                share_of_others: contention.share_of_others(),
            },
            dataset: dataset.kind().name().into(),
            dataset_description: dataset.kind().to_string(),
            architecture: architecture.to_string(),
            parameters: architecture.parameter_count(),
            stage: suite.stage().name,
            isa: compute.isa,
            epochs: self.epochs(),
            test_images: test.len(),
            rows,
            widths: widths
                .map(|((benchmark, hidden), row)| WidthRow {
                    hidden,
                    parameters: benchmark.architecture.parameter_count(),
                    row,
                })
                .collect(),
            precisions,
            without_bf16: suite.without_bf16(),
            roofline,
        })
    }

    /// Number of epochs of training before the predictions.
    fn epochs(&self) -> usize {
        usize::from(self.effort == Effort::Whole)
    }
}

/// Recipe of the training, and the networks that are measured beside the chosen one.
pub struct Networks {
    recipe: Recipe,
    /// Default network with each of `WIDTHS`.
    widths: [Architecture; WIDTHS.len()],
}

impl Default for Networks {
    fn default() -> Self {
        let width = |hidden| MnistCnn { hidden, ..MnistCnn::default() }.architecture();
        Self { recipe: Recipe::default(), widths: WIDTHS.map(width) }
    }
}

/// Suite with a row for each size of a batch, each width of the network and each format.
pub struct InferSuite<'a> {
    infer: &'a Infer<'a>,
    recipe: &'a Recipe,
    trained: Benchmark<'a>,
    of_widths: [Benchmark<'a>; WIDTHS.len()],
}

impl<'a> InferSuite<'a> {
    /// Suite of the rows that `infer` would measure. Trains the network.
    ///
    /// # Errors
    /// When the operating system refuses to start threads.
    ///
    /// # Panics
    /// When there are fewer images than a batch of the training has.
    pub fn new(infer: &'a Infer<'a>, networks: &'a Networks) -> Result<Self> {
        let Networks { recipe, widths } = networks;
        let Infer { architecture, dataset, compute, .. } = *infer;
        let benchmark =
            |architecture| Benchmark::new(architecture, recipe, &dataset.train, compute.isa);
        let trained = benchmark(architecture).at_epoch(infer.epochs(), compute.threads)?;
        Ok(Self { infer, recipe, trained, of_widths: widths.each_ref().map(benchmark) })
    }

    fn stage(&self) -> &'static Stage {
        Stage::fastest_exact(self.infer.architecture, self.recipe)
    }

    /// Stage of the predictions, on one thread and on all.
    fn contestants(&self) -> Vec<Contestant> {
        Contestant::all(&[self.stage()], self.infer.compute.threads)
    }

    fn batches(&self) -> Vec<Predictions<'_>> {
        let of = |contestant: Contestant| {
            BATCHES.map(|batch| {
                let name = batch_name(batch, contestant.threads);
                Predictions::new(&self.trained, contestant, batch, name)
            })
        };
        self.contestants().into_iter().flat_map(of).collect()
    }

    fn widths(&self) -> Vec<Predictions<'_>> {
        let widths = self.of_widths.iter().zip(WIDTHS);
        let predictions = widths.map(|(benchmark, hidden)| {
            let stage = Stage::fastest_exact(benchmark.architecture, self.recipe);
            let threads = stage.threads(self.infer.compute.threads);
            let name = width_name(hidden, threads);
            Predictions::new(benchmark, Contestant { stage, threads }, WIDTH_BATCH, name)
        });
        predictions.collect()
    }

    /// Reason why bf16 is not measured, if it is not.
    fn without_bf16(&self) -> Option<String> {
        let Infer { architecture, compute, .. } = *self.infer;
        bf16().unmet(architecture, self.recipe, compute.isa)
    }

    /// Stage of each format, on all threads.
    fn formats_of_all_threads(&self) -> Vec<Contestant> {
        let bf16 = self.without_bf16().is_none().then(bf16);
        let threads = self.infer.compute.threads;
        let contestant =
            |stage: &'static Stage| Contestant { stage, threads: stage.threads(threads) };
        [self.stage()].into_iter().chain(bf16).map(contestant).collect()
    }

    fn formats(&self) -> Vec<Predictions<'_>> {
        let of = |contestant: Contestant| {
            let name = format_name(contestant.stage.precision.name(), contestant.threads);
            Predictions::new(&self.trained, contestant, PRECISION_BATCH, name)
        };
        self.formats_of_all_threads().into_iter().map(of).collect()
    }

    /// Predictions of all tables.
    fn all(&self) -> impl Iterator<Item = Predictions<'_>> {
        [self.batches(), self.widths(), self.formats()].into_iter().flatten()
    }
}

impl Suite for InferSuite<'_> {
    fn protocol(&self) -> Protocol {
        self.infer.effort.protocol(self.infer.rounds)
    }

    fn check(&self) -> Result<()> {
        self.all().try_for_each(|predictions| predictions.compare())
    }

    fn rows(&self) -> Vec<Row<'_>> {
        self.all()
            .map(|one| Row { name: one.name.clone(), case: Box::new(one) as Box<dyn Case> })
            .collect()
    }
}

fn bf16() -> &'static Stage {
    Stage::find("bf16").expect("a stage of the table")
}

/// Name of the row of batches of `batch` images.
pub(super) fn batch_name(batch: usize, threads: usize) -> String {
    format!("batch {batch}, {}", counted(threads, "thread"))
}

/// Name of the row of the network with `hidden` units.
pub(super) fn width_name(hidden: usize, threads: usize) -> String {
    format!("hidden {hidden}, {}", counted(threads, "thread"))
}

/// Name of the row of the format `precision`.
pub(super) fn format_name(precision: &str, threads: usize) -> String {
    format!("{precision}, {}", counted(threads, "thread"))
}

/// Compares and times `cases`, which are rows of one table.
///
/// # Errors
/// When a logit is not naive's.
pub(super) fn rows(
    mut cases: Vec<Predictions<'_>>,
    effort: Effort,
    rounds: usize,
    observer: &mut dyn Observer,
) -> Result<Vec<InferRow>> {
    observer.part("comparing predictions with naive's");
    let agreed = cases.iter().try_for_each(Predictions::compare);
    observer.finished();
    agreed?;
    let names: Vec<_> = cases.iter().map(|case| case.name.clone()).collect();
    observer.timing(cases.len(), rounds);
    let turn = |index: usize, round| observer.turn(&names[index], round);
    let timings = effort.protocol(rounds).time(&mut cases, turn, || Ok(()));
    observer.finished();
    Ok(cases.iter().zip(timings?).map(|(case, timing)| case.row(&timing)).collect())
}

/// Predictions of a batch, which are timed.
pub(super) struct Predictions<'a> {
    benchmark: &'a Benchmark<'a>,
    contestant: Contestant,
    /// Number of images of a batch.
    batch_size: usize,
    /// Name of the row.
    name: String,
    /// Indices of all images.
    indices: Vec<u32>,
    /// Engine of the turn.
    engine: Option<Box<dyn Engine>>,
    /// Time of each single call in milliseconds.
    single_call_ms: Vec<f64>,
}

impl<'a> Predictions<'a> {
    /// Predictions by `contestant` of batches of `batch_size` images, as the row called `name`.
    pub fn new(
        benchmark: &'a Benchmark<'a>,
        contestant: Contestant,
        batch_size: usize,
        name: String,
    ) -> Self {
        let indices = (0..benchmark.images.len() as u32).collect();
        let single_call_ms = Vec::new();
        Self { benchmark, contestant, batch_size, name, indices, engine: None, single_call_ms }
    }

    /// Compares the logits of the first batch with naive's.
    ///
    /// # Errors
    /// When they differ.
    fn compare(&self) -> Result<()> {
        let batch = Batch::new(self.benchmark.images, &self.indices[..self.batch_size]);
        let mut naive = self.benchmark.engine(Contestant { stage: &STAGES[0], threads: 1 })?;
        let mut engine = self.benchmark.engine(self.contestant)?;
        let (expected, found) = (naive.predict(&batch), engine.predict(&batch));
        let largest = expected.iter().fold(0.0_f32, |most, logit| most.max(logit.abs()));
        let tolerance = match self.contestant.stage.precision {
            Precision::F32 => TOLERANCE,
            Precision::Bf16 => BF16_TOLERANCE,
        };
        let agree =
            |(found, expected): (&f32, &f32)| (found - expected).abs() <= tolerance * largest;
        match found.iter().zip(expected).position(|pair| !agree(pair)) {
            None => Ok(()),
            Some(at) => Err(Error::Unavailable(format!(
                "{}: logit {at} is {} instead of {}; predictions that are wrong are not timed: \
                 correct stage {}",
                self.name, found[at], expected[at], self.contestant.stage.name,
            ))),
        }
    }

    fn row(&self, timing: &Timing) -> InferRow {
        let timed = Timed::from(timing);
        let ms = timed.call_ms.median;
        let percentile = |share| percentile(&self.single_call_ms, share);
        InferRow {
            threads: self.contestant.threads,
            batch_size: self.batch_size,
            images_per_second: 1e3 * self.batch_size as f64 / ms,
            ms_per_image: ms / self.batch_size as f64,
            latency: Latency {
                calls: self.single_call_ms.len(),
                p50_ms: percentile(0.5),
                p95_ms: percentile(0.95),
                p99_ms: percentile(0.99),
            },
            timed,
        }
    }

    /// Predicts `calls` batches, and calls `done` after each.
    fn predict(&mut self, calls: usize, mut done: impl FnMut(&mut Vec<f64>)) {
        let engine = self.engine.as_deref_mut().expect("the turn has begun");
        let batches = self.indices.chunks_exact(self.batch_size).cycle();
        for indices in batches.take(calls) {
            black_box(engine.predict(&Batch::new(self.benchmark.images, indices)));
            done(&mut self.single_call_ms);
        }
    }
}

impl Case for Predictions<'_> {
    fn begin(&mut self) -> Result<()> {
        self.engine = Some(self.benchmark.engine(self.contestant)?);
        Ok(())
    }

    fn call(&mut self, calls: usize) {
        self.predict(calls, |_| ());
    }

    fn after(&mut self, calls: usize) {
        let mut began = Instant::now();
        self.predict(calls, |single_call_ms| {
            single_call_ms.push(1e3 * began.elapsed().as_secs_f64());
            began = Instant::now();
        });
    }

    fn end(&mut self) {
        self.engine = None;
    }
}
