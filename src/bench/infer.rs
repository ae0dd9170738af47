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
use super::timing::{Case, Timing};
use crate::data::batches::Batch;
use crate::data::dataset::Dataset;
use crate::engine::Engine;
use crate::engine::compute::{Compute, Precision};
use crate::error::{Error, Result};
use crate::measure::contention::Contention;
use crate::measure::machine::Environment;
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
        let Self { architecture, dataset, compute, effort, rounds, environment } = self;
        let recipe = Recipe::default();
        let images = &dataset.train;
        let stage = Stage::fastest_exact(architecture, &recipe);
        let epochs = usize::from(effort == Effort::Whole);
        observer.part("training the network");
        let benchmark = Benchmark::new(architecture, &recipe, images, compute.isa)
            .at_epoch(epochs, compute.threads);
        observer.finished();
        let benchmark = benchmark?;
        let contention = Contention::start();
        let contestants = Contestant::all(&[stage], compute.threads);

        let of_batches = contestants.iter().flat_map(|&contestant| {
            BATCHES.map(|batch| Predictions::new(&benchmark, contestant, batch))
        });
        let rows = self::rows(of_batches.collect(), effort, rounds, observer)?;

        let widths = WIDTHS.map(|hidden| MnistCnn { hidden, ..MnistCnn::default() }.architecture());
        let of_widths =
            widths.each_ref().map(|width| Benchmark::new(width, &recipe, images, compute.isa));
        let widest = *contestants.last().expect("there is one contestant");
        let fastest = |width: &Architecture| Stage::fastest_exact(width, &recipe);
        let of_widths = of_widths.iter().map(|benchmark| {
            let contestant = Contestant { stage: fastest(benchmark.architecture), ..widest };
            Predictions::new(benchmark, contestant, WIDTH_BATCH)
        });
        let of_widths = self::rows(of_widths.collect(), effort, rounds, observer)?;

        let bf16 = Stage::find("bf16").expect("a stage of the table");
        let without_bf16 = bf16.unmet(architecture, &recipe, compute.isa);
        let mut formats = vec![stage];
        formats.extend(without_bf16.is_none().then_some(bf16));
        let formats: Vec<_> =
            formats.into_iter().map(|stage| Contestant { stage, ..widest }).collect();
        let of_formats =
            formats.iter().map(|&one| Predictions::new(&benchmark, one, PRECISION_BATCH));
        let of_formats = self::rows(of_formats.collect(), effort, rounds, observer)?;
        let test = dataset.test.as_ref().expect("test images");
        let mut precisions = Vec::new();
        for (contestant, row) in formats.iter().zip(of_formats) {
            observer.part(&format!("testing in {}", contestant.stage.precision.name()));
            let engine = benchmark.engine(*contestant);
            let evaluation =
                engine.map(|mut engine| Evaluation::of(engine.as_mut(), test, &|| false));
            observer.finished();
            precisions.push(PrecisionRow {
                precision: contestant.stage.precision.name(),
                stage: contestant.stage.name,
                test_correct: evaluation?.expect("nothing stops it").correct,
                row,
            });
        }
        Ok(BenchInfer {
            circumstances: Circumstances {
                schema: SCHEMA_VERSION,
                version: env!("CARGO_PKG_VERSION"),
                environment,
                rounds,
                quick: effort == Effort::Quick,
                share_of_others: contention.share_of_others(),
            },
            dataset: dataset.kind().name().into(),
            dataset_description: dataset.kind().to_string(),
            architecture: architecture.to_string(),
            parameters: architecture.parameter_count(),
            stage: stage.name,
            isa: compute.isa,
            epochs,
            test_images: test.len(),
            rows,
            widths: widths
                .iter()
                .zip(WIDTHS)
                .zip(of_widths)
                .map(|((width, hidden), row)| WidthRow {
                    hidden,
                    parameters: width.parameter_count(),
                    row,
                })
                .collect(),
            precisions,
            without_bf16,
        })
    }
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
    let names: Vec<_> = cases.iter().map(Predictions::name).collect();
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
    /// Indices of all images.
    indices: Vec<u32>,
    /// Engine of the turn.
    engine: Option<Box<dyn Engine>>,
    /// Time of each single call in milliseconds.
    single_call_ms: Vec<f64>,
}

impl<'a> Predictions<'a> {
    pub fn new(benchmark: &'a Benchmark<'a>, contestant: Contestant, batch_size: usize) -> Self {
        let indices = (0..benchmark.images.len() as u32).collect();
        let single_call_ms = Vec::new();
        Self { benchmark, contestant, batch_size, indices, engine: None, single_call_ms }
    }

    fn name(&self) -> String {
        let parameters = counted(self.benchmark.architecture.parameter_count(), "parameter");
        format!("{parameters}, batch {}, {}", self.batch_size, self.contestant)
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
                self.name(),
                found[at],
                expected[at],
                self.contestant.stage.name,
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
