//! Handling of SIGINT, SIGTERM, SIGHUP, and of SIGUSR1, SIGUSR2 and SIGXCPU, which batch systems
//! send before a deadline: the first signal asks the run to save and stop, a second one ends the
//! process at once.

use std::any::Any;
use std::fs;
use std::io::{self, IsTerminal, Write};
use std::process;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGUSR2, SIGXCPU};
use signal_hook::iterator;

use super::output::takes_codes;
use crate::cli::wrapped;
use crate::error::{Error, Result, explained};
use crate::team::STACK_BYTES;

/// Time after the first signal in which another one does not count: `timeout` signals a process
/// and then its group, and a shell signals its whole pipeline, within a few milliseconds.
const SAME_REQUEST: Duration = Duration::from_millis(100);
/// Signals that end a run, apart from SIGHUP, which the process may ignore.
const ENDING: [i32; 5] = [SIGINT, SIGTERM, SIGUSR1, SIGUSR2, SIGXCPU];

/// The first signal that the process has received, if any.
#[derive(Debug, Clone)]
pub struct Signals {
    /// Number of the first signal, or 0.
    received: Arc<AtomicUsize>,
    /// Value to drop before the next signal ends the process; `None` while it does not.
    at_once: Arc<Mutex<Option<Held>>>,
}

/// Value whose drop releases locks or removes folders.
type Held = Box<dyn Any + Send>;

/// Guard: while it lives, the next signal ends the process at once.
#[must_use]
pub struct AtOnce(Signals);

impl AtOnce {
    /// Drops the guard, before work that must not be interrupted, and returns what it held.
    pub fn end(self) -> Option<Held> {
        self.0.at_once().take()
    }
}

impl Drop for AtOnce {
    fn drop(&mut self) {
        self.0.at_once().take();
    }
}

impl Signals {
    /// Handles the signals for the rest of the process. Each signal that counts is answered on
    /// stderr, unless the process is `quiet`.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the operating system refuses the handler or its thread.
    pub fn install(quiet: bool) -> Result<Self> {
        let signals = Self { received: Arc::default(), at_once: Arc::default() };
        let hangup = (!hangups_are_ignored()).then_some(SIGHUP);
        let mut arriving =
            iterator::Signals::new(ENDING.into_iter().chain(hangup)).map_err(|error| {
                Error::Unavailable(format!("cannot listen to signals: {}", explained(&error)))
            })?;
        let arrived = signals.clone();
        let listen = move || {
            let mut first: Option<Instant> = None;
            for signal in arriving.forever() {
                // SIGXCPU comes every second from the limit on.
                let again =
                    signal != SIGXCPU && first.is_some_and(|first| first.elapsed() > SAME_REQUEST);
                let mut at_once = arrived.at_once();
                if again || at_once.is_some() {
                    if !quiet {
                        let again_said = "stopped at once; nothing more is saved";
                        say(if again { again_said } else { "interrupted" });
                    }
                    // `exit` does not drop the locks, and would leave their files.
                    drop(at_once.take());
                    process::exit(128 + signal);
                }
                if first.is_none() {
                    first = Some(Instant::now());
                    arrived.received.store(signal as usize, Ordering::SeqCst);
                    drop(at_once);
                    if !quiet {
                        say("stopping; again to stop at once");
                    }
                }
            }
        };
        let thread = thread::Builder::new().name("signals".into()).stack_size(STACK_BYTES);
        thread.spawn(listen).map_err(Error::threads(1))?;
        Ok(signals)
    }

    /// Lets the next signal end the process at once, after it drops `held`. This is for work that
    /// writes no files.
    ///
    /// # Errors
    /// [`Error::Interrupted`] when a signal has already come.
    pub fn stop_at_once(&self, held: impl Any + Send) -> Result<AtOnce> {
        *self.at_once() = Some(Box::new(held));
        let at_once = AtOnce(self.clone());
        match self.received() {
            None => Ok(at_once),
            Some(signal) => Err(Error::Interrupted { signal, message: "interrupted".into() }),
        }
    }

    /// Locks the field `at_once`.
    fn at_once(&self) -> MutexGuard<'_, Option<Held>> {
        self.at_once.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Number of the first signal, if one has come.
    pub fn received(&self) -> Option<i32> {
        match self.received.load(Ordering::SeqCst) {
            0 => None,
            signal => Some(signal as i32),
        }
    }
}

/// Prints `line` to stderr, in place of the progress bar and ^C that the line of a terminal contains.
fn say(line: &str) {
    let beginning = match io::stderr().is_terminal() {
        true if takes_codes() => "\r\x1b[J",
        true => "\n",
        false => "",
    };
    _ = writeln!(io::stderr(), "{beginning}{}", wrapped(line));
}

/// Whether the process ignores SIGHUP since its start, as `nohup` arranges, so that it outlives its
/// terminal. Outside Linux this is unknown and the answer is yes: then the program does not handle
/// SIGHUP, and the operating system ignores it or not.
fn hangups_are_ignored() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    ignored.is_none_or(|mask| mask >> (SIGHUP - 1) & 1 == 1)
}
