//! What single runs print, and what it costs to save.

use serde::Deserialize;

use super::records::Records;
use crate::measure::statistics::sorted;
use crate::report::text::numbers::grouped;

/// Rounds of the measurement of saving, and the epochs of its runs.
const SAVING_ROUNDS: usize = 7;
const SAVING_EPOCHS: usize = 5;
/// Epochs that the table of the synthetic digits shows.
const SHOWN: [usize; 3] = [0, 4, 9];

/// What the main command prints.
pub fn transcript(records: &Records) -> Result<String, String> {
    let lines = records.text("transcript/stdout.txt")?;
    let footer = records.footer("transcript")?;
    Ok(format!("```text\n$ cargo run --release -- --epochs 10\n{lines}```\n{footer}"))
}

/// Fields of the event `epoch`.
#[derive(Deserialize)]
struct Epoch {
    epoch: usize,
    loss: f64,
    train_accuracy: f64,
    test_correct: usize,
    test_total: usize,
}

/// Table of a run on the synthetic digits.
pub fn synthetic(records: &Records) -> Result<String, String> {
    let epochs: Vec<Epoch> = records.events("synthetic/seed-1.jsonl", "epoch")?;
    let mut text =
        "| epoch | loss | train accuracy | test, SYNTHETIC |\n|---|---|---|---|\n".to_string();
    for one in epochs.iter().filter(|one| SHOWN.contains(&one.epoch)) {
        let Epoch { epoch, loss, train_accuracy, test_correct, test_total } = one;
        text += &format!(
            "| {epoch} | {loss:.4} | {:.2} % | {} of {} |\n",
            100.0 * train_accuracy,
            grouped(*test_correct),
            grouped(*test_total),
        );
    }
    Ok(text + &records.footer("synthetic")?)
}

/// Fields of the event `done`.
#[derive(Deserialize)]
struct Done {
    train_seconds: f64,
}

/// Sentence about the cost of saving after every epoch.
pub fn saving(records: &Records) -> Result<String, String> {
    let seconds = |every: usize, round: usize| {
        let name = format!("saving/every-{every}-{round}.jsonl");
        records.event(&name, "done").map(|Done { train_seconds }| train_seconds)
    };
    let change = |round| Ok(seconds(1, round)? / seconds(SAVING_EPOCHS, round)? - 1.0);
    let changes: Vec<f64> = (0..SAVING_ROUNDS).map(change).collect::<Result<_, String>>()?;
    if changes.iter().any(|change| change.is_nan()) {
        return Err(records.foreign("saving", "a time is 0"));
    }
    let changes = sorted(&changes);
    let [low, median, high] = [0, SAVING_ROUNDS / 2, SAVING_ROUNDS - 1].map(|index| changes[index]);
    let percent = |change: f64| format!("{:+.1} %", 100.0 * change);
    let begin = match low < 0.0 && 0.0 < high {
        true => "Inconclusive, less than the noise of the machine: saving",
        false => "Saving",
    };
    Ok(format!(
        "{begin} after each of {SAVING_EPOCHS} epochs changes the time of training by {} relative to \
         saving at the end alone. This is the median of {SAVING_ROUNDS} interleaved rounds, whose changes \
         lie between {} and {}.\n{}",
        percent(median),
        percent(low),
        percent(high),
        records.footer("saving")?,
    ))
}
