//! Results of recipes as text: a line for each run, and a table of all of them.

use std::fmt::Write;

use super::numbers::grouped;
use crate::report::record::{Record, RecordRow, RecordRun};

/// `run` as a line of text, without a line end.
pub fn run(run: &RecordRun) -> String {
    let RecordRun { recipe, seed, test_correct, test_total, clock_seconds, .. } = run;
    let (correct, total) = (grouped(*test_correct), grouped(*test_total));
    format!("{recipe}, seed {seed}: test {correct} of {total}, {clock_seconds:.3} s")
}

/// `record` as lines of text, without a line end after the last.
pub fn table(record: &Record) -> String {
    let synthetic = if record.dataset == "synthetic" { "SYNTHETIC " } else { "" };
    let mut text = format!(
        "\naccuracy on the {synthetic}test images in percent, p-value of a mean above the mark,\n\
         accuracy with selective test-time averaging, seconds from the images in memory\n\
         to the last prediction, the same in epochs by the recipe of the source, and\n\
         seconds of the process:\n\n"
    );
    _ = write!(
        text,
        "{:<10}{:>5}{:>8}{:>7}{:>8}{:>9}{:>9}{:>8}{:>8}{:>8}",
        "recipe", "runs", "mean", "± sd", "least", "p", "averaged", "seconds", "epochs", "process"
    );
    record.rows.iter().for_each(|row| {
        text.push('\n');
        text.push_str(&line(row));
    });
    text
}

fn line(row: &RecordRow) -> String {
    let percent = |share: f64| format!("{:.3}", 100.0 * share);
    let deviation = row.accuracy.deviation.map(percent).unwrap_or_default();
    let averaged = row.averaged.map(|averaged| percent(averaged.mean)).unwrap_or_default();
    let chance = row.chance.map(|chance| format!("{chance:.1e}")).unwrap_or_default();
    format!(
        "{:<10}{:>5}{:>8}{deviation:>7}{:>8}{chance:>9}{averaged:>9}{:>8.3}{:>8.2}{:>8.3}",
        row.recipe,
        row.accuracy.count,
        percent(row.accuracy.mean),
        percent(row.accuracy.min),
        row.clock_seconds.median,
        row.epochs_of_source,
        row.process_seconds.median,
    )
}
