//! Results of a run by epoch, as a checkpoint keeps them.
//!
//! A record has only what follows from the recipe and the images, and no times: a run that was
//! interrupted and resumed writes the same bytes as an uninterrupted one.

use serde::{Deserialize, Serialize};

use super::error::{ParseResult, expect};

/// Largest number of epochs that a history has: the last ones. More would make the header of the
/// file longer than a reader accepts.
pub const MOST_EPOCHS: usize = 1000;

/// Results of one epoch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EpochRecord {
    /// Number of the epoch, counted from 0.
    pub epoch: usize,
    /// Mean loss of the training images, each with the weights before its step.
    pub loss: f64,
    /// Share of the training images classified correctly, 0 to 1, each with the weights before its
    /// step.
    pub train_accuracy: f64,
    /// Number of validation images classified correctly after the epoch; absent without
    /// `--validation`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validation_correct: Option<usize>,
    /// Number of validation images; absent without `--validation`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validation_total: Option<usize>,
    /// Mean loss of the validation images, without label smoothing; absent without `--validation`,
    /// or if it is not finite.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validation_loss: Option<f64>,
    /// Number of test images classified correctly after the epoch; absent with `--no-eval`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test_correct: Option<usize>,
    /// Number of test images; absent with `--no-eval`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test_total: Option<usize>,
    /// Mean loss of the test images, without label smoothing; absent with `--no-eval`, or if it is
    /// not finite.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test_loss: Option<f64>,
    /// Mean of the L2 norms of the gradients of the epoch's steps, before they were clipped; absent
    /// if the engine never holds a whole gradient.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gradient_norm: Option<f64>,
    /// L2 norm of all weights and biases after the epoch.
    pub weight_norm: f64,
    /// Learning rate of the epoch's last step.
    pub lr: f64,
}

/// Appends `record` to `history`, in place of the records from its epoch on, and drops the oldest
/// records if there are too many.
pub fn push(history: &mut Vec<EpochRecord>, record: EpochRecord) {
    history.retain(|earlier| earlier.epoch < record.epoch);
    history.push(record);
    let extra = history.len().saturating_sub(MOST_EPOCHS);
    history.drain(..extra);
}

/// Refuses a `history` that no run of `epochs` epochs has: too long, not in the order of the epochs, with an epoch that
/// is not over, or with values outside their limits.
///
/// # Errors
/// The field with its value and the expected value.
pub(super) fn check(history: &[EpochRecord], epochs: usize) -> ParseResult<()> {
    let at_most = format!("at most {MOST_EPOCHS} epochs");
    expect(history.len() <= MOST_EPOCHS, "history", history.len(), at_most)?;
    let mut first = 0;
    for record in history {
        let EpochRecord { epoch, loss, train_accuracy, weight_norm, lr, .. } = *record;
        let expected = format!("a number from {first} to less than {epochs}");
        expect((first..epochs).contains(&epoch), "history.epoch", epoch, expected)?;
        first = epoch + 1;
        let share = "a share from 0 to 1";
        let is_share = (0.0..=1.0).contains(&train_accuracy);
        expect(is_share, "history.train_accuracy", train_accuracy, share)?;
        let of = [
            ("validation_correct", record.validation_correct, record.validation_total),
            ("test_correct", record.test_correct, record.test_total),
        ];
        for (name, correct, total) in of {
            let holds = correct.is_some() == total.is_some() && correct <= total;
            let expected = format!("at most {} images", total.unwrap_or_default());
            expect(holds, &format!("history.{name}"), correct.unwrap_or_default(), expected)?;
        }
        for (name, value) in [
            ("loss", Some(loss)),
            ("validation_loss", record.validation_loss),
            ("test_loss", record.test_loss),
            ("gradient_norm", record.gradient_norm),
            ("weight_norm", Some(weight_norm)),
            ("lr", Some(lr)),
        ] {
            let value = value.unwrap_or_default();
            let is_number = value.is_finite() && value >= 0.0;
            expect(is_number, &format!("history.{name}"), value, "a number from 0 on")?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(epoch: usize) -> EpochRecord {
        EpochRecord {
            epoch,
            loss: 0.1,
            train_accuracy: 0.9,
            validation_correct: None,
            validation_total: None,
            validation_loss: None,
            test_correct: None,
            test_total: None,
            test_loss: None,
            gradient_norm: None,
            weight_norm: 3.0,
            lr: 1e-3,
        }
    }

    #[test]
    fn a_history_has_the_last_epochs_and_each_of_them_once() {
        let mut history = Vec::new();
        (0..=MOST_EPOCHS).for_each(|epoch| push(&mut history, record(epoch)));
        assert_eq!((history.len(), history[0].epoch), (MOST_EPOCHS, 1));
        push(&mut history, record(7));
        let epochs: Vec<_> = history.iter().map(|record| record.epoch).collect();
        assert_eq!(epochs, [1, 2, 3, 4, 5, 6, 7]);
    }
}
