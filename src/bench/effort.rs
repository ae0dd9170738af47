//! How long the rows of a measurement are timed.

use std::time::Duration;

use super::timing::Protocol;

/// How long small pieces of work are measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effort {
    /// Rounds that decide small differences.
    Whole,
    /// Rounds of milliseconds, which show that everything runs.
    Quick,
}

impl Effort {
    /// Number of rounds if none is chosen.
    pub fn rounds(self) -> usize {
        match self {
            Self::Whole => 10,
            Self::Quick => 3,
        }
    }

    /// Protocol with this number of `rounds`.
    pub fn protocol(self, rounds: usize) -> Protocol {
        let [round, warm_up] = match self {
            Self::Whole => [20, 3],
            Self::Quick => [2, 1],
        }
        .map(Duration::from_millis);
        Protocol { rounds, round, warm_up }
    }

    /// Longest duration of a call of a slow reference that is repeated.
    pub fn budget(self) -> Duration {
        Duration::from_millis(match self {
            Self::Whole => 1000,
            Self::Quick => 10,
        })
    }
}
