//! The loop, and nothing but the loop.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::evaluation::Evaluation;
use super::schedule::CosineAnnealing;
use crate::data::batches::{Batch, epoch_order};
use crate::data::dataset::Dataset;
use crate::durable;
use crate::engine::Engine;
use crate::error::{Error, Result, printable};
use crate::model::checkpoint::{Checkpoint, Metadata, Position};

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

/// Where and how often the state is kept.
#[derive(Debug, Clone)]
pub struct Checkpoints {
    /// The file.
    pub path: PathBuf,
    /// Epochs between two checkpoints.
    pub every: usize,
    /// Whether a file that is there already is another run's, to be kept under another name.
    pub keep_previous: bool,
}

/// A look at a run while it goes.
pub trait Observer {
    /// A batch is done.
    fn batch(&mut self, progress: &Progress);
    /// An epoch is done.
    fn epoch(&mut self, report: &EpochReport);
    /// The file at the checkpoint's path was another run's; it is now `previous`.
    fn kept_previous(&mut self, previous: &std::path::Path);
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
    /// Trains to the end.
    ///
    /// # Errors
    /// [`Error::Diverged`] when the loss or the weights are no longer finite, [`Error::Interrupted`]
    /// when the observer asks to stop (the state is saved), [`Error::Io`] when saving fails.
    pub fn run(mut self, observer: &mut dyn Observer) -> Result<Outcome> {
        let (mut training, mut evaluating) = (Duration::ZERO, Duration::ZERO);
        let mut last = None;
        for epoch in self.metadata.position.epoch..self.epochs {
            let mut report = self.epoch(epoch, observer)?;
            training += report.duration;
            self.metadata.position = Position { epoch: epoch + 1, ..Position::default() };
            report.evaluation = self.evaluation(observer);
            observer.epoch(&report);
            last = report.evaluation;
            evaluating += last.as_ref().map_or(Duration::ZERO, |evaluation| evaluation.duration);
            if let Some(signal) = observer.stop() {
                return Err(self.interrupted(signal, observer));
            }
            let done = epoch + 1;
            if done == self.epochs || done.is_multiple_of(self.checkpoints.every) {
                self.save(observer)?;
            }
        }
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
        let stop = || !self.evaluate || observer.stop().is_some();
        Evaluation::of(self.engine, &self.dataset.test, &stop)
    }

    /// Trains what is left of `epoch`.
    fn epoch(&mut self, epoch: usize, observer: &mut dyn Observer) -> Result<EpochReport> {
        let recipe = self.metadata.recipe.clone();
        let lr = CosineAnnealing::from(&recipe).lr(epoch);
        let train = &self.dataset.train;
        let order = epoch_order(train.len(), recipe.seed, epoch);
        let first = self.metadata.position.batch;
        let mut duration = Duration::ZERO;
        for indices in order.chunks(recipe.batch_size).skip(first) {
            if let Some(signal) = observer.stop() {
                return Err(self.interrupted(signal, observer));
            }
            let started = Instant::now();
            let sum = self.engine.step(&Batch::new(train, indices), lr);
            duration += started.elapsed();
            let position = &mut self.metadata.position;
            if !sum.loss.is_finite() {
                let what = format!("loss {}", sum.loss / indices.len() as f64);
                let step = position.batch;
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

    /// Saves the state between two steps, unless no step has been taken.
    fn interrupted(&mut self, signal: i32, observer: &mut dyn Observer) -> Error {
        let Position { epoch, batch, .. } = self.metadata.position;
        let batches = self.batches();
        let place = format!("interrupted in epoch {epoch} after {batch} of {batches} batches");
        let path = printable(&self.checkpoints.path);
        if self.engine.store().steps == 0 {
            return Error::Interrupted { signal, message: format!("{place}; nothing to save yet") };
        }
        match self.save(observer) {
            Ok(()) => {
                let message = format!("{place}; saved to {path}, go on with --resume");
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
        let path = &self.checkpoints.path;
        let ours = !self.checkpoints.keep_previous && path.exists();
        let kept = if ours {
            format!("{} still holds the last good checkpoint", printable(path))
        } else {
            "no checkpoint was written".into()
        };
        Error::Diverged { what, epoch, step, lr, kept }
    }

    fn save(&mut self, observer: &mut dyn Observer) -> Result<()> {
        let state = self.engine.store();
        let finite = [&state.parameters, &state.first_moment, &state.second_moment]
            .iter()
            .all(|set| set.first_not_finite().is_none());
        if !finite {
            // The last step overflowed, and no later loss has shown it yet.
            let Position { epoch, batch, .. } = self.metadata.position;
            let (epoch, step) = match batch.checked_sub(1) {
                Some(step) => (epoch, step),
                None => (epoch - 1, self.batches() - 1),
            };
            let lr = CosineAnnealing::from(&self.metadata.recipe).lr(epoch);
            return Err(self.diverged("weights that are not finite".into(), epoch, step, lr));
        }
        let bytes = Checkpoint { state, metadata: self.metadata.clone() }.to_bytes();
        let Checkpoints { path, keep_previous, .. } = &mut self.checkpoints;
        if *keep_previous {
            if let Some(previous) = durable::replace_and_keep(path, &bytes)? {
                observer.kept_previous(&previous);
            }
            *keep_previous = false;
            return Ok(());
        }
        durable::replace(path, &bytes)
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
