//! Tests every set of kernels layer by layer, for ordinary and odd geometries: forward passes
//! against the f64 oracle, backward passes against central differences of the oracle.
//!
//! A random dy makes the output y a scalar, L = Σ y·dy, whose gradients are the dW, db and dX that
//! the backward pass computes. Convolution and linear layers are linear in each argument, and
//! pooling is piecewise linear. So central differences of L are exact up to f64 rounding, as long as
//! no step crosses a kink.

mod common;

use common::{Comparison, all_kernels, oracle, to_f64, uniform};
use mnist_train::nn::geometry::{Conv2d, Linear, MaxPool2d, Shape};
use mnist_train::nn::gradients::Gradients;
use mnist_train::stages::{EngineKind, STAGES};

/// Batch sizes, three images and more, so that a gradient of one image alone does not pass. 13
/// images are several chunks, of which the last is smaller.
const BATCHES: [usize; 3] = [3, 5, 13];

/// Derivative of `loss` by `values[index]`, as a central difference.
fn slope(values: &[f64], index: usize, loss: &dyn Fn(&[f64]) -> f64) -> f64 {
    const STEP: f64 = 1e-3;
    let mut moved = values.to_vec();
    moved[index] = values[index] + STEP;
    let above = loss(&moved);
    moved[index] = values[index] - STEP;
    (above - loss(&moved)) / (2.0 * STEP)
}

fn slopes(values: &[f64], loss: &dyn Fn(&[f64]) -> f64) -> Vec<f64> {
    (0..values.len()).map(|index| slope(values, index, loss)).collect()
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Output y of a whole batch, computed image by image.
fn batched(x: &[f64], image: usize, y_of: impl Fn(&[f64]) -> Vec<f64>) -> Vec<f64> {
    x.chunks_exact(image).flat_map(y_of).collect()
}

/// Largest accepted error relative to the largest value, for f32 sums of up to a few hundred terms.
const TOLERANCE: f64 = 5e-6;

#[test]
fn convolutions_of_every_geometry_match_the_definition_and_its_slopes() {
    let conv = |channels, height, width, out_channels, kernel, stride, padding| Conv2d {
        input: Shape::new(channels, height, width),
        out_channels,
        kernel,
        stride,
        padding,
    };
    let geometries = [
        conv(1, 12, 12, 4, 5, 1, 2),
        conv(3, 9, 7, 4, 3, 2, 0),
        conv(2, 11, 8, 3, 5, 2, 1),
        conv(2, 5, 6, 3, 1, 1, 0),
        conv(3, 4, 4, 2, 4, 1, 0),
        conv(1, 3, 3, 2, 3, 1, 3),
        conv(2, 10, 9, 2, 3, 3, 2),
        conv(1, 9, 8, 2, 2, 3, 0),
    ];
    let mut comparison = Comparison::default();
    for (case, conv) in geometries.into_iter().enumerate() {
        for batch in BATCHES {
            let seed = (case * 100 + batch) as u64;
            let x = uniform(seed, batch * conv.input.len());
            let weight = uniform(seed + 1, conv.out_channels * conv.taps());
            let bias = uniform(seed + 2, conv.out_channels);
            let dy = uniform(seed + 3, batch * conv.output().len());
            let [x64, weight64, bias64, dy64] =
                [&x, &weight, &bias, &dy].map(|values| to_f64(values));
            let y_of = |x: &[f64], weight: &[f64], bias: &[f64]| {
                batched(x, conv.input.len(), |x| oracle::conv2d(&conv, x, weight, bias))
            };
            let expected_y = y_of(&x64, &weight64, &bias64);
            let expected_dw = slopes(&weight64, &|w| dot(&y_of(&x64, w, &bias64), &dy64));
            let expected_db = slopes(&bias64, &|b| dot(&y_of(&x64, &weight64, b), &dy64));
            // Only some elements of dx are checked, because each slope costs a whole forward pass.
            let sampled: Vec<usize> = (0..x.len()).step_by(7).collect();
            let expected_dx: Vec<f64> = sampled
                .iter()
                .map(|&i| slope(&x64, i, &|x| dot(&y_of(x, &weight64, &bias64), &dy64)))
                .collect();
            for (name, mut kernels) in all_kernels() {
                let what = |part: &str| format!("{name} {conv:?} batch {batch}: {part}");
                let mut y = vec![f32::NAN; dy.len()];
                kernels.conv2d_forward(&conv, &x, &weight, &bias, &mut y);
                comparison.slices(&what("y"), &y, &expected_y, TOLERANCE);

                let (mut dw, mut db) = (vec![f32::NAN; weight.len()], vec![f32::NAN; bias.len()]);
                let mut dx = vec![f32::NAN; x.len()];
                let gradients = Gradients { weight: &mut dw, bias: &mut db, input: Some(&mut dx) };
                kernels.conv2d_backward(&conv, &x, &weight, &dy, gradients);
                comparison.slices(&what("dw"), &dw, &expected_dw, TOLERANCE);
                comparison.slices(&what("db"), &db, &expected_db, TOLERANCE);
                let dx: Vec<f32> = sampled.iter().map(|&i| dx[i]).collect();
                comparison.slices(&what("dx"), &dx, &expected_dx, TOLERANCE);

                let (mut dw_alone, mut db_alone) = (vec![f32::NAN; dw.len()], vec![0.0; db.len()]);
                let gradients =
                    Gradients { weight: &mut dw_alone, bias: &mut db_alone, input: None };
                kernels.conv2d_backward(&conv, &x, &weight, &dy, gradients);
                assert_eq!((dw_alone, db_alone), (dw, db), "{}", what("without dx"));
            }
        }
    }
    comparison.finish();
}

#[test]
fn linear_layers_match_the_definition_and_its_slopes() {
    let mut comparison = Comparison::default();
    // The last four sizes are around and between multiples of 784, gemm's chunk of inputs.
    let sizes = [(1, 1), (7, 3), (65, 33), (130, 10), (783, 3), (784, 3), (785, 3), (1600, 2)];
    for (in_features, out_features) in sizes {
        let linear = Linear { in_features, out_features };
        for batch in BATCHES {
            let seed = (in_features * 1000 + batch) as u64;
            let x = uniform(seed, batch * in_features);
            let weight = uniform(seed + 1, in_features * out_features);
            let bias = uniform(seed + 2, out_features);
            let dy = uniform(seed + 3, batch * out_features);
            let [x64, weight64, bias64, dy64] =
                [&x, &weight, &bias, &dy].map(|values| to_f64(values));
            let y_of = |x: &[f64], weight: &[f64], bias: &[f64]| {
                batched(x, in_features, |x| oracle::linear(&linear, x, weight, bias))
            };
            let expected_y = y_of(&x64, &weight64, &bias64);
            // Only some elements are checked, because each slope costs a whole forward pass.
            let some = |count: usize| (0..count).step_by(count.div_ceil(50)).collect::<Vec<_>>();
            let (some_dw, some_dx) = (some(weight.len()), some(x.len()));
            let dw_slope =
                |&i: &usize| slope(&weight64, i, &|w| dot(&y_of(&x64, w, &bias64), &dy64));
            let dx_slope =
                |&i: &usize| slope(&x64, i, &|x| dot(&y_of(x, &weight64, &bias64), &dy64));
            let expected_dw: Vec<f64> = some_dw.iter().map(dw_slope).collect();
            let expected_dx: Vec<f64> = some_dx.iter().map(dx_slope).collect();
            let expected_db = slopes(&bias64, &|b| dot(&y_of(&x64, &weight64, b), &dy64));
            for (name, mut kernels) in all_kernels() {
                let what = |part: &str| format!("{name} {linear:?} batch {batch}: {part}");
                let mut y = vec![f32::NAN; dy.len()];
                kernels.linear_forward(&linear, &x, &weight, &bias, &mut y);
                comparison.slices(&what("y"), &y, &expected_y, TOLERANCE);

                let (mut dw, mut db) = (vec![f32::NAN; weight.len()], vec![f32::NAN; bias.len()]);
                let mut dx = vec![f32::NAN; x.len()];
                let gradients = Gradients { weight: &mut dw, bias: &mut db, input: Some(&mut dx) };
                kernels.linear_backward(&linear, &x, &weight, &dy, gradients);
                let dw: Vec<f32> = some_dw.iter().map(|&i| dw[i]).collect();
                let dx: Vec<f32> = some_dx.iter().map(|&i| dx[i]).collect();
                comparison.slices(&what("dw"), &dw, &expected_dw, TOLERANCE);
                comparison.slices(&what("db"), &db, &expected_db, TOLERANCE);
                comparison.slices(&what("dx"), &dx, &expected_dx, TOLERANCE);
            }
        }
    }
    comparison.finish();
}

/// Distinct values that differ by more than a step of a central difference, so that no step crosses
/// a kink.
fn well_separated(seed: u64, count: usize) -> Vec<f32> {
    let mut ranks: Vec<u32> = (0..count as u32).collect();
    mnist_train::random::Stream::new(seed, "ranks", 0).shuffle(&mut ranks);
    ranks.iter().map(|&rank| (rank as f32 + 0.5) / count as f32 * 50.0 - 25.0).collect()
}

#[test]
fn pools_of_every_geometry_match_the_definition_and_its_slopes() {
    let pool = |channels, height, width, kernel, stride| MaxPool2d {
        input: Shape::new(channels, height, width),
        kernel,
        stride,
    };
    let geometries = [
        pool(2, 8, 8, 2, 2),
        pool(1, 7, 9, 2, 2),
        pool(3, 8, 7, 3, 2),
        pool(1, 5, 5, 1, 1),
        pool(2, 9, 6, 2, 3),
        pool(1, 4, 4, 4, 4),
    ];
    let mut comparison = Comparison::default();
    for (case, pool) in geometries.into_iter().enumerate() {
        for batch in BATCHES {
            let seed = (case * 100 + batch) as u64;
            let x = well_separated(seed, batch * pool.input.len());
            let dy = uniform(seed, batch * pool.output().len());
            let [x64, dy64] = [&x, &dy].map(|values| to_f64(values));
            let y_of = |x: &[f64]| batched(x, pool.input.len(), |x| oracle::maxpool2d(&pool, x));
            let expected_y = y_of(&x64);
            let expected_dx = slopes(&x64, &|x| dot(&y_of(x), &dy64));
            for (name, mut kernels) in all_kernels() {
                let what = |part: &str| format!("{name} {pool:?} batch {batch}: {part}");
                let (mut y, mut argmax) = (vec![f32::NAN; dy.len()], vec![255; dy.len()]);
                kernels.maxpool2d_forward(&pool, &x, &mut y, &mut argmax);
                comparison.slices(&what("y"), &y, &expected_y, 0.0);
                let mut dx = vec![f32::NAN; x.len()];
                kernels.maxpool2d_backward(&pool, &argmax, &dy, &mut dx);
                comparison.slices(&what("dx"), &dx, &expected_dx, TOLERANCE);
            }
        }
    }
    comparison.finish();
}

#[test]
fn the_first_of_equal_elements_gets_the_gradient_in_every_set_of_kernels() {
    let pool = MaxPool2d { input: Shape::new(2, 4, 4), kernel: 2, stride: 2 };
    let x = [0.0_f32; 3 * 32];
    for (name, mut kernels) in all_kernels() {
        let (mut y, mut argmax) = (vec![f32::NAN; 24], vec![255; 24]);
        kernels.maxpool2d_forward(&pool, &x, &mut y, &mut argmax);
        assert_eq!(argmax, [0; 24], "{name}");
    }
}

#[test]
fn relu_lets_the_gradient_through_above_zero_only() {
    let mut comparison = Comparison::default();
    for count in [1, 7, 16_384, 16_385] {
        // The values are at least ten steps away from the kink at 0.
        let x: Vec<f32> = uniform(5, count).iter().map(|x| x + 0.01_f32.copysign(*x)).collect();
        let dy = uniform(6, count);
        let sampled: Vec<usize> = (0..count).step_by(101).collect();
        let expected_y: Vec<f64> = x.iter().map(|&x| f64::from(x).max(0.0)).collect();
        let expected_dx: Vec<f64> = sampled
            .iter()
            .map(|&i| slope(&[f64::from(x[i])], 0, &|x| x[0].max(0.0)) * f64::from(dy[i]))
            .collect();
        for (name, mut kernels) in all_kernels() {
            let mut y = vec![f32::NAN; count];
            kernels.relu_forward(&x, &mut y);
            comparison.slices(&format!("{name} {count}: y"), &y, &expected_y, 0.0);
            let mut dx = vec![f32::NAN; count];
            kernels.relu_backward(&y, &dy, &mut dx);
            let dx: Vec<f32> = sampled.iter().map(|&i| dx[i]).collect();
            comparison.slices(&format!("{name} {count}: dx"), &dx, &expected_dx, TOLERANCE);
        }
    }
    comparison.finish();
}

#[test]
fn every_layerwise_stage_has_its_kernels_here() {
    let layerwise =
        STAGES.iter().filter(|stage| stage.engine == EngineKind::Layerwise).map(|stage| stage.name);
    let mut here: Vec<&str> =
        all_kernels().iter().map(|(name, _)| name.split(' ').next().unwrap()).collect();
    here.dedup();
    assert_eq!(here, layerwise.collect::<Vec<_>>());
}
