//! Every layer with every set of primitives: forward against the f64 oracle, backward against
//! central differences of the oracle by random projection, for ordinary and odd sizes.
//!
//! For a random dy the scalar L = Σ y·dy has the gradients that backward computes.

mod common;

use std::collections::BTreeSet;

use common::{Comparison, LayerResult, all_primitives, oracle, run_layer, to_f64, uniform};
use mnist_train::nn::grammar::{self, LAYERS};
use mnist_train::nn::primitives::pooling::Pooling;
use mnist_train::nn::shape::Shape;
use mnist_train::stages::{EngineKind, STAGES};

/// Three images and more: a gradient that keeps only one image's share must not pass. 13 makes
/// several chunks, the last of them partial.
const BATCHES: [usize; 3] = [3, 5, 13];

/// A layer on images of a shape (C, H, W).
type Case = (&'static str, [usize; 3]);

/// Windows of every geometry: strides, padding, kernels as large as the image, sides that are not
/// whole windows.
const WINDOWS: [Case; 14] = [
    ("conv4k5p2", [1, 12, 12]),
    ("conv4k3s2", [3, 9, 7]),
    ("conv3k5s2p1", [2, 11, 8]),
    ("conv3k1", [2, 5, 6]),
    ("conv2k4", [3, 4, 4]),
    ("conv2k3p3", [1, 3, 3]),
    ("conv2k3s3p2", [2, 10, 9]),
    ("conv2k2s3", [1, 9, 8]),
    ("maxpool2", [2, 8, 8]),
    ("maxpool2", [1, 7, 9]),
    ("maxpool3s2", [3, 8, 7]),
    ("maxpool1", [1, 5, 5]),
    ("maxpool2s3", [2, 9, 6]),
    ("maxpool4", [1, 4, 4]),
];

/// Features. The last four of fc lie around and between the chunks of 784 that gemm hands out.
const FEATURES: [Case; 8] = [
    ("fc1", [1, 1, 1]),
    ("fc3", [7, 1, 1]),
    ("fc33", [65, 1, 1]),
    ("fc10", [130, 1, 1]),
    ("fc3", [783, 1, 1]),
    ("fc3", [784, 1, 1]),
    ("fc3", [785, 1, 1]),
    ("fc2", [1600, 1, 1]),
];

/// Layers that work element by element: one element, and more than the 16,384 of a chunk.
const ELEMENTS: [Case; 8] = [
    ("relu", [1, 1, 1]),
    ("relu", [7, 1, 1]),
    ("relu", [3, 5, 7]),
    ("relu", [5462, 1, 1]),
    ("sigmoid", [1, 1, 1]),
    ("sigmoid", [3, 5, 7]),
    ("sigmoid", [5462, 1, 1]),
    ("flatten", [2, 3, 4]),
];

/// The derivative of `loss` with respect to the value at `index`, by central difference. A step this
/// small crosses no kink: inputs are further apart from each other and from 0.
fn slope(values: &[f64], index: usize, loss: &dyn Fn(&[f64]) -> f64) -> f64 {
    const STEP: f64 = 1e-5;
    let mut moved = values.to_vec();
    moved[index] = values[index] + STEP;
    let above = loss(&moved);
    moved[index] = values[index] - STEP;
    (above - loss(&moved)) / (2.0 * STEP)
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// f32 sums of up to a few hundred terms, relative to the largest value.
const TOLERANCE: f64 = 5e-6;

/// Distinct values further apart, and further from 0, than any step of a central difference.
fn well_separated(seed: u64, count: usize) -> Vec<f32> {
    let mut ranks: Vec<u32> = (0..count as u32).collect();
    mnist_train::random::Stream::new(seed, "ranks", 0).shuffle(&mut ranks);
    ranks.iter().map(|&rank| (rank as f32 + 0.3) / count as f32 * 8.0 - 4.0).collect()
}

/// Some of `count` indices: each slope costs two passes of the oracle.
fn some(count: usize) -> Vec<usize> {
    (0..count).step_by(count.div_ceil(60).max(1)).collect()
}

fn check(&(text, [channels, height, width]): &Case, batch: usize, comparison: &mut Comparison) {
    let layer = grammar::layer(text).unwrap();
    let input = Shape::new(channels, height, width);
    let output = layer.output(input).unwrap();
    let lengths: Vec<usize> = layer.tensors(input).iter().map(|tensor| tensor.len()).collect();
    let seed = (input.len() * 100 + batch) as u64;
    let x = well_separated(seed, batch * input.len());
    let parameters = uniform(seed + 1, lengths.iter().sum());
    let dy = uniform(seed + 2, batch * output.len());
    let [x64, parameters64, dy64] = [&x, &parameters, &dy].map(|values| to_f64(values));
    let y_of = |x: &[f64], parameters: &[f64]| -> Vec<f64> {
        let mut rest = parameters;
        let cut = |&length: &usize| rest.split_off(..length).expect("its values").to_vec();
        let tensors: Vec<Vec<f64>> = lengths.iter().map(cut).collect();
        let images = x.chunks_exact(input.len());
        images.flat_map(|x| oracle::layer(layer.as_ref(), input, &tensors, x)).collect()
    };
    let expected_y = y_of(&x64, &parameters64);
    let slopes = |values: &[f64], indices: &[usize], loss: &dyn Fn(&[f64]) -> f64| -> Vec<f64> {
        indices.iter().map(|&index| slope(values, index, loss)).collect()
    };
    let (some_x, some_parameters) = (some(x.len()), some(parameters.len()));
    let expected_dx = slopes(&x64, &some_x, &|x| dot(&y_of(x, &parameters64), &dy64));
    let expected_dparameters =
        slopes(&parameters64, &some_parameters, &|p| dot(&y_of(&x64, p), &dy64));
    let mut of_gemm = None;
    for (name, mut primitives) in all_primitives() {
        let what = |part: &str| format!("{name} {text} on {input}, batch {batch}: {part}");
        let operands = [&x[..], &parameters, &dy];
        let found = run_layer(layer.as_ref(), input, primitives.as_mut(), operands);
        let LayerResult { y, dparameters, dx } = &found;
        comparison.slices(&what("y"), y, &expected_y, TOLERANCE);
        let at = |values: &[f32], indices: &[usize]| -> Vec<f32> {
            indices.iter().map(|&index| values[index]).collect()
        };
        comparison.slices(&what("dx"), &at(dx, &some_x), &expected_dx, TOLERANCE);
        let dparameters = at(dparameters, &some_parameters);
        comparison.slices(&what("dparameters"), &dparameters, &expected_dparameters, TOLERANCE);
        if name.starts_with("gemm") {
            let bits = (found.y, found.dparameters, found.dx);
            let of_other_threads = of_gemm.get_or_insert_with(|| bits.clone());
            assert_eq!(*of_other_threads, bits, "{}", what("on other threads"));
        }
    }
}

fn check_all(cases: &[Case]) {
    let mut comparison = Comparison::default();
    for case in cases {
        for batch in BATCHES {
            check(case, batch, &mut comparison);
        }
    }
    comparison.finish();
}

#[test]
fn windows_of_every_geometry_match_the_definition_and_its_slopes() {
    check_all(&WINDOWS);
}

#[test]
fn linear_layers_match_the_definition_and_its_slopes() {
    check_all(&FEATURES);
}

#[test]
fn layers_that_work_element_by_element_match_the_definition_and_its_slopes() {
    check_all(&ELEMENTS);
}

#[test]
fn every_kind_of_layer_is_checked_here() {
    let texts = [&WINDOWS[..], &FEATURES, &ELEMENTS].concat();
    let words: BTreeSet<_> =
        texts.iter().map(|(text, _)| grammar::layer(text).unwrap().word()).collect();
    assert_eq!(words, LAYERS.iter().map(|kind| kind.name.to_string()).collect());
}

#[test]
fn the_first_of_equal_elements_gets_the_gradient_with_every_set_of_primitives() {
    let pool = Pooling { input: Shape::new(2, 4, 4), kernel: 2, stride: 2 };
    let x = [0.0_f32; 3 * 32];
    for (name, mut primitives) in all_primitives() {
        let (mut y, mut argmax) = (vec![f32::NAN; 24], vec![255; 24]);
        primitives.max_pool(&pool, &x, &mut y, &mut argmax);
        assert_eq!(argmax, [0; 24], "{name}");
    }
}

#[test]
fn every_layerwise_stage_has_its_primitives_here() {
    let layerwise = STAGES
        .iter()
        .filter(|stage| matches!(stage.engine, EngineKind::Layerwise(_)))
        .map(|stage| stage.name);
    let mut here: Vec<&str> =
        all_primitives().iter().map(|(name, _)| name.split(' ').next().unwrap()).collect();
    here.dedup();
    assert_eq!(here, layerwise.collect::<Vec<_>>());
}
