//! The measurement of advice: the same work done as the guides recommend, and otherwise.
//!
//! 1. **Agreement.** Both ways must have the same result, up to rounding, or nothing is timed.
//! 2. **Rounds** are those of [`timing`](super::timing). A ratio compares both ways in the same rounds.
//!
//! The advice is that of the performance guides for networks: batches, 32 bits, memory that is reused,
//! and so on. Some of it matters a lot, some of it little; the measurement says which.

mod advice;

use self::advice::{Advice, BATCH, Task, Way, all};
use super::effort::Effort;
use super::observer::Observer;
use super::timing::Case;
use crate::data::synthetic;
use crate::engine::compute::Compute;
use crate::error::{Error, Result};
use crate::measure::contention::Contention;
use crate::measure::machine::Environment;
use crate::measure::statistics::Speedup;
use crate::report::SCHEMA_VERSION;
use crate::report::ablations::{AblationRow, BenchAblations};
use crate::report::measured::{Circumstances, Timed};

/// Measurement of advice, before it begins.
pub struct Ablations {
    /// Resources of the predictions; all other work has one thread.
    pub compute: Compute,
    /// Duration of the measurement.
    pub effort: Effort,
    /// Number of rounds; each round times both ways of every piece of work once.
    pub rounds: usize,
    /// Machine and time of the measurement.
    pub environment: Environment,
}

impl Ablations {
    /// Compares the results of both ways, and measures their time.
    ///
    /// # Errors
    /// When the results differ, or the operating system refuses to start threads.
    pub fn measure(self, observer: &mut dyn Observer) -> Result<BenchAblations> {
        let Self { compute, effort, rounds, environment } = self;
        let digits = synthetic::generate(1, BATCH, 1);
        let advice = all(&digits.train, compute);
        observer.part("comparing the results of both ways");
        let agreed = advice.iter().try_for_each(check);
        observer.finished();
        agreed?;
        let contention = Contention::start();
        let ways = advice.iter().flat_map(|advice| &advice.ways);
        let mut turns: Vec<_> = ways.map(|way| Turns { way, task: None }).collect();
        observer.timing(turns.len(), rounds);
        let names: Vec<_> = turns.iter().map(|turns| turns.way.name).collect();
        let turn = |index: usize, round| observer.turn(names[index], round);
        let timings = effort.protocol(rounds).time(&mut turns, turn, || Ok(()));
        observer.finished();
        let timings = timings?;
        let row = |(advice, timings): (&Advice<'_>, &[_; 2])| {
            let [advised, otherwise] = timings.each_ref().map(Timed::from);
            AblationRow {
                name: advice.name,
                ways: advice.ways.each_ref().map(|way| way.name),
                over_otherwise: Speedup::of(&advised.round_call_ms, &otherwise.round_call_ms),
                advised,
                otherwise,
            }
        };
        Ok(BenchAblations {
            circumstances: Circumstances {
                schema: SCHEMA_VERSION,
                version: env!("CARGO_PKG_VERSION"),
                environment,
                rounds,
                quick: effort == Effort::Quick,
                share_of_others: contention.share_of_others(),
            },
            threads: compute.threads,
            isa: compute.isa,
            rows: advice.iter().zip(timings.as_chunks().0).map(row).collect(),
        })
    }
}

/// Compares the results of both ways of a piece of work.
///
/// # Errors
/// When they differ by more than rounding.
fn check(advice: &Advice<'_>) -> Result<()> {
    let [advised, otherwise] = advice.ways.each_ref().map(|way| -> Result<Vec<f64>> {
        let mut task = (way.begin)()?;
        // What is left of the first call must not change the second one.
        task.call();
        task.call();
        Ok(task.result())
    });
    let (advised, otherwise) = (advised?, otherwise?);
    let largest = otherwise.iter().fold(0.0_f64, |most, value| most.max(value.abs()));
    let agree = |(a, b): (&f64, &f64)| (a - b).abs() <= advice.tolerance * largest;
    let same_length = advised.len() == otherwise.len();
    if same_length && advised.iter().zip(&otherwise).all(agree) {
        return Ok(());
    }
    Err(Error::Unavailable(format!(
        "{}: '{}' and '{}' have different results; work with a wrong result is not timed: correct it",
        advice.name, advice.ways[0].name, advice.ways[1].name,
    )))
}

/// One way of a piece of work, which is timed.
struct Turns<'t, 'a> {
    way: &'t Way<'a>,
    /// Work of the turn.
    task: Option<Box<dyn Task + 'a>>,
}

impl Case for Turns<'_, '_> {
    fn begin(&mut self) -> Result<()> {
        self.task = Some((self.way.begin)()?);
        Ok(())
    }

    fn call(&mut self, calls: usize) {
        let task = self.task.as_deref_mut().expect("the turn has begun");
        (0..calls).for_each(|_| task.call());
    }

    fn end(&mut self) {
        self.task = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Constant(f64);

    impl Task for Constant {
        fn call(&mut self) {}

        fn result(&self) -> Vec<f64> {
            vec![1.0, self.0]
        }
    }

    #[test]
    fn ways_with_different_results_are_an_error_that_names_both() {
        let way = |name, value| Way {
            name,
            begin: Box::new(move || Ok(Box::new(Constant(value)) as Box<dyn Task>)),
        };
        let advice = |value| Advice {
            name: "numbers",
            ways: [way("one", 4.0), way("another", value)],
            tolerance: 1e-3,
        };
        check(&advice(4.001)).unwrap();
        for value in [4.1, f64::NAN] {
            let error = check(&advice(value)).unwrap_err().to_string();
            assert!(error.starts_with("numbers: 'one' and 'another' have different"), "{error}");
        }
    }
}
