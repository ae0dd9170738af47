//! The one place that times work: stages against stages, and primitives against primitives.
//!
//! - A round times every case once. Every other round goes backwards, so that a machine that becomes
//!   slower or faster favours no case.
//! - Every case gets new memory and new threads in each round, so that none keeps a lucky place in
//!   memory, and no thread of another case occupies a core. It makes a few untimed calls first, in
//!   which caches, branch predictors and clock rates settle.
//! - A round consists of as many calls as take a given time, because a clock cannot time one call
//!   that takes a microsecond. The number is chosen before the first round.
//!
//! Cases are compared by the ratios of their times in the same rounds:
//! [`Speedup`](crate::measure::statistics::Speedup).

use std::time::{Duration, Instant};

use crate::error::Result;
use crate::measure::allocations;
use crate::measure::statistics::Spread;
use crate::report::measured::Timed;

/// Work that is timed. A turn is `begin`, some untimed `call`s, `rewind`, the timed `call`, `after`
/// and `end`.
pub trait Case {
    /// Gets ready for a turn, with memory and threads of its own.
    ///
    /// # Errors
    /// When the operating system refuses to start threads.
    fn begin(&mut self) -> Result<()>;

    /// Makes the first `calls` calls, of which there is an endless sequence.
    fn call(&mut self, calls: usize);

    /// Largest number of calls of a round.
    fn most_calls(&self) -> usize {
        usize::MAX
    }

    /// Goes back to the state before the untimed calls, if calls change a state.
    fn rewind(&mut self) {}

    /// Measures something else than the time, in `calls` further calls; none if there is nothing
    /// else.
    fn after(&mut self, _calls: usize) {}

    /// Gives back the memory and the threads of the turn.
    fn end(&mut self);
}

/// How long and how often cases are timed.
#[derive(Debug, Clone, Copy)]
pub struct Protocol {
    /// Number of rounds.
    pub rounds: usize,
    /// Smallest duration of a case's timed calls in a round, unless there are no more calls.
    pub round: Duration,
    /// Duration of the untimed calls before them, at least one call.
    pub warm_up: Duration,
}

/// Measured times of a case.
#[derive(Debug, Clone)]
pub struct Timing {
    /// Number of timed calls of a round.
    pub calls: usize,
    /// Time of the calls of each round.
    pub rounds: Vec<Duration>,
    /// Memory that the timed calls of all rounds allocated, if the program counts it.
    pub allocated: Option<Allocated>,
}

/// Memory that calls allocated, whether they gave it back or not.
#[derive(Debug, Clone, Copy, Default)]
pub struct Allocated {
    /// Number of allocations.
    pub count: u64,
    /// Bytes of the allocations.
    pub bytes: u64,
}

impl Timing {
    /// Mean time of a call in each round, in milliseconds.
    pub fn call_ms(&self) -> Vec<f64> {
        self.rounds.iter().map(|round| 1e3 * round.as_secs_f64() / self.calls as f64).collect()
    }

    /// Number of timed calls of all rounds.
    pub fn all_calls(&self) -> usize {
        self.calls * self.rounds.len()
    }

    /// Mean number of allocations in a call, if the program counts them.
    pub fn allocations_per_call(&self) -> Option<f64> {
        self.allocated.map(|sum| sum.count as f64 / self.all_calls() as f64)
    }

    /// Mean number of bytes that a call allocated, if the program counts them.
    pub fn allocated_bytes_per_call(&self) -> Option<f64> {
        self.allocated.map(|sum| sum.bytes as f64 / self.all_calls() as f64)
    }
}

impl From<&Timing> for Timed {
    fn from(timing: &Timing) -> Self {
        let round_call_ms = timing.call_ms();
        Self {
            round_calls: timing.calls,
            call_ms: Spread::of(&round_call_ms),
            round_call_ms,
            allocations_per_call: timing.allocations_per_call(),
            allocated_bytes_per_call: timing.allocated_bytes_per_call(),
        }
    }
}

impl Protocol {
    /// Times `cases` against each other. Calls `turn` with the index of a case before its turn in a
    /// round, which counts from 1, and before it is prepared, in round 0; and `between` after each
    /// round.
    ///
    /// # Errors
    /// When a case cannot begin, or `between` fails.
    pub fn time<C: Case>(
        &self,
        cases: &mut [C],
        mut turn: impl FnMut(usize, usize),
        mut between: impl FnMut() -> Result<()>,
    ) -> Result<Vec<Timing>> {
        let prepare = |(index, case)| {
            turn(index, 0);
            self.prepare(case)
        };
        let mut timings: Vec<_> =
            cases.iter_mut().enumerate().map(prepare).collect::<Result<_>>()?;
        for round in 1..=self.rounds {
            let mut turns: Vec<_> = cases.iter_mut().zip(&mut timings).enumerate().collect();
            if round % 2 == 0 {
                turns.reverse();
            }
            for (index, (case, timing)) in turns {
                turn(index, round);
                self.round(case, timing)?;
            }
            between()?;
        }
        Ok(timings)
    }

    fn prepare(&self, case: &mut impl Case) -> Result<Timing> {
        let calls = self.calls(case)?;
        let allocated = allocations::usage().map(|_| Allocated::default());
        Ok(Timing { calls, rounds: Vec::new(), allocated })
    }

    /// Number of calls in the rounds of `case`: as many as take the time of a round.
    ///
    /// # Errors
    /// When the case cannot begin.
    pub fn calls(&self, case: &mut (impl Case + ?Sized)) -> Result<usize> {
        self.begin(case)?;
        let most = case.most_calls();
        let mut calls = 1;
        let calls = loop {
            let duration = time(case, calls);
            if duration >= self.round / 4 || calls == most {
                let wanted = self.round.as_secs_f64() / duration.as_secs_f64() * calls as f64;
                break (wanted.ceil() as usize).clamp(1, most);
            }
            calls = (2 * calls).min(most);
        };
        case.end();
        Ok(calls)
    }

    /// Time of `calls` calls of `case`, in a turn that measures nothing else.
    ///
    /// # Errors
    /// When the case cannot begin.
    pub fn turn(&self, case: &mut (impl Case + ?Sized), calls: usize) -> Result<Duration> {
        self.begin(case)?;
        case.rewind();
        let duration = time(case, calls);
        case.end();
        Ok(duration)
    }

    /// Times `case` in one round.
    fn round(&self, case: &mut impl Case, timing: &mut Timing) -> Result<()> {
        self.begin(case)?;
        case.rewind();
        let before = allocations::usage();
        let duration = time(case, timing.calls);
        let after = allocations::usage();
        timing.rounds.push(duration);
        if let (Some(sum), Some(before), Some(after)) = (&mut timing.allocated, before, after) {
            // The second question makes one allocation, of one byte.
            sum.count += after.allocations - before.allocations - 1;
            sum.bytes += after.allocated_bytes - before.allocated_bytes - 1;
        }
        case.after(timing.calls);
        case.end();
        Ok(())
    }

    /// Begins a turn of `case` with the untimed calls.
    fn begin(&self, case: &mut (impl Case + ?Sized)) -> Result<()> {
        case.begin()?;
        let began = Instant::now();
        while began.elapsed() < self.warm_up {
            case.call(1);
        }
        Ok(())
    }
}

/// Time of `calls` calls of `case`.
fn time(case: &mut (impl Case + ?Sized), calls: usize) -> Duration {
    let began = Instant::now();
    case.call(calls);
    began.elapsed()
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::thread;

    use super::*;

    /// Case that sleeps, and writes down what it is asked for.
    struct Sleeper<'a> {
        name: char,
        most_calls: usize,
        said: &'a RefCell<Vec<String>>,
    }

    impl Sleeper<'_> {
        fn say(&self, what: &str) {
            self.said.borrow_mut().push(format!("{}{what}", self.name));
        }
    }

    impl Case for Sleeper<'_> {
        fn begin(&mut self) -> Result<()> {
            self.say("begin");
            Ok(())
        }

        fn call(&mut self, calls: usize) {
            self.say(&format!("call{calls}"));
            thread::sleep(Duration::from_millis(calls as u64));
        }

        fn most_calls(&self) -> usize {
            self.most_calls
        }

        fn rewind(&mut self) {
            self.say("rewind");
        }

        fn after(&mut self, calls: usize) {
            self.say(&format!("after{calls}"));
        }

        fn end(&mut self) {
            self.say("end");
        }
    }

    #[test]
    fn cases_take_turns_and_every_other_round_goes_backwards() {
        let said = RefCell::default();
        let mut cases = ['a', 'b'].map(|name| Sleeper { name, most_calls: 1, said: &said });
        let protocol = Protocol { rounds: 3, round: Duration::ZERO, warm_up: Duration::ZERO };
        let mut turns = Vec::new();
        let turn = |index, round| turns.push((index, round));
        let between = || {
            said.borrow_mut().push("-".into());
            Ok(())
        };
        let timings = protocol.time(&mut cases, turn, between);
        assert_eq!(turns, [(0, 0), (1, 0), (0, 1), (1, 1), (1, 2), (0, 2), (0, 3), (1, 3)]);
        let round = |name| {
            ["begin", "rewind", "call1", "after1", "end"].map(|what| format!("{name}{what}"))
        };
        let said = said.into_inner();
        assert_eq!(said[..6], ["abegin", "acall1", "aend", "bbegin", "bcall1", "bend"]);
        let backwards = [&round('b')[..], &round('a'), &["-".into()]].concat();
        assert_eq!(said[17..28], backwards);
        for timing in timings.unwrap() {
            assert_eq!((timing.calls, timing.rounds.len()), (1, 3));
            assert!(timing.call_ms().iter().all(|&ms| ms >= 1.0), "{timing:?}");
        }
    }

    #[test]
    fn a_round_has_the_calls_that_fill_its_time_but_not_more_than_there_are() {
        let said = RefCell::default();
        let protocol = Protocol {
            rounds: 1,
            round: Duration::from_millis(40),
            warm_up: Duration::from_millis(3),
        };
        let mut cases =
            [usize::MAX, 5].map(|most_calls| Sleeper { name: 'a', most_calls, said: &said });
        let timings = protocol.time(&mut cases, |_, _| (), || Ok(())).unwrap();
        // A sleep takes at least its time, so there are at most as many calls as milliseconds.
        assert!((1..=40).contains(&timings[0].calls), "{timings:?}");
        assert!(timings[1].calls <= 5, "{timings:?}");
        assert_eq!(said.borrow()[..2], ["abegin", "acall1"]);
    }
}
