//! Augmented batches, which another thread prepares while the engine computes a step.

use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use crate::data::augment::Augmented;
use crate::data::batches::Batch;
use crate::error::{Error, Result};
use crate::team::STACK_BYTES;

/// Number of batches in memory: one in a step, one that is ready, and one that is being prepared.
const BUFFERS: usize = 3;

/// Calls `each` with each of the `batches` as `epoch` sees it, and with the time that it had to wait for
/// the batch. `buffer` makes the memory of a batch.
///
/// # Errors
/// The first error of `each`, after which it is not called again, or [`Error::Unavailable`] when the
/// operating system refuses a thread.
pub fn augmented<'a>(
    batches: impl Iterator<Item = Batch<'a>> + Send,
    buffer: impl Fn() -> Augmented,
    epoch: usize,
    mut each: impl FnMut(&Batch<'_>, Duration) -> Result<()>,
) -> Result<()> {
    thread::scope(|scope| {
        let (ready, batches_ready) = mpsc::channel();
        let (spent, buffers) = mpsc::channel();
        (0..BUFFERS).for_each(|_| spent.send(buffer()).expect("the receiver is there"));
        let prepare = move || {
            for batch in batches {
                // An error ends the calls, and with them the two channels.
                let Ok(mut buffer) = buffers.recv() else { return };
                buffer.fill(&batch, epoch);
                if ready.send(buffer).is_err() {
                    return;
                }
            }
        };
        let thread = thread::Builder::new().name("augmentation".into()).stack_size(STACK_BYTES);
        thread.spawn_scoped(scope, prepare).map_err(Error::threads(1))?;
        let mut waiting = Instant::now();
        for buffer in batches_ready {
            each(&buffer.batch(), waiting.elapsed())?;
            waiting = Instant::now();
            // The thread has ended after its last batch.
            _ = spent.send(buffer);
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::augment::Augment;
    use crate::data::batches::batches;
    use crate::data::synthetic;

    #[test]
    fn every_batch_comes_in_its_turn_until_an_error() {
        let train = synthetic::generate(3, 50, 1).train;
        let order: Vec<u32> = (0..50).rev().collect();
        let buffer = || Augmented::new(Augment::Elastic, 7, train.sides(), 8);
        let mut direct = buffer();
        for most in [3, 7] {
            let mut expected = batches(&train, &order, 8);
            let mut calls = 0;
            let result = augmented(batches(&train, &order, 8), buffer, 5, |batch, _| {
                direct.fill(&expected.next().unwrap(), 5);
                let images =
                    |batch: &Batch<'_>| batch.images().map(<[u8]>::to_vec).collect::<Vec<_>>();
                assert_eq!(images(batch), images(&direct.batch()));
                assert!(batch.labels().eq(direct.batch().labels()));
                calls += 1;
                if calls == most { Err(Error::Usage("enough".into())) } else { Ok(()) }
            });
            assert_eq!(calls, most);
            assert_eq!(result.unwrap_err().to_string(), "enough");
        }
        assert!(augmented(batches(&train, &order, 8), buffer, 5, |_, _| Ok(())).is_ok());
    }
}
