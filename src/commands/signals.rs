//! SIGINT, SIGTERM and SIGHUP: the first asks the run to stop in an orderly way, the second stops
//! at once.

use std::fs;
use std::io::{self, IsTerminal, Write};
use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator;

use crate::error::{Error, Result};

/// A signal this soon after the first is the same wish once more: `timeout` signals a process and
/// then its group, a shell its whole pipeline.
const SAME_WISH: Duration = Duration::from_millis(500);

/// Remembers the first signal.
#[derive(Debug, Clone)]
pub struct Signals {
    /// Its number, or 0.
    received: Arc<AtomicUsize>,
    /// Whether the next signal ends the process.
    at_once: Arc<AtomicBool>,
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
            .map_err(|error| Error::Unavailable(format!("cannot listen to signals: {error}")))?;
        let Self { received, at_once } = signals.clone();
        let listen = move || {
            let mut first: Option<Instant> = None;
            for signal in arriving.forever() {
                let again = first.is_some_and(|first| first.elapsed() > SAME_WISH);
                if again || at_once.load(Ordering::SeqCst) {
                    process::exit(128 + signal);
                }
                if first.is_none() {
                    first = Some(Instant::now());
                    received.store(signal as usize, Ordering::SeqCst);
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

    /// Lets the next signal end the process: for work that leaves nothing to put in order.
    ///
    /// # Errors
    /// [`Error::Interrupted`] when a signal has come already.
    pub fn stop_at_once(&self) -> Result<()> {
        self.at_once.store(true, Ordering::SeqCst);
        match self.received() {
            None => Ok(()),
            Some(signal) => Err(Error::Interrupted { signal, message: "interrupted".into() }),
        }
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
