//! Where the time of a training step goes, and the arithmetic that it pays for.

use std::cell::Cell;
use std::ops::AddAssign;
use std::time::{Duration, Instant};

use serde::Serialize;

/// Makes, from one table, the phases of a step and for each a function that work of that phase is
/// called through.
macro_rules! phases {
    ($($(#[$doc:meta])* $phase:ident, $frame:ident, $name:literal;)+) => {
        /// A part of a training step. Relu and max pooling belong to the layer before them.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
        #[serde(rename_all = "snake_case")]
        pub enum Phase {
            $($(#[$doc])* $phase,)+
        }

        impl Phase {
            /// All phases, in the order of a step.
            pub const ALL: [Self; [$(Self::$phase),+].len()] = [$(Self::$phase),+];

            /// Name of the phase in tables.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$phase => $name,)+
                }
            }

            /// Calls `work` through a function that only this phase has, so that a profile can tell
            /// the phase by the call stack, whichever thread the work is done on.
            #[inline(always)]
            pub fn run<R>(self, work: impl FnOnce() -> R) -> R {
                match self {
                    $(Self::$phase => frames::$frame(work),)+
                }
            }

            /// Phase of the work that this thread is doing, if it is doing any.
            pub fn current() -> Option<Self> {
                CURRENT.get()
            }

            /// Does `work` that another thread has handed over while it was in `phase`.
            pub fn go_on<R>(phase: Option<Self>, work: impl FnOnce() -> R) -> R {
                match phase {
                    Some(phase) => phase.run(work),
                    None => work(),
                }
            }

            /// Phase that has the function `path` to call its work through, if one has.
            pub fn of_frame(path: &str) -> Option<Self> {
                match path.strip_prefix(concat!(module_path!(), "::frames::"))? {
                    $(stringify!($frame) => Some(Self::$phase),)+
                    _ => None,
                }
            }
        }

        thread_local! {
            static CURRENT: Cell<Option<Phase>> = const { Cell::new(None) };
        }

        /// The functions that are found in call stacks. No two of them do the same, and the call is
        /// not the last thing that they do: the compiler would make one of the two functions, or a
        /// jump of the call.
        mod frames {
            use super::{CURRENT, Phase};

            $(#[inline(never)]
            pub fn $frame<R>(work: impl FnOnce() -> R) -> R {
                let before = CURRENT.replace(Some(Phase::$phase));
                let result = work();
                CURRENT.set(before);
                result
            })+
        }
    };
}

phases! {
    /// Pixels into the form that the kernels read.
    Data, data, "data";
    /// Convolution, relu, max pooling.
    ConvForward, conv_forward, "conv forward";
    /// The linear layers and the relu between them.
    LinearForward, linear_forward, "linear forward";
    /// Softmax cross-entropy and its gradient.
    Loss, loss, "loss";
    /// dX of the linear layers, and their dW where it is a result of its own.
    LinearBackward, linear_backward, "linear backward";
    /// The gradients of convolution, pooling and relu.
    ConvBackward, conv_backward, "conv backward";
    /// dW of a linear layer and Adam on it, in one pass.
    LinearUpdate, linear_update, "linear dW + Adam";
    /// L2 and Adam, where they are a pass of their own.
    Optimizer, optimizer, "Adam";
}

/// What one phase took.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PhaseCost {
    /// Summed over threads: two threads that work for a second take two.
    pub time: Duration,
    /// Floating-point operations of the products that were executed (a multiply-add is two).
    pub flops: u64,
}

impl AddAssign for PhaseCost {
    fn add_assign(&mut self, other: Self) {
        self.time += other.time;
        self.flops += other.flops;
    }
}

/// The cost of each phase of some training steps.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Phases([PhaseCost; Phase::ALL.len()]);

impl Phases {
    /// The cost of `phase`.
    pub fn of(&self, phase: Phase) -> PhaseCost {
        self.0[phase as usize]
    }

    /// All phases together.
    pub fn total(&self) -> PhaseCost {
        let mut total = PhaseCost::default();
        self.0.iter().for_each(|&cost| total += cost);
        total
    }
}

impl AddAssign for Phases {
    fn add_assign(&mut self, other: Self) {
        self.0.iter_mut().zip(other.0).for_each(|(sum, cost)| *sum += cost);
    }
}

/// A clock that times the phases of one step on one thread; it costs next to nothing while it is
/// off.
#[derive(Debug)]
pub struct PhaseClock {
    is_on: bool,
    phases: Phases,
}

impl PhaseClock {
    /// A clock that has measured nothing yet, and never will unless it `is_on`.
    pub fn new(is_on: bool) -> Self {
        Self { is_on, phases: Phases::default() }
    }

    /// Whether the clock measures.
    pub fn is_on(&self) -> bool {
        self.is_on
    }

    /// Does `work` of `phase`, which is `flops` operations, and counts its time if the clock is on.
    #[inline(always)]
    pub fn run<R>(&mut self, phase: Phase, flops: usize, work: impl FnOnce() -> R) -> R {
        let began = self.is_on.then(Instant::now);
        let result = phase.run(work);
        if let Some(began) = began {
            let time = began.elapsed();
            self.phases.0[phase as usize] += PhaseCost { time, flops: flops as u64 };
        }
        result
    }

    /// Cost of all the work so far.
    pub fn phases(self) -> Phases {
        self.phases
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_is_counted_only_while_the_clock_is_on() {
        for (is_on, of_loss, of_all) in [(true, 12, 13), (false, 0, 0)] {
            let mut clock = PhaseClock::new(is_on);
            assert_eq!(clock.run(Phase::Loss, 5, || "done"), "done");
            clock.run(Phase::Data, 1, || ());
            clock.run(Phase::Loss, 7, || ());
            let phases = clock.phases();
            assert_eq!((phases.of(Phase::Loss).flops, phases.total().flops), (of_loss, of_all));
        }
    }

    #[test]
    fn every_phase_has_a_place_and_a_frame_of_its_own() {
        for (index, phase) in Phase::ALL.into_iter().enumerate() {
            assert_eq!(phase as usize, index);
            assert_eq!(phase.run(|| (index, Phase::current())), (index, Some(phase)));
            assert_eq!(Phase::current(), None);
            assert_eq!(Phase::go_on(Some(phase), Phase::current), Some(phase));
        }
        assert_eq!(
            Phase::of_frame("mnist_train::engine::phases::frames::linear_update"),
            Some(Phase::LinearUpdate)
        );
        assert_eq!(Phase::of_frame("mnist_train::engine::phases::frames::linear"), None);
        assert_eq!(Phase::of_frame("linear_update"), None);
    }
}
