//! SIGINT and SIGTERM: the first asks the run to stop in an orderly way, the second stops at once.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

use crate::error::{Error, Result};

/// Remembers the first signal.
#[derive(Debug, Clone)]
pub struct Signals {
    received: Arc<AtomicUsize>,
    /// Whether the next signal ends the process.
    again: Arc<AtomicBool>,
}

impl Signals {
    /// Takes over both signals for the rest of the process.
    ///
    /// # Errors
    /// When the operating system refuses.
    pub fn install() -> io::Result<Self> {
        let received = Arc::new(AtomicUsize::new(0));
        let again = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
            // In this order: the first signal finds the flag unset, and sets it.
            flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&again))?;
            flag::register(signal, Arc::clone(&again))?;
            flag::register_usize(signal, Arc::clone(&received), signal as usize)?;
        }
        Ok(Self { received, again })
    }

    /// Lets the next signal end the process: for work that leaves nothing to put in order.
    ///
    /// # Errors
    /// [`Error::Interrupted`] when a signal has come already.
    pub fn stop_at_once(&self) -> Result<()> {
        self.again.store(true, Ordering::SeqCst);
        match self.received() {
            None => Ok(()),
            Some(signal) => Err(Error::Interrupted { signal, message: "interrupted".into() }),
        }
    }

    /// The signal that has come, if one has.
    pub fn received(&self) -> Option<i32> {
        match self.received.load(Ordering::Relaxed) {
            0 => None,
            signal => Some(signal as i32),
        }
    }
}
