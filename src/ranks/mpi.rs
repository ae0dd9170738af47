//! The link of ranks that MPI connects.

use std::env;
use std::process;
use std::thread;
use std::time::{Duration, Instant};

use mpi::Threading;
use mpi::environment::Universe;
use mpi::request;
use mpi::topology::SimpleCommunicator;
use mpi::traits::{Communicator, Destination, Source};

use super::{Link, Ranks};
use crate::error::{Error, Result};

/// Variable of the environment with a number of microseconds to wait before each exchange.
const DELAY_VARIABLE: &str = "MNIST_EXCHANGE_DELAY";

/// Number of tests for a message before a waiting rank begins to yield its core.
const SPINS: u32 = 1 << 12;

/// Time after which a silent partner is given up, if this process was asked to stop. A launcher that has
/// lost a rank asks the others to stop, and kills them soon: Open MPI's mpirun after a second.
const PATIENCE: Duration = Duration::from_millis(400);

/// Link of MPI's communicator of all ranks.
struct Mpi {
    world: SimpleCommunicator,
    /// Whether this process was asked to stop.
    is_stopping: Box<dyn Fn() -> bool>,
    /// MPI, which ends when this is dropped.
    _universe: Universe,
}

/// Begins MPI, and returns this process as one of its ranks.
///
/// # Errors
/// [`Error::Usage`] when the delay in the environment is no number.
pub fn ranks() -> Result<Ranks> {
    let delay = match env::var(DELAY_VARIABLE) {
        Ok(text) => text.parse().map(Duration::from_micros).map_err(|_| {
            Error::Usage(format!("{DELAY_VARIABLE} is no whole number of microseconds: unset it"))
        })?,
        Err(_) => Duration::ZERO,
    };
    // One thread alone talks to the other ranks.
    let (universe, _) =
        mpi::initialize_with_threading(Threading::Funneled).expect("MPI begins once");
    let world = universe.world();
    let is_stopping = Box::new(|| false);
    let link = Mpi { world, is_stopping, _universe: universe };
    Ok(Ranks::new(Box::new(link), delay))
}

impl Link for Mpi {
    fn rank(&self) -> usize {
        self.world.rank() as usize
    }

    fn count(&self) -> usize {
        self.world.size() as usize
    }

    fn exchange(&mut self, partner: usize, sent: &[u32], received: &mut [u32]) {
        let process = self.world.process_at_rank(partner as i32);
        request::scope(|scope| {
            let is_wanted = !received.is_empty();
            let mut receiving = is_wanted.then(|| process.immediate_receive_into(scope, received));
            let mut sending = (!sent.is_empty()).then(|| process.immediate_send(scope, sent));
            let mut tests = 0_u32;
            let mut stopping: Option<Instant> = None;
            loop {
                receiving = receiving.and_then(|request| request.test().err());
                sending = sending.and_then(|request| request.test().err());
                if receiving.is_none() && sending.is_none() {
                    break;
                }
                tests = tests.saturating_add(1);
                if tests < SPINS {
                    continue;
                }
                thread::yield_now();
                if (self.is_stopping)() {
                    let since = *stopping.get_or_insert_with(Instant::now);
                    if since.elapsed() > PATIENCE {
                        eprintln!(
                            "error: another rank does not answer, it may be lost: if a model was \
                             saved, it is whole, go on with --resume"
                        );
                        // MPI cannot take the requests back, so there is no way to return.
                        process::exit(1);
                    }
                }
            }
        });
    }

    fn give_up_after(&mut self, is_stopping: Box<dyn Fn() -> bool>) {
        self.is_stopping = is_stopping;
    }
}

impl Drop for Mpi {
    /// Ends the process after a panic: to end MPI, it would wait for the other ranks.
    fn drop(&mut self) {
        if thread::panicking() {
            process::exit(101);
        }
    }
}
