//! SIGINT and SIGTERM: the first asks the run to stop in an orderly way, the second stops at once.

use std::io;
use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGINT, SIGTERM};
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
    /// Takes over both signals for the rest of the process.
    ///
    /// # Errors
    /// When the operating system refuses.
    pub fn install() -> io::Result<Self> {
        let signals = Self { received: Arc::default(), at_once: Arc::default() };
        let mut arriving = iterator::Signals::new([SIGINT, SIGTERM])?;
        let Self { received, at_once } = signals.clone();
        thread::Builder::new().name("signals".into()).spawn(move || {
            let mut first: Option<Instant> = None;
            for signal in arriving.forever() {
                let again = first.is_some_and(|first| first.elapsed() > SAME_WISH);
                if again || at_once.load(Ordering::SeqCst) {
                    process::exit(128 + signal);
                }
                if first.is_none() {
                    first = Some(Instant::now());
                    received.store(signal as usize, Ordering::SeqCst);
                }
            }
        })?;
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
