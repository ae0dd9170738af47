//! A program as the baseline: it and this program run as child processes that take turns.
//!
//! One round has three processes: one of this program (N) and two of the baseline (A, B). It times
//! every row in the order N A B, and then every row, backwards, in the order B A N. So each process has
//! the same mean place in the round, and a machine that becomes slower or faster favours none. The next
//! rounds begin with A and with B, because the first turn after a pause may be slow. A row's turns
//! follow each other at once, and while one process works, the others wait for their next request. Every round has new processes, because a process may have a lucky place in memory, and
//! keeps it as long as it lives; the rounds are then independent of each other, as the sign test asks.

use std::ffi::OsString;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use super::serve::{Reply, Request};
use super::{Round, Rounds, Rules, decide, report};
use crate::bench::child::{ended_by_signal, this_program};
use crate::bench::observer::Observer;
use crate::error::{Error, Result, explained, printable, quoted};
use crate::measure::machine::Environment;
use crate::report::gate::Gate;
use crate::team::STACK_BYTES;

/// Largest length of a reply in bytes.
const MAX_REPLY: u64 = 1 << 20;
/// Longest time to wait for the last line of a process that has ended: a process that it has started
/// may have the same stderr.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// What helps if the baseline is no program that serves.
const REMEDY: &str = "name a build of mnist-train whose 'bench' has --baseline";

/// Compares this program with the one at `path`. Both get the `arguments`, which make a program of this
/// kind [serve](super::serve) the rows of the measurement. `stop` is asked before each turn; its error
/// comes back beside the report about what is decided by then, if the first round has ended.
///
/// # Errors
/// [`Error::Unavailable`] when a program cannot be run, does not serve, stops, has wrong results, or has
/// no row of the other one.
pub fn against(
    path: &Path,
    arguments: &[OsString],
    rules: Rules,
    environment: Environment,
    observer: &mut dyn Observer,
    stop: &dyn Fn() -> Result<()>,
) -> anyhow::Result<(Gate, Result<()>)> {
    let this = this_program()?;
    let programs = Programs { paths: [&this, path, path], arguments };
    observer.part("checking the results of both programs");
    let started = programs.start().and_then(|(mut served, rows)| {
        for one in &mut served {
            one.ask(&Request::Check)?;
        }
        for one in &mut served {
            let checked = |reply| matches!(reply, Reply::Checked).then_some(());
            one.answer("the result of the check", checked)?;
        }
        Ok((served, rows))
    });
    observer.finished();
    let (served, [new, old, _]) = started?;

    let (names, only_new): (Vec<_>, Vec<_>) =
        new.iter().cloned().partition(|row| old.contains(row));
    if names.is_empty() {
        let quote = |rows: &[String]| rows.first().map_or("none".into(), |row| quoted(row));
        return Err(Error::Unavailable(format!(
            "{}: has no row of this program, whose first row is '{}', and its own '{}': {REMEDY}",
            printable(path),
            quote(&new),
            quote(&old),
        ))
        .into());
    }
    let calls = Vec::new();
    let mut rounds = Processes { programs, names: &names, calls, rounds: 0, served: Some(served) };
    let (rows, ended) = decide(&names, &mut rounds, rules, observer, stop)?;
    let only_old = old.into_iter().filter(|row| !names.contains(row)).collect();
    let gate = report(path, "program", rules.max_regress, environment, rows);
    Ok((Gate { only_new, only_old, ..gate }, ended))
}

/// Programs of a round: this one, the baseline, and the baseline once more.
struct Programs<'a> {
    paths: [&'a Path; 3],
    arguments: &'a [OsString],
}

impl Programs<'_> {
    /// Starts the processes. Returns them with the names of their rows.
    fn start(&self) -> Result<([Served; 3], [Vec<String>; 3])> {
        let mut served = Vec::new();
        for path in self.paths {
            served.push(Served::start(path, self.arguments)?);
        }
        let names = |one: &mut Served| {
            one.answer("the names of its rows", |reply| match reply {
                Reply::Rows(rows) => Some(rows),
                _ => None,
            })
        };
        let rows = served.iter_mut().map(names).collect::<Result<Vec<_>>>()?;
        let three = "as many as there are paths";
        Ok((served.try_into().ok().expect(three), rows.try_into().expect(three)))
    }
}

/// Rounds of the rows called `names`, in processes of the programs.
struct Processes<'a> {
    programs: Programs<'a>,
    names: &'a [String],
    /// Number of calls of a turn of each row.
    calls: Vec<usize>,
    /// Number of rounds that have begun.
    rounds: usize,
    /// Processes of the next round, if they have been started.
    served: Option<[Served; 3]>,
}

impl Rounds for Processes<'_> {
    /// Chooses the number of calls of each row: as many as fill the time of a turn of the slower
    /// program.
    fn prepare(&mut self, turn: &mut dyn FnMut(usize) -> Result<()>) -> Result<()> {
        let [new, old, _] = self.served.as_mut().expect("they have been checked");
        for (index, name) in self.names.iter().enumerate() {
            turn(index)?;
            let [new, old] = [new.calls(name)?, old.calls(name)?];
            self.calls.push(new.min(old));
        }
        Ok(())
    }

    fn round(
        &mut self,
        rows: &[usize],
        turn: &mut dyn FnMut(usize) -> Result<()>,
    ) -> Result<Vec<Round>> {
        let began = Instant::now();
        let mut served = match self.served.take() {
            Some(served) => served,
            None => self.programs.start()?.0,
        };
        // The time of a start counts for all rows of the round.
        let start = began.elapsed() / rows.len() as u32;
        let mut rounds = vec![Round { spent: start, ..Round::default() }; rows.len()];
        let orders = [[0, 1, 2], [1, 2, 0], [2, 0, 1]];
        let order @ [first, second, third] = orders[self.rounds % orders.len()];
        self.rounds += 1;
        let forwards = (0..rows.len()).map(|place| (place, order));
        let backwards = (0..rows.len()).rev().map(|place| (place, [third, second, first]));
        for (place, order) in forwards.chain(backwards) {
            let row = rows[place];
            turn(row)?;
            let began = Instant::now();
            let round = &mut rounds[place];
            for program in order {
                let ms = served[program].call_ms(&self.names[row], self.calls[row])?;
                // Half of the mean of two turns.
                *[&mut round.new_ms, &mut round.old_ms, &mut round.again_ms][program] += ms / 2.0;
            }
            round.spent += began.elapsed();
        }
        Ok(rounds)
    }
}

/// Process of a program that serves. It ends when this value is dropped.
struct Served {
    path: PathBuf,
    process: Child,
    /// Requests; closed when the process has ended, and with it the processes that it has started.
    requests: Option<ChildStdin>,
    replies: BufReader<ChildStdout>,
    /// Last line of stderr, which a thread reads: a program that writes much would wait for a reader.
    said: Receiver<String>,
    /// Whether the program has replied.
    serves: bool,
}

impl Served {
    fn start(path: &Path, arguments: &[OsString]) -> Result<Self> {
        let mut command = Command::new(path);
        command.args(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = command.spawn().map_err(|error| {
            let reason = explained(&error);
            Error::Unavailable(format!("{}: cannot run it: {reason}: {REMEDY}", printable(path)))
        })?;
        let open = "was made a pipe";
        let requests = process.stdin.take();
        let replies = BufReader::new(process.stdout.take().expect(open));
        let stderr = process.stderr.take().expect(open);
        let (say, said) = mpsc::channel();
        let served = Self { path: path.into(), process, requests, replies, said, serves: false };
        let reader = thread::Builder::new().name("stderr".into()).stack_size(STACK_BYTES);
        let read = move || _ = say.send(last_line(stderr));
        reader.spawn(read).map_err(Error::threads(1))?;
        Ok(served)
    }

    /// Sends `request`. A process that has ended is noticed when it does not answer.
    fn ask(&mut self, request: &Request) -> Result<()> {
        let line = serde_json::to_string(request).expect("plain data");
        let requests = self.requests.as_mut().expect("the process has not ended");
        match writeln!(requests, "{line}") {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                Err(Error::io("send a request to", &self.path)(error))
            }
            _ => Ok(()),
        }
    }

    /// The next reply, which must be `expected`, as `take` decides.
    fn answer<T>(&mut self, expected: &str, take: impl FnOnce(Reply) -> Option<T>) -> Result<T> {
        let mut line = Vec::new();
        let read = (&mut self.replies).take(MAX_REPLY).read_until(b'\n', &mut line);
        if read.is_err() || line.last() != Some(&b'\n') && line.len() < MAX_REPLY as usize {
            return Err(self.has_ended());
        }
        let Some(answer) = serde_json::from_slice(&line).ok().and_then(take) else {
            let found = quoted(String::from_utf8_lossy(&line).trim_end());
            let path = printable(&self.path);
            return Err(Error::Unavailable(format!(
                "{path}: says '{found}', expected {expected}: {REMEDY}"
            )));
        };
        self.serves = true;
        Ok(answer)
    }

    /// Error about a process that has ended before it was asked to.
    fn has_ended(&mut self) -> Error {
        let path = printable(&self.path);
        // Its stdout may be closed while it goes on.
        _ = self.process.kill();
        let status = self.process.wait().ok();
        self.requests = None;
        let said = self.said.recv_timeout(LAST_WORDS).unwrap_or_default();
        let by_itself = status.is_some_and(|status| status.code().is_some());
        let reason = match said.trim_start_matches("error: ") {
            "" if by_itself => "it ended without a word".into(),
            "" => status.and_then(ended_by_signal).unwrap_or_else(|| "it ended".into()),
            said => format!("it said '{}'", quoted(said)),
        };
        Error::Unavailable(match self.serves {
            true => format!("{path}: stopped while its rows were timed: {reason}"),
            false => format!("{path}: does not serve its rows: {reason}: {REMEDY}"),
        })
    }

    /// Number of calls of the row called `name` that fill the time of a turn.
    fn calls(&mut self, name: &str) -> Result<usize> {
        self.ask(&Request::Calls { row: name.into() })?;
        self.answer("a number of calls", |reply| match reply {
            Reply::Calls(calls) if calls > 0 => Some(calls),
            _ => None,
        })
    }

    /// Mean time of a call of the row called `name` in milliseconds, in a turn of `calls` calls.
    fn call_ms(&mut self, name: &str, calls: usize) -> Result<f64> {
        self.ask(&Request::Time { row: name.into(), calls })?;
        self.answer("a time", |reply| match reply {
            Reply::Nanoseconds(time) if time > 0 => Some(time as f64 / 1e6 / calls as f64),
            _ => None,
        })
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        _ = self.process.kill();
        _ = self.process.wait();
    }
}

/// Last line of `text` that is not empty.
fn last_line(text: impl Read) -> String {
    let mut last = Vec::new();
    for line in BufReader::new(text).split(b'\n').map_while(io::Result::ok) {
        if !line.trim_ascii().is_empty() {
            last = line;
        }
    }
    String::from_utf8_lossy(&last).trim().into()
}
