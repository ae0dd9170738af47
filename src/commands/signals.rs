//! SIGINT, SIGTERM and SIGHUP: the first asks the run to stop in an orderly way, the second stops
//! at once.

use std::fs;
use std::io::{self, IsTerminal, Write};
use std::process;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator;

use crate::error::{Error, Result, explained};
use crate::files::lock::Lock;

/// A signal this soon after the first is the same wish once more: `timeout` signals a process and
/// then its group, a shell its whole pipeline.
const SAME_WISH: Duration = Duration::from_millis(500);

/// Remembers the first signal.
#[derive(Debug, Clone)]
pub struct Signals {
    /// Its number, or 0.
    received: Arc<AtomicUsize>,
    /// While the next signal ends the process, what is locked until then.
    at_once: Arc<Mutex<Option<Vec<Lock>>>>,
}

/// A time in which the next signal ends the process; over when this is dropped.
#[must_use]
pub struct AtOnce(Signals);

impl AtOnce {
    /// Ends that time, for work that is not to be cut short; the locks are the caller's again.
    pub fn end(self) -> Vec<Lock> {
        self.0.at_once().take().unwrap_or_default()
    }
}

impl Drop for AtOnce {
    fn drop(&mut self) {
        self.0.at_once().take();
    }
}

impl Signals {
    /// Takes over the signals for the rest of the process. The first is answered on stderr by
    /// `notice`, if there is one.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the operating system refuses.
    pub fn install(notice: Option<&'static str>) -> Result<Self> {
        let signals = Self { received: Arc::default(), at_once: Arc::default() };
        let hangup = (!hangups_are_ignored()).then_some(SIGHUP);
        let mut arriving = iterator::Signals::new([SIGINT, SIGTERM].into_iter().chain(hangup))
            .map_err(|error| {
                Error::Unavailable(format!("cannot listen to signals: {}", explained(&error)))
            })?;
        let arrived = signals.clone();
        let listen = move || {
            let mut first: Option<Instant> = None;
            for signal in arriving.forever() {
                let again = first.is_some_and(|first| first.elapsed() > SAME_WISH);
                let mut at_once = arrived.at_once();
                if again || at_once.is_some() {
                    // An end without cleaning up would leave the files of the locks.
                    drop(at_once.take());
                    process::exit(128 + signal);
                }
                if first.is_none() {
                    first = Some(Instant::now());
                    arrived.received.store(signal as usize, Ordering::SeqCst);
                    drop(at_once);
                    if let Some(notice) = notice {
                        // On a terminal the line at hand holds a bar, or ^C.
                        let line_end = if io::stderr().is_terminal() { "\n" } else { "" };
                        _ = writeln!(io::stderr(), "{line_end}{notice}; again to stop at once");
                    }
                }
            }
        };
        let thread = thread::Builder::new().name("signals".into());
        thread.spawn(listen).map_err(Error::threads(1))?;
        Ok(signals)
    }

    /// Lets the next signal end the process: for work that leaves nothing to put in order but
    /// `locks`, on files that nothing is written to meanwhile.
    ///
    /// # Errors
    /// [`Error::Interrupted`] when a signal has come already.
    pub fn stop_at_once(&self, locks: Vec<Lock>) -> Result<AtOnce> {
        *self.at_once() = Some(locks);
        let at_once = AtOnce(self.clone());
        match self.received() {
            None => Ok(at_once),
            Some(signal) => Err(Error::Interrupted { signal, message: "interrupted".into() }),
        }
    }

    fn at_once(&self) -> MutexGuard<'_, Option<Vec<Lock>>> {
        self.at_once.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The signal that has come, if one has.
    pub fn received(&self) -> Option<i32> {
        match self.received.load(Ordering::SeqCst) {
            0 => None,
            signal => Some(signal as i32),
        }
    }
}

/// Whether the process was started to outlive its terminal, as `nohup` does. Only Linux says so;
/// elsewhere hangups are left to the operating system, which then knows.
fn hangups_are_ignored() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    ignored.is_none_or(|mask| mask >> (SIGHUP - 1) & 1 == 1)
}
