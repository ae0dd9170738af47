//! Results of a sweep as text: a line for each run, and a table of all of them.

use std::fmt::Write;

use super::numbers::{counted, grouped};
use crate::error::escaped;
use crate::measure::statistics::Sample;
use crate::report::sweep::{Reached, Sweep, SweepRow, SweepRun, Values};

/// `run` as a line of text, without a line end.
pub fn run(run: &SweepRun) -> String {
    let mut text = format!("{}seed {}: ", values(&run.values, ", "), run.seed);
    if let Some(Reached { test, validation, train_seconds, .. }) = &run.reached {
        let test = test.map(|one| ("test", one.test_correct, one.test_total));
        let validation = validation.map(|one| {
            let (correct, total) = (one.validation_correct, one.validation_total);
            ("validation", correct, total)
        });
        for (name, correct, total) in test.into_iter().chain(validation) {
            _ = write!(text, "{name} {} of {}, ", grouped(correct), grouped(total));
        }
        _ = write!(text, "{train_seconds:.2} s");
    } else {
        text.push_str("diverged");
    }
    if run.reused {
        text.push_str(", from an earlier run");
    }
    text
}

/// The values of flags, each followed by `end`.
fn values(values: &Values, end: &str) -> String {
    let values = values.iter().map(|(flag, value)| format!("{flag} {}{end}", escaped(value)));
    values.collect()
}

/// `sweep` as lines of text, without a line end after the last.
pub fn table(sweep: &Sweep) -> String {
    let of_test = sweep.rows.iter().any(|row| row.test_accuracy.is_some());
    let what = if of_test { "test" } else { "validation" };
    let synthetic = if sweep.dataset == "synthetic" { "SYNTHETIC " } else { "" };
    let mut text = format!(
        "\naccuracy on the {synthetic}{what} images in percent, and seconds of training:\n\n"
    );
    _ = write!(
        text,
        "{:>5}{:>9}{:>8}{:>19}{:>9}{:>9}{:>10}{:>10}",
        "runs", "mean", "± sd", "95 % of the mean", "least", "most", "seconds", "least"
    );
    for row in &sweep.rows {
        let accuracy = if of_test { row.test_accuracy } else { row.validation_accuracy };
        text.push('\n');
        if !row.values.is_empty() {
            _ = writeln!(text, "{}", values(&row.values, "  ").trim_end());
        }
        text.push_str(&line(row, accuracy));
        if row.diverged > 0 {
            _ = write!(text, "\n      {} diverged", counted(row.diverged, "run"));
        }
        if let (Some(mark), Some(chance)) = (sweep.mark, row.chance) {
            _ = write!(text, "\n      above {} %: p = {chance:.2e}", 100.0 * mark);
        }
    }
    text
}

/// Figures of `row`, with this `accuracy`.
fn line(row: &SweepRow, accuracy: Option<Sample>) -> String {
    let percent = |share: f64| format!("{:.3}", 100.0 * share);
    let Some((accuracy, seconds)) = accuracy.zip(row.train_seconds) else {
        let seconds = row.train_seconds.map(|one| format!(", {:.3} s", one.median));
        return format!("{:>5}    no accuracy{}", 0, seconds.unwrap_or_default());
    };
    let deviation = accuracy.deviation.map(percent).unwrap_or_default();
    let interval = accuracy
        .interval
        .map(|[low, high]| format!("{} to {}", percent(low.max(0.0)), percent(high.min(1.0))));
    format!(
        "{:>5}{:>9}{deviation:>8}{:>19}{:>9}{:>9}{:>10.3}{:>10.3}",
        accuracy.count,
        percent(accuracy.mean),
        interval.unwrap_or_default(),
        percent(accuracy.min),
        percent(accuracy.max),
        seconds.median,
        seconds.min,
    )
}
