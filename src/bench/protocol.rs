//! The protocol by which stages are timed against each other, on the same images and in the same
//! minutes.
//!
//! 1. **Agreement** comes first: the time of a stage with wrong results is worthless.
//!    Ten steps from the same weights must have naive's losses, up to rounding.
//! 2. **Rounds** are those of [`timing`](super::timing). Every stage gets a new engine in each round;
//!    after the untimed steps, every engine begins with the same weights and the same image.
//! 3. **The epoch** whose steps are timed can be chosen, because training makes zeros, and stages
//!    leave products with zeros out. The epochs before it are trained first, untimed, by the fastest
//!    exact stage.
//! 4. **Phases** are measured in the same rounds, after the timed steps and on as many further
//!    steps, because their clock costs time.
//!
//! Only [`Engine::step`] is timed.

use std::hint::black_box;
use std::time::{Duration, Instant};

use super::contestant::Contestant;
use super::observer::Observer;
use super::suite::{Row, Suite};
use super::timing::{Case, Protocol, Timing};
use crate::data::batches::{Batch, batches, epoch_order};
use crate::data::dataset::Split;
use crate::engine::Engine;
use crate::engine::compute::Compute;
use crate::engine::phases::Phases;
use crate::error::Result;
use crate::measure::roofline::Roofline;
use crate::model::architecture::Architecture;
use crate::model::parameters::TrainState;
use crate::model::recipe::Recipe;
use crate::optim::Optimizer;
use crate::optim::schedule::Schedule;
use crate::simd::Isa;
use crate::stages::Stage;

/// Smallest duration of a contestant's round, unless an epoch is shorter.
const ROUND: Duration = Duration::from_millis(250);
/// Duration of the untimed steps before a round.
const WARM_UP: Duration = Duration::from_millis(20);

/// Measured costs of one contestant.
#[derive(Debug, Clone)]
pub struct Measurement {
    /// Times of the steps, which are the calls.
    pub timing: Timing,
    /// Costs of the phases on all threads, in as many further steps as the rounds have.
    pub phases: Phases,
    /// Time of the further steps in which phases were measured.
    pub phases_duration: Duration,
}

/// Settings of a measurement that are the same for all contestants.
pub struct Benchmark<'a> {
    pub(super) architecture: &'a Architecture,
    pub(super) recipe: &'a Recipe,
    pub(super) images: &'a Split,
    isa: Isa,
    /// State before the measured epoch.
    pub(super) initial: TrainState,
    /// Order of the images in the measured epoch.
    order: Vec<u32>,
    /// Learning rate of the measured epoch.
    pub(super) lr: f64,
}

impl<'a> Benchmark<'a> {
    /// Settings for the first epoch of training on `images`. Stages that can choose their vector
    /// instructions use `isa`.
    ///
    /// # Panics
    /// When there are fewer images than a batch has.
    pub fn new(
        architecture: &'a Architecture,
        recipe: &'a Recipe,
        images: &'a Split,
        isa: Isa,
    ) -> Self {
        assert!(recipe.batch_size <= images.len());
        let parameters = recipe.init.parameters(architecture, recipe.seed);
        let initial = TrainState::new(parameters, Optimizer::from(recipe).slots());
        let order = epoch_order(images.len(), recipe.seed, 0);
        Self { architecture, recipe, images, isa, initial, order, lr: recipe.lr }
    }

    /// Trains on `threads` threads until `epoch` begins, and measures that epoch.
    ///
    /// # Errors
    /// When the operating system refuses to start threads.
    pub fn at_epoch(mut self, epoch: usize, threads: usize) -> Result<Self> {
        let stage = Stage::fastest_exact(self.architecture, self.recipe);
        let mut engine = self.engine(Contestant { stage, threads })?;
        let schedule = Schedule::from(self.recipe);
        let in_epoch = self.images.len().div_ceil(self.recipe.batch_size);
        for epoch in 0..epoch {
            self.order = epoch_order(self.images.len(), self.recipe.seed, epoch);
            let batches = batches(self.images, &self.order, self.recipe.batch_size);
            for (index, batch) in batches.enumerate() {
                engine.step(&batch, schedule.lr(epoch, index, in_epoch));
            }
        }
        self.initial = engine.store();
        self.order = epoch_order(self.images.len(), self.recipe.seed, epoch);
        self.lr = schedule.lr(epoch, 0, in_epoch);
        Ok(self)
    }

    /// Times each of `contestants` in `repeats` rounds, and measures the limits of the machine before
    /// and between the rounds.
    ///
    /// # Errors
    /// When the operating system refuses to start threads.
    pub fn measure(
        &self,
        contestants: &[Contestant],
        repeats: usize,
        observer: &mut dyn Observer,
    ) -> Result<(Vec<Measurement>, Roofline)> {
        let mut thread_counts: Vec<_> = contestants.iter().map(|one| one.threads).collect();
        thread_counts.sort_unstable();
        thread_counts.dedup();
        observer.part("measuring the limits of the machine");
        let roofline = Roofline::measure(&thread_counts);
        observer.finished();
        let mut roofline = roofline?;

        let steps = |&contestant: &Contestant| Steps::new(self, contestant);
        let mut cases: Vec<_> = contestants.iter().map(steps).collect();
        let protocol = Protocol { rounds: repeats, round: ROUND, warm_up: WARM_UP };
        observer.timing(contestants.len(), repeats);
        let timings = protocol.time(
            &mut cases,
            |index, round| observer.turn(&contestants[index].to_string(), round),
            || {
                roofline.keep_best(&Roofline::measure(&thread_counts)?);
                Ok(())
            },
        );
        observer.finished();
        let measurement = |(case, timing): (Steps<'_>, _)| Measurement {
            timing,
            phases: case.phases,
            phases_duration: case.phases_duration,
        };
        Ok((cases.into_iter().zip(timings?).map(measurement).collect(), roofline))
    }

    pub(super) fn engine(
        &self,
        Contestant { stage, threads }: Contestant,
    ) -> Result<Box<dyn Engine>> {
        let compute = Compute { threads, isa: self.isa };
        let mut engine = stage.build(self.architecture, self.recipe, compute)?;
        engine.load(&self.initial);
        Ok(engine)
    }

    /// Whole batches of an epoch, repeated without end.
    pub(super) fn batches(&self) -> impl Iterator<Item = Batch<'_>> {
        let images = self.images;
        let chunks = self.order.chunks_exact(self.recipe.batch_size).cycle();
        let followers = chunks.clone().skip(1);
        chunks
            .zip(followers)
            .map(move |(indices, next)| Batch::new(images, indices).followed_by(next))
    }
}

/// Suite with a row for each contestant.
pub struct StageSuite<'a> {
    /// Settings of the measurement.
    pub benchmark: Benchmark<'a>,
    /// Stages, with their numbers of threads.
    pub contestants: &'a [Contestant],
    /// Fewest rounds.
    pub rounds: usize,
}

impl Suite for StageSuite<'_> {
    fn protocol(&self) -> Protocol {
        Protocol { rounds: self.rounds, round: ROUND, warm_up: WARM_UP }
    }

    fn check(&self) -> Result<()> {
        self.benchmark.agreement(self.contestants).map(|_| ())
    }

    fn rows(&self) -> Vec<Row<'_>> {
        let row = |&contestant: &Contestant| Row {
            name: contestant.to_string(),
            case: Box::new(Steps::new(&self.benchmark, contestant)),
        };
        self.contestants.iter().map(row).collect()
    }
}

/// Steps of a contestant, which are timed.
struct Steps<'a> {
    benchmark: &'a Benchmark<'a>,
    contestant: Contestant,
    /// Engine of the turn.
    engine: Option<Box<dyn Engine>>,
    phases: Phases,
    phases_duration: Duration,
}

impl<'a> Steps<'a> {
    fn new(benchmark: &'a Benchmark<'a>, contestant: Contestant) -> Self {
        let (phases, phases_duration) = Default::default();
        Self { benchmark, contestant, engine: None, phases, phases_duration }
    }

    fn engine(&mut self) -> &mut dyn Engine {
        self.engine.as_deref_mut().expect("the turn has begun")
    }
}

impl Case for Steps<'_> {
    fn begin(&mut self) -> Result<()> {
        self.engine = Some(self.benchmark.engine(self.contestant)?);
        Ok(())
    }

    /// Makes the first `calls` steps of an epoch that repeats without end.
    fn call(&mut self, calls: usize) {
        let benchmark = self.benchmark;
        let engine = self.engine();
        for batch in benchmark.batches().take(calls) {
            black_box(engine.step(&batch, benchmark.lr));
        }
    }

    fn most_calls(&self) -> usize {
        self.benchmark.images.len() / self.benchmark.recipe.batch_size
    }

    fn rewind(&mut self) {
        let initial = &self.benchmark.initial;
        self.engine().load(initial);
    }

    /// Measures the phases on the same steps, because the work that a stage can skip depends on the
    /// weights.
    fn after(&mut self, calls: usize) {
        self.rewind();
        self.engine().measure_phases(true);
        let began = Instant::now();
        self.call(calls);
        self.phases_duration += began.elapsed();
        let phases = self.engine().take_phases();
        self.phases += phases;
    }

    fn end(&mut self) {
        self.engine = None;
    }
}
