//! The loop, and nothing but the loop.

use std::path::Path;
use std::time::{Duration, Instant};

use super::checkpoints::{Checkpoints, NotWritten, Written};
use super::evaluation::Evaluation;
use crate::data::batches::{batches, epoch_order};
use crate::data::dataset::Dataset;
use crate::engine::Engine;
use crate::error::{Error, Result, printable};
use crate::model::checkpoint::{Checkpoint, Metadata, Position, RUNAWAY_LOSS};
use crate::model::parameters::TrainState;
use crate::optim::schedule::CosineAnnealing;

/// A run: what is trained on what, how far, and where it is kept.
pub struct Trainer<'a> {
    /// Holds the state to go on from.
    pub engine: &'a mut dyn Engine,
    /// The images.
    pub dataset: &'a Dataset,
    /// What checkpoints say about the run; its recipe and position are the run's.
    pub metadata: Metadata,
    /// Stop after this many epochs, counted from the beginning of training.
    pub epochs: usize,
    /// Whether the test images are classified after every epoch.
    pub evaluate: bool,
    /// Where and how often the state is kept.
    pub checkpoints: Checkpoints,
}

/// A look at a run while it goes.
pub trait Observer {
    /// A batch is done.
    fn batch(&mut self, progress: &Progress);
    /// An epoch is done.
    fn epoch(&mut self, report: &EpochReport);
    /// The file at the checkpoint's path was another run's; it is now `previous`.
    fn kept_previous(&mut self, previous: &Path);
    /// The signal that asks the run to stop, if one has come.
    fn stop(&self) -> Option<i32>;
}

/// Where an epoch stands.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Progress {
    /// Counted from 0.
    pub epoch: usize,
    /// Batches done.
    pub batch: usize,
    /// Batches of an epoch.
    pub batches: usize,
    /// Images done.
    pub images: usize,
    /// Mean loss of those images, each under the weights before its step.
    pub loss: f64,
    /// Share of those images that were classified correctly, likewise.
    pub accuracy: f64,
}

/// What one epoch came to.
#[derive(Debug, Clone, PartialEq)]
pub struct EpochReport {
    /// The whole epoch.
    pub progress: Progress,
    /// Learning rate.
    pub lr: f64,
    /// Time spent training in this process.
    pub duration: Duration,
    /// Images trained on in this process: fewer than an epoch's after a resumption.
    pub images: usize,
    /// Of the test images, unless that was not wanted.
    pub evaluation: Option<Evaluation>,
}

/// What a run came to.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// Time spent in training steps alone.
    pub training: Duration,
    /// Time spent on evaluation.
    pub evaluation: Duration,
    /// The last evaluation.
    pub last: Option<Evaluation>,
}

impl Trainer<'_> {
    /// Trains to the end; returns when the last checkpoint is on the disk.
    ///
    /// # Errors
    /// [`Error::Diverged`] when the loss runs away, or it or a weight is no longer finite,
    /// [`Error::Interrupted`] when the observer asks to stop (the state is saved), [`Error::Io`] or
    /// [`Error::Unavailable`] when saving fails: after the step during which it did.
    pub fn run(mut self, observer: &mut dyn Observer) -> Result<Outcome> {
        let (mut training, mut evaluating) = (Duration::ZERO, Duration::ZERO);
        let mut last = None;
        for epoch in self.metadata.position.epoch..self.epochs {
            let mut report = self.epoch(epoch, observer)?;
            training += report.duration;
            let done = epoch + 1;
            self.metadata.position = Position { epoch: done, ..Position::default() };
            if done == self.epochs || self.checkpoints.is_due(done) {
                self.save(self.engine.store());
            }
            // While that is being written.
            report.evaluation = self.evaluation(observer);
            observer.epoch(&report);
            last = report.evaluation;
            evaluating += last.as_ref().map_or(Duration::ZERO, |evaluation| evaluation.duration);
            if let Some(signal) = observer.stop() {
                return Err(self.interrupted(signal, observer));
            }
        }
        self.settle(observer)?;
        if self.evaluate && last.is_none() {
            // Nothing was left to train.
            last = self.evaluation(observer);
            if let Some(signal) = observer.stop() {
                let message = "interrupted; there was nothing to save".into();
                return Err(Error::Interrupted { signal, message });
            }
            evaluating += last.as_ref().map_or(Duration::ZERO, |evaluation| evaluation.duration);
        }
        Ok(Outcome { training, evaluation: evaluating, last })
    }

    /// Of the test images, if that is wanted and no signal has come.
    fn evaluation(&mut self, observer: &dyn Observer) -> Option<Evaluation> {
        if !self.evaluate {
            return None;
        }
        Evaluation::of(self.engine, &self.dataset.test, &|| observer.stop().is_some())
    }

    /// Trains what is left of `epoch`.
    fn epoch(&mut self, epoch: usize, observer: &mut dyn Observer) -> Result<EpochReport> {
        let recipe = self.metadata.recipe.clone();
        let lr = CosineAnnealing::from(&recipe).lr(epoch);
        let train = &self.dataset.train;
        let order = epoch_order(train.len(), recipe.seed, epoch);
        let first = self.metadata.position.batch;
        let mut duration = Duration::ZERO;
        for batch in batches(train, &order, recipe.batch_size).skip(first) {
            if let Some(signal) = observer.stop() {
                return Err(self.interrupted(signal, observer));
            }
            while let Some(written) = self.checkpoints.poll() {
                self.hear(written, observer)?;
            }
            let started = Instant::now();
            let sum = self.engine.step(&batch, lr);
            duration += started.elapsed();
            let position = &mut self.metadata.position;
            let mean = sum.loss / batch.len() as f64;
            if !mean.is_finite() || mean > RUNAWAY_LOSS {
                let what = if mean.is_finite() {
                    format!("loss {mean:.0}")
                } else {
                    "a loss or weights that are not finite".into()
                };
                let step = position.batch;
                // What is being written came first, and may turn out not to be finite either.
                self.settle(observer)?;
                return Err(self.diverged(what, epoch, step, lr));
            }
            position.batch += 1;
            position.loss += sum.loss;
            position.correct += sum.correct;
            observer.batch(&progress(position, order.len(), recipe.batch_size));
        }
        let progress = progress(&self.metadata.position, order.len(), recipe.batch_size);
        let images = order.len() - (first * recipe.batch_size).min(order.len());
        Ok(EpochReport { progress, lr, duration, images, evaluation: None })
    }

    /// Saves the state between two steps, unless no step has been taken or it is being saved.
    fn interrupted(&mut self, signal: i32, observer: &mut dyn Observer) -> Error {
        let position @ Position { epoch, batch, .. } = self.metadata.position;
        let batches = self.batches();
        let (place, remedy) = if epoch == self.epochs {
            ("after the last epoch".into(), "test it with 'mnist-train eval'")
        } else {
            (format!("in epoch {epoch} after {batch} of {batches} batches"), "go on with --resume")
        };
        if !self.checkpoints.has(position) {
            let state = self.engine.store();
            if state.steps == 0 {
                let message = format!("interrupted {place}; nothing to save yet");
                return Error::Interrupted { signal, message };
            }
            self.save(state);
        }
        match self.settle(observer) {
            Ok(()) => {
                let path = printable(self.checkpoints.path());
                let message = format!("interrupted {place}; saved to {path}, {remedy}");
                Error::Interrupted { signal, message }
            }
            Err(error) => error,
        }
    }

    /// Steps of an epoch.
    fn batches(&self) -> usize {
        self.dataset.train.len().div_ceil(self.metadata.recipe.batch_size)
    }

    fn diverged(&self, what: String, epoch: usize, step: usize, lr: f64) -> Error {
        let kept = if self.checkpoints.exists() {
            let path = printable(self.checkpoints.path());
            format!("{path} still holds the last good checkpoint")
        } else {
            "no checkpoint was written".into()
        };
        Error::Diverged { what, epoch, step, lr, kept }
    }

    /// Has `state`, that of the present position, written in the background.
    fn save(&mut self, state: TrainState) {
        self.checkpoints.save(Checkpoint { state, metadata: self.metadata.clone() });
    }

    /// Waits until every checkpoint is on the disk.
    fn settle(&mut self, observer: &mut dyn Observer) -> Result<()> {
        while let Some(written) = self.checkpoints.wait() {
            self.hear(written, observer)?;
        }
        Ok(())
    }

    fn hear(&self, written: Written, observer: &mut dyn Observer) -> Result<()> {
        match written {
            Ok(None) => Ok(()),
            Ok(Some(previous)) => {
                observer.kept_previous(&previous);
                Ok(())
            }
            Err(NotWritten::Failed(error)) => Err(error),
            Err(NotWritten::NotFinite(position)) => Err(self.overflown(position)),
        }
    }

    /// A moment is not finite at this position: a finite gradient has a square that is not. Weights
    /// that are not finite are noticed in their step.
    fn overflown(&self, Position { epoch, batch, .. }: Position) -> Error {
        let (epoch, step) = match batch.checked_sub(1) {
            Some(step) => (epoch, step),
            None => (epoch - 1, self.batches() - 1),
        };
        let lr = CosineAnnealing::from(&self.metadata.recipe).lr(epoch);
        self.diverged("moments that are not finite".into(), epoch, step, lr)
    }
}

fn progress(position: &Position, images: usize, batch_size: usize) -> Progress {
    let done = (position.batch * batch_size).min(images);
    Progress {
        epoch: position.epoch,
        batch: position.batch,
        batches: images.div_ceil(batch_size),
        images: done,
        loss: position.loss / done as f64,
        accuracy: position.correct as f64 / done as f64,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::sync::mpsc;
    use std::thread;

    use super::*;
    use crate::data::synthetic;
    use crate::engine::compute::Compute;
    use crate::model::mnist_cnn::MnistCnn;
    use crate::model::recipe::Recipe;
    use crate::optim::adam::Adam;
    use crate::simd::Isa;
    use crate::stages::Stage;
    use crate::training::checkpoints;

    /// Does something after every epoch, which may end with a signal.
    struct AfterEpoch<F>(F, Option<i32>);

    impl<F: FnMut(usize) -> Option<i32>> Observer for AfterEpoch<F> {
        fn batch(&mut self, _: &Progress) {}

        fn epoch(&mut self, report: &EpochReport) {
            self.1 = self.0(report.progress.epoch);
        }

        fn kept_previous(&mut self, _: &Path) {}

        fn stop(&self) -> Option<i32> {
            self.1
        }
    }

    /// Trains a small network for longer than a test takes, one step an epoch.
    fn train(checkpoints: Checkpoints, after_epoch: impl FnMut(usize) -> Option<i32>) -> Error {
        let architecture = MnistCnn { channels: 1, kernel_size: 1, hidden: 1 }.architecture();
        let recipe = Recipe { batch_size: 4, ..Recipe::default() };
        let compute = Compute { threads: 1, isa: Isa::Portable };
        let stage = Stage::find("naive").unwrap();
        let mut engine = stage.build(&architecture, Adam::from(&recipe), compute).unwrap();
        let parameters = recipe.init.parameters(&architecture, recipe.seed);
        engine.load(&TrainState::new(parameters, &Adam::SLOTS));
        let trainer = Trainer {
            engine: engine.as_mut(),
            dataset: &synthetic::generate(1, 4, 1),
            metadata: Metadata::new(&architecture, recipe, stage.name),
            epochs: 1_000_000,
            evaluate: false,
            checkpoints,
        };
        trainer.run(&mut AfterEpoch(after_epoch, None)).unwrap_err()
    }

    #[test]
    fn an_interruption_saves_nothing_twice() {
        // After epochs 1 and 2 nothing is due, after epoch 3 something is.
        for (last, expected) in [(0, &[1][..]), (2, &[3])] {
            let (written, epochs) = mpsc::channel();
            let checkpoints = Checkpoints::start_with(Path::new("m"), 3, true, move |checkpoint| {
                written.send(checkpoint.metadata.position.epoch).unwrap();
                Ok(None)
            });
            let error = train(checkpoints.unwrap(), |epoch| (epoch == last).then_some(2));
            assert!(matches!(error, Error::Interrupted { signal: 2, .. }), "{error}");
            assert_eq!(epochs.into_iter().collect::<Vec<_>>(), expected);
        }
    }

    #[test]
    fn training_goes_on_while_the_disk_is_slow_and_ends_when_it_fails() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m");
        // Takes one checkpoint for each time that it is told to.
        let (disk, told) = mpsc::channel();
        let target = path.clone();
        let checkpoints = Checkpoints::start_with(&path, 1, false, move |checkpoint| {
            told.recv().unwrap();
            checkpoints::write(checkpoint, &target, false)
        });
        disk.send(()).unwrap();
        let mut saved = Vec::new();
        let mut epochs = 0;
        let error = train(checkpoints.unwrap(), |epoch| {
            epochs = epoch;
            if epoch == 0 {
                while !path.exists() {
                    thread::yield_now();
                }
                saved = fs::read(&path).unwrap();
            }
            if epoch == 20 {
                assert_eq!(fs::read(&path).unwrap(), saved, "nothing has been taken since");
                // A folder cannot be removed as a file can that is left over.
                fs::create_dir(folder.path().join(".m.mnist-train.tmp")).unwrap();
                disk.send(()).unwrap();
            }
            None
        });
        assert!(epochs >= 20, "ended after epoch {epochs}");
        assert!(error.to_string().contains(".m.mnist-train.tmp: cannot write: "), "{error}");
        assert_eq!(fs::read(&path).unwrap(), saved);
    }
}
