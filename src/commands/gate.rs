//! The flag `--baseline` of the measurements, and the processes that it starts.

use std::env;
use std::io;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use super::output::Output;
use super::progress::BenchProgress;
use super::signals::Signals;
use crate::bench::gate::baseline::Baseline;
use crate::bench::gate::record::Record;
use crate::bench::gate::serve::serve;
use crate::bench::gate::{Rules, program};
use crate::bench::suite::Suite;
use crate::cli::{FileArgs, GateArgs};
use crate::error::{Error, Result};
use crate::measure::machine::Environment;
use crate::report::Event;
use crate::report::gate::{Gate, Verdict};
use crate::report::text::numbers::counted;

/// Number of words of the command line that name the measurement, like `bench layers`.
const WORDS: usize = 2;

/// Answers the requests on stdin about the rows of `suite`.
///
/// # Errors
/// When a request is not understood, a result is wrong, or a row cannot be timed.
pub fn answer(suite: &dyn Suite) -> anyhow::Result<()> {
    Ok(serve(suite, io::stdin().lock(), io::stdout().lock())?)
}

/// Baseline that the flags name, if they name one. A record must be one of the measurement that prints
/// `event`, made with the `settings`; a program is refused if the measurement is also to be written to
/// `files`.
///
/// # Errors
/// When the file cannot be a baseline.
pub fn baseline(
    args: &GateArgs,
    event: &str,
    settings: &Value,
    files: &FileArgs,
) -> Result<Option<Baseline>> {
    let Some(path) = &args.baseline else { return Ok(None) };
    let baseline = Baseline::open(path, event, settings)?;
    let flags = [("--record", &files.record), ("--csv", &files.csv)];
    if let (Baseline::Program(_), Some((flag, _))) =
        (&baseline, flags.iter().find(|(_, file)| file.is_some()))
    {
        let problem = format!("{flag}: a comparison with a program is no record");
        return Err(Error::Usage(format!("{problem}: leave it out")));
    }
    Ok(Some(baseline))
}

/// Compares this program with the one at `path`, in `rounds` rounds at least. The processes of both get
/// the arguments of this process and the `added` ones. A signal ends the comparison, and what is
/// decided by then is printed.
///
/// # Errors
/// When a program does not serve its rows, when a row has regressed or is not decided, or the error of
/// the signal.
pub fn against_program(
    path: &Path,
    args: &GateArgs,
    rounds: usize,
    added: &[&str],
    output: Output,
    signals: &Signals,
) -> anyhow::Result<()> {
    let mut arguments: Vec<_> = env::args_os().skip(1).collect();
    let added = ["--serve"].iter().chain(added).map(Into::into);
    arguments.splice(WORDS..WORDS, added);
    let budget = Duration::from_secs(args.seconds as u64);
    let rules = Rules { max_regress: args.max_regress, budget, rounds };
    let stop = || match signals.received() {
        None => Ok(()),
        Some(signal) => Err(Error::Interrupted { signal, message: "interrupted".into() }),
    };
    let environment = Environment::detect();
    let mut progress = BenchProgress::new(&output);
    let (gate, ended) =
        program::against(path, &arguments, rules, environment, &mut progress, &stop)?;
    if gate.rows.is_empty() {
        return Ok(ended?);
    }
    let error = error(&gate, "raise --seconds, or let nothing else run");
    output.event(&Event::Gate(Box::new(gate)));
    output.finish()?;
    ended?;
    error
}

/// Compares the measurement `new` with the record that is the `baseline`, if there is one, and ends the
/// `output`.
///
/// # Errors
/// When a row has regressed or is not decided.
pub fn against_record(
    baseline: Option<Baseline>,
    args: &GateArgs,
    new: &Event,
    output: Output,
) -> anyhow::Result<()> {
    let (Some(Baseline::Record(record)), Some(path)) = (baseline, &args.baseline) else {
        return Ok(output.finish()?);
    };
    let gate = record.compare(path, &Record::from(new), args.max_regress, Environment::detect())?;
    let error = error(&gate, "name a program as --baseline");
    output.event(&Event::Gate(Box::new(gate)));
    output.finish()?;
    error
}

/// Error of a comparison that has not passed; `remedy` says what helps to decide more rows.
fn error(gate: &Gate, remedy: &str) -> anyhow::Result<()> {
    let count = gate.rows.iter().filter(|row| row.verdict == gate.verdict).count();
    let rows = format!("{count} of {}", counted(gate.rows.len(), "row"));
    Err(match gate.verdict {
        Verdict::Passed | Verdict::Improved => return Ok(()),
        Verdict::Regressed => {
            let limit = gate.max_regress;
            let longer = format!("more than {limit} times as long as in the baseline");
            Error::LimitExceeded(format!("{rows} regressed: a call takes {longer}"))
        }
        Verdict::Inconclusive => Error::Undecided(format!("{rows} inconclusive: {remedy}")),
    }
    .into())
}
