//! The training loop over epochs and batches, which also evaluates, saves and stops on a signal.

use std::time::{Duration, Instant};

use super::ahead::augmented;
use super::checkpoints::{Checkpoints, NotWritten, Written};
use super::evaluation::Evaluation;
use super::observer::{EpochReport, Observer, Progress};
use crate::data::augment::{Augment, Augmented};
use crate::data::batches::{Batch, batches, epoch_order};
use crate::data::dataset::Dataset;
use crate::engine::Engine;
use crate::error::{Error, Result, printable};
use crate::model::checkpoint::{
    Checkpoint, DEFAULT_FILE, EpochRecord, Metadata, Position, RUNAWAY_LOSS, Validation, history,
};
use crate::model::parameters::TrainState;
use crate::optim::schedule::Schedule;
use crate::ranks::{End, Ranks, Traffic};

/// Number of epochs of a run that names no other.
pub const DEFAULT_EPOCHS: f64 = 10.0;
/// Norm of a gradient from which on an observer is told that it is large.
const LARGE_NORM: f64 = 10.0;

/// A training run: engine, images, recipe and checkpoints.
pub struct Trainer<'a> {
    /// Engine that holds the state from which the run goes on.
    pub engine: &'a mut dyn Engine,
    /// Images to train and to evaluate on.
    pub dataset: &'a Dataset,
    /// Metadata for the checkpoints, with the recipe of the run and the position where it begins.
    pub metadata: Metadata,
    /// Number of epochs after which the run ends, counted from the beginning of training. A fraction ends
    /// after a whole number of batches, at least one.
    pub epochs: f64,
    /// Whether the model is evaluated on the test images.
    pub evaluate: bool,
    /// Number of epochs from one evaluation to the next; there is always one at the end.
    pub eval_every: usize,
    /// Destination of the run's checkpoints, if the model is kept.
    pub checkpoints: Option<Checkpoints>,
    /// Destination of the checkpoint after the epoch with the best validation, if it is wanted.
    pub best: Option<Checkpoints>,
    /// Number of epochs without a better validation after which the run ends, if any number.
    pub patience: Option<usize>,
    /// Processes that train together, all of which run this same run, if there are several.
    pub ranks: Option<Ranks>,
}

/// Result of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// Duration of all training steps.
    pub training: Duration,
    /// Duration of all evaluations.
    pub evaluation: Duration,
    /// Messages of all training steps to other ranks.
    pub exchanged: Traffic,
    /// End of the last prediction, or else of the training.
    pub predicted: Instant,
    /// Result of the last evaluation.
    pub last: Option<Evaluation>,
    /// Number of epochs that the model has been trained for, earlier runs included.
    pub epochs: f64,
    /// Result of the validations, if there are any.
    pub validation: Option<Validation>,
}

impl Trainer<'_> {
    /// Trains to the last epoch; returns when the last checkpoint is on the disk.
    ///
    /// # Errors
    /// - [`Error::Diverged`] when the loss is too large, or a loss, a weight or a moment is not
    ///   finite,
    /// - [`Error::Interrupted`] when the observer asks to stop, after the state is saved,
    /// - [`Error::Io`] or [`Error::Unavailable`] when saving fails, after the step in which it
    ///   failed.
    pub fn run(mut self, observer: &mut dyn Observer) -> Result<Outcome> {
        self.ranks.iter().for_each(|ranks| ranks.set_idle(false));
        let outcome = self.train(observer)?;
        self.part();
        Ok(outcome)
    }

    /// Trains, validates, tests and saves, as [`run`](Self::run) says.
    fn train(&mut self, observer: &mut dyn Observer) -> Result<Outcome> {
        let (mut training, mut evaluating) = (Duration::ZERO, Duration::ZERO);
        let mut exchanged = Traffic::default();
        // A signal may have come before the last validation, or before the last evaluation.
        if self.metadata.position.batch == 0 {
            evaluating += duration(&self.validate(observer));
        }
        let mut last = if self.lacks_test() { self.evaluation(observer) } else { None };
        let mut predicted = Instant::now();
        evaluating += duration(&last);
        observer.begin(self.metadata.position.epoch, &self.metadata.history);
        let end = Position::end(self.epochs, self.batches());
        while self.place() < end && !self.is_out_of_patience() {
            let epoch = self.metadata.position.epoch;
            let is_whole = epoch < end.0;
            let batches = if is_whole { self.batches() } else { end.1 };
            let before = self.traffic();
            let mut report = self.epoch(epoch, batches, observer)?;
            training += report.duration;
            exchanged += self.traffic() - before;
            let state = self.engine.store();
            report.record.weight_norm = state.parameters.norm();
            if is_whole {
                self.metadata.position = Position { epoch: epoch + 1, ..Position::default() };
                history::push(&mut self.metadata.history, report.record.clone());
            }
            let validation = self.validate(observer);
            evaluating += duration(&validation);
            let ends = self.place() == end || self.is_out_of_patience();
            if self.checkpoints.as_ref().is_some_and(|to| ends || to.is_due(epoch + 1)) {
                self.save(state);
            }
            // The thread writes the checkpoint meanwhile. It lacks the test result, which the next
            // one has; a run that goes on from it evaluates once more.
            last = if ends || self.is_test_due() { self.evaluation(observer) } else { None };
            predicted = Instant::now();
            evaluating += duration(&last);
            add_validation(&mut report.record, validation.as_ref());
            add_test(&mut report.record, last.as_ref());
            observer.epoch(&report);
            if let Some(signal) = self.stop(observer) {
                return Err(self.interrupted(signal, observer));
            }
        }
        let settled = self.settle(observer);
        self.agree(settled, None)?;
        if self.evaluate && last.is_none() {
            // The run began at its last epoch, so there was nothing to train.
            last = self.evaluation(observer);
            if let Some(signal) = self.stop(observer) {
                self.part();
                let message = "interrupted; there was nothing to save".into();
                return Err(Error::Interrupted { signal, message });
            }
            predicted = Instant::now();
            evaluating += duration(&last);
        }
        let (epoch, batch) = self.place();
        let epochs = epoch as f64 + batch as f64 / self.batches() as f64;
        let validation = self.metadata.validation;
        let evaluation = evaluating;
        Ok(Outcome { training, evaluation, exchanged, predicted, last, epochs, validation })
    }

    /// Cost of all messages to other ranks so far.
    fn traffic(&self) -> Traffic {
        self.ranks.as_ref().map(Ranks::traffic).unwrap_or_default()
    }

    /// Number of whole epochs that are done, and of batches of the next one.
    fn place(&self) -> (usize, usize) {
        let Position { epoch, batch, .. } = self.metadata.position;
        (epoch, batch)
    }

    /// Whether the best validation is too many epochs ago.
    fn is_out_of_patience(&self) -> bool {
        let Some((patience, validation)) = self.patience.zip(self.metadata.validation) else {
            return false;
        };
        validation.epoch - validation.best_epoch >= patience
    }

    /// Evaluates on the validation images, unless that was done after the present epoch. After a whole
    /// epoch, the result is kept, and so is the best model if it is wanted. `None` also when a signal
    /// comes.
    fn validate(&mut self, observer: &dyn Observer) -> Option<Evaluation> {
        let (epoch, batch) = self.place();
        let before = self.metadata.validation;
        if batch == 0 && epoch == before.map_or(0, |validation| validation.epoch) {
            return None;
        }
        let images = self.dataset.validation.as_ref()?;
        let ranks = &self.ranks;
        let stop = || stop(ranks, observer).is_some();
        let evaluation = Evaluation::of(self.engine, images, None, &stop)?;
        if batch > 0 {
            return Some(evaluation);
        }
        let validation = Validation::after(before, epoch, evaluation.correct);
        self.metadata.validation = Some(validation);
        if let Some(record) = self.record() {
            add_validation(record, Some(&evaluation));
        }
        if let Some(best) = self.best.as_mut().filter(|_| validation.best_epoch == epoch) {
            let (state, metadata) = (self.engine.store(), self.metadata.clone());
            best.save(Checkpoint { state, metadata });
        }
        Some(evaluation)
    }

    /// Evaluates on the test images, if the run evaluates; `None` also when a signal comes.
    fn evaluation(&mut self, observer: &dyn Observer) -> Option<Evaluation> {
        let test = self.dataset.test.as_ref().filter(|_| self.evaluate)?;
        let ranks = &self.ranks;
        let stop = || stop(ranks, observer).is_some();
        let evaluation = Evaluation::of(self.engine, test, None, &stop)?;
        if let Some(record) = self.record() {
            add_test(record, Some(&evaluation));
        }
        Some(evaluation)
    }

    /// Record of the epoch that has just ended, if one has and its record is known.
    fn record(&mut self) -> Option<&mut EpochRecord> {
        let Metadata { position: Position { epoch, batch, .. }, history, .. } = &mut self.metadata;
        history.last_mut().filter(|record| *batch == 0 && record.epoch + 1 == *epoch)
    }

    /// Whether an evaluation is due after the epoch that has just ended, wherever the run ends.
    fn is_test_due(&self) -> bool {
        self.metadata.position.epoch.is_multiple_of(self.eval_every)
    }

    /// Whether the epoch that has just ended has a record without a test result that is due.
    fn lacks_test(&mut self) -> bool {
        self.is_test_due() && self.record().is_some_and(|record| record.test_correct.is_none())
    }

    /// Trains the rest of the first `end` batches of `epoch`, from the present batch on. What is known
    /// only after them is missing in the record.
    fn epoch(
        &mut self,
        epoch: usize,
        end: usize,
        observer: &mut dyn Observer,
    ) -> Result<EpochReport> {
        let recipe = self.metadata.recipe.clone();
        let dataset = self.dataset;
        let train = &dataset.train;
        let order = epoch_order(train.len(), recipe.seed, epoch);
        let first = self.metadata.position.batch;
        let mut duration = Duration::ZERO;
        let mut step = |batch: &Batch<'_>, waited: Duration| {
            duration += waited + self.step(batch, observer)?;
            Ok(())
        };
        let mut batches = batches(train, &order, recipe.batch_size).take(end).skip(first);
        match recipe.augment {
            Augment::None => batches.try_for_each(|batch| step(&batch, Duration::ZERO))?,
            kind => {
                let buffer = || Augmented::new(kind, recipe.seed, train.sides(), recipe.batch_size);
                augmented(batches, buffer, epoch, step)?;
            }
        }
        let in_epoch = self.batches();
        let progress = progress(&self.metadata.position, order.len(), recipe.batch_size);
        let images = progress.images - (first * recipe.batch_size).min(progress.images);
        let lr = Schedule::from(&recipe).lr(epoch, end - 1, in_epoch);
        let mean = self.metadata.position.gradient_norm / end as f64;
        let record = EpochRecord {
            epoch,
            loss: progress.loss,
            train_accuracy: progress.accuracy,
            validation_correct: None,
            validation_total: None,
            validation_loss: None,
            test_correct: None,
            test_total: None,
            test_loss: None,
            gradient_norm: self
                .engine
                .gradient_norm()
                .map(|_| mean)
                .filter(|mean| mean.is_finite()),
            weight_norm: 0.0,
            lr,
        };
        Ok(EpochReport { record, duration, images })
    }

    /// Trains on `batch`, the next one of the epoch, and returns the duration of the step.
    fn step(&mut self, batch: &Batch<'_>, observer: &mut dyn Observer) -> Result<Duration> {
        let started = Instant::now();
        let mut heard = Ok(());
        while heard.is_ok()
            && let Some(written) = self.written(Checkpoints::poll)
        {
            heard = self.hear(written, observer);
        }
        if let Some(signal) = self.agree(heard, observer.stop())? {
            return Err(self.interrupted(signal, observer));
        }
        let (epoch, step) = self.place();
        let (images, in_epoch) = (self.dataset.train.len(), self.batches());
        let recipe = &self.metadata.recipe;
        let lr = Schedule::from(recipe).lr(epoch, step, in_epoch);
        let place = epoch as f64 + step as f64 / in_epoch as f64;
        self.engine.freeze_convolutions(recipe.freezes_convolutions(place));
        let sum = self.engine.step(batch, lr);
        let duration = started.elapsed();
        let mean = sum.loss / batch.len() as f64;
        if !mean.is_finite() || mean > RUNAWAY_LOSS {
            let what = if mean.is_finite() {
                format!("loss {mean:.0}")
            } else {
                "a loss or weights that are not finite".into()
            };
            self.part();
            // The checkpoint that is being written may not be finite either; then its error,
            // from an earlier step, is reported.
            self.settle(observer)?;
            return Err(self.diverged(what, epoch, step, lr));
        }
        let Metadata { position, recipe, .. } = &mut self.metadata;
        position.batch += 1;
        position.loss += sum.loss;
        position.correct += sum.correct;
        if let Some(norm) = self.engine.gradient_norm() {
            position.gradient_norm += norm;
            if norm > LARGE_NORM && recipe.clip_norm == 0.0 {
                observer.large_gradient(norm);
            }
        }
        observer.batch(&progress(position, images, recipe.batch_size));
        Ok(duration)
    }

    /// Number of the signal that asks any rank to stop, if one has come.
    fn stop(&self, observer: &dyn Observer) -> Option<i32> {
        stop(&self.ranks, observer)
    }

    /// Ends the run if an `own` result is an error, or that of another rank. Returns the number of the signal
    /// that asks any rank to stop, which is `signal` on this one.
    fn agree(&self, own: Result<()>, signal: Option<i32>) -> Result<Option<i32>> {
        let end = match (&own, signal) {
            (Err(_), _) => Some(End::Failure),
            (Ok(()), signal) => signal.map(End::Signal),
        };
        let all = self.ranks.as_ref().map_or(end, |ranks| ranks.agree(end));
        match all {
            None => Ok(None),
            Some(End::Signal(number)) => Ok(Some(number)),
            Some(End::Failure) => {
                self.part();
                own.and(Err(Error::OfAnotherRank))
            }
        }
    }

    /// Says that the run has ended on all ranks.
    fn part(&self) {
        self.ranks.iter().for_each(|ranks| ranks.set_idle(true));
    }

    /// Saves the state after a signal, unless it is saved already or no step has been taken.
    /// Returns the error that tells where the run was interrupted, or why the state could not be
    /// saved.
    fn interrupted(&mut self, signal: i32, observer: &mut dyn Observer) -> Error {
        let position @ Position { epoch, batch, .. } = self.metadata.position;
        let batches = self.batches();
        let (number, epochs) = (epoch + 1, self.epochs.ceil());
        let is_over = self.place() == Position::end(self.epochs, batches);
        let place = if is_over {
            "after the last epoch".into()
        } else {
            format!("in epoch {number} of {epochs} after {batch} of {batches} batches")
        };
        let Some(checkpoints) = &self.checkpoints else {
            self.part();
            let message = format!("interrupted {place}; the model is not kept");
            return Error::Interrupted { signal, message };
        };
        let path = printable(checkpoints.path());
        let model = if path == DEFAULT_FILE { String::new() } else { format!(" --model {path}") };
        let remedy = if is_over {
            format!("test it with 'mnist-train eval{model}'")
        } else {
            let epochs = match self.epochs {
                DEFAULT_EPOCHS => String::new(),
                epochs => format!(" --epochs {epochs}"),
            };
            format!("go on with --resume{epochs}{model}")
        };
        if !checkpoints.has(position) {
            let state = self.engine.store();
            if state.steps == 0 {
                self.part();
                let message = format!("interrupted {place}; nothing to save yet");
                return Error::Interrupted { signal, message };
            }
            self.save(state);
        }
        self.part();
        match self.settle(observer) {
            Ok(()) => {
                let message = format!("interrupted {place}; saved to {path}, {remedy}");
                Error::Interrupted { signal, message }
            }
            Err(error) => error,
        }
    }

    /// Number of batches in an epoch.
    fn batches(&self) -> usize {
        self.dataset.train.len().div_ceil(self.metadata.recipe.batch_size)
    }

    /// The error of a run that diverged, which says whether a good checkpoint exists.
    fn diverged(&self, what: String, epoch: usize, step: usize, lr: f64) -> Error {
        let kept = match self.checkpoints.as_ref().filter(|checkpoints| checkpoints.exists()) {
            Some(checkpoints) => {
                let path = printable(checkpoints.path());
                format!("{path} still holds the last good checkpoint")
            }
            None => "no checkpoint was written".into(),
        };
        let remedy = self.metadata.recipe.remedy(lr);
        Error::Diverged { what, epoch, step, lr, kept, remedy }
    }

    /// Lets the thread write a checkpoint of `state` at the present position.
    fn save(&mut self, state: TrainState) {
        let metadata = self.metadata.clone();
        if let Some(checkpoints) = &mut self.checkpoints {
            checkpoints.save(Checkpoint { state, metadata });
        }
    }

    /// The first result that `next` finds at a destination of checkpoints.
    fn written(&mut self, next: fn(&mut Checkpoints) -> Option<Written>) -> Option<Written> {
        [&mut self.checkpoints, &mut self.best].into_iter().flatten().find_map(next)
    }

    /// Waits until no checkpoint is being written or waiting.
    fn settle(&mut self, observer: &mut dyn Observer) -> Result<()> {
        while let Some(written) = self.written(Checkpoints::wait) {
            self.hear(written, observer)?;
        }
        Ok(())
    }

    /// Reports the result of a checkpoint to the observer, or returns its error.
    fn hear(&self, written: Written, observer: &mut dyn Observer) -> Result<()> {
        match written {
            Ok(None) => Ok(()),
            Ok(Some(kept)) => {
                observer.kept_previous(&kept);
                Ok(())
            }
            Err(NotWritten::Failed(error)) => Err(error),
            Err(NotWritten::NotFinite(position)) => Err(self.overflown(position)),
        }
    }

    /// The error of a moment that is not finite at this position: the square of a finite gradient
    /// was too large for f32. A weight that is not finite is noticed in its own step.
    fn overflown(&self, Position { epoch, batch, .. }: Position) -> Error {
        let (epoch, step) = match batch.checked_sub(1) {
            Some(step) => (epoch, step),
            None => (epoch - 1, self.batches() - 1),
        };
        let lr = Schedule::from(&self.metadata.recipe).lr(epoch, step, self.batches());
        self.diverged("moments that are not finite".into(), epoch, step, lr)
    }
}

/// Number of the signal that asks any of the `ranks` to stop, if one has come.
fn stop(ranks: &Option<Ranks>, observer: &dyn Observer) -> Option<i32> {
    let own = observer.stop();
    let Some(ranks) = ranks else { return own };
    match ranks.agree(own.map(End::Signal))? {
        End::Signal(number) => Some(number),
        End::Failure => unreachable!("a failure is agreed on between two steps"),
    }
}

/// Adds the result of the validation after an epoch, if there was one, to its `record`.
fn add_validation(record: &mut EpochRecord, evaluation: Option<&Evaluation>) {
    if let Some(Evaluation { correct, total, loss, .. }) = evaluation {
        record.validation_correct = Some(*correct);
        record.validation_total = Some(*total);
        record.validation_loss = Some(*loss).filter(|loss| loss.is_finite());
    }
}

/// Adds the result of the test after an epoch, if there was one, to its `record`.
fn add_test(record: &mut EpochRecord, evaluation: Option<&Evaluation>) {
    if let Some(Evaluation { correct, total, loss, .. }) = evaluation {
        record.test_correct = Some(*correct);
        record.test_total = Some(*total);
        record.test_loss = Some(*loss).filter(|loss| loss.is_finite());
    }
}

/// Duration of an evaluation, if there was one.
fn duration(evaluation: &Option<Evaluation>) -> Duration {
    evaluation.as_ref().map_or(Duration::ZERO, |evaluation| evaluation.duration)
}

/// Progress of an epoch over `images` images at `position`.
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
    use std::path::Path;
    use std::sync::mpsc;
    use std::thread;

    use super::*;
    use crate::data::synthetic;
    use crate::engine::compute::Compute;
    use crate::files::durable::Kept;
    use crate::model::mnist_cnn::MnistCnn;
    use crate::model::recipe::Recipe;
    use crate::optim::adam::Adam;
    use crate::simd::Isa;
    use crate::stages::Stage;
    use crate::training::checkpoints;

    /// Observer that calls a function after every epoch; the function may return a signal.
    struct AfterEpoch<F>(F, Option<i32>);

    impl<F: FnMut(usize) -> Option<i32>> Observer for AfterEpoch<F> {
        fn begin(&mut self, _: usize, _: &[EpochRecord]) {}

        fn batch(&mut self, _: &Progress) {}

        fn epoch(&mut self, report: &EpochReport) {
            self.1 = self.0(report.record.epoch);
        }

        fn large_gradient(&mut self, _: f64) {}
        fn kept_previous(&mut self, _: &Kept) {}

        fn stop(&self) -> Option<i32> {
            self.1
        }
    }

    /// Trains a small network, with one step in an epoch, until `after_epoch` or the disk ends it.
    fn train(checkpoints: Checkpoints, after_epoch: impl FnMut(usize) -> Option<i32>) -> Error {
        let architecture = MnistCnn { channels: 1, kernel_size: 1, hidden: 1 }.architecture();
        let recipe = Recipe { batch_size: 4, ..Recipe::default() };
        let compute = Compute { threads: 1, isa: Isa::Portable };
        let stage = Stage::find("naive").unwrap();
        let mut engine = stage.build(&architecture, &recipe, compute).unwrap();
        let parameters = recipe.init.parameters(&architecture, recipe.seed);
        engine.load(&TrainState::new(parameters, &Adam::SLOTS));
        let trainer = Trainer {
            engine: engine.as_mut(),
            dataset: &synthetic::generate(1, 4, 1),
            metadata: Metadata::new(&architecture, recipe, stage.name),
            epochs: 1e6,
            evaluate: false,
            eval_every: 1,
            checkpoints: Some(checkpoints),
            best: None,
            patience: None,
            ranks: None,
        };
        trainer.run(&mut AfterEpoch(after_epoch, None)).unwrap_err()
    }

    #[test]
    fn an_interruption_saves_nothing_twice() {
        // A checkpoint is due after every third epoch.
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
        // This disk writes one checkpoint for each message.
        let (disk, told) = mpsc::channel();
        let target = path.clone();
        let checkpoints = Checkpoints::start_with(&path, 1, false, move |checkpoint| {
            told.recv().unwrap();
            checkpoints::write(checkpoint, &target, None)
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
                // A folder in place of the temporary file cannot be removed: the next write fails.
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
