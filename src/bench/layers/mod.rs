//! The measurement of single layers: the passes of each layer by sets of primitives, against each
//! other.
//!
//! A layer is measured in three steps:
//!
//! 1. **Agreement.** Every contestant computes both passes once. Results that are not naive's results
//!    are an error, and no time is reported.
//! 2. **Budget.** A call of naive that takes longer than the budget is not repeated. The report says
//!    how long this one call took.
//! 3. **Rounds** are those of [`timing`](super::timing), with all contestants and both passes of one
//!    layer. Only the pass is timed, and not the forward pass that a backward pass needs.

pub mod cases;
mod problem;

use std::hint::black_box;
use std::time::{Duration, Instant};

use self::cases::LayerCase;
use self::problem::{Passes, Problem};
use super::contestant::{self, Contestant};
use super::effort::Effort;
use super::observer::Observer;
use super::suite::{Row, Suite};
use super::timing::{Case, Protocol, Timing};
use crate::engine::compute::Compute;
use crate::error::{Error, Result};
use crate::measure::contention::Contention;
use crate::measure::machine::Environment;
use crate::measure::roofline::Roofline;
use crate::measure::statistics::Speedup;
use crate::nn::layer::Work;
use crate::nn::primitives::Primitives;
use crate::nn::tensor::TensorSpec;
use crate::report::SCHEMA_VERSION;
use crate::report::layers::{BenchLayer, BenchLayers, Direction, LayerRow, OneCall, SourceMs};
use crate::report::measured;
use crate::simd::Isa;
use crate::stages::{EngineKind, STAGES, Stage};

/// Names of the stages whose primitives are measured.
const MEASURED: [&str; 2] = ["naive", "tiled"];
/// What the times in the table of layers come from.
const SOURCE: &str = "EasyRobot's report of its layers; its machine is unknown";
/// Contestant whose results are the right ones.
pub(super) const REFERENCE: Contestant = Contestant { stage: &STAGES[0], threads: 1 };

/// Number of elements of an operation that every set of primitives shares over all its threads.
const SHARED_ELEMENTS: usize = 1 << 16;

/// Sets of primitives that are measured: of naive on one thread, of tiled on one and on `threads`.
pub fn contestants(threads: usize) -> Vec<Contestant> {
    let stages = MEASURED.map(|name| Stage::find(name).expect("a stage of the table"));
    Contestant::all(&stages, threads)
}

/// Measurement of layers, before it begins.
pub struct Layers<'a> {
    /// Layers to measure.
    pub cases: &'a [&'static LayerCase],
    /// Sets of primitives to measure, by their stages, with their numbers of threads.
    pub contestants: &'a [Contestant],
    /// Vector instructions of the stages that can choose them.
    pub isa: Isa,
    /// Duration of the measurement.
    pub effort: Effort,
    /// Number of rounds; each round times every pass of a layer once with each contestant.
    pub rounds: usize,
    /// Machine and time of the measurement.
    pub environment: Environment,
}

impl Layers<'_> {
    /// Compares the results of each layer with naive's, and measures its time.
    ///
    /// # Errors
    /// When a result is not naive's, or the operating system refuses to start threads.
    pub fn measure(self, observer: &mut dyn Observer) -> Result<BenchLayers> {
        let mut thread_counts: Vec<_> = self.contestants.iter().map(|one| one.threads).collect();
        thread_counts.sort_unstable();
        thread_counts.dedup();
        let limits = |observer: &mut dyn Observer| {
            observer.part("measuring the limits of the machine");
            let roofline = Roofline::measure(&thread_counts);
            observer.finished();
            roofline
        };
        let contention = Contention::start();
        let mut roofline = limits(observer)?;
        let measure = |(index, case): (usize, &&'static LayerCase)| {
            let place = format!("{} of {}", index + 1, self.cases.len());
            self.layer(Problem::new(case), &place, observer)
        };
        let measured = self.cases.iter().enumerate().map(measure).collect::<Result<Vec<_>>>()?;
        roofline.keep_best(&limits(observer)?);
        Ok(BenchLayers {
            schema: SCHEMA_VERSION,
            version: env!("CARGO_PKG_VERSION"),
            share_of_others: contention.share_of_others(),
            environment: self.environment,
            isa: self.isa,
            rounds: self.rounds,
            quick: self.effort == Effort::Quick,
            call_budget_ms: milliseconds(self.effort.budget()),
            source: SOURCE,
            layers: measured.iter().map(|layer| layer.report(&roofline, self.isa)).collect(),
            roofline,
        })
    }

    fn protocol(&self) -> Protocol {
        self.effort.protocol(self.rounds)
    }

    /// Measures one layer, which is the one at `place`.
    fn layer(
        &self,
        problem: Problem,
        place: &str,
        observer: &mut dyn Observer,
    ) -> Result<Measured> {
        observer.part(&format!("comparing {} with naive, layer {place}", problem.case.name));
        let naive_calls = self.compare(&problem);
        observer.finished();
        let budget = self.effort.budget();
        let (mut calls, mut too_long) = (Vec::new(), Vec::new());
        for (direction, duration) in Direction::ALL.into_iter().zip(naive_calls?) {
            for &contestant in self.contestants {
                if contestant.stage.name == REFERENCE.stage.name && duration > budget {
                    too_long.push(OneCall {
                        pass: direction,
                        stage: contestant.stage.name,
                        threads: contestant.threads,
                        call_ms: milliseconds(duration),
                    });
                } else {
                    let (problem, isa) = (&problem, self.isa);
                    calls.push(Calls { problem, direction, contestant, isa, passes: None });
                }
            }
        }
        let protocol = self.protocol();
        let names: Vec<_> = calls.iter().map(Calls::name).collect();
        observer.timing(calls.len(), self.rounds);
        let timings =
            protocol.time(&mut calls, |index, turn| observer.turn(&names[index], turn), || Ok(()));
        observer.finished();
        let timed = |(calls, timing): (&Calls<'_>, _)| Timed {
            direction: calls.direction,
            contestant: calls.contestant,
            timing,
        };
        let timed = calls.iter().zip(timings?).map(timed).collect();
        Ok(Measured { problem, timed, too_long })
    }

    /// Compares the results of every contestant with naive's. Returns the times of a forward and of a
    /// backward call of naive.
    ///
    /// # Errors
    /// When a result is not naive's.
    fn compare(&self, problem: &Problem) -> Result<[Duration; 2]> {
        let mut expected = problem.passes(primitives(REFERENCE, self.isa)?);
        let durations = Direction::ALL.map(|direction| {
            let began = Instant::now();
            expected.compute(direction);
            began.elapsed()
        });
        for &contestant in self.contestants {
            if contestant.stage.name == REFERENCE.stage.name {
                continue;
            }
            let mut found = problem.passes(primitives(contestant, self.isa)?);
            for direction in Direction::ALL {
                found.compute(direction);
                if let Some(difference) = found.difference(&expected, direction) {
                    return Err(Error::Unavailable(format!(
                        "layer {}, {}, stage {} (threads: {}) computes something else than naive: \
                         {difference}; a layer that is wrong is not timed: leave it out, or correct it",
                        problem.case.name,
                        direction.name(),
                        contestant.stage.name,
                        contestant.threads,
                    )));
                }
            }
        }
        Ok(durations)
    }
}

/// Suite with a row for each pass of each layer by each contestant but naive, which is slow and the
/// reference.
pub struct LayerSuite<'a> {
    layers: &'a Layers<'a>,
    problems: Vec<Problem>,
}

impl<'a> LayerSuite<'a> {
    /// Suite of the rows that `layers` would measure.
    pub fn new(layers: &'a Layers<'a>) -> Self {
        let problems = layers.cases.iter().map(|case| Problem::new(case)).collect();
        Self { layers, problems }
    }
}

impl Suite for LayerSuite<'_> {
    fn protocol(&self) -> Protocol {
        self.layers.protocol()
    }

    fn check(&self) -> Result<()> {
        self.problems.iter().try_for_each(|problem| self.layers.compare(problem).map(|_| ()))
    }

    fn rows(&self) -> Vec<Row<'_>> {
        let mut rows = Vec::new();
        for problem in &self.problems {
            for direction in Direction::ALL {
                for &contestant in self.layers.contestants {
                    if contestant.stage.name != REFERENCE.stage.name {
                        let isa = self.layers.isa;
                        let calls = Calls { problem, direction, contestant, isa, passes: None };
                        rows.push(Row { name: calls.name(), case: Box::new(calls) });
                    }
                }
            }
        }
        rows
    }
}

/// Primitives of `contestant`, whose threads have begun their work.
///
/// # Errors
/// When the operating system refuses to start threads.
fn primitives(Contestant { stage, threads }: Contestant, isa: Isa) -> Result<Box<dyn Primitives>> {
    let mut primitives = match stage.engine {
        EngineKind::Layerwise { primitives, .. } => primitives(Compute { threads, isa })?,
        EngineKind::Fused { .. } => unreachable!("stage {} has no primitives", stage.name),
    };
    // All threads take part in this copy. A thread allocates when it begins, which would count in a
    // layer that is too small for several threads.
    let (zeros, mut copy) = (vec![0.0; SHARED_ELEMENTS], vec![1.0; SHARED_ELEMENTS]);
    primitives.as_mut().map(&zeros, &mut copy, |x| x);
    Ok(primitives)
}

/// Number of milliseconds of `duration`.
fn milliseconds(duration: Duration) -> f64 {
    1e3 * duration.as_secs_f64()
}

/// Calls of one pass of a layer by one contestant.
struct Calls<'a> {
    problem: &'a Problem,
    direction: Direction,
    contestant: Contestant,
    isa: Isa,
    /// Primitives and memory of the turn.
    passes: Option<Passes<'a>>,
}

impl Calls<'_> {
    fn name(&self) -> String {
        let Contestant { stage, threads } = self.contestant;
        row_name(self.problem.case.name, self.direction.name(), stage.name, threads)
    }
}

/// Name of a row, like `relu forward, tiled, 2 threads`.
pub(super) fn row_name(layer: &str, pass: &str, stage: &str, threads: usize) -> String {
    format!("{layer} {pass}, {}", contestant::name(stage, threads))
}

impl Case for Calls<'_> {
    fn begin(&mut self) -> Result<()> {
        let mut passes = self.problem.passes(primitives(self.contestant, self.isa)?);
        if self.direction == Direction::Backward {
            passes.compute(Direction::Forward);
        }
        self.passes = Some(passes);
        Ok(())
    }

    fn call(&mut self, calls: usize) {
        let passes = self.passes.as_mut().expect("the turn has begun");
        for _ in 0..calls {
            black_box(&mut *passes).compute(self.direction);
        }
    }

    fn end(&mut self) {
        self.passes = None;
    }
}

/// Times of one pass of a layer by one contestant.
struct Timed {
    direction: Direction,
    contestant: Contestant,
    timing: Timing,
}

/// Results of the measurement of one layer.
struct Measured {
    problem: Problem,
    timed: Vec<Timed>,
    too_long: Vec<OneCall>,
}

impl Measured {
    /// The layer in the report. Rates are compared with the limits in `roofline`, those of `isa` if a
    /// stage can choose its instructions.
    fn report(&self, roofline: &Roofline, isa: Isa) -> BenchLayer {
        let Problem { case, layer, input, tensors, .. } = &self.problem;
        let output = layer.output(*input).expect("a layer of the table takes its input");
        let [forward, backward] = case.source_ms;
        BenchLayer {
            name: case.name,
            layer: layer.to_string(),
            batch_size: case.batch,
            input: input.sizes().to_vec(),
            output: output.sizes().to_vec(),
            parameters: tensors.iter().map(TensorSpec::len).sum(),
            tolerance: self.problem.tolerance(),
            benchdnn: cases::benchdnn(case.name, layer.as_ref(), *input, case.batch),
            source_ms: forward.map(|forward| SourceMs { forward, backward }),
            rows: self.timed.iter().map(|timed| self.row(timed, roofline, isa)).collect(),
            too_long: self.too_long.clone(),
        }
    }

    fn row(&self, timed: &Timed, roofline: &Roofline, isa: Isa) -> LayerRow {
        let Timed { direction, contestant: Contestant { stage, threads }, ref timing } = *timed;
        let Work { flops, bytes } = self.problem.work(direction);
        let calls = measured::Timed::from(timing);
        // In 10⁹ a second.
        let rate = |count: usize| count as f64 / calls.call_ms.median / 1e6;
        // The instructions of a stage that is not vectorized are those that the compiler chooses.
        let peak_isa = if stage.vectorized { isa } else { Isa::detect() };
        let peak_gflops = roofline.peak_gflops(peak_isa, stage.precision.name(), threads);
        let peak_gflops = peak_gflops.filter(|_| flops > 0);
        let seconds_of_products = peak_gflops.map_or(0.0, |peak| flops as f64 / peak);
        let seconds_of_traffic =
            roofline.stream_gbytes(threads).map_or(0.0, |stream| bytes as f64 / stream);
        LayerRow {
            pass: direction,
            stage: stage.name,
            threads,
            flops_per_call: flops,
            bytes_per_call: bytes,
            gflops: (flops > 0).then(|| rate(flops)),
            peak_isa,
            peak_gflops,
            peak_share: peak_gflops.map(|peak| rate(flops) / peak),
            gbytes_per_second: (seconds_of_traffic > seconds_of_products).then(|| rate(bytes)),
            over_naive: self.speedup(timed, REFERENCE),
            over_one_thread: self.speedup(timed, Contestant { stage, threads: 1 }),
            timed: calls,
        }
    }

    /// Speedup of `timed` over the same pass by `other`; `None` if it is the same contestant or was
    /// not measured.
    fn speedup(&self, timed: &Timed, other: Contestant) -> Option<Speedup> {
        let key = |Contestant { stage, threads }: Contestant| (stage.name, threads);
        let is_it =
            |one: &&Timed| one.direction == timed.direction && key(one.contestant) == key(other);
        let found = self.timed.iter().find(is_it)?;
        let is_other = key(timed.contestant) != key(other);
        is_other.then(|| Speedup::of(&timed.timing.call_ms(), &found.timing.call_ms()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::compute::Precision;
    use crate::nn::primitives::convolution::{self, ConvBackward, Convolution};
    use crate::nn::primitives::pooling::{self, Pooling};
    use crate::nn::primitives::product::{self, Matrix};

    struct Nobody;

    impl Observer for Nobody {
        fn part(&mut self, _: &str) {}
        fn timing(&mut self, _: usize, _: usize) {}
        fn turn(&mut self, name: &str, _: usize) {
            panic!("{name} is timed");
        }
        fn finished(&mut self) {}
    }

    /// Primitives with a mistake in the gradient of the bias of a convolution, in max pooling, and in
    /// products.
    struct Broken;

    impl Primitives for Broken {
        fn convolve_backward(&mut self, conv: &Convolution, io: ConvBackward<'_>) {
            let ConvBackward { x, weight, dy, dw, db, dx } = io;
            convolution::backward(conv, ConvBackward { x, weight, dy, dw, db: &mut *db, dx });
            db[0] += 1.0;
        }

        fn max_pool(&mut self, pool: &Pooling, x: &[f32], y: &mut [f32], argmax: &mut [u8]) {
            pooling::max_forward(pool, x, y, argmax);
            y[3] = -y[3];
        }

        fn add_product(&mut self, a: Matrix<'_>, b: Matrix<'_>, c: &mut [f32]) {
            product::add_product(a, b, c);
            c[0] += 1e-3;
        }
    }

    static BROKEN: Stage = Stage {
        name: "broken",
        idea: "wrong results",
        engine: EngineKind::Layerwise { primitives: |_| Ok(Box::new(Broken)), in_f64: None },
        precision: Precision::F32,
        predecessor: None,
        multithreaded: false,
        vectorized: false,
    };

    #[test]
    fn a_wrong_result_is_an_error_that_names_the_row_and_nothing_is_timed() {
        for (name, words) in [
            ("lenet5-conv1", "layer lenet5-conv1, backward, stage broken (threads: 1) computes"),
            ("maxpool", "layer maxpool, forward, stage broken (threads: 1) computes"),
            ("lstm", "layer lstm, forward, stage broken (threads: 1) computes"),
        ] {
            let layers = Layers {
                cases: &[cases::named(name).unwrap()],
                contestants: &[REFERENCE, Contestant { stage: &BROKEN, threads: 1 }],
                isa: Isa::detect(),
                effort: Effort::Quick,
                rounds: 1,
                environment: Environment::detect(),
            };
            let error = layers.measure(&mut Nobody).unwrap_err();
            assert_eq!(error.exit_code(), 1);
            let error = error.to_string();
            assert!(error.contains(words) && error.contains(" instead of "), "{error}");
        }
    }
}
