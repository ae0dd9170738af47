//! The check that a stage computes the same as the stage naive.

use super::contestant::Contestant;
use super::protocol::Benchmark;
use crate::engine::compute::Precision;
use crate::error::{Error, Result};
use crate::stages::{STAGES, Stage};

/// Number of steps whose losses are compared.
const STEPS: usize = 10;

/// Largest difference that the mean loss of a batch may have from naive's in the first ten steps.
///
/// Sums in another order make a much smaller difference, which OPTIMIZATIONS.md records. The
/// tolerance of bf16 is too coarse to notice every term that a gradient could lack; tests/bf16.rs
/// notices them.
pub fn tolerance(stage: &Stage) -> f64 {
    match stage.precision {
        Precision::F32 => 1e-4,
        // Factors with 8 bits of significand instead of 24.
        Precision::Bf16 => 1e-2,
    }
}

impl Benchmark<'_> {
    /// Largest difference of each of `contestants`: between its mean losses and naive's in the
    /// first ten batches.
    ///
    /// # Errors
    /// When a difference is above the [`tolerance`], or the operating system refuses to start
    /// threads.
    pub fn agreement(&self, contestants: &[Contestant]) -> Result<Vec<f64>> {
        let expected = self.losses(Contestant { stage: &STAGES[0], threads: 1 })?;
        let deviation = |&contestant| compare(contestant, &self.losses(contestant)?, &expected);
        contestants.iter().map(deviation).collect()
    }

    /// Mean losses of the first ten batches, each under the weights before its step.
    fn losses(&self, contestant: Contestant) -> Result<Vec<f64>> {
        let mut engine = self.engine(contestant)?;
        let loss = |batch| engine.step(&batch, self.recipe.lr).loss / self.recipe.batch_size as f64;
        Ok(self.batches().take(STEPS).map(loss).collect())
    }
}

/// Largest difference between the losses `found` by `contestant` and the `expected` losses.
///
/// # Errors
/// When a difference is above the [`tolerance`].
fn compare(
    Contestant { stage, threads }: Contestant,
    found: &[f64],
    expected: &[f64],
) -> Result<f64> {
    let tolerance = tolerance(stage);
    let mut largest = 0.0;
    for (step, (&found, &expected)) in found.iter().zip(expected).enumerate() {
        let difference = (found - expected).abs();
        if difference.is_nan() || difference > tolerance {
            return Err(Error::Unavailable(format!(
                "stage {} (threads: {threads}) computes something else than naive: the mean loss \
                 of step {step} is {found:.6} instead of {expected:.6}, and in {} they may differ by \
                 {tolerance}; a stage that is wrong is not timed: leave it out of --stage, or correct it",
                stage.name,
                stage.precision.name(),
            )));
        }
        largest = f64::max(largest, difference);
    }
    Ok(largest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loss_that_is_not_naives_is_an_error_that_names_the_step() {
        let contestant = Contestant { stage: &STAGES[1], threads: 1 };
        let expected = [2.3, 2.1, 1.8];
        assert_eq!(compare(contestant, &expected, &expected).unwrap(), 0.0);
        let deviation = compare(contestant, &[2.3, 2.1, 1.800_05], &expected).unwrap();
        assert!((deviation - 5e-5).abs() < 1e-12);
        for wrong in [2.1002, f64::NAN] {
            let error = compare(contestant, &[2.3, wrong, 1.8], &expected).unwrap_err();
            let words = ["im2col (threads: 1)", "of step 1 is", "2.100000", "0.0001"];
            assert!(words.iter().all(|word| error.to_string().contains(word)), "{error}");
        }
    }
}
