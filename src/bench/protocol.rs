//! The protocol by which stages are timed against each other, on the same images and in the same
//! minutes.
//!
//! 1. **Agreement** comes first: the time of a stage with wrong results is worthless.
//!    Ten steps from the same weights must have naive's losses, up to rounding.
//! 2. **Rounds.** A round times every contestant once; every other round goes backwards, so that a
//!    machine that becomes slower or faster favours no stage. Every contestant gets a new engine in
//!    each round, so that no engine keeps a lucky place in memory, and no thread of another engine
//!    occupies a core. The engine takes a few untimed steps; then every engine begins with the same
//!    weights and the same image.
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
use crate::data::batches::{Batch, batches, epoch_order};
use crate::data::dataset::Split;
use crate::engine::Engine;
use crate::engine::compute::Compute;
use crate::engine::phases::Phases;
use crate::error::Result;
use crate::measure::allocations;
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
/// Duration of the untimed steps before a round, in which caches, branch predictors and clock rates
/// settle.
const WARM_UP: Duration = Duration::from_millis(20);

/// Measured costs of one contestant.
#[derive(Debug, Clone)]
pub struct Measurement {
    /// Number of steps of a round.
    pub round_steps: usize,
    /// Time of the steps of each round.
    pub rounds: Vec<Duration>,
    /// Number of allocations in the steps of all rounds, if the program counts them.
    pub allocations: Option<u64>,
    /// Costs of the phases on all threads, in as many further steps as the rounds have.
    pub phases: Phases,
    /// Time of the further steps in which phases were measured.
    pub phases_duration: Duration,
}

/// Settings of a measurement that are the same for all contestants.
pub struct Benchmark<'a> {
    pub(super) architecture: &'a Architecture,
    pub(super) recipe: &'a Recipe,
    images: &'a Split,
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

    /// Times each of `contestants` in `repeats` rounds, and measures the limits of the machine
    /// between the rounds. Calls `turn` before a contestant is timed in a round, which counts from 1,
    /// and before it is prepared, in round 0.
    ///
    /// # Errors
    /// When the operating system refuses to start threads.
    pub fn measure(
        &self,
        contestants: &[Contestant],
        repeats: usize,
        mut turn: impl FnMut(Contestant, usize),
    ) -> Result<(Vec<Measurement>, Roofline)> {
        let mut thread_counts: Vec<_> = contestants.iter().map(|one| one.threads).collect();
        thread_counts.sort_unstable();
        thread_counts.dedup();
        let mut roofline = Roofline::measure(&thread_counts)?;

        let prepare = |&contestant: &Contestant| {
            turn(contestant, 0);
            self.prepare(contestant)
        };
        let mut measurements: Vec<_> = contestants.iter().map(prepare).collect::<Result<_>>()?;
        for round in 1..=repeats {
            let mut turns: Vec<_> = contestants.iter().zip(&mut measurements).collect();
            if round % 2 == 0 {
                turns.reverse();
            }
            for (&contestant, measurement) in turns {
                turn(contestant, round);
                self.round(contestant, measurement)?;
            }
            roofline.keep_best(&Roofline::measure(&thread_counts)?);
        }
        Ok((measurements, roofline))
    }

    /// Chooses the number of steps in the rounds of `contestant`.
    fn prepare(&self, contestant: Contestant) -> Result<Measurement> {
        let epoch_steps = self.images.len() / self.recipe.batch_size;
        let mut engine = self.warm_engine(contestant)?;
        let mut steps = 1;
        let round_steps = loop {
            let duration = self.time(engine.as_mut(), steps);
            if duration >= ROUND / 4 || steps == epoch_steps {
                let wanted = ROUND.as_secs_f64() / duration.as_secs_f64() * steps as f64;
                break (wanted.ceil() as usize).clamp(1, epoch_steps);
            }
            steps = (2 * steps).min(epoch_steps);
        };
        Ok(Measurement {
            round_steps,
            rounds: Vec::new(),
            allocations: allocations::count().map(|_| 0),
            phases: Phases::default(),
            phases_duration: Duration::ZERO,
        })
    }

    fn round(&self, contestant: Contestant, measurement: &mut Measurement) -> Result<()> {
        let mut engine = self.warm_engine(contestant)?;
        engine.load(&self.initial);
        let before = allocations::count();
        let duration = self.time(engine.as_mut(), measurement.round_steps);
        let after = allocations::count();
        measurement.rounds.push(duration);
        if let (Some(sum), Some(before), Some(after)) =
            (&mut measurement.allocations, before, after)
        {
            // Reading the second count makes one allocation.
            *sum += after - before - 1;
        }
        // The phases are measured on the same steps, because the work that a stage can skip depends
        // on the weights.
        engine.load(&self.initial);
        engine.measure_phases(true);
        measurement.phases_duration += self.time(engine.as_mut(), measurement.round_steps);
        measurement.phases += engine.take_phases();
        Ok(())
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

    fn warm_engine(&self, contestant: Contestant) -> Result<Box<dyn Engine>> {
        let mut engine = self.engine(contestant)?;
        let began = Instant::now();
        while began.elapsed() < WARM_UP {
            self.time(engine.as_mut(), 1);
        }
        Ok(engine)
    }

    /// Time of the first `steps` steps of an epoch that repeats without end.
    fn time(&self, engine: &mut dyn Engine, steps: usize) -> Duration {
        let batches = self.batches().take(steps);
        let began = Instant::now();
        for batch in batches {
            black_box(engine.step(&batch, self.lr));
        }
        began.elapsed()
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
