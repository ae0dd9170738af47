//! Progress of training and of downloads: bars on a terminal, results and notes everywhere.

use std::fmt::Write;
use std::io;
use std::mem;
use std::time::{Duration, Instant};

use indicatif::{HumanDuration, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use terminal_size::terminal_size_of;

use super::logs::Logs;
use super::output::Output;
use super::signals::Signals;
use crate::bench::observer;
use crate::data::remote;
use crate::error::{Error, printable};
use crate::files::durable::Kept;
use crate::model::checkpoint::{EpochRecord, Position};
use crate::report::sweep::SweepRun;
use crate::report::text::numbers::grouped;
use crate::report::{self, Event};
use crate::training::observer::{EpochReport, Observer, Progress};

/// Largest number of times a second that a bar is redrawn.
const DRAWS_PER_SECOND: u8 = 10;

/// Time between two lines that say how far a measurement is, where no bar is drawn.
const LINE_INTERVAL: Duration = Duration::from_secs(10);

/// Bar and message on one line, which is cut at the width of the terminal. The codes clear what is
/// below and move the cursor to the beginning of the line: a terminal that becomes narrower breaks
/// the line into several, and the cursor stays at the beginning of the first.
const BAR: &str = "\x1b[J{bar:10} {left}{wide_msg}\x1b[G";
/// Number of characters of the bar and the space after it.
const BAR_WIDTH: usize = 11;

/// A bar with this `template`, hidden where `output` shows no progress.
fn bar(output: &Output, template: &str) -> ProgressBar {
    let target = if output.shows_progress() {
        ProgressDrawTarget::stderr_with_hz(DRAWS_PER_SECOND)
    } else {
        ProgressDrawTarget::hidden()
    };
    let style = ProgressStyle::with_template(template).expect("a valid template");
    let left = |state: &ProgressState, line: &mut dyn Write| {
        _ = left(state.eta()).map(|left| write!(line, "{left}, "));
    };
    let style = style.with_key("left", left).progress_chars("█▉▊▋▌▍▎▏ ");
    ProgressBar::with_draw_target(None, target).with_style(style)
}

/// Text of the time that is left, if it is known: an unknown time looks like less than a second.
fn left(eta: Duration) -> Option<String> {
    (eta >= Duration::from_secs(1)).then(|| format!("{:#} left", HumanDuration(eta)))
}

/// The first of `items` that fit beside a bar on stderr.
fn fitting(items: impl IntoIterator<Item = String>) -> String {
    let width = terminal_size_of(io::stderr()).map_or(usize::MAX, |(width, _)| width.0.into());
    let mut message = String::new();
    for item in items {
        let before = if message.is_empty() { "" } else { ", " };
        if BAR_WIDTH + message.len() + before.len() + item.len() > width {
            break;
        }
        message += before;
        message += &item;
    }
    message
}

/// Shows the progress of training and prints the result of each epoch.
pub struct TrainingProgress<'a> {
    output: &'a Output,
    logs: &'a mut Logs,
    signals: Signals,
    epochs: f64,
    evaluates: bool,
    /// Whether a large gradient has been reported.
    warned: bool,
    bar: ProgressBar,
}

impl<'a> TrainingProgress<'a> {
    /// Progress of a run that ends after `epochs` epochs, `evaluates` after each of them or not, and
    /// writes `logs`.
    pub fn new(
        output: &'a Output,
        logs: &'a mut Logs,
        signals: Signals,
        epochs: f64,
        evaluates: bool,
    ) -> Self {
        // The time that is left is part of the message, which is made to fit.
        let bar = bar(output, &BAR.replace("{left}", ""));
        Self { output, logs, signals, epochs, evaluates, warned: false, bar }
    }

    /// Removes the bar from the screen.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

impl Observer for TrainingProgress<'_> {
    fn begin(&mut self, epoch: usize, history: &[EpochRecord]) {
        self.logs.begin(epoch, history, self.output);
    }

    fn batch(&mut self, progress: &Progress) {
        if self.bar.is_hidden() {
            return;
        }
        let Progress { epoch, batch, batches, loss, accuracy, images } = *progress;
        let done = (epoch * batches + batch) as u64;
        if self.bar.length().is_none() {
            let (whole, part) = Position::end(self.epochs, batches);
            self.bar.set_length((whole * batches + part) as u64);
            // Only batches of this process count: a resumed run begins in the middle.
            self.bar.set_position(done - 1);
            self.bar.reset_eta();
        }
        let is_last = self.bar.length() == Some(done);
        let speed = self.bar.per_sec() * images as f64 / batch as f64;
        let doing = match batch {
            last if (last == batches || is_last) && self.evaluates => vec!["testing".into()],
            _ => vec![
                format!("loss {loss:.4}"),
                format!("acc {:.2} %", 100.0 * accuracy),
                format!("{}/s", grouped(speed as usize)),
            ],
        };
        self.bar.set_position(done);
        let epoch = format!("epoch {} of {}", epoch + 1, self.epochs.ceil());
        let before = left(self.bar.eta()).into_iter().chain([epoch]);
        self.bar.set_message(fitting(before.chain(doing)));
    }

    fn epoch(&mut self, report: &EpochReport) {
        let epoch = report::Epoch::from(report);
        self.bar.suspend(|| {
            self.logs.epoch(&epoch, self.output);
            self.output.event(&Event::Epoch(epoch));
        });
    }

    fn large_gradient(&mut self, norm: f64) {
        if !mem::replace(&mut self.warned, true) {
            let message = format!(
                "note: a gradient has the norm {norm:.1}, so training may become unstable:\n\
                 --clip-norm 1 shortens long gradients"
            );
            self.bar.suspend(|| self.output.note(&message));
        }
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

/// Shows the progress of a sweep, prints the result of each run, and keeps the results of its epochs.
pub struct SweepProgress<'a> {
    output: &'a Output,
    signals: Signals,
    /// Bar of the runs.
    bar: ProgressBar,
    /// Number of runs of the sweep, and of those that have ended.
    runs: usize,
    ended: usize,
    /// What distinguishes the present run, and its number of epochs.
    run: String,
    epochs: f64,
    /// Results of the epochs of the present run.
    results: Vec<Event>,
}

impl<'a> SweepProgress<'a> {
    /// Progress of a sweep of `runs` runs.
    pub fn new(output: &'a Output, signals: Signals, runs: usize) -> Self {
        let bar = counter(output, "", runs);
        Self {
            output,
            signals,
            bar,
            runs,
            ended: 0,
            run: String::new(),
            epochs: 0.0,
            results: Vec::new(),
        }
    }

    /// A `run` of this number of `epochs` begins.
    pub fn begin_run(&mut self, run: String, epochs: f64) {
        (self.run, self.epochs) = (run, epochs);
    }

    /// A run has this `result`.
    pub fn end_run(&mut self, result: &SweepRun) {
        self.ended += 1;
        self.bar.set_position(self.ended as u64);
        self.bar.suspend(|| self.output.event(&Event::SweepRun(result.clone())));
    }

    /// Results of the epochs of the run that has ended.
    pub fn epochs(&mut self) -> Vec<Event> {
        mem::take(&mut self.results)
    }

    /// Error of a `signal` in a run.
    pub fn interrupted(&self, signal: i32) -> Error {
        let (ended, runs) = (self.ended, self.runs);
        let message =
            format!("interrupted after {ended} of {runs} runs; go on with the same command");
        Error::Interrupted { signal, message }
    }

    /// Removes the bar from the screen.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

impl Observer for SweepProgress<'_> {
    fn begin(&mut self, _: usize, _: &[EpochRecord]) {}

    fn batch(&mut self, progress: &Progress) {
        if !self.bar.is_hidden() {
            let epoch = format!("epoch {} of {}", progress.epoch + 1, self.epochs.ceil());
            self.bar.set_message(fitting([self.run.clone(), epoch]));
        }
    }

    fn epoch(&mut self, report: &EpochReport) {
        self.results.push(Event::Epoch(report::Epoch::from(report)));
    }

    fn large_gradient(&mut self, _: f64) {}

    fn kept_previous(&mut self, _: &Kept) {}

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
        Self { output, signals, bar: bar(output, BAR) }
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
                self.bar.set_message(part.name());
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

/// Shows how a measurement goes.
pub struct BenchProgress<'a> {
    output: &'a Output,
    bar: ProgressBar,
    /// Number of turns of the timing that have begun.
    turns: usize,
    /// Number of rounds in which cases are timed.
    rounds: usize,
    /// Time of the last line about a turn.
    said: Option<Instant>,
}

impl<'a> BenchProgress<'a> {
    /// A bar that is not there before the measurement begins.
    pub fn new(output: &'a Output) -> Self {
        Self { output, bar: ProgressBar::hidden(), turns: 0, rounds: 0, said: None }
    }

    /// Prints the line `doing`, if no bar is drawn.
    fn say(&self, doing: &str) {
        if !self.output.shows_progress() {
            self.output.note(doing);
        }
    }
}

impl observer::Observer for BenchProgress<'_> {
    fn part(&mut self, doing: &str) {
        self.say(doing);
        self.bar = spinner(self.output, doing);
    }

    fn timing(&mut self, cases: usize, rounds: usize) {
        // Each case is also prepared.
        self.bar = counter(self.output, "", cases * (1 + rounds));
        (self.turns, self.rounds) = (0, rounds);
    }

    fn turn(&mut self, name: &str, round: usize) {
        let doing = match round {
            0 => format!("preparing {name}"),
            _ => format!("timing {name}, round {round} of {}", self.rounds),
        };
        if self.said.is_none_or(|at| at.elapsed() > LINE_INTERVAL) {
            self.said = Some(Instant::now());
            self.say(&doing);
        }
        self.bar.set_message(doing);
        // The bar shows the turns that are over.
        self.bar.set_position(self.turns as u64);
        self.turns += 1;
    }

    fn finished(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// A line with `message` and an ellipsis, for work of unknown length.
pub fn spinner(output: &Output, message: &str) -> ProgressBar {
    // Nothing turns: an animation would need a thread, which the operating system may refuse.
    let bar = bar(output, "\x1b[J{wide_msg}\x1b[G");
    bar.set_message(format!("{message} …"));
    bar.tick();
    bar
}

/// A bar that counts up to `length`.
pub fn counter(output: &Output, message: &str, length: usize) -> ProgressBar {
    let bar = bar(output, BAR);
    bar.set_message(message.to_string());
    bar.set_length(length as u64);
    bar
}
