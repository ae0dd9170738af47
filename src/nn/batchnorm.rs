//! The layer that normalizes each channel over the batch (Ioffe & Szegedy, "Batch Normalization:
//! Accelerating Deep Network Training by Reducing Internal Covariate Shift", 2015).
//!
//! # Definition
//! A channel c has m = N·P values: its P positions, of each of the N images. Features are channels
//! with one position. In training, x̂ is normalized over these m values, as in [`normalize`], with
//! ε = 10⁻⁵:
//!
//! ```text
//! y[n,c,p] = x̂[n,c,p]·w[c] + b[c]
//! ```
//!
//! An evaluation has no batch; it uses the running mean and variance r of the training:
//!
//! ```text
//! y[n,c,p] = (x[n,c,p] − rμ[c])/√(rσ²[c] + ε)·w[c] + b[c]
//! ```
//!
//! # Backward
//! ```text
//! dw[c]     = Σ_np dy[n,c,p]·x̂[n,c,p]
//! db[c]     = Σ_np dy[n,c,p]
//! dx̂[n,c,p] = dy[n,c,p]·w[c]
//! ```
//!
//! dx follows from dx̂ as in [`normalize`]. Its two sums are those of db and dw, times
//! w, so with s = 1/√(σ² + ε)
//!
//! ```text
//! dx[n,c,p] = w[c]·s[c]·(dy[n,c,p] − db[c]/m − x̂[n,c,p]·dw[c]/m)
//! ```
//!
//! The running statistics have no gradient. In its place, the backward pass writes the mean of the
//! batch and its unbiased variance σ²·m/(m − 1), as PyTorch does: a step moves the running
//! statistics towards them by [`MOMENTUM`](super::tensor::MOMENTUM). A single value, m = 1, has no
//! unbiased variance. PyTorch refuses it; here, the last batch of an epoch may have one image. Then
//! y is the bias, dx is 0, and the running variance stays as it is.

use std::fmt;
use std::ops::Range;

use super::layer::{Backward, Forward, Kept, Layer, Module, Pass, Training};
use super::normalize::{self, sum};
use super::primitives::{Primitives, share_of};
use super::shape::Shape;
use super::tensor::{Role, TensorSpec, Uniform};
use crate::autograd::{Tape, Var};
use crate::onnx::{Attribute, Graph, Value};
use crate::scalar::Scalar;

/// Summand of the variance, ε.
const EPSILON: f64 = 1e-5;

/// Layer `batchnorm`: (C, H, W), (C, L) or (F) → the same shape. Its tensors have one element for
/// each channel: a weight, whose role is gain, a bias, and the running mean and variance.
#[derive(Debug)]
pub struct BatchNorm;

/// Index among `channels`, and places of the values, for each of these channels of each of `images`
/// images.
#[inline(always)]
fn maps(
    input: Shape,
    images: usize,
    channels: Range<usize>,
) -> impl Iterator<Item = (usize, Range<usize>)> {
    let positions = input.len() / input.sizes()[0];
    (0..images).flat_map(move |image| {
        channels.clone().enumerate().map(move |(index, channel)| {
            let first = image * input.len() + channel * positions;
            (index, first..first + positions)
        })
    })
}

/// Number of values of a channel in `images` images, m.
fn values_of_channel(input: Shape, images: usize) -> usize {
    images * (input.len() / input.sizes()[0])
}

/// First P parts of `values`, each of them with a value for each channel.
fn parts<T, const P: usize>(values: &[T], input: Shape) -> [&[T]; P] {
    let channels = input.sizes()[0];
    std::array::from_fn(|part| &values[part * channels..(part + 1) * channels])
}

/// Like [`parts`], to be written.
fn parts_mut<T, const P: usize>(values: &mut [T], input: Shape) -> [&mut [T]; P] {
    let mut parts = values.chunks_exact_mut(input.sizes()[0]);
    std::array::from_fn(|_| parts.next().expect("a part of C values"))
}

impl fmt::Display for BatchNorm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("batchnorm")
    }
}

impl Layer for BatchNorm {
    fn output(&self, input: Shape) -> Result<Shape, String> {
        Ok(input)
    }

    fn tensors(&self, input: Shape) -> Vec<TensorSpec> {
        let tensor = |name, role| TensorSpec {
            pytorch: Uniform::Zero,
            ..TensorSpec::new(name, &input.sizes()[..1], role, 1, 1)
        };
        vec![
            tensor("weight", Role::Gain),
            tensor("bias", Role::Bias),
            tensor("running_mean", Role::RunningMean),
            tensor("running_var", Role::RunningVariance),
        ]
    }

    /// Mean μ, variance σ² and 1/√(σ² + ε) of each channel. They belong to the whole batch, and the
    /// first image has room for them.
    fn kept(&self, input: Shape) -> Kept {
        Kept { input: true, floats: 3 * input.sizes()[0], ..Kept::default() }
    }

    fn mixes_images(&self) -> bool {
        true
    }

    fn onnx(&self, graph: &mut Graph, _: Shape, x: Value, tensors: &[Value]) -> Value {
        let epsilon = ("epsilon", Attribute::Float(EPSILON as f32));
        graph.call("BatchNormalization", &[&[x], tensors].concat(), [epsilon])
    }

    fn pytorch(&self, input: Shape) -> Module {
        let class = if input.sizes().len() == 3 { "BatchNorm2d" } else { "BatchNorm1d" };
        Module::from(format!("nn.{class}({})", input.sizes()[0]))
    }
}

impl<T: Scalar> Pass<T> for BatchNorm {
    fn forward(&self, primitives: &mut dyn Primitives<T>, io: Forward<'_, T>) {
        let Forward { input, x, parameters, y, kept_floats, training, .. } = io;
        let images = input.images_in(x.len());
        let [weights, biases, running_means, running_variances] = parts(parameters, input);
        let [means, variances, scales] = parts_mut(kept_floats, input);
        let channels = input.sizes()[0];
        if training.is_some() {
            let count = T::of(values_of_channel(input, images) as f64);
            let own = share_of(channels);
            let items = means.chunks_mut(own).zip(variances.chunks_mut(own)).enumerate();
            primitives.share(
                x.len(),
                items,
                #[inline(always)]
                |(item, (means, variances))| {
                    let own = item * own..item * own + means.len();
                    means.fill(T::zero());
                    for (c, map) in maps(input, images, own.clone()) {
                        means[c] += sum([&x[map]], |[x]| x);
                    }
                    means.iter_mut().for_each(|mean| *mean /= count);
                    variances.fill(T::zero());
                    for (c, map) in maps(input, images, own) {
                        let mean = means[c];
                        variances[c] += sum([&x[map]], |[x]| (x - mean) * (x - mean));
                    }
                    variances.iter_mut().for_each(|variance| *variance /= count);
                },
            );
        } else {
            means.copy_from_slice(running_means);
            variances.copy_from_slice(running_variances);
        }
        for (scale, &variance) in scales.iter_mut().zip(&*variances) {
            *scale = (variance + T::of(EPSILON)).sqrt().recip();
        }
        let own = share_of(images) * input.len();
        primitives.share(
            x.len(),
            x.chunks(own).zip(y.chunks_mut(own)),
            #[inline(always)]
            |(x, y)| {
                for (c, map) in maps(input, input.images_in(x.len()), 0..channels) {
                    let (mean, factor, bias) = (means[c], scales[c] * weights[c], biases[c]);
                    let elements = y[map.clone()].iter_mut().zip(&x[map]);
                    elements.for_each(|(y, &x)| *y = (x - mean) * factor + bias);
                }
            },
        );
    }

    fn backward(&self, primitives: &mut dyn Primitives<T>, io: Backward<'_, T>) {
        let Backward { input, x, parameters, kept_floats, dy, dparameters, dx, .. } = io;
        let images = input.images_in(x.len());
        let count = values_of_channel(input, images);
        let [weights, _, _, running_variances] = parts(parameters, input);
        let [means, variances, scales] = parts(kept_floats, input);
        let [dw, db, batch_means, batch_variances] = parts_mut(dparameters, input);
        let channels = input.sizes()[0];
        let own = share_of(channels);
        let items = dw.chunks_mut(own).zip(db.chunks_mut(own)).enumerate();
        primitives.share(
            x.len(),
            items,
            #[inline(always)]
            |(item, (dw, db))| {
                let (first, own) = (item * own, item * own..item * own + dw.len());
                dw.fill(T::zero());
                db.fill(T::zero());
                for (c, map) in maps(input, images, own) {
                    let (mean, scale) = (means[first + c], scales[first + c]);
                    let (dy, x) = (&dy[map.clone()], &x[map]);
                    dw[c] += sum([dy, x], |[dy, x]| dy * ((x - mean) * scale));
                    db[c] += sum([dy], |[dy]| dy);
                }
            },
        );
        batch_means.copy_from_slice(means);
        if count > 1 {
            let unbiased = T::of(count as f64 / (count - 1) as f64);
            let of_batch = batch_variances.iter_mut().zip(variances);
            of_batch.for_each(|(of_batch, &variance)| *of_batch = variance * unbiased);
        } else {
            batch_variances.copy_from_slice(running_variances);
        }
        let Some(dx) = dx else { return };
        let count = T::of(count as f64);
        let own = share_of(images) * input.len();
        primitives.share(
            x.len(),
            x.chunks(own).zip(dy.chunks(own)).zip(dx.chunks_mut(own)),
            #[inline(always)]
            |((x, dy), dx)| {
                for (c, map) in maps(input, input.images_in(x.len()), 0..channels) {
                    let (mean, scale, factor) = (means[c], scales[c], weights[c] * scales[c]);
                    let (first, second) = (db[c] / count, dw[c] / count);
                    let elements = dx[map.clone()].iter_mut().zip(&x[map.clone()]).zip(&dy[map]);
                    for ((dx, &x), &dy) in elements {
                        *dx = factor * (dy - first - (x - mean) * scale * second);
                    }
                }
            },
        );
    }

    fn record(&self, tape: &mut Tape<T>, x: Var, tensors: &[Var], _: Training) -> Var {
        let shape = tape.shape(x).to_vec();
        let [images, channels, ref positions @ ..] = shape[..] else { panic!("x is a batch") };
        let maps = tape.reshape(x, &[images, channels, positions.iter().product()]);
        let normalized = normalize::record(tape, maps, &[0, 2], EPSILON);
        let [weight, bias] = [0, 1].map(|tensor| tape.reshape(tensors[tensor], &[channels, 1]));
        let products = tape.mul(normalized, weight);
        let y = tape.add(products, bias);
        tape.reshape(y, &shape)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::primitives::Reference;

    /// Channels 0 and 1 of two images of shape (2, 1, 2): 1, 3, 5, 7 and 2, 2, 4, 4.
    const X: [f64; 8] = [1., 3., 2., 2., 5., 7., 4., 4.];
    /// Weights, biases, running means and running variances.
    const PARAMETERS: [f64; 8] = [2., 1., 0.5, -1., 1., 3., 4., 9.];

    /// Output, and gradient of the parameters for a dy of ones.
    fn run(input: Shape, x: &[f64], training: Option<Training>) -> [Vec<f64>; 2] {
        let mut y = vec![f64::NAN; x.len()];
        let mut kept_floats = vec![f64::NAN; 6 * input.images_in(x.len())];
        let io = Forward {
            kept_floats: &mut kept_floats,
            training,
            ..Forward::new(input, x, &PARAMETERS, &mut y)
        };
        BatchNorm.forward(&mut Reference, io);
        let (mut dparameters, mut dx) = (vec![f64::NAN; 8], vec![f64::NAN; x.len()]);
        let io = Backward {
            input,
            x,
            y: &y,
            parameters: &PARAMETERS,
            kept_bytes: &[],
            kept_floats: &kept_floats,
            scratch: &mut [],
            training: Training::default(),
            dy: &vec![1.0; x.len()],
            dparameters: &mut dparameters,
            dx: Some(&mut dx),
        };
        BatchNorm.backward(&mut Reference, io);
        // The sum over a channel does not depend on x, so a dy of ones gives no dx.
        assert!(training.is_none() || dx.iter().all(|dx| dx.abs() < 1e-9), "{dx:?}");
        [y, dparameters]
    }

    fn assert_close(found: &[f64], expected: &[f64]) {
        assert_eq!(found.len(), expected.len());
        let are_close = found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-4);
        assert!(are_close, "{found:?} {expected:?}");
    }

    #[test]
    fn training_normalizes_by_the_batch_and_tells_its_statistics() {
        let [y, dparameters] = run(Shape::image(2, 1, 2), &X, Some(Training::default()));
        // Channel 0: mean 4, variance 5. Channel 1: mean 3, variance 1.
        let [far, near] = [3.0, 1.0].map(|x: f64| 2.0 * x / 5_f64.sqrt());
        assert_close(&y, &[0.5 - far, 0.5 - near, -2., -2., 0.5 + near, 0.5 + far, 0., 0.]);
        // Unbiased variances are 20/3 and 4/3.
        assert_close(&dparameters, &[0., 0., 4., 4., 4., 3., 20. / 3., 4. / 3.]);
    }

    #[test]
    fn an_evaluation_normalizes_by_the_running_statistics() {
        let [y, _] = run(Shape::image(2, 1, 2), &X, None);
        let channels = [|x: f64| 2.0 * (x - 1.0) / 2.0 + 0.5, |x: f64| (x - 3.0) / 3.0 - 1.0];
        let expected: Vec<f64> =
            X.iter().enumerate().map(|(i, &x)| channels[i / 2 % 2](x)).collect();
        assert_close(&y, &expected);
    }

    #[test]
    fn one_image_of_features_gives_the_bias_and_keeps_the_running_variance() {
        let [y, dparameters] = run(Shape::features(2), &[7., -5.], Some(Training::default()));
        assert_eq!(y, [0.5, -1.]);
        assert_eq!(dparameters, [0., 0., 1., 1., 7., -5., 4., 9.]);
    }
}
