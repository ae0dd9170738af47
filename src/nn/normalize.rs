//! What the normalizing layers have in common.
//!
//! # Definition
//! For m values x with the mean μ and the biased variance σ²,
//!
//! ```text
//! μ    = Σ x[i] / m
//! σ²   = Σ (x[i] − μ)² / m
//! x̂[i] = (x[i] − μ)/√(σ² + ε)
//! ```
//!
//! The variance is computed in a second pass over x: in one pass, as the mean of x² minus μ², two
//! large numbers would cancel each other.
//!
//! # Backward
//! Let s = 1/√(σ² + ε), and dx̂ the gradient of x̂. x\[j\] changes x̂\[i\] directly, through μ and
//! through σ²: ∂μ/∂x\[j\] = 1/m, and ∂σ²/∂x\[j\] = 2·(x\[j\] − μ)/m, so ∂s/∂x\[j\] = −s²·x̂\[j\]/m.
//! Therefore ∂x̂\[i\]/∂x\[j\] = s·(\[i = j\] − 1/m − x̂\[i\]·x̂\[j\]/m), and
//!
//! ```text
//! dx[j] = s·(dx̂[j] − Σ_i dx̂[i] / m − x̂[j] · Σ_i dx̂[i]·x̂[i] / m)
//! ```

use crate::autograd::{Tape, Var};
use crate::scalar::Scalar;

/// Number of partial sums of a [`sum`].
const LANES: usize = 16;

/// Sum of `term` of all elements with the same index in `slices`, which have the same length. It is
/// the sum of 16 partial sums, each of every 16th term, so the compiler can use vectors, the order
/// does not depend on them, and the rounding errors are smaller than those of one sum.
#[inline(always)] // So that it gets the vector instructions of its caller.
pub fn sum<T: Scalar, const S: usize>(slices: [&[T]; S], term: impl Fn([T; S]) -> T) -> T {
    let length = slices[0].len();
    assert!(slices.iter().all(|slice| slice.len() == length));
    if length < LANES {
        return (0..length).fold(T::zero(), |sum, i| sum + term(slices.map(|slice| slice[i])));
    }
    let mut sums = [T::zero(); LANES];
    let chunks = slices.map(|slice| slice.as_chunks::<LANES>());
    for chunk in 0..length / LANES {
        let values = chunks.map(|(chunks, _)| &chunks[chunk]);
        for (lane, sum) in sums.iter_mut().enumerate() {
            *sum += term(values.map(|values| values[lane]));
        }
    }
    for (i, sum) in sums[..length % LANES].iter_mut().enumerate() {
        *sum += term(chunks.map(|(_, rest)| rest[i]));
    }
    sums.into_iter().fold(T::zero(), |sum, partial| sum + partial)
}

/// x̂ of `x` along `axes`, recorded on `tape`.
pub fn record<T: Scalar>(tape: &mut Tape<T>, x: Var, axes: &[usize], epsilon: f64) -> Var {
    let mean = |tape: &mut Tape<T>, x| axes.iter().fold(x, |x, &axis| tape.mean(x, axis));
    let means = mean(tape, x);
    let centred = tape.sub(x, means);
    let squares = tape.mul(centred, centred);
    let variances = mean(tape, squares);
    let [epsilon, half] = [epsilon, 0.5].map(|value| tape.leaf(&[], vec![T::of(value)]));
    let sums = tape.add(variances, epsilon);
    // √v = exp(log(v)/2).
    let logarithms = tape.log(sums);
    let halves = tape.mul(logarithms, half);
    let roots = tape.exp(halves);
    tape.div(centred, roots)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_of_every_length_have_every_term() {
        for length in [0, 1, 15, 16, 17, 31, 32, 33, 100] {
            let x: Vec<f64> = (0..length).map(|i| f64::from(i) + 1.0).collect();
            let squares: f64 = x.iter().map(|x| x * x).sum();
            assert_eq!(sum([&x, &x], |[a, b]| a * b), squares, "{length}");
        }
    }
}
