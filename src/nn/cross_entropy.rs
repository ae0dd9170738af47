//! Softmax cross-entropy, which is the loss of every network.
//!
//! # Definition
//! The loss of one image with logits z and label t is L. The second formula cannot overflow:
//!
//! ```text
//! L = log Σ_c exp(z_c) − z_t = M + log Σ_c exp(z_c − M) − z_t,   M = max_c z_c
//! ```
//!
//! Its logarithm needs no ε: the sum contains exp(0) = 1, so it is at least 1. The loss of a batch
//! is the mean over its N images.
//!
//! # Backward
//! ∂ log Σ exp(z) / ∂z_c is softmax(z)_c, so, where \[c = t\] is 1 for the label and 0 elsewhere,
//!
//! ```text
//! dz_c = (softmax(z)_c − [c = t]) / N
//! ```
//!
//! # Label smoothing
//! In training, a part ε of the target may be spread evenly over all C classes, the right one
//! included (Szegedy et al. 2016, section 7), as PyTorch's `label_smoothing` does. The target of
//! class c is y_c = (1 − ε)·\[c = t\] + ε/C, and
//!
//! ```text
//! L = Σ_c y_c · (log Σ exp(z) − z_c)
//! dz_c = (softmax(z)_c − y_c) / N
//! ```
//!
//! An evaluation does not smooth, so its loss stays comparable.

use crate::autograd::{Tape, Var};
use crate::scalar::Scalar;

/// Sum of the losses of some images, and the number of correct answers.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct LossSum {
    /// Sum of the losses L of the images.
    pub loss: f64,
    /// Number of images whose largest logit belongs to their label. Among equal logits, the first
    /// counts as the largest.
    pub correct: usize,
}

impl std::ops::AddAssign for LossSum {
    fn add_assign(&mut self, other: Self) {
        self.loss += other.loss;
        self.correct += other.correct;
    }
}

/// Sum of the losses of `logits` (N, classes) with the right `labels` (N).
pub fn evaluate<T: Scalar>(logits: &[T], labels: impl ExactSizeIterator<Item = u16>) -> LossSum {
    let classes = logits.len() / labels.len();
    let mut sum = LossSum::default();
    for (z, label) in logits.chunks_exact(classes).zip(labels) {
        let label = usize::from(label);
        let loss = log_sum_exp(z) - z[label];
        sum.loss += loss.wide();
        sum.correct += usize::from(argmax(z) == label && !loss.is_nan());
    }
    sum
}

/// Sum of the losses of `logits` (n, classes) with the right `labels` (n), for all or a part of the
/// images of a batch, of whose target the part `smoothing` is spread over all classes. Writes dz,
/// the gradient of the mean loss of the batch, which has `images` images, to `dlogits` (n,
/// classes).
pub fn backward<T: Scalar>(
    logits: &[T],
    labels: impl ExactSizeIterator<Item = u16> + Clone,
    images: usize,
    smoothing: f64,
    dlogits: &mut [T],
) -> LossSum {
    assert_eq!(logits.len(), dlogits.len());
    let classes = logits.len() / labels.len();
    let elsewhere = smoothing / classes as f64;
    let [right, elsewhere] = [1.0 - smoothing + elsewhere, elsewhere].map(T::of);
    let rows = logits.chunks_exact(classes).zip(dlogits.chunks_exact_mut(classes));
    for ((z, dz), label) in rows.zip(labels.clone()) {
        let log_sum_exp = log_sum_exp(z);
        for (c, (dz, &z)) in dz.iter_mut().zip(z).enumerate() {
            let target = if c == usize::from(label) { right } else { elsewhere };
            *dz = ((z - log_sum_exp).exp() - target) / T::of(images as f64);
        }
    }
    let mut sum = evaluate(logits, labels);
    if smoothing > 0.0 {
        let spread = logits.chunks_exact(classes).map(|z| {
            let mean = z.iter().map(|z| z.wide()).sum::<f64>() / classes as f64;
            log_sum_exp(z).wide() - mean
        });
        sum.loss = (1.0 - smoothing) * sum.loss + smoothing * spread.sum::<f64>();
    }
    sum
}

/// Mean loss of `logits` (N, classes) with the right `labels` (N), recorded on `tape` from the first
/// formula, whose exp must not overflow.
pub fn record<T: Scalar>(tape: &mut Tape<T>, logits: Var, labels: &[u16]) -> Var {
    let images = labels.len();
    let classes = tape.value(logits).len() / images;
    let z = tape.reshape(logits, &[images, classes]);
    let powers = tape.exp(z);
    let sums = tape.sum(powers, 1);
    let logarithms = tape.log(sums);
    let right = tape.gather(z, [images, 1], |[n, _]| Some(n * classes + usize::from(labels[n])));
    let losses = tape.sub(logarithms, right);
    tape.mean(losses, 0)
}

/// Probability of `class` by the softmax of `logits` (classes).
pub fn probability(logits: &[f32], class: usize) -> f32 {
    (logits[class] - log_sum_exp(logits)).exp()
}

fn log_sum_exp<T: Scalar>(z: &[T]) -> T {
    let largest = z.iter().copied().fold(T::neg_infinity(), T::max);
    largest + z.iter().map(|&z| (z - largest).exp()).sum::<T>().ln()
}

/// Class with the largest of the logits `z` (classes); the first class among equals.
pub fn argmax<T: Scalar>(z: &[T]) -> usize {
    let mut best = 0;
    for (c, &value) in z.iter().enumerate() {
        if value > z[best] {
            best = c;
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_logits_cost_the_logarithm_of_their_number() {
        let sum = evaluate(&[1.5_f32; 10], [3].into_iter());
        assert!((sum.loss - 10_f64.ln()).abs() < 1e-6, "{sum:?}");
        assert_eq!(evaluate(&[1.5_f32; 10], [0].into_iter()).correct, 1, "the first among equals");
    }

    #[test]
    fn large_logits_neither_overflow_nor_lose_the_loss() {
        let sum = evaluate(&[1000.0_f32, 0.0, -1000.0, 0.0], [1, 0].into_iter());
        assert!((sum.loss - 2000.0).abs() < 1e-3, "{sum:?}");
        assert_eq!(sum.correct, 0);
    }

    #[test]
    fn a_nan_among_the_logits_reaches_the_loss_and_counts_as_wrong() {
        let sum = evaluate(&[0.0, f32::NAN, 1.0], [2].into_iter());
        assert!(sum.loss.is_nan());
        assert_eq!(sum.correct, 0);
    }

    #[test]
    fn the_gradient_is_the_slope_of_the_mean_loss() {
        let logits = [0.3, -1.2, 2.0, 0.1, 0.0, -0.4, 1.1, 0.9, -2.0];
        let labels = [2, 0, 1];
        let mut dlogits = [f32::NAN; 9];
        for smoothing in [0.0, 0.3] {
            backward(&logits, labels.into_iter(), 3, smoothing, &mut dlogits);
            for index in 0..logits.len() {
                let mean_at = |step: f32| {
                    let mut moved = logits;
                    moved[index] += step;
                    let rest = &mut [0.0; 9];
                    backward(&moved, labels.into_iter(), 3, smoothing, rest).loss / 3.0
                };
                let slope = (mean_at(1e-2) - mean_at(-1e-2)) / 2e-2;
                let error = (slope - f64::from(dlogits[index])).abs();
                // The f32 loss is rounded to about 1e-7, and h²/6 times the third derivative is
                // 1e-5.
                assert!(error < 3e-5, "logit {index}: {slope} and {}", dlogits[index]);
            }
        }
    }

    #[test]
    fn a_smoothed_loss_is_that_of_pytorch() {
        // F.cross_entropy(logits, labels, label_smoothing=0.3, reduction="sum"), and its gradient
        // divided by 3, in f64.
        let logits = [0.3, -1.2, 2.0, 0.1, 0.0, -0.4, 1.1, 0.9, -2.0];
        let mut dlogits = [f64::NAN; 9];
        let sum = backward(&logits, [2, 0, 1].into_iter(), 3, 0.3, &mut dlogits);
        assert!((sum.loss - 2.7651055601613104).abs() < 1e-12, "{}", sum.loss);
        for (found, expected) in dlogits.into_iter().zip([
            0.016439620727797057,
            -0.022227486122612865,
            0.005787865394815808,
            -0.13393688631835463,
            0.08676553841351334,
            0.04717134790484128,
            0.1455146751747308,
            -0.12023830197436199,
            -0.0252763732003688,
        ]) {
            assert!((found - expected).abs() < 1e-12, "{found} {expected}");
        }
        let plain = backward(&logits, [2, 0, 1].into_iter(), 3, 0.0, &mut dlogits);
        assert_eq!(plain, evaluate(&logits, [2, 0, 1].into_iter()));
    }
}
