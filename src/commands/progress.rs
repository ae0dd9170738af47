//! Progress of training and of downloads: bars on a terminal, results and notes everywhere.

use indicatif::{HumanDuration, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::output::Output;
use super::signals::Signals;
use crate::bench::ladder;
use crate::data::remote;
use crate::error::printable;
use crate::files::durable::Kept;
use crate::report::text::numbers::grouped;
use crate::report::{self, Event};
use crate::training::trainer::{EpochReport, Observer, Progress};

/// Largest number of times a second that a bar is redrawn.
const DRAWS_PER_SECOND: u8 = 10;

/// A bar with this `template`, hidden where `output` shows no progress.
fn bar(output: &Output, template: &str) -> ProgressBar {
    let target = if output.shows_progress() {
        ProgressDrawTarget::stderr_with_hz(DRAWS_PER_SECOND)
    } else {
        ProgressDrawTarget::hidden()
    };
    let style = ProgressStyle::with_template(template).expect("a valid template");
    ProgressBar::with_draw_target(None, target).with_style(style.progress_chars("█▉▊▋▌▍▎▏ "))
}

/// Shows the progress of training and prints the result of each epoch.
pub struct TrainingProgress<'a> {
    output: &'a Output,
    signals: Signals,
    epochs: usize,
    bar: ProgressBar,
    /// Epoch that the bar shows.
    epoch_shown: Option<usize>,
    /// Number of images of this epoch that were done when the bar appeared.
    images_before: usize,
}

impl<'a> TrainingProgress<'a> {
    /// Progress of a run that ends after `epochs` epochs.
    pub fn new(output: &'a Output, signals: Signals, epochs: usize) -> Self {
        let bar = bar(output, "{prefix} {wide_bar} {pos}/{len} {msg}");
        Self { output, signals, epochs, bar, epoch_shown: None, images_before: 0 }
    }

    /// Removes the bar from the screen.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

impl Observer for TrainingProgress<'_> {
    fn batch(&mut self, progress: &Progress) {
        if self.bar.is_hidden() {
            return;
        }
        let Progress { epoch, batch, batches, loss, accuracy, images } = *progress;
        if self.epoch_shown != Some(epoch) {
            self.epoch_shown = Some(epoch);
            self.bar.reset();
            self.images_before = images;
            self.bar.set_prefix(format!("epoch {epoch} of {}", self.epochs));
            self.bar.set_length(batches as u64);
        }
        self.bar.set_position(batch as u64);
        // Only images of this process count: a resumed epoch begins in the middle.
        let speed = (images - self.images_before) as f64 / self.bar.elapsed().as_secs_f64();
        let left = HumanDuration(self.bar.eta());
        self.bar.set_message(match batch {
            last if last == batches => "testing".into(),
            _ => format!(
                "loss {loss:.4} acc {:.2} % {}/s {left:#} left",
                100.0 * accuracy,
                grouped(speed as usize),
            ),
        });
    }

    fn epoch(&mut self, report: &EpochReport) {
        let EpochReport { progress, lr, duration, images, evaluation } = report;
        let event = Event::Epoch(report::Epoch {
            epoch: progress.epoch,
            loss: progress.loss,
            train_accuracy: progress.accuracy,
            test_correct: evaluation.as_ref().map(|evaluation| evaluation.correct),
            test_total: evaluation.as_ref().map(|evaluation| evaluation.total),
            lr: *lr,
            seconds: duration.as_secs_f64(),
            images_per_second: *images as f64 / duration.as_secs_f64(),
        });
        self.bar.suspend(|| self.output.event(&event));
    }

    fn kept_previous(&mut self, Kept { previous, dropped }: &Kept) {
        let mut message = format!("the model that was there is now {}", printable(previous));
        if let Some(dropped) = dropped {
            message += ";\nthe oldest one is gone, which was ";
            message += &printable(dropped);
        }
        self.bar.suspend(|| self.output.note(&message));
    }

    fn stop(&self) -> Option<i32> {
        self.signals.received()
    }
}

/// Shows the progress of a download.
pub struct DownloadProgress<'a> {
    output: &'a Output,
    signals: Signals,
    bar: ProgressBar,
}

impl<'a> DownloadProgress<'a> {
    /// Progress of a download; nothing is shown before it begins.
    pub fn new(output: &'a Output, signals: Signals) -> Self {
        let bar = bar(output, "{prefix} {wide_bar} {bytes}/{total_bytes} {bytes_per_sec}");
        Self { output, signals, bar }
    }

    /// Removes the bar from the screen.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

impl remote::Progress for DownloadProgress<'_> {
    fn event(&mut self, event: remote::Event<'_>) {
        match event {
            remote::Event::Requested { part, host } => {
                self.bar.reset();
                self.bar.set_prefix(part.name());
                let message = format!("downloading {} from {host}", part.download_name());
                self.bar.suspend(|| self.output.note(&message));
            }
            remote::Event::Received { bytes, total } => {
                if let Some(total) = total {
                    self.bar.set_length(total);
                }
                self.bar.set_position(bytes);
            }
            remote::Event::Failed { part, host, reason } => {
                let message = format!("  {host} does not deliver {}: {reason}", part.name());
                self.bar.suspend(|| self.output.note(&message));
            }
            remote::Event::Verified { path } => {
                let message = format!("  {} verified", printable(path));
                self.bar.suspend(|| self.output.note(&message));
            }
        }
    }

    fn stop_requested(&self) -> Option<i32> {
        self.signals.received()
    }
}

/// Shows how a measurement of stages goes.
pub struct LadderProgress<'a> {
    output: &'a Output,
    bar: ProgressBar,
}

impl<'a> LadderProgress<'a> {
    /// A bar that is not there before the measurement begins.
    pub fn new(output: &'a Output) -> Self {
        Self { output, bar: ProgressBar::hidden() }
    }
}

impl ladder::Observer for LadderProgress<'_> {
    fn comparing(&mut self) {
        self.bar = spinner(self.output, "comparing losses with naive's");
    }

    fn timing(&mut self, turns: usize) {
        self.bar = counter(self.output, "timing", turns);
    }

    fn turn(&mut self) {
        self.bar.inc(1);
    }

    fn finished(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// A line with `message` and an ellipsis, for work of unknown length.
pub fn spinner(output: &Output, message: &str) -> ProgressBar {
    // Nothing turns: an animation would need a thread, which the operating system may refuse.
    let bar = bar(output, "{msg} …");
    bar.set_message(message.to_string());
    bar.tick();
    bar
}

/// A bar that counts up to `length`.
pub fn counter(output: &Output, message: &str, length: usize) -> ProgressBar {
    let bar = bar(output, "{msg} {wide_bar} {pos}/{len} {eta} left");
    bar.set_message(message.to_string());
    bar.set_length(length as u64);
    bar
}
