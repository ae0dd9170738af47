//! Every layer with every set of primitives, in f32, against the layer's definition on a tape in f64:
//! outputs and gradients, for ordinary and odd sizes. The tape's operations are checked against
//! central differences in `src/autograd/tests.rs`.

mod common;

use std::collections::BTreeSet;

use common::{Comparison, LayerResult, all_primitives, layer_on_tape, run_layer, uniform};
use mnist_train::nn::grammar::{self, LAYERS};
use mnist_train::nn::primitives::pooling::Pooling;
use mnist_train::nn::primitives::window::Window;
use mnist_train::nn::shape::{ImageShape, Shape};
use mnist_train::stages::{EngineKind, STAGES};

/// Three images and more: a gradient that keeps only one image's share must not pass. 13 makes
/// several chunks, the last of them partial.
const BATCHES: [usize; 3] = [3, 5, 13];

/// A layer on inputs of a shape.
type Case = (&'static str, &'static [usize]);

/// Windows of every geometry: strides, padding, kernels as large as the image, sides that are not
/// whole windows.
const WINDOWS: [Case; 19] = [
    ("conv4k5p2", &[1, 12, 12]),
    ("conv4k3s2", &[3, 9, 7]),
    ("conv3k5s2p1", &[2, 11, 8]),
    ("conv3k1", &[2, 5, 6]),
    ("conv2k4", &[3, 4, 4]),
    ("conv2k3p3", &[1, 3, 3]),
    ("conv2k3s3p2", &[2, 10, 9]),
    ("conv2k2s3", &[1, 9, 8]),
    ("maxpool2", &[2, 8, 8]),
    ("maxpool2", &[1, 7, 9]),
    ("maxpool3s2", &[3, 8, 7]),
    ("maxpool1", &[1, 5, 5]),
    ("maxpool2s3", &[2, 9, 6]),
    ("maxpool4", &[1, 4, 4]),
    ("maxpool3s2p1", &[2, 9, 8]),
    ("maxpool2p1", &[1, 5, 5]),
    ("maxpool3s1p1", &[3, 1, 1]),
    ("maxpool3s2p1", &[3, 11]),
    ("maxpool2", &[2, 7]),
];

/// Features. The last four of fc lie around and between the chunks of 784 that gemm hands out.
const FEATURES: [Case; 10] = [
    ("fc1", &[1]),
    ("fc3", &[7]),
    ("fc33", &[65]),
    ("fc10", &[130]),
    ("fc3", &[783]),
    ("fc3", &[784]),
    ("fc3", &[785]),
    ("fc2", &[1600]),
    ("fc5", &[3, 7]),
    ("fc1", &[1, 4]),
];

/// Layers that work element by element: one element, and more than the 16,384 of a chunk.
const ELEMENTS: [Case; 8] = [
    ("relu", &[1, 1, 1]),
    ("relu", &[7, 1, 1]),
    ("relu", &[3, 5, 7]),
    ("relu", &[5462, 1, 1]),
    ("sigmoid", &[1, 1, 1]),
    ("sigmoid", &[3, 5, 7]),
    ("sigmoid", &[5462, 1, 1]),
    ("flatten", &[2, 3, 4]),
];

/// f32 sums of up to a few hundred terms, relative to the largest value.
const TOLERANCE: f64 = 5e-6;

/// Distinct values that are further apart, and further from 0, than the rounding errors of f32, so
/// that relu and pooling choose as they do in f64.
fn well_separated(seed: u64, count: usize) -> Vec<f32> {
    let mut ranks: Vec<u32> = (0..count as u32).collect();
    mnist_train::random::Stream::new(seed, "ranks", 0).shuffle(&mut ranks);
    ranks.iter().map(|&rank| (rank as f32 + 0.3) / count as f32 * 8.0 - 4.0).collect()
}

fn check(&(text, sizes): &Case, batch: usize, comparison: &mut Comparison) {
    let layer = grammar::layer(text).unwrap();
    let input = Shape::of(sizes).unwrap();
    let output = layer.output(input).unwrap();
    let parameters = layer.tensors(input).iter().map(|tensor| tensor.len()).sum();
    let seed = (input.len() * 100 + batch) as u64;
    let x = well_separated(seed, batch * input.len());
    let parameters = uniform(seed + 1, parameters);
    let dy = uniform(seed + 2, batch * output.len());
    let operands = [&x[..], &parameters, &dy];
    let [expected_y, expected_dparameters, expected_dx] =
        layer_on_tape(layer.as_ref(), input, operands);
    let mut of_gemm = None;
    for (name, mut primitives) in all_primitives() {
        let what = |part: &str| format!("{name} {text} on {input}, batch {batch}: {part}");
        let found = run_layer(layer.as_ref(), input, primitives.as_mut(), operands);
        let LayerResult { y, dparameters, dx } = &found;
        comparison.slices(&what("y"), y, &expected_y, TOLERANCE);
        comparison.slices(&what("dx"), dx, &expected_dx, TOLERANCE);
        comparison.slices(&what("dparameters"), dparameters, &expected_dparameters, TOLERANCE);
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
fn windows_of_every_geometry_match_the_definition_on_a_tape() {
    check_all(&WINDOWS);
}

#[test]
fn linear_layers_match_the_definition_on_a_tape() {
    check_all(&FEATURES);
}

#[test]
fn layers_that_work_element_by_element_match_the_definition_on_a_tape() {
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
    let window = Window { kernel: 2, stride: 2, padding: 0 };
    let pool = Pooling { input: ImageShape::new(2, 4, 4), rows: window, columns: window };
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
        .filter(|stage| matches!(stage.engine, EngineKind::Layerwise { .. }))
        .map(|stage| stage.name);
    let mut here: Vec<&str> =
        all_primitives().iter().map(|(name, _)| name.split(' ').next().unwrap()).collect();
    here.dedup();
    assert_eq!(here, layerwise.collect::<Vec<_>>());
}
