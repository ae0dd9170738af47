//! The file that keeps a run's state, written by a thread of its own.
//!
//! Training hands over a copy of its state and goes on. Checking it, putting it into bytes, hashing
//! them and getting them onto the disk is the thread's work.
//!
//! One checkpoint is written at a time, and one may wait. A newer one takes the place of the one
//! that waits: the file would end as the newer one anyway, so a disk that is slower than training
//! skips what would have been overwritten, and neither holds training up nor fills the memory.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;

use crate::error::{Error, Result};
use crate::files::durable;
use crate::model::checkpoint::{Checkpoint, Position};

/// Where and how often the state of a run is kept.
#[derive(Debug)]
pub struct Checkpoints {
    path: PathBuf,
    every: usize,
    /// Whether a file at `path` would be this run's.
    ours: bool,
    to_write: Sender<Checkpoint>,
    written: Receiver<Written>,
    /// Whether the thread owes an answer.
    writing: bool,
    waiting: Option<Checkpoint>,
    /// The newest state that was handed over.
    newest: Option<Position>,
}

/// What became of a checkpoint: it is on the disk, and another run's file that stood there has this
/// name now.
pub type Written = std::result::Result<Option<PathBuf>, NotWritten>;

/// Why a checkpoint is not known to be on the disk; the file holds it or is what it was before.
#[derive(Debug)]
pub enum NotWritten {
    /// A weight or a moment at this position is infinite or not a number.
    NotFinite(Position),
    /// The operating system refused.
    Failed(Error),
}

impl Checkpoints {
    /// Keeps a run in the file at `path`, every `every` epochs. With `keep_previous` a file that is
    /// there already is another run's and gets another name.
    ///
    /// # Errors
    /// [`Error::Io`] when no thread can be started.
    pub fn start(path: &Path, every: usize, mut keep_previous: bool) -> Result<Self> {
        let target = path.to_path_buf();
        Self::start_with(path, every, !keep_previous, move |checkpoint| {
            let kept = write(checkpoint, &target, keep_previous)?;
            keep_previous = false;
            Ok(kept)
        })
    }

    /// The same with something else than a file to `write` to.
    pub(super) fn start_with(
        path: &Path,
        every: usize,
        ours: bool,
        mut write: impl FnMut(Checkpoint) -> Written + Send + 'static,
    ) -> Result<Self> {
        let (to_write, requests) = mpsc::channel();
        let (answers, written) = mpsc::channel();
        thread::Builder::new()
            .name("checkpoint".into())
            .spawn(move || {
                // Ends when the other side is gone.
                requests.into_iter().try_for_each(|checkpoint| answers.send(write(checkpoint)))
            })
            .map_err(Error::io("start the thread that writes it", path))?;
        let path = path.to_path_buf();
        let (writing, waiting, newest) = (false, None, None);
        Ok(Self { path, every, ours, to_write, written, writing, waiting, newest })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the state is to be kept after `epochs`.
    pub fn is_due(&self, epochs: usize) -> bool {
        epochs.is_multiple_of(self.every)
    }

    /// Whether the file holds a state of this run.
    pub fn exists(&self) -> bool {
        self.ours && self.path.exists()
    }

    /// Whether the state at `position` is the newest that was handed over, written or not.
    pub fn has(&self, position: Position) -> bool {
        self.newest == Some(position)
    }

    /// Has `checkpoint` written as soon as the one before is.
    pub fn save(&mut self, checkpoint: Checkpoint) {
        self.newest = Some(checkpoint.metadata.position);
        if self.writing {
            self.waiting = Some(checkpoint);
        } else {
            self.to_write.send(checkpoint).expect("the thread lives as long as this");
            self.writing = true;
        }
    }

    /// What became of a checkpoint that was being written, if that is known and has not been told.
    pub fn poll(&mut self) -> Option<Written> {
        let written = self.written.try_recv().ok()?;
        Some(self.go_on_after(written))
    }

    /// The same, but waits for it; `None` when nothing is being written, nor waits.
    pub fn wait(&mut self) -> Option<Written> {
        if !self.writing {
            return None;
        }
        let written = self.written.recv().expect("the thread answers");
        Some(self.go_on_after(written))
    }

    fn go_on_after(&mut self, written: Written) -> Written {
        self.writing = false;
        let waiting = self.waiting.take();
        if written.is_ok() {
            self.ours = true;
            if let Some(checkpoint) = waiting {
                self.save(checkpoint);
            }
        }
        written
    }
}

impl Drop for Checkpoints {
    /// Waits, so that nobody takes the file for free while it is still being written.
    fn drop(&mut self) {
        if self.writing {
            let _ = self.written.recv();
        }
    }
}

/// Puts `checkpoint` under `path`.
pub(super) fn write(mut checkpoint: Checkpoint, path: &Path, keep_previous: bool) -> Written {
    if !checkpoint.state.is_finite() {
        return Err(NotWritten::NotFinite(checkpoint.metadata.position));
    }
    let bytes = checkpoint.to_bytes();
    let replaced = if keep_previous {
        durable::replace_and_keep(path, &bytes)
    } else {
        durable::replace(path, &bytes).map(|()| None)
    };
    replaced.map_err(NotWritten::Failed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::architecture::Architecture;
    use crate::model::checkpoint::Metadata;
    use crate::model::init::Init;
    use crate::model::parameters::TrainState;
    use crate::model::recipe::Recipe;
    use crate::nn::shape::Shape;
    use crate::optim::adam::Adam;

    /// A small state after `epoch` epochs.
    fn after(epoch: usize) -> Checkpoint {
        let architecture = Architecture::parse("fc2", Shape::features(2)).unwrap();
        let parameters = Init::He.parameters(&architecture, epoch as u64);
        Checkpoint {
            state: TrainState::new(parameters, &Adam::SLOTS),
            metadata: Metadata {
                position: Position { epoch, ..Position::default() },
                ..Metadata::new(&architecture, Recipe::default(), "naive")
            },
        }
    }

    /// Checkpoints on a disk that takes each one when it is told how that goes, and the epochs that
    /// it has been given.
    fn on_a_slow_disk() -> (Checkpoints, Sender<Written>, Receiver<usize>) {
        let (outcome, outcomes) = mpsc::channel();
        let (begun, epochs) = mpsc::channel();
        let checkpoints =
            Checkpoints::start_with(Path::new("model"), 1, false, move |checkpoint| {
                begun.send(checkpoint.metadata.position.epoch).unwrap();
                outcomes.recv().unwrap()
            });
        (checkpoints.unwrap(), outcome, epochs)
    }

    #[test]
    fn a_newer_checkpoint_takes_the_place_of_the_one_that_waits() {
        let (mut checkpoints, disk, epochs) = on_a_slow_disk();
        for epoch in 1..=4 {
            checkpoints.save(after(epoch));
        }
        assert!(checkpoints.poll().is_none());
        assert_eq!(epochs.recv().unwrap(), 1);
        disk.send(Ok(None)).unwrap();
        assert!(matches!(checkpoints.wait(), Some(Ok(None))));
        assert_eq!(epochs.recv().unwrap(), 4);
        disk.send(Ok(None)).unwrap();
        assert!(matches!(checkpoints.wait(), Some(Ok(None))));
        assert!(checkpoints.wait().is_none());
    }

    #[test]
    fn nothing_is_written_after_a_failure() {
        let (mut checkpoints, disk, epochs) = on_a_slow_disk();
        checkpoints.save(after(1));
        checkpoints.save(after(2));
        disk.send(Err(NotWritten::Failed(Error::Unavailable("disk on fire".into())))).unwrap();
        assert!(matches!(checkpoints.wait(), Some(Err(NotWritten::Failed(_)))));
        assert!(checkpoints.wait().is_none());
        drop(checkpoints);
        assert!(epochs.into_iter().eq([1]));
    }

    #[test]
    fn what_is_not_finite_leaves_the_file_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model");
        let mut checkpoints = Checkpoints::start(&path, 1, true).unwrap();
        let mut overflown = after(2);
        overflown.state.slots[1].values.values_mut()[0] = f32::INFINITY;
        let mut save = |checkpoint: Checkpoint| {
            checkpoints.save(checkpoint);
            let written = checkpoints.wait().unwrap();
            (written, checkpoints.exists())
        };
        let refused = |written| {
            matches!(written, Err(NotWritten::NotFinite(Position { epoch: 2, batch: 0, .. })))
        };

        let (written, exists) = save(overflown.clone());
        assert!(refused(written) && !exists && !path.exists());
        let (written, exists) = save(after(1));
        assert!(written.is_ok() && exists);
        let (written, exists) = save(overflown);
        assert!(refused(written) && exists);
        assert_eq!(std::fs::read(&path).unwrap(), after(1).to_bytes());
    }
}
