//! The gate: whether this program is as fast as a baseline, row by row.
//!
//! A baseline is
//!
//! - a *program*, another build of this one. Both run in child processes that take turns, and their
//!   times are compared within rounds. This finds small differences;
//! - a *record* of an earlier measurement. It can be compared only with the same machine, and decides
//!   only if the times lie apart, because nobody knows what else ran on the machine at that time.
//!
//! With a program, rows are decided in *looks*. The first look comes after as many rounds as a decision
//! needs. Rows that are not decided get more rounds, and each further look has twice as many as the
//! look before it, until the time for such a row is used up. So does a row that has passed, if it may
//! have improved. The first look may decide wrongly with
//! half of the probability that all looks together may, the second one with a quarter, and so on, so
//! that looking again and again decides no more wrongly than looking once.
//!
//! A round times the baseline in two processes. If the interval of *their* ratio, A against A, exceeds
//! the largest accepted one, then the machine is too noisy, and the row is not decided.

pub mod baseline;
pub mod decision;
pub mod program;
pub mod record;
pub mod serve;
mod written;

use std::path::Path;
use std::time::Duration;

use self::decision::{Evidence, LEVEL};
use super::observer::Observer;
use crate::error::{Error, Result, printable};
use crate::measure::machine::Environment;
use crate::measure::statistics::Spread;
use crate::report::SCHEMA_VERSION;
use crate::report::gate::{Gate, GateRow, Ratio, Verdict};
use crate::report::text::numbers::digits;

/// Largest number of rounds, beyond which a probability of the sign test could be too small for an
/// f64.
const MOST_ROUNDS: usize = 1000;

/// Rules of the decision.
#[derive(Debug, Clone, Copy)]
pub struct Rules {
    /// Largest accepted ratio of the new time to the old time, above 1.
    pub max_regress: f64,
    /// Time of a row's rounds after which it gets no more, decided or not. The rounds of the first
    /// look do not end with it.
    pub budget: Duration,
    /// Fewest rounds.
    pub rounds: usize,
}

/// Times of a row in a round.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Round {
    /// Mean time of a call of this program in milliseconds.
    pub new_ms: f64,
    /// Mean time of a call of the baseline.
    pub old_ms: f64,
    /// Mean time of a call of the baseline in another process.
    pub again_ms: f64,
    /// Time that the round took, with everything around the calls.
    pub spent: Duration,
}

/// Something that times rows of two programs in rounds.
pub trait Rounds {
    /// Gets ready for rounds of all rows. Calls `turn` before each row.
    ///
    /// # Errors
    /// When `turn` fails, or a row cannot be timed.
    fn prepare(&mut self, turn: &mut dyn FnMut(usize) -> Result<()>) -> Result<()>;

    /// Times each of `rows`, indices in ascending order, in one round. Calls `turn` before each row.
    ///
    /// # Errors
    /// When `turn` fails, or a row cannot be timed.
    fn round(
        &mut self,
        rows: &[usize],
        turn: &mut dyn FnMut(usize) -> Result<()>,
    ) -> Result<Vec<Round>>;
}

/// Rounds of a row.
#[derive(Debug, Default)]
struct Times {
    new_ms: Vec<f64>,
    old_ms: Vec<f64>,
    again_ms: Vec<f64>,
    spent: Duration,
    /// Decision of the first look that made one. What has passed may turn out to have improved.
    decided: Option<Verdict>,
}

impl Times {
    fn push(&mut self, round: Round) {
        self.new_ms.push(round.new_ms);
        self.old_ms.push(round.old_ms);
        self.again_ms.push(round.again_ms);
        self.spent += round.spent;
    }

    /// Whether one more round would end within the `budget`.
    fn fits(&self, budget: Duration) -> bool {
        let rounds = self.new_ms.len().max(1);
        rounds < MOST_ROUNDS && self.spent + self.spent / rounds as u32 <= budget
    }

    /// Ratio of A against A.
    fn noise(&self) -> Ratio {
        Ratio::paired(&self.again_ms, &self.old_ms)
    }

    fn evidence(&self, max_regress: f64) -> Evidence {
        Evidence::paired(&self.new_ms, &self.old_ms, max_regress)
    }
}

/// Whether the interval of A against A exceeds the largest accepted ratio on either side.
fn is_noisy(noise: Ratio, max_regress: f64) -> bool {
    noise.low < max_regress.recip() || noise.high > max_regress
}

/// Rows on the way to their decisions.
struct Looks {
    rows: Vec<Times>,
    rules: Rules,
    /// Number of rounds that the first look needs.
    first: usize,
    /// Number of rounds that have ended.
    done: usize,
    /// Number of rounds after which the next look comes.
    next: usize,
    /// Largest probability with which the next look may decide wrongly.
    level: f64,
}

impl Looks {
    fn new(rows: usize, rules: Rules) -> Self {
        let level = LEVEL / 2.0;
        let first = decision::enough_rounds(rows, level).max(rules.rounds);
        let rows = (0..rows).map(|_| Times::default()).collect();
        Self { rows, rules, first, done: 0, next: first, level }
    }

    /// Indices of the rows that get one more round.
    fn open(&self) -> Vec<usize> {
        let bound = self.rules.max_regress.recip();
        let is_open = |row: &Times| {
            let undecided = match row.decided {
                None => true,
                // It may have improved.
                Some(Verdict::Passed) => row.evidence(self.rules.max_regress).ratio.median < bound,
                Some(_) => false,
            };
            undecided && (self.done < self.first || row.fits(self.rules.budget))
        };
        (0..self.rows.len()).filter(|&row| is_open(&self.rows[row])).collect()
    }

    /// Decides what the rounds show.
    fn look(&mut self) {
        let max_regress = self.rules.max_regress;
        let evidence: Vec<_> = self.rows.iter().map(|row| row.evidence(max_regress)).collect();
        for (row, verdict) in self.rows.iter_mut().zip(decision::verdicts(&evidence, self.level)) {
            if is_noisy(row.noise(), max_regress) {
                continue;
            }
            row.decided = match (row.decided, verdict) {
                (None, Verdict::Inconclusive) => None,
                (None | Some(Verdict::Passed), verdict @ Verdict::Improved) => Some(verdict),
                (decided, verdict) => decided.or(Some(verdict)),
            };
        }
        self.next = 2 * self.done;
        self.level /= 2.0;
    }

    /// Row of the report about the row with this index.
    fn row(&self, index: usize, name: &str) -> GateRow {
        let (times, max_regress) = (&self.rows[index], self.rules.max_regress);
        let noise = times.noise();
        let reason = || {
            let (low, high) = (digits(noise.low), digits(noise.high));
            format!("too noisy: between two processes of the baseline it is {low} to {high}")
        };
        GateRow {
            row: name.into(),
            verdict: times.decided.unwrap_or(Verdict::Inconclusive),
            rounds: times.new_ms.len(),
            old_ms: Spread::of(&times.old_ms).median,
            new_ms: Spread::of(&times.new_ms).median,
            ratio: times.evidence(max_regress).ratio,
            noise: Some(noise),
            reason: (times.decided.is_none() && is_noisy(noise, max_regress)).then(reason),
        }
    }
}

/// Decides about the rows called `names`, whose rounds are timed by `source`. `stop` is asked before
/// each turn. Returns the rows, and the error of `stop` if it has ended the measurement; there are no
/// rows if it has ended the first round.
///
/// # Errors
/// When a row cannot be timed.
pub fn decide(
    names: &[String],
    source: &mut dyn Rounds,
    rules: Rules,
    observer: &mut dyn Observer,
    stop: &dyn Fn() -> Result<()>,
) -> Result<(Vec<GateRow>, Result<()>)> {
    let mut looks = Looks::new(names.len(), rules);
    observer.timing(names.len(), looks.first);
    let mut result = source.prepare(&mut |row| {
        observer.turn(&names[row], 0);
        stop()
    });
    let mut looked = 0;
    while result.is_ok() {
        let mut open = looks.open();
        if open.is_empty() || looks.done == looks.next {
            looks.look();
            open = looks.open();
            if open.is_empty() {
                break;
            }
            observer.finished();
            looked = looks.done;
            observer.timing(open.len(), looks.next - looked);
        }
        let round = looks.done + 1;
        let rounds = source.round(&open, &mut |row| {
            observer.turn(&names[row], round - looked);
            stop()
        });
        result = rounds.map(|rounds| {
            open.iter().zip(rounds).for_each(|(&row, round)| looks.rows[row].push(round));
            looks.done = round;
        });
    }
    observer.finished();
    let ended = match result {
        Err(Error::Interrupted { .. }) => result,
        result => Ok(result?),
    };
    if looks.done == 0 {
        return Ok((Vec::new(), ended));
    }
    if ended.is_err() {
        looks.look();
    }
    let rows = names.iter().enumerate().map(|(index, name)| looks.row(index, name));
    Ok((rows.collect(), ended))
}

/// Report about the `rows` that were compared with the baseline at `path`.
fn report(
    path: &Path,
    kind: &'static str,
    max_regress: f64,
    environment: Environment,
    rows: Vec<GateRow>,
) -> Gate {
    Gate {
        schema: SCHEMA_VERSION,
        version: env!("CARGO_PKG_VERSION"),
        environment,
        baseline: printable(path),
        kind,
        max_regress,
        verdict: rows.iter().map(|row| row.verdict).max().unwrap_or(Verdict::Inconclusive),
        undecidable: None,
        rows,
        only_new: Vec::new(),
        only_old: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::random::Stream;

    struct Nobody;

    impl Observer for Nobody {
        fn part(&mut self, _: &str) {}
        fn timing(&mut self, _: usize, _: usize) {}
        fn turn(&mut self, _: &str, _: usize) {}
        fn finished(&mut self) {}
    }

    /// Rounds on a machine with the noise of a shared one: it becomes slower and faster by a fifth,
    /// each process has a place in memory that is up to 3 % better or worse than the mean, each time is
    /// a little too long, and every twentieth one much too long.
    struct Shared {
        stream: Stream,
        /// True ratio of each row.
        ratios: Vec<f64>,
        /// Largest share by which an undisturbed time is too long.
        noise: f32,
        /// Number of times of which one is much too long.
        one_in: u32,
        rounds: usize,
    }

    impl Shared {
        fn new(seed: u64, ratios: &[f64], noise: f32) -> Self {
            let stream = Stream::new(seed, "noise", 0);
            Self { stream, ratios: ratios.to_vec(), noise, one_in: 20, rounds: 0 }
        }

        fn turn_ms(&mut self) -> f64 {
            let disturbed = self.stream.below(self.one_in) == 0;
            let slower = if disturbed { self.stream.uniform(1.2, 4.0) } else { 1.0 };
            f64::from(slower * (1.0 + self.stream.uniform(0.0, self.noise)))
        }
    }

    impl Rounds for Shared {
        fn prepare(&mut self, turn: &mut dyn FnMut(usize) -> Result<()>) -> Result<()> {
            (0..self.ratios.len()).try_for_each(turn)
        }

        fn round(
            &mut self,
            rows: &[usize],
            turn: &mut dyn FnMut(usize) -> Result<()>,
        ) -> Result<Vec<Round>> {
            self.rounds += 1;
            let drift = 1.0 + 0.2 * (self.rounds as f64 / 5.0).sin();
            let places = [(); 3].map(|()| f64::from(self.stream.uniform(0.97, 1.03)));
            let mut round = |row: &usize| {
                turn(*row)?;
                let mut time =
                    |place: usize| drift * places[place] * (self.turn_ms() + self.turn_ms()) / 2.0;
                let (new_ms, old_ms, again_ms) = (time(0), time(1), time(2));
                let new_ms = new_ms * self.ratios[*row];
                Ok(Round { new_ms, old_ms, again_ms, spent: Duration::from_millis(100) })
            };
            rows.iter().map(&mut round).collect()
        }
    }

    /// Rules with a budget of this number of rounds.
    fn rules(rounds: u64) -> Rules {
        let budget = Duration::from_millis(100 * rounds);
        Rules { max_regress: 1.1, budget, rounds: 3 }
    }

    fn decided(source: &mut Shared, rules: Rules) -> Vec<GateRow> {
        let names: Vec<_> = (0..source.ratios.len()).map(|row| row.to_string()).collect();
        let (rows, ended) = decide(&names, source, rules, &mut Nobody, &|| Ok(())).unwrap();
        ended.unwrap();
        rows
    }

    fn verdicts(ratios: &[f64], seed: u64) -> Vec<Verdict> {
        let rows = decided(&mut Shared::new(seed, ratios, 0.1), rules(100));
        rows.iter().map(|row| row.verdict).collect()
    }

    #[test]
    fn a_row_that_is_half_as_slow_again_is_found_ten_times_of_ten() {
        for seed in 0..10 {
            let verdicts = verdicts(&[1.0, 1.0, 1.5, 1.0, 1.0, 1.0, 1.0, 1.0], seed);
            let regressed = |row: &usize| verdicts[*row] == Verdict::Regressed;
            assert_eq!((0..8).filter(regressed).collect::<Vec<_>>(), [2], "seed {seed}");
        }
    }

    #[test]
    fn the_same_program_never_regresses_and_never_improves() {
        let mut passed = 0;
        for seed in 0..10 {
            let verdicts = verdicts(&[1.0; 8], seed);
            let fine = [Verdict::Passed, Verdict::Inconclusive];
            assert!(verdicts.iter().all(|verdict| fine.contains(verdict)), "{verdicts:?}");
            passed += verdicts.iter().filter(|verdict| **verdict == Verdict::Passed).count();
        }
        assert!(passed > 70, "{passed} of 80");
    }

    #[test]
    fn a_row_that_needs_two_thirds_of_the_time_has_improved() {
        for seed in 0..10 {
            let verdicts = verdicts(&[1.0, 1.0 / 1.5, 1.0, 1.0], seed);
            assert_eq!(verdicts[1], Verdict::Improved, "seed {seed}");
            assert!(!verdicts.contains(&Verdict::Regressed), "seed {seed}");
        }
    }

    #[test]
    fn a_machine_on_which_a_program_differs_from_itself_decides_nothing() {
        for ratio in [1.0, 1.5] {
            let rows = decided(&mut Shared::new(1, &[ratio; 4], 30.0), rules(100));
            for row in rows {
                assert_eq!(row.verdict, Verdict::Inconclusive, "{row:?}");
                assert!(row.reason.as_ref().unwrap().starts_with("too noisy: "), "{row:?}");
            }
        }
    }

    #[test]
    fn a_row_gets_more_rounds_until_it_is_decided_or_its_time_is_used_up() {
        // The ratio of the second row is the bound, so that nothing can be decided.
        let ratios = [1.0, 1.1, 1.3];
        let mut quiet = Shared { one_in: u32::MAX, ..Shared::new(1, &ratios, 0.02) };
        let rows = decided(&mut quiet, rules(100));
        let first = decision::enough_rounds(3, LEVEL / 2.0);
        let found: Vec<_> = rows.iter().map(|row| (row.verdict, row.rounds)).collect();
        let [passed, regressed] = [Verdict::Passed, Verdict::Regressed];
        assert_eq!(found, [(passed, first), (Verdict::Inconclusive, 100), (regressed, first)]);
        assert_eq!(rows[1].reason, None);

        let at_least = Rules { rounds: 40, ..rules(1) };
        let rows = decided(&mut Shared::new(1, &ratios, 0.02), at_least);
        assert!(rows.iter().all(|row| row.rounds == 40), "the first look needs them: {rows:?}");
    }

    #[test]
    fn looking_again_and_again_decides_no_more_wrongly_than_the_level() {
        let wrong = |seed: &u64| {
            let rows = decided(&mut Shared::new(*seed, &[1.1], 0.1), rules(300));
            rows[0].verdict != Verdict::Inconclusive
        };
        // Two mistakes are possible, each with a probability of at most 2.5 %.
        let count = (0..400).filter(wrong).count();
        assert!(count <= 28, "{count} of 400");
    }

    #[test]
    fn a_signal_ends_the_rounds_and_leaves_what_is_decided() {
        let names = ["a", "b"].map(String::from);
        let after = |turns: usize| {
            let turn = Cell::new(0);
            let stop = || {
                turn.set(turn.get() + 1);
                let message = "interrupted".into();
                let interrupted = Err(Error::Interrupted { signal: 2, message });
                if turn.get() > turns { interrupted } else { Ok(()) }
            };
            let quiet = Shared::new(1, &[1.5, 1.0], 0.01);
            let mut source = Shared { one_in: u32::MAX, ..quiet };
            let (rows, ended) =
                decide(&names, &mut source, rules(100), &mut Nobody, &stop).unwrap();
            assert_eq!(ended.unwrap_err().exit_code(), 130);
            rows.iter().map(|row| (row.verdict, row.rounds)).collect::<Vec<_>>()
        };
        // Both rows are prepared, and the first round begins.
        for turns in [0, 1, 2, 3] {
            assert_eq!(after(turns), [], "{turns} turns");
        }
        let undecided = (Verdict::Inconclusive, 1);
        assert_eq!(after(5), [undecided; 2]);
        assert_eq!(after(2 + 2 * 8), [(Verdict::Regressed, 8), (Verdict::Passed, 8)]);
    }
}
