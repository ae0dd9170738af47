//! The table of a run's epochs as comma-separated values (RFC 4180, with line feeds), for
//! `--log FILE.csv`. docs/REPORT.md describes the columns.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::model::checkpoint::EpochRecord;

/// Columns: fields of an [`Epoch`](super::Epoch) and so of the JSON line `epoch`. A field that an
/// epoch does not have is empty.
const COLUMNS: [&str; 14] = [
    "epoch",
    "loss",
    "train_accuracy",
    "validation_correct",
    "validation_total",
    "validation_loss",
    "test_correct",
    "test_total",
    "test_loss",
    "gradient_norm",
    "weight_norm",
    "lr",
    "seconds",
    "images_per_second",
];

/// Rows of a log, by the number of the epoch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Log {
    rows: BTreeMap<usize, String>,
}

impl Log {
    /// Log with the `text` of a file; `None` if that is not a log. An empty text is an empty log.
    pub fn parse(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        let heading = lines.next();
        if heading.is_some_and(|heading| heading != COLUMNS.join(",")) {
            return None;
        }
        let row = |line: &str| {
            let (epoch, _) = line.split_once(',')?;
            let is_whole = line.split(',').count() == COLUMNS.len();
            is_whole.then_some((epoch.parse().ok()?, line.into()))
        };
        Some(Self { rows: lines.map(row).collect::<Option<_>>()? })
    }

    /// Removes the rows from epoch `first` on, which are run again, and adds to the rows of earlier
    /// epochs what only `history` knows: the whole row but its times, or a test that came late.
    pub fn go_on_from(&mut self, first: usize, history: &[EpochRecord]) {
        self.rows.split_off(&first);
        for record in history.iter().filter(|record| record.epoch < first) {
            let known = row(record);
            let row = self.rows.entry(record.epoch).or_insert_with(|| known.clone());
            let cells = row.split(',').zip(known.split(','));
            let cells = cells.map(|(cell, known)| if cell.is_empty() { known } else { cell });
            *row = cells.collect::<Vec<_>>().join(",");
        }
    }

    /// Adds the row of epoch `number`, whose fields `epoch` has.
    pub fn add(&mut self, number: usize, epoch: &impl Serialize) {
        self.rows.insert(number, row(epoch));
    }

    /// Text of the file: the heading, and a line for each epoch.
    pub fn text(&self) -> String {
        let mut text = COLUMNS.join(",") + "\n";
        for row in self.rows.values() {
            text += row;
            text.push('\n');
        }
        text
    }
}

/// Row with the fields of `epoch`.
fn row(epoch: &impl Serialize) -> String {
    let fields = serde_json::to_value(epoch).expect("plain data");
    let cell = |column| fields.get(column).map(ToString::to_string).unwrap_or_default();
    COLUMNS.map(cell).join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row_of(epoch: usize, loss: f64) -> String {
        row(&serde_json::json!({ "epoch": epoch, "loss": loss, "seconds": 2.5 }))
    }

    #[test]
    fn rows_of_epochs_that_are_run_again_are_replaced() {
        let heading = COLUMNS.join(",");
        let old =
            format!("{heading}\n{}\n{}\n{}\n", row_of(0, 0.5), row_of(1, 0.4), row_of(2, 0.3));
        let mut log = Log::parse(&old).unwrap();
        assert_eq!(log.text(), old);
        log.go_on_from(1, &[]);
        log.add(1, &serde_json::json!({ "epoch": 1, "loss": 0.25, "seconds": 2.5 }));
        assert_eq!(log.text(), format!("{heading}\n{}\n{}\n", row_of(0, 0.5), row_of(1, 0.25)));
        assert!(row_of(1, 0.25).starts_with("1,0.25,,"));
    }

    #[test]
    fn a_text_that_is_no_log_is_told_from_a_log() {
        let heading = COLUMNS.join(",");
        assert_eq!(Log::parse(""), Some(Log::default()));
        assert_eq!(Log::parse(&heading), Some(Log::default()));
        for text in ["epoch,loss\n", "a,b", &format!("{heading}\n1,2\n"), &format!("{heading}\n,,")]
        {
            assert_eq!(Log::parse(text), None, "{text}");
        }
    }
}
