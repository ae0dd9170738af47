//! The phases of a training step, and a clock for their time and their arithmetic.

use std::cell::Cell;
use std::ops::AddAssign;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

/// Makes the phases of a step from one table, and a function for each phase through which the work
/// of the phase is called.
macro_rules! phases {
    ($($(#[$doc:meta])* $phase:ident, $frame:ident, $name:literal;)+) => {
        /// Phase of a training step. Relu and max pooling count for the layer before them.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum Phase {
            $($(#[$doc])* $phase,)+
        }

        impl Phase {
            /// Array of all phases, in the order of a step.
            pub const ALL: [Self; [$(Self::$phase),+].len()] = [$(Self::$phase),+];

            /// Name of the phase in tables.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$phase => $name,)+
                }
            }

            /// Calls `work` through a function that only this phase has, so that a profiler finds
            /// the phase in the call stack of whichever thread does the work.
            #[inline(always)]
            pub fn run<R>(self, work: impl FnOnce() -> R) -> R {
                match self {
                    $(Self::$phase => frames::$frame(work),)+
                }
            }

            /// Phase of the work that this thread is doing, if it is doing work of a phase.
            pub fn current() -> Option<Self> {
                CURRENT.get()
            }

            /// Calls `work`, which another thread, working in `phase`, handed to this thread.
            pub fn go_on<R>(phase: Option<Self>, work: impl FnOnce() -> R) -> R {
                match phase {
                    Some(phase) => phase.run(work),
                    None => work(),
                }
            }

            /// Phase whose function for calling work has the path `path`, if there is one.
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

        /// Functions by which a phase is found in a call stack. Each function does something
        /// different, because the compiler would merge equal functions. The call is not the last
        /// operation of a function, because the compiler would turn such a call into a jump.
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
    /// Conversion of pixels into the form that the kernels read.
    Data, data, "data";
    /// Forward pass of convolution, relu and max pooling.
    ConvForward, conv_forward, "conv forward";
    /// Forward pass of the linear layers and the relu between them.
    LinearForward, linear_forward, "linear forward";
    /// Softmax cross-entropy and its gradient. In the fused engine, this phase is all work between
    /// the forward pass and the backward pass of the first linear layer.
    Loss, loss, "loss";
    /// dX of the linear layers, and their dW if it is not fused with Adam.
    LinearBackward, linear_backward, "linear backward";
    /// Backward pass of convolution, relu and max pooling.
    ConvBackward, conv_backward, "conv backward";
    /// dW of a linear layer fused with L2 and Adam, in one pass over the weights.
    LinearUpdate, linear_update, "linear dW + Adam";
    /// L2 and Adam, if they are not fused with dW.
    Optimizer, optimizer, "Adam";
}

/// Cost of one phase.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PhaseCost {
    /// Time, summed over threads: two threads that work for one second cost two seconds.
    pub time: Duration,
    /// Number of floating-point operations in the executed products; a multiply-add counts as two.
    pub flops: u64,
}

impl AddAssign for PhaseCost {
    fn add_assign(&mut self, other: Self) {
        self.time += other.time;
        self.flops += other.flops;
    }
}

/// Cost of each phase, summed over some training steps.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Phases([PhaseCost; Phase::ALL.len()]);

impl Phases {
    /// Cost of `phase` in the measured steps.
    pub fn of(&self, phase: Phase) -> PhaseCost {
        self.0[phase as usize]
    }

    /// Cost of all phases together.
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

/// Clock of the phases of one step on one thread. It costs almost nothing while it is off.
#[derive(Debug)]
pub struct PhaseClock {
    is_on: bool,
    phases: Phases,
}

impl PhaseClock {
    /// Clock that has measured nothing yet. It measures only if it `is_on`.
    pub fn new(is_on: bool) -> Self {
        Self { is_on, phases: Phases::default() }
    }

    /// Whether the clock measures.
    pub fn is_on(&self) -> bool {
        self.is_on
    }

    /// Calls `work`, which belongs to `phase` and executes `flops` floating-point operations.
    /// Counts its time and its operations if the clock is on.
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

    /// Costs of the work that was called so far.
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
