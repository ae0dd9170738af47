//! Tests of the sampler: known work must have its known share of the samples, on any number of
//! threads, and the sampler must not disturb the work that it interrupts.
//!
//! The tests check shares of samples, never times.

#![cfg(feature = "profile")]

use std::hint::black_box;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use mnist_train::data::batches::{Batch, epoch_order};
use mnist_train::engine::phases::Phase;
use mnist_train::model::mnist_cnn::MnistCnn;
use mnist_train::model::parameters::TrainState;
use mnist_train::model::recipe::Recipe;
use mnist_train::optim::adam::Adam;
use mnist_train::profile::capped_run::CappedRun;
use mnist_train::profile::part::Part;
use mnist_train::profile::sampler::Sampler;
use mnist_train::profile::stacks::Stack;
use mnist_train::stages::STAGES;

mod common;

/// Lock that lets one test run at a time, because a process has one sampler, which samples the
/// threads of all tests.
static ALONE: Mutex<()> = Mutex::new(());

const THREADS: [usize; 3] = [1, 2, 8];

#[inline(never)]
fn spin(steps: u64) -> u64 {
    arithmetic(steps)
}

#[inline(never)]
fn seventy(steps: u64) -> u64 {
    arithmetic(steps) ^ 70
}

#[inline(never)]
fn thirty(steps: u64) -> u64 {
    arithmetic(steps) ^ 30
}

/// A chain of operations, each of which needs the result of the one before.
#[inline(always)]
fn arithmetic(steps: u64) -> u64 {
    (0..steps).fold(1, |x, _| black_box(x.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1)))
}

/// Calls `work` until `done` is set.
#[inline(never)]
fn at_work(done: &AtomicBool, work: &(impl Fn() + Sync)) {
    while !done.load(Ordering::Relaxed) {
        work();
    }
}

/// At least `wanted` samples of the stacks of `threads` threads, each of which calls `work`
/// repeatedly.
fn sampled(threads: usize, wanted: usize, work: impl Fn() + Sync) -> Vec<Stack> {
    let _alone = alone();
    let sampler = Sampler::start().unwrap();
    let done = AtomicBool::new(false);
    let mut stacks = Vec::new();
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| at_work(&done, &work));
        }
        // The limit of two minutes suffices on a busy machine. Looking up names takes longer than
        // sampling.
        for _ in 0..120 {
            thread::sleep(Duration::from_secs(1));
            stacks = sampler.stacks().unwrap();
            stacks.retain(|stack| passes(stack, "at_work"));
            if samples(&stacks) >= wanted {
                break;
            }
        }
        done.store(true, Ordering::Relaxed);
    });
    assert!(samples(&stacks) >= wanted, "{} samples", samples(&stacks));
    stacks
}

fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn samples<'a>(stacks: impl IntoIterator<Item = &'a Stack>) -> usize {
    stacks.into_iter().map(|stack| stack.samples).sum()
}

fn passes(stack: &Stack, function: &str) -> bool {
    stack.functions.iter().any(|name| name.contains(function))
}

/// Number of samples whose innermost function is called `name`.
fn on_top(stacks: &[Stack], name: &str) -> usize {
    let is_it = |stack: &&Stack| stack.functions.last().is_some_and(|last| last.contains(name));
    samples(stacks.iter().filter(is_it))
}

#[test]
fn a_function_that_spins_is_on_top_of_nine_stacks_in_ten() {
    for threads in THREADS {
        let work = || _ = spin(black_box(100_000));
        let stacks = sampled(threads, 300, work);
        let (all, top) = (samples(&stacks), on_top(&stacks, "spin"));
        println!("{threads} threads: {top} of {all} samples on top");
        assert!(10 * top >= 9 * all, "{threads} threads: {top} of {all}: {stacks:?}");
    }
}

#[test]
fn two_functions_have_the_shares_of_their_work() {
    for threads in THREADS {
        let work = || _ = seventy(black_box(70_000)) ^ thirty(black_box(30_000));
        let stacks = sampled(threads, 1500, work);
        check_seventy(threads, on_top(&stacks, "seventy"), on_top(&stacks, "thirty"));
    }
}

#[track_caller]
fn check_seventy(threads: usize, more: usize, less: usize) {
    let share = more as f64 / (more + less) as f64;
    println!("{threads} threads: {:.1} % of {} samples", 100.0 * share, more + less);
    assert!((0.65..=0.75).contains(&share), "{threads} threads: {more} to {less}");
}

#[test]
fn phases_have_about_the_shares_that_the_clock_gives_them() {
    let _alone = alone();
    let architecture = MnistCnn::default().architecture();
    let recipe = Recipe::default();
    let images = common::noise_split(1, 128);
    let order = epoch_order(images.len(), recipe.seed, 0);
    for name in ["gemm", "parallel"] {
        let stage = STAGES.iter().find(|stage| stage.name == name).unwrap();
        let built = || stage.build(&architecture, &recipe, common::compute(2));
        let run = CappedRun::new(&architecture, &recipe, &images);
        let sampled = run.sample(built, Duration::from_secs(20)).unwrap().stacks;
        let mut engine = built().unwrap();
        engine.measure_phases(true);
        let began = Instant::now();
        while began.elapsed() < Duration::from_secs(1) {
            engine.step(&Batch::new(&images, &order), recipe.lr);
        }
        let clock = engine.take_phases();
        let share = |part: Part| sampled.of_part(part) as f64 / sampled.samples() as f64;
        let at_work = 1.0 - share(Part::Waiting);
        assert!(share(Part::Other) < 0.05, "{name}: {sampled:?}");
        for phase in Phase::ALL {
            let sampled = share(Part::Phase(phase)) / at_work;
            let timed = clock.of(phase).time.as_secs_f64() / clock.total().time.as_secs_f64();
            assert!((sampled - timed).abs() < 0.1, "{name}, {phase:?}: {sampled} and {timed}");
        }
    }
}

/// Samples of phases on threads that came to them through `function`.
fn of_phases_through(stacks: &[Stack], function: &str) -> usize {
    let is_phase = |stack: &&Stack| passes(stack, "::phases::frames::");
    samples(stacks.iter().filter(|stack| passes(stack, function)).filter(is_phase))
}

#[test]
fn phases_are_found_on_every_kind_of_thread() {
    let _alone = alone();
    let architecture = MnistCnn::default().architecture();
    let recipe = Recipe::default();
    let images = common::noise_split(1, 64);
    let order = epoch_order(images.len(), recipe.seed, 0);
    // The thread that trains, those of a team and those of a pool.
    let kinds = [
        ("im2col", "Engine>::step"),
        ("parallel", "Engine>::step"),
        ("parallel", "team::Shared::serve"),
        ("gemm", "rayon_core::job::StackJob"),
    ];
    for (name, through) in kinds {
        let stage = STAGES.iter().find(|stage| stage.name == name).unwrap();
        let sampler = Sampler::start().unwrap();
        let mut engine = stage.build(&architecture, &recipe, common::compute(2)).unwrap();
        let mut stacks = Vec::new();
        for _ in 0..60 {
            let began = Instant::now();
            while began.elapsed() < Duration::from_millis(500) {
                engine.step(&Batch::new(&images, &order), recipe.lr);
            }
            stacks = sampler.stacks().unwrap();
            if of_phases_through(&stacks, through) >= 20 {
                break;
            }
        }
        assert!(of_phases_through(&stacks, through) >= 20, "{name}, {through}: {stacks:#?}");
    }
}

#[test]
fn every_stage_computes_the_same_bits_while_it_is_sampled() {
    let _alone = alone();
    let architecture = MnistCnn::default().architecture();
    let recipe = Recipe::default();
    let images = common::noise_split(1, 24);
    let order = epoch_order(images.len(), recipe.seed, 0);
    let parameters = recipe.init.parameters(&architecture, recipe.seed);
    let initial = TrainState::new(parameters, &Adam::SLOTS);
    for stage in
        STAGES.iter().filter(|stage| !stage.isas(&architecture, &Recipe::default()).is_empty())
    {
        let compute = common::compute(2);
        let mut engine = stage.build(&architecture, &recipe, compute).unwrap();
        engine.load(&initial);
        engine.step(&Batch::new(&images, &order), recipe.lr);
        let undisturbed = engine.store().parameters.sha256();
        for _ in 0..20 {
            let sampler = Sampler::start().unwrap();
            // A fast stage finishes many steps before a signal interrupts one.
            let is_interrupted = (0..1000).any(|_| {
                let began = Instant::now();
                while began.elapsed() < Duration::from_millis(50) {
                    engine.load(&initial);
                    engine.step(&Batch::new(&images, &order), recipe.lr);
                }
                let stacks = sampler.stacks().unwrap();
                stacks.iter().any(|stack| passes(stack, "Engine>::step"))
            });
            assert!(is_interrupted, "{stage:?}");
            assert_eq!(engine.store().parameters.sha256(), undisturbed, "{stage:?}");
        }
    }
}
