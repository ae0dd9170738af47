//! Writes the checkpoints of a run to its file, on a separate thread.
//!
//! Training gives a copy of its state to the thread and goes on. The thread checks the state,
//! converts it to bytes, hashes them and writes them to the disk.
//!
//! One checkpoint is written at a time, and one more may wait. A newer checkpoint replaces the
//! waiting one, because the file would only hold the newer one in the end. So a disk that is slower
//! than training neither delays training nor fills the memory.

use std::io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;

use crate::error::{Error, Result, printable};
use crate::files::durable::{self, Kept};
use crate::model::checkpoint::{Checkpoint, Position};
use crate::team::STACK_BYTES;

/// Sends the checkpoints of a run to the thread that writes them.
#[derive(Debug)]
pub struct Checkpoints {
    /// Path of the checkpoint file.
    path: PathBuf,
    /// Number of epochs between two checkpoints.
    every: usize,
    /// Whether a file at `path` belongs to this run.
    ours: bool,
    to_write: Sender<Checkpoint>,
    written: Receiver<Written>,
    /// Whether the thread is writing a checkpoint and has not reported the result.
    writing: bool,
    /// Checkpoint to write after the present one.
    waiting: Option<Checkpoint>,
    /// Position of the newest checkpoint given to [`save`](Self::save).
    newest: Option<Position>,
}

/// Result of writing one checkpoint. If the file belonged to another run before, `Ok(Some(kept))`
/// says where its content is now.
pub type Written = std::result::Result<Option<Kept>, NotWritten>;

/// Reason why a checkpoint may not be on the disk. The file then holds the new checkpoint or its
/// old content.
#[derive(Debug)]
pub enum NotWritten {
    /// A weight or a moment at this position is infinite or NaN.
    NotFinite(Position),
    /// The operating system refused to write the file.
    Failed(Error),
}

impl Checkpoints {
    /// Starts the thread that writes checkpoints to the file at `path`, one every `every` epochs.
    /// With `keep_previous` an existing file belongs to another run. Its content is kept under another
    /// name, and of the files that were kept, at most this number stays.
    ///
    /// # Errors
    /// [`Error::Io`] when the thread cannot be started.
    pub fn start(path: &Path, every: usize, mut keep_previous: Option<usize>) -> Result<Self> {
        let target = path.to_path_buf();
        Self::start_with(path, every, keep_previous.is_none(), move |checkpoint| {
            let kept = write(checkpoint, &target, keep_previous)?;
            keep_previous = None;
            Ok(kept)
        })
    }

    /// Takes checkpoints and keeps nothing. A rank above 0 has this destination, so that it does what
    /// rank 0 does.
    ///
    /// # Errors
    /// [`Error::Io`] when the thread cannot be started.
    pub fn nowhere(every: usize) -> Result<Self> {
        Self::start_with(Path::new("nowhere"), every, true, |_| Ok(None))
    }

    /// Starts the thread with any function that writes a checkpoint.
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
            .stack_size(STACK_BYTES)
            .spawn(move || {
                // The loop ends when `Checkpoints` is dropped.
                requests.into_iter().try_for_each(|checkpoint| answers.send(write(checkpoint)))
            })
            .map_err(Error::io("start the thread that writes it", path))?;
        let path = path.to_path_buf();
        let (writing, waiting, newest) = (false, None, None);
        Ok(Self { path, every, ours, to_write, written, writing, waiting, newest })
    }

    /// Path of the checkpoint file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether a checkpoint is due after `epochs` epochs.
    pub fn is_due(&self, epochs: usize) -> bool {
        epochs.is_multiple_of(self.every)
    }

    /// Whether the file exists and belongs to this run.
    pub fn exists(&self) -> bool {
        self.ours && self.path.exists()
    }

    /// Whether the newest checkpoint given to [`save`](Self::save) has this `position`.
    pub fn has(&self, position: Position) -> bool {
        self.newest == Some(position)
    }

    /// Lets the thread write `checkpoint`, after the checkpoint that it is writing now.
    pub fn save(&mut self, checkpoint: Checkpoint) {
        self.newest = Some(checkpoint.metadata.position);
        if self.writing {
            self.waiting = Some(checkpoint);
        } else {
            self.to_write.send(checkpoint).expect("the thread lives as long as this");
            self.writing = true;
        }
    }

    /// Result of the checkpoint that was being written, if it is finished and was not returned yet.
    pub fn poll(&mut self) -> Option<Written> {
        let written = self.written.try_recv().ok()?;
        Some(self.go_on_after(written))
    }

    /// Waits until the checkpoint that is being written is finished and returns its result; `None`
    /// when none is being written.
    pub fn wait(&mut self) -> Option<Written> {
        if !self.writing {
            return None;
        }
        let written = self.written.recv().expect("the thread answers");
        Some(self.go_on_after(written))
    }

    /// Begins to write the waiting checkpoint, unless the one before failed.
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
    /// Waits until the thread has finished, so that the file's lock is not released before.
    fn drop(&mut self) {
        if self.writing {
            let _ = self.written.recv();
        }
    }
}

/// Writes `checkpoint` to the file at `path`, and keeps at most `keep_previous` old files.
pub(super) fn write(
    mut checkpoint: Checkpoint,
    path: &Path,
    keep_previous: Option<usize>,
) -> Written {
    if !checkpoint.state.is_finite() {
        return Err(NotWritten::NotFinite(checkpoint.metadata.position));
    }
    let bytes = checkpoint.to_bytes();
    let most = keep_previous.unwrap_or(0);
    let failed = |error: Error| {
        let full = [StorageFull, QuotaExceeded, FileTooLarge];
        let is_full = matches!(&error, Error::Io { source, .. } if full.contains(&source.kind()));
        // Without space, nothing gets as far as replacing the file.
        let unchanged = match path.exists() {
            true => format!("{} is unchanged: ", printable(path)),
            false => String::new(),
        };
        NotWritten::Failed(error.with_remedy(&match is_full {
            true => format!("{unchanged}free some space, or save elsewhere with --model"),
            false => "save elsewhere with --model".into(),
        }))
    };
    durable::replace_and_keep(path, &bytes, most).map_err(failed)
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

    /// Checkpoints on a disk controlled by the test: it finishes a write when it receives the
    /// result, and sends the epoch of each checkpoint when it begins to write it.
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
    fn a_newer_checkpoint_replaces_the_waiting_one() {
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
    fn a_state_that_is_not_finite_is_not_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model");
        let mut checkpoints = Checkpoints::start(&path, 1, Some(3)).unwrap();
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
