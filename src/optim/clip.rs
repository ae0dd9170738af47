//! The norm of the whole gradient, and the clipping of gradients that are too long (Pascanu et al.
//! 2013, algorithm 1), as PyTorch's `clip_grad_norm_` does it.
//!
//! ```text
//! ‖g‖ = √(Σ g²)                        over all elements of all parameters
//! g ← g · min(1, c / (‖g‖ + 1e-6))
//! ```
//!
//! The gradient keeps its direction. L2 is no part of it: the optimizer adds it later.

/// Number of sums that are built side by side, so that one addition need not wait for the one before.
const SUMS: usize = 16;

/// Sum of the squares of `values`, in f64, in a fixed order.
pub fn sum_of_squares(values: &[f32]) -> f64 {
    let mut sums = [0.0; SUMS];
    let (chunks, rest) = values.as_chunks::<SUMS>();
    for chunk in chunks {
        for (sum, &value) in sums.iter_mut().zip(chunk) {
            *sum += f64::from(value) * f64::from(value);
        }
    }
    for (sum, &value) in sums.iter_mut().zip(rest) {
        *sum += f64::from(value) * f64::from(value);
    }
    sums.iter().sum()
}

/// Factor that shortens a gradient of the length `norm` to at most `most`.
pub fn factor(norm: f64, most: f64) -> f32 {
    (most / (norm + 1e-6)).min(1.0) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_gradient_is_shortened_and_a_short_one_stays() {
        // torch.nn.utils.clip_grad_norm_([3, 4, 12], 1) returns 13 and leaves these gradients.
        let g = [3.0, 4.0, 12.0];
        let norm = sum_of_squares(&g).sqrt();
        assert_eq!(norm, 13.0);
        let clipped = g.map(|g| g * factor(norm, 1.0));
        for (found, expected) in clipped.into_iter().zip([0.230_769_22, 0.307_692_3, 0.923_076_9]) {
            assert!((found - expected).abs() < 1e-6, "{found} {expected}");
        }
        assert_eq!(factor(norm, 13.1), 1.0);
    }

    #[test]
    fn every_element_counts_once() {
        for length in 0..50 {
            let values: Vec<_> = (1..=length).map(|value| value as f32).collect();
            let expected = (1..=length).map(|value| value * value).sum::<usize>();
            assert_eq!(sum_of_squares(&values), expected as f64);
        }
    }

    #[test]
    fn a_square_that_overflows_f32_does_not_overflow_the_norm() {
        assert_eq!(sum_of_squares(&[1e30]).sqrt(), f64::from(1e30_f32));
    }
}
