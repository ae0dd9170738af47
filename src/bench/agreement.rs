//! The check that a stage computes the same as the stage naive.
//!
//! A right stage rounds differently from naive, and training multiplies the difference: Adam moves a
//! weight whose gradient is near 0 in either direction. How far the losses of two right stages come
//! apart thus depends on the images, the network and the recipe; bright images or wide layers can
//! make it thousands of times as large. So the check measures it: it repeats naive's steps with an
//! error of the size of rounding in every weight, and accepts a few times the difference.
//!
//! In bf16, rounding is so coarse that ten steps take right stages as far apart as wrong ones. So a
//! stage in bf16 begins every step with naive's weights, and one update cannot take it far.

use super::contestant::Contestant;
use super::protocol::Benchmark;
use crate::engine::Engine;
use crate::engine::compute::Precision;
use crate::error::{Error, Result};
use crate::model::architecture::Architecture;
use crate::random::Stream;
use crate::stages::STAGES;

/// Number of steps whose losses are compared.
const STEPS: usize = 10;
/// Factor between the difference that rounding makes in one measurement and the difference that is
/// accepted. Such differences are random: two of them have been seen to differ by a factor of 12.
const MARGIN: f64 = 16.0;

/// Difference between the mean losses of a contestant and of naive.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Agreement {
    /// Largest difference in the first ten batches.
    pub deviation: f64,
    /// Largest difference that is accepted in the last of these batches.
    pub tolerance: f64,
}

/// Difference that is always accepted in f32. With the default recipe, sums in another order make a
/// much smaller one, which OPTIMIZATIONS.md records.
const LEAST_TOLERANCE: f64 = 1e-4;
/// Difference that is accepted in bf16 after one update of naive's weights. In batches of 1 and 64,
/// rounding has made up to 0.004, and products that are 3 % too large at least 0.01. The difference is
/// too coarse to notice every term that a gradient could lack; tests/bf16.rs notices them.
const BF16_TOLERANCE: f64 = 1e-2;

/// Largest relative error in a weight that changes sums of its products about as much as rounding in
/// f32: the rounding errors of a sum of n terms are a random walk of n steps.
fn rounding(architecture: &Architecture) -> f32 {
    let terms = architecture.tensors().iter().map(|tensor| tensor.fan_in).max();
    (terms.expect("there are tensors") as f32).sqrt() * 2_f32.powi(-24)
}

impl Benchmark<'_> {
    /// Compares the mean losses of each of `contestants` in the first ten batches with naive's.
    ///
    /// # Errors
    /// When a loss differs from naive's by more than rounding explains, or the operating system
    /// refuses to start threads.
    pub fn agreement(&self, contestants: &[Contestant]) -> Result<Vec<Agreement>> {
        let expected = self.losses(self.naive()?.as_mut(), 0.0);
        let mut in_f32 = None;
        let mut agreements = Vec::new();
        for &contestant in contestants {
            let mut engine = self.engine(contestant)?;
            let (found, tolerances) = match contestant.stage.precision {
                Precision::F32 => {
                    let tolerances = match in_f32.take() {
                        Some(tolerances) => tolerances,
                        None => self.tolerances(&expected)?,
                    };
                    (self.losses(engine.as_mut(), 0.0), &*in_f32.insert(tolerances))
                }
                Precision::Bf16 => {
                    let found = self.losses_beside(self.naive()?.as_mut(), engine.as_mut());
                    (found, &vec![BF16_TOLERANCE; STEPS])
                }
            };
            agreements.push(compare(contestant, &found, &expected, tolerances)?);
        }
        Ok(agreements)
    }

    /// Engine of naive.
    fn naive(&self) -> Result<Box<dyn Engine>> {
        self.engine(Contestant { stage: &STAGES[0], threads: 1 })
    }

    /// Difference from naive's `expected` losses that is accepted in each step of a stage in f32.
    fn tolerances(&self, expected: &[f64]) -> Result<Vec<f64>> {
        let error = rounding(self.architecture);
        let disturbed = self.losses(self.naive()?.as_mut(), error);
        Ok(tolerances(&disturbed, expected, LEAST_TOLERANCE))
    }

    /// Mean losses of the first ten batches by `engine`, each after it made the update before this
    /// batch, for which it got the state of `naive`.
    fn losses_beside(&self, naive: &mut dyn Engine, engine: &mut dyn Engine) -> Vec<f64> {
        let mut before = None;
        let losses = self.batches().take(STEPS).map(|batch| {
            if let Some(before) = &before {
                engine.load(&naive.store());
                engine.step(before, self.recipe.lr);
                naive.step(before, self.recipe.lr);
            }
            let loss = engine.step(&batch, self.recipe.lr).loss;
            before = Some(batch);
            loss / self.recipe.batch_size as f64
        });
        losses.collect()
    }

    /// Mean losses of the first ten batches by `engine`, each under the weights before its step,
    /// into each of which a relative error of up to `error` is put.
    fn losses(&self, engine: &mut dyn Engine, error: f32) -> Vec<f64> {
        let mut errors = Stream::new(self.recipe.seed, "rounding errors", 0);
        let loss = |batch| {
            if error > 0.0 {
                let mut state = engine.store();
                let weights = state.parameters.values_mut();
                weights.iter_mut().for_each(|w| *w *= 1.0 + errors.uniform(-error, error));
                engine.load(&state);
            }
            engine.step(&batch, self.lr).loss / self.recipe.batch_size as f64
        };
        self.batches().take(STEPS).map(loss).collect()
    }
}

/// Difference from the `expected` losses that is accepted in each step, if rounding makes the losses
/// `disturbed` of them. A difference that rounding has made in a step is accepted in all later ones.
fn tolerances(disturbed: &[f64], expected: &[f64], least: f64) -> Vec<f64> {
    let differences = disturbed.iter().zip(expected).map(|(a, b)| MARGIN * (a - b).abs());
    let largest = |so_far: &mut f64, difference| {
        *so_far = so_far.max(difference);
        Some(*so_far)
    };
    differences.scan(least, largest).collect()
}

/// Compares the losses `found` by `contestant` with the `expected` losses.
///
/// # Errors
/// When a difference is above the tolerance of its step.
fn compare(
    Contestant { stage, threads }: Contestant,
    found: &[f64],
    expected: &[f64],
    tolerances: &[f64],
) -> Result<Agreement> {
    let mut agreement = Agreement { deviation: 0.0, tolerance: 0.0 };
    let steps = found.iter().zip(expected).zip(tolerances);
    for (step, ((&found, &expected), &tolerance)) in steps.enumerate() {
        let difference = (found - expected).abs();
        if difference.is_nan() || difference > tolerance {
            return Err(Error::Unavailable(format!(
                "stage {} (threads: {threads}) computes something else than naive: the mean loss \
                 of step {step} is {found:.6} instead of {expected:.6}, and rounding in {} explains \
                 {tolerance:.6}; a stage that is wrong is not timed: leave it out of --stage, or \
                 correct it",
                stage.name,
                stage.precision.name(),
            )));
        }
        agreement = Agreement { deviation: agreement.deviation.max(difference), tolerance };
    }
    Ok(agreement)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::dataset::Split;
    use crate::data::synthetic::{self, CLASSES};
    use crate::engine::layerwise::LayerwiseEngine;
    use crate::model::mnist_cnn::MnistCnn;
    use crate::model::recipe::Recipe;
    use crate::nn::primitives::Primitives;
    use crate::nn::primitives::convolution::{self, ConvBackward, ConvForward, Convolution};
    use crate::nn::primitives::pooling::{self, Pooling};
    use crate::nn::primitives::product::{self, Matrix};
    use crate::simd::Isa;
    use crate::stages::Stage;
    use crate::stages::gemm::Gemm;

    #[test]
    fn a_loss_that_is_not_naives_is_an_error_that_names_the_step() {
        let contestant = Contestant { stage: &STAGES[1], threads: 1 };
        let expected = [2.3, 2.1, 1.8];
        let tolerances = tolerances(&[2.3, 2.100_01, 1.8], &expected, 1e-4);
        let compare = |found: &[f64]| compare(contestant, found, &expected, &tolerances);
        assert_eq!(compare(&expected).unwrap().deviation, 0.0);
        let Agreement { deviation, tolerance } = compare(&[2.3, 2.1, 1.800_15]).unwrap();
        assert!((deviation - 1.5e-4).abs() < 1e-12 && (tolerance - 1.6e-4).abs() < 1e-12);
        for wrong in [2.1002, f64::NAN] {
            let error = compare(&[2.3, wrong, 1.8]).unwrap_err().to_string();
            let words = ["im2col (threads: 1)", "of step 1 is", "2.100000", "0.000160"];
            assert!(words.iter().all(|word| error.contains(word)), "{error}");
        }
        let early = compare(&[2.300_15, 2.1, 1.8]).unwrap_err().to_string();
        assert!(early.contains("of step 0 is") && early.contains("0.000100"), "{early}");
    }

    /// Product that leaves the last term of every sum out.
    struct ShortProduct;

    impl Primitives for ShortProduct {
        fn add_product(&mut self, a: Matrix<'_>, b: Matrix<'_>, c: &mut [f32]) {
            product::add_product(a, b, c);
            let last = a.columns - 1;
            for (i, c) in c.chunks_exact_mut(b.columns).enumerate() {
                c.iter_mut().zip(b.row(last, 0)).for_each(|(c, b)| *c -= a.get(i, last) * b);
            }
        }
    }

    /// Backward pass of the convolution that leaves the gradient of the bias out.
    struct NoBias;

    impl Primitives for NoBias {
        fn convolve_backward(&mut self, conv: &Convolution, io: ConvBackward<'_>) {
            let ConvBackward { x, weight, dy, dw, db, dx } = io;
            convolution::backward(conv, ConvBackward { x, weight, dy, dw, db: &mut *db, dx });
            db.fill(0.0);
        }
    }

    /// Backward pass of max pooling that takes the first pixel of each window for the largest.
    struct FirstPixel;

    impl Primitives for FirstPixel {
        fn max_pool_backward(&mut self, pool: &Pooling, argmax: &[u8], dy: &[f32], dx: &mut [f32]) {
            pooling::max_backward(pool, &vec![0; argmax.len()], dy, dx);
        }
    }

    /// Bright images and large steps make rounding grow; a wrong kernel is refused all the same.
    #[test]
    fn right_stages_agree_on_bright_images_too_and_wrong_kernels_on_none() {
        let dark = synthetic::generate(1, 64, 1).train;
        let bright = dark.images().iter().map(|pixel| 255 - pixel).collect();
        let bright = Split::new(bright, dark.sides(), dark.labels().to_vec());
        let network = MnistCnn { channels: 16, kernel_size: 5, hidden: 32 };
        let architecture = network.architecture();
        let mut largest = 0.0;
        for (images, lr) in [(&dark, 1e-3), (&bright, 1e-3), (&bright, 0.1)] {
            let recipe = Recipe { lr, batch_size: 4, ..Recipe::default() };
            let benchmark = Benchmark::new(&architecture, &recipe, images, Isa::detect());
            let stages = ["im2col", "sparse"].map(|name| Stage::find(name).unwrap());
            for Agreement { deviation, .. } in
                benchmark.agreement(&Contestant::all(&stages, 1)).unwrap()
            {
                largest = f64::max(largest, deviation);
            }
            let expected = benchmark.losses(benchmark.naive().unwrap().as_mut(), 0.0);
            let tolerances = benchmark.tolerances(&expected).unwrap();
            let wrong: [Box<dyn Engine>; 3] = [
                Box::new(LayerwiseEngine::new(&architecture, &recipe, Box::new(ShortProduct))),
                Box::new(LayerwiseEngine::new(&architecture, &recipe, Box::new(NoBias))),
                Box::new(LayerwiseEngine::new(&architecture, &recipe, Box::new(FirstPixel))),
            ];
            for (number, mut engine) in wrong.into_iter().enumerate() {
                engine.load(&benchmark.initial);
                let found = benchmark.losses(engine.as_mut(), 0.0);
                let naive = Contestant { stage: &STAGES[0], threads: 1 };
                let compared = compare(naive, &found, &expected, &tolerances);
                assert!(compared.is_err(), "wrong kernel {number}, {lr}: {compared:?}");
            }
        }
        assert!(largest > LEAST_TOLERANCE, "a fixed limit would do: {largest}");
    }

    /// Arithmetic of gemm that rounds factors to bf16 as the stage bf16 does, which the CPU may not
    /// have: in all products but those of the last layer. Products are too large by a factor.
    struct Bf16Products(Gemm, f32);

    /// `values` rounded to bf16, to the nearest with ties to even.
    fn rounded(values: &[f32]) -> Vec<f32> {
        let rounded = |value: &f32| {
            let bits = value.to_bits();
            f32::from_bits((bits + 0x7fff + (bits >> 16 & 1)) & 0xffff_0000)
        };
        values.iter().map(rounded).collect()
    }

    /// Matrix of the size of `matrix` with other elements.
    fn with<'a>(matrix: Matrix<'_>, data: &'a [f32]) -> Matrix<'a> {
        let Matrix { rows, columns, .. } = matrix;
        if matrix.is_transposed() {
            Matrix::new(data, columns, rows).transposed()
        } else {
            Matrix::new(data, rows, columns)
        }
    }

    impl Primitives for Bf16Products {
        fn add_product(&mut self, a: Matrix<'_>, b: Matrix<'_>, c: &mut [f32]) {
            if [a.rows, a.columns, b.columns].contains(&CLASSES) {
                return self.0.add_product(a, b, c);
            }
            let scaled: Vec<f32> = rounded(a.data()).iter().map(|a| a * self.1).collect();
            self.0.add_product(with(a, &scaled), with(b, &rounded(b.data())), c);
        }

        fn convolve(&mut self, conv: &Convolution, io: ConvForward<'_>) {
            self.0.convolve(conv, ConvForward { weight: &rounded(io.weight), ..io });
        }

        fn convolve_backward(&mut self, conv: &Convolution, io: ConvBackward<'_>) {
            let (weight, dy) = (&rounded(io.weight), &rounded(io.dy));
            self.0.convolve_backward(conv, ConvBackward { weight, dy, ..io });
        }
    }

    #[test]
    fn bf16_agrees_with_naive_and_not_if_its_products_are_wrong_by_a_few_percent() {
        let images = synthetic::generate(1, 2000, 1).train;
        let architecture = MnistCnn::default().architecture();
        for (batch_size, seed) in [(1, 1), (1, 4), (64, 2)] {
            let recipe = Recipe { batch_size, seed, ..Recipe::default() };
            let benchmark = Benchmark::new(&architecture, &recipe, &images, Isa::detect());
            // The stage gemm is faster than naive and differs from it much less than bf16 does.
            let gemm = Contestant { stage: Stage::find("gemm").unwrap(), threads: 1 };
            let right = || benchmark.engine(gemm).unwrap();
            let expected = benchmark.losses(right().as_mut(), 0.0);
            for (factor, is_right) in [(1.0, true), (1.03, false), (0.97, false)] {
                let products = Bf16Products(Gemm::new(1).unwrap(), factor);
                let mut engine = LayerwiseEngine::new(&architecture, &recipe, Box::new(products));
                engine.load(&benchmark.initial);
                let found = benchmark.losses_beside(right().as_mut(), &mut engine);
                let compared = compare(gemm, &found, &expected, &[BF16_TOLERANCE; STEPS]);
                assert_eq!(compared.is_ok(), is_right, "{batch_size}, {factor}: {compared:?}");
            }
        }
    }
}
