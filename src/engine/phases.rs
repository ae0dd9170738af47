//! Where the time of a training step goes, and the arithmetic that it pays for.

use std::ops::AddAssign;
use std::time::{Duration, Instant};

use serde::Serialize;

/// A part of a training step. Relu and max pooling belong to the layer before them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Pixels into the form that the kernels read.
    Data,
    /// Convolution, relu, max pooling.
    ConvForward,
    /// The linear layers and the relu between them.
    LinearForward,
    /// Softmax cross-entropy and its gradient.
    Loss,
    /// dX of the linear layers, and their dW where it is a result of its own.
    LinearBackward,
    /// The gradients of convolution, pooling and relu.
    ConvBackward,
    /// dW of a linear layer and Adam on it, in one pass.
    LinearUpdate,
    /// L2 and Adam, where they are a pass of their own.
    Optimizer,
}

impl Phase {
    /// All of them, in the order of a step.
    pub const ALL: [Self; 8] = [
        Self::Data,
        Self::ConvForward,
        Self::LinearForward,
        Self::Loss,
        Self::LinearBackward,
        Self::ConvBackward,
        Self::LinearUpdate,
        Self::Optimizer,
    ];

    /// What a table calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Data => "data",
            Self::ConvForward => "conv forward",
            Self::LinearForward => "linear forward",
            Self::Loss => "loss",
            Self::LinearBackward => "linear backward",
            Self::ConvBackward => "conv backward",
            Self::LinearUpdate => "linear dW + Adam",
            Self::Optimizer => "Adam",
        }
    }
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

/// A stopwatch with a lap for every phase; it costs next to nothing while it is off.
#[derive(Debug, Clone, Default)]
pub struct PhaseClock {
    lap_began: Option<Instant>,
    phases: Phases,
}

impl PhaseClock {
    /// Begins a lap if `on`, else does nothing until the next start.
    pub fn start(&mut self, on: bool) {
        self.lap_began = on.then(Instant::now);
    }

    /// Ends a lap that was spent in `phase` on `flops` operations; the next lap begins.
    #[inline]
    pub fn lap(&mut self, phase: Phase, flops: usize) {
        if let Some(began) = self.lap_began {
            let now = Instant::now();
            self.phases.0[phase as usize] += PhaseCost { time: now - began, flops: flops as u64 };
            self.lap_began = Some(now);
        }
    }

    /// What was measured since the last call.
    pub fn take(&mut self) -> Phases {
        std::mem::take(&mut self.phases)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn laps_are_counted_only_while_the_clock_is_on() {
        let mut clock = PhaseClock::default();
        clock.lap(Phase::Loss, 5);
        assert_eq!(clock.take(), Phases::default());
        clock.start(true);
        clock.lap(Phase::Loss, 5);
        clock.lap(Phase::Data, 1);
        clock.lap(Phase::Loss, 7);
        let phases = clock.take();
        assert_eq!((phases.of(Phase::Loss).flops, phases.total().flops), (12, 13));
        clock.start(false);
        clock.lap(Phase::Loss, 5);
        assert_eq!(clock.take(), Phases::default());
    }

    #[test]
    fn every_phase_has_a_place_of_its_own() {
        for (index, phase) in Phase::ALL.into_iter().enumerate() {
            assert_eq!(phase as usize, index);
        }
    }
}
