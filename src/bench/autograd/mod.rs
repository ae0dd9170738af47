//! The measurement of the tape: computations with their gradients, after a check of the gradients.
//!
//! 1. **Check.** In f64, the derivative along a random direction, by the gradients, must be the central
//!    difference along it; and the gradients in f32 must be those in f64. A computation that fails is
//!    an error, and nothing is timed. Computations in parts must have the gradients of the whole batch.
//! 2. **Rounds** are those of [`timing`](super::timing), with the recording of a computation alone
//!    against the recording and the gradients. Tapes and inputs are in f32.

pub(super) mod programs;

use std::hint::black_box;

use self::programs::Program;
use super::effort::Effort;
use super::observer::Observer;
use super::suite::{Row, Suite};
use super::timing::{Case, Protocol, Timing};
use crate::autograd::Tape;
use crate::error::{Error, Result};
use crate::measure::contention::Contention;
use crate::measure::machine::Environment;
use crate::measure::roofline::Roofline;
use crate::measure::statistics::Speedup;
use crate::random::Stream;
use crate::report::SCHEMA_VERSION;
use crate::report::autograd::{AutogradRow, BenchAutograd, BookkeepingRow};
use crate::report::measured::{Circumstances, Timed};

/// Length of the steps of the central difference.
const STEP: f64 = 1e-6;
/// Largest error of a derivative along a direction, relative to the sum of the sizes of its terms.
const TOLERANCE: f64 = 1e-5;
/// Largest difference of a gradient in f32 from the gradient in f64, relative to its largest element:
/// an element may be what is left of ten thousand terms that were added one after another.
const ROUNDING: f64 = 1e-3;
/// The same for a gradient in f64 that was computed in parts.
const ROUNDING_OF_PARTS: f64 = 1e-12;
/// Number of elements of the tensors of which the tape's own work is measured.
const ELEMENTS: usize = 1_000;

/// Name of the row about a tensor of 1,000 x 1,000 elements.
pub(super) const NEW_TENSOR: &str = "a tape with a leaf of 1000x1000";

/// Measurement of the tape, before it begins.
pub struct Autograd {
    /// Computations to measure.
    programs: Vec<Program>,
    /// Duration of the measurement.
    pub effort: Effort,
    /// Number of rounds; each round times both passes of a computation once.
    pub rounds: usize,
    /// Machine and time of the measurement.
    pub environment: Environment,
}

impl Autograd {
    /// Measurement of the computations whose names contain `filter`.
    ///
    /// # Errors
    /// [`Error::Usage`] when there are none.
    pub fn new(
        filter: &str,
        effort: Effort,
        rounds: usize,
        environment: Environment,
    ) -> Result<Self> {
        let programs: Vec<_> =
            programs::all().into_iter().filter(|program| program.name.contains(filter)).collect();
        if programs.is_empty() {
            let problem = "--filter: no computation has such a name: leave the flag out to see all";
            return Err(Error::Usage(problem.into()));
        }
        Ok(Self { programs, effort, rounds, environment })
    }

    /// Measurement of the computations with these `names`, and of the tape itself.
    pub(super) fn named(
        names: &[&str],
        effort: Effort,
        rounds: usize,
        environment: Environment,
    ) -> Self {
        let programs = programs::all().into_iter();
        let programs = programs.filter(|program| names.contains(&&*program.name)).collect();
        Self { programs, effort, rounds, environment }
    }

    /// Checks the gradients of each computation, and measures its time.
    ///
    /// # Errors
    /// When a gradient is wrong, or the operating system refuses to start a thread.
    pub fn measure(self, observer: &mut dyn Observer) -> Result<BenchAutograd> {
        let suite = AutogradSuite::new(&self);
        observer.part("checking the gradients of all computations");
        let checked = suite.check();
        observer.finished();
        checked?;
        observer.part("measuring the limits of the machine");
        let roofline = Roofline::measure(&[1]);
        observer.finished();
        let roofline = roofline?;
        let contention = Contention::start();
        let mut work = suite.work();
        let names: Vec<_> = work.iter().map(Work::name).collect();
        observer.timing(work.len(), self.rounds);
        let turn = |index: usize, round| observer.turn(&names[index], round);
        let timings = suite.protocol().time(&mut work, turn, || Ok(()));
        observer.finished();
        let timings = timings?;
        let (of_programs, of_bookkeeping) = timings.split_at(2 * self.programs.len());
        let rows = self.programs.iter().zip(of_programs.as_chunks().0);
        let bookkeeping = Bookkeeping::ALL.iter().zip(of_bookkeeping);
        Ok(BenchAutograd {
            circumstances: Circumstances {
                schema: SCHEMA_VERSION,
                version: env!("CARGO_PKG_VERSION"),
                environment: self.environment.clone(),
                rounds: self.rounds,
                quick: self.effort == Effort::Quick,
                share_of_others: contention.share_of_others(),
            },
            rows: rows.map(|(program, timings)| row(program, timings)).collect(),
            bookkeeping: bookkeeping
                .map(|(work, timing)| BookkeepingRow { name: work.name(), timed: timing.into() })
                .collect(),
            roofline,
        })
    }
}

/// Suite with two rows for each computation, without gradients and with them, and a row for each work
/// of the tape itself.
pub struct AutogradSuite<'a> {
    autograd: &'a Autograd,
    /// Inputs of each computation.
    inputs: Vec<Vec<Vec<f32>>>,
}

impl<'a> AutogradSuite<'a> {
    /// Suite of the rows that `autograd` would measure.
    pub fn new(autograd: &'a Autograd) -> Self {
        Self { autograd, inputs: autograd.programs.iter().map(Program::draw).collect() }
    }

    fn work(&self) -> Vec<Work<'_>> {
        let programs = self.autograd.programs.iter().zip(&self.inputs);
        let programs = programs.flat_map(|(program, inputs)| {
            [false, true].map(|backward| Work::Program { program, inputs, backward })
        });
        programs.chain(Bookkeeping::ALL.map(Work::Bookkeeping)).collect()
    }
}

impl Suite for AutogradSuite<'_> {
    fn protocol(&self) -> Protocol {
        self.autograd.effort.protocol(self.autograd.rounds)
    }

    fn check(&self) -> Result<()> {
        self.autograd.programs.iter().try_for_each(check)
    }

    fn rows(&self) -> Vec<Row<'_>> {
        let work = self.work().into_iter();
        work.map(|work| Row { name: work.name(), case: Box::new(work) as Box<dyn Case> }).collect()
    }
}

/// Row of `program` in the report, from the times of its two passes.
fn row(program: &Program, timings: &[Timing; 2]) -> AutogradRow {
    let [forward, forward_backward] = timings.each_ref().map(Timed::from);
    AutogradRow {
        name: program.name.clone(),
        group: program.group.name(),
        elements: program.elements(),
        over_forward: Speedup::of(&forward.round_call_ms, &forward_backward.round_call_ms),
        forward,
        forward_backward,
    }
}

/// Checks the gradients of `program`.
///
/// # Errors
/// When they are wrong.
fn check(program: &Program) -> Result<()> {
    let inputs = program.draw::<f64>();
    let exact = program.whole().gradients(&inputs).of_inputs;
    let wrong = |what: String| {
        Error::Unavailable(format!(
            "{}: {what}; a computation with wrong gradients is not timed: correct it",
            program.name
        ))
    };

    let mut stream = Stream::new(1, "direction", 0);
    // Every element moves in proportion to its size, so that few sums cross a kink of relu.
    let mut along = |x: f64| if stream.below(2) == 0 { x } else { -x };
    let direction: Vec<Vec<f64>> =
        inputs.iter().map(|input| input.iter().map(|&x| along(x)).collect()).collect();
    let moved = |step: f64| {
        let pairs = inputs.iter().zip(&direction);
        let moved: Vec<Vec<f64>> = pairs
            .map(|(x, direction)| x.iter().zip(direction).map(|(x, d)| x + step * d).collect())
            .collect();
        program.loss(&moved)
    };
    let central = (moved(STEP) - moved(-STEP)) / (2.0 * STEP);
    let terms = exact.iter().flatten().zip(direction.iter().flatten()).map(|(g, d)| g * d);
    let (sum, size) = terms.fold((0.0, 0.0), |(sum, size), term| (sum + term, size + term.abs()));
    let error = (sum - central).abs();
    if error.is_nan() || error > TOLERANCE * size {
        let found =
            format!("the derivative along a direction is {central:e}, the tape says {sum:e}");
        return Err(wrong(found));
    }

    let in_f32 = program.gradients(&program.draw::<f32>()).of_inputs;
    let in_f32 = in_f32.iter().map(|gradient| gradient.iter().map(|&g| g.into()).collect());
    let in_parts = program.gradients(&inputs).of_inputs;
    for (name, found, tolerance) in [
        ("in f32", in_f32.collect::<Vec<Vec<f64>>>(), ROUNDING),
        ("in parts", in_parts, ROUNDING_OF_PARTS),
    ] {
        for (index, (found, exact)) in found.iter().zip(&exact).enumerate() {
            if found.len() != exact.len() {
                continue; // The tape of a part has the images of this part alone.
            }
            let largest = exact.iter().fold(0.0_f64, |most, value| most.max(value.abs()));
            let agree = |(found, exact): (&f64, &f64)| (found - exact).abs() <= tolerance * largest;
            if let Some(at) = found.iter().zip(exact).position(|pair| !agree(pair)) {
                return Err(wrong(format!(
                    "element {at} of the gradient of input {index} is {:e} {name} instead of {:e}",
                    found[at], exact[at]
                )));
            }
        }
    }
    Ok(())
}

/// Name of the row of the computation called `program`, with its gradients or `backward` not.
pub(super) fn row_name(program: &str, backward: bool) -> String {
    format!("{program}, {}", if backward { "forward and backward" } else { "forward" })
}

/// Work that is timed.
enum Work<'a> {
    /// Computation on a new tape, with its gradients or `backward` not.
    Program {
        program: &'a Program,
        inputs: &'a [Vec<f32>],
        backward: bool,
    },
    Bookkeeping(Bookkeeping),
}

impl Work<'_> {
    fn name(&self) -> String {
        match self {
            Self::Program { program, backward, .. } => row_name(&program.name, *backward),
            Self::Bookkeeping(work) => work.name().into(),
        }
    }
}

impl Case for Work<'_> {
    fn begin(&mut self) -> Result<()> {
        Ok(())
    }

    fn call(&mut self, calls: usize) {
        match *self {
            Self::Program { program, inputs, backward: false } => {
                for _ in 0..calls {
                    black_box(program.loss(black_box(inputs)));
                }
            }
            Self::Program { program, inputs, .. } => {
                for _ in 0..calls {
                    black_box(program.gradients(black_box(inputs)));
                }
            }
            Self::Bookkeeping(work) => work.call(calls),
        }
    }

    fn end(&mut self) {}
}

/// Work of the tape without a computation.
#[derive(Debug, Clone, Copy)]
enum Bookkeeping {
    NewTape,
    Leaf,
    LargeLeaf,
    NewSum,
    AddToSum,
}

impl Bookkeeping {
    const ALL: [Self; 5] =
        [Self::NewTape, Self::Leaf, Self::LargeLeaf, Self::NewSum, Self::AddToSum];

    fn name(self) -> &'static str {
        match self {
            Self::NewTape => "a tape",
            Self::Leaf => "a tape with a leaf of 1,000 elements",
            Self::LargeLeaf => NEW_TENSOR,
            Self::NewSum => "a sum of gradients, 1,000 elements",
            Self::AddToSum => "a gradient added to the sum",
        }
    }

    fn call(self, calls: usize) {
        let (values, mut sum) = (vec![1.0_f32; ELEMENTS], vec![0.0_f32; ELEMENTS]);
        for _ in 0..calls {
            match self {
                Self::NewTape => drop(black_box(Tape::<f32>::new())),
                Self::Leaf => {
                    let mut tape = Tape::new();
                    tape.leaf(&[ELEMENTS], black_box(&values).clone());
                    drop(black_box(tape));
                }
                Self::LargeLeaf => {
                    let mut tape = Tape::new();
                    tape.leaf(&[ELEMENTS, ELEMENTS], vec![1.0_f32; ELEMENTS * ELEMENTS]);
                    drop(black_box(tape));
                }
                Self::NewSum => drop(black_box(vec![0.0_f32; ELEMENTS])),
                Self::AddToSum => {
                    let pairs = black_box(&mut sum).iter_mut().zip(black_box(&values));
                    pairs.for_each(|(sum, &value)| *sum += value);
                }
            }
        }
    }
}
