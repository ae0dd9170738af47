//! Every layer with every set of primitives, in f32, against the layer's definition on a tape in f64:
//! outputs and gradients, for ordinary and odd sizes. The tape's operations are checked against
//! central differences in `src/autograd/tests.rs`.

mod common;

use std::collections::{BTreeSet, HashMap};

use common::{
    Comparison, LayerResult, all_primitives, evaluate_layer, layer_on_tape, run_layer, uniform,
};
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

/// Average pooling and pooling over all positions, of images and signals.
const POOLS: [Case; 15] = [
    ("avgpool2", &[2, 8, 8]),
    ("avgpool2", &[1, 7, 9]),
    ("avgpool2s2p1", &[3, 5, 4]),
    ("avgpool3s2p1", &[2, 7, 8]),
    ("avgpool3s1", &[1, 3, 3]),
    ("avgpool1", &[1, 1, 1]),
    ("avgpool5s3p2", &[2, 11]),
    ("avgpool2", &[3, 7]),
    ("globalavgpool", &[1, 1, 1]),
    ("globalavgpool", &[3, 7, 5]),
    ("globalavgpool", &[4, 9]),
    ("globalmaxpool", &[1, 1, 1]),
    ("globalmaxpool", &[3, 7, 5]),
    ("globalmaxpool", &[2, 20, 19]),
    ("globalmaxpool", &[4, 9]),
];

/// Layers whose outputs depend on a row, a channel or chance.
const NORMALIZING: [Case; 18] = [
    ("softmax", &[1]),
    ("softmax", &[10]),
    ("softmax", &[4, 7]),
    ("softmax", &[2, 3, 5]),
    ("dropout0", &[3, 5]),
    ("dropout0.5", &[1]),
    ("dropout0.5", &[3, 5, 7]),
    ("dropout0.9", &[200]),
    ("batchnorm", &[1]),
    ("batchnorm", &[17]),
    ("batchnorm", &[3, 17]),
    ("batchnorm", &[1, 1, 1]),
    ("batchnorm", &[3, 5, 7]),
    ("layernorm", &[1]),
    ("layernorm", &[3]),
    ("layernorm", &[33]),
    ("layernorm", &[1, 16]),
    ("layernorm", &[5, 7]),
];

/// Layers that work element by element: one element, and more than the 16,384 that are
/// shared.
const ELEMENTS: [Case; 14] = [
    ("relu", &[1, 1, 1]),
    ("relu", &[7, 1, 1]),
    ("relu", &[3, 5, 7]),
    ("relu", &[5462, 1, 1]),
    ("sigmoid", &[1, 1, 1]),
    ("sigmoid", &[3, 5, 7]),
    ("sigmoid", &[5462, 1, 1]),
    ("tanh", &[1]),
    ("tanh", &[3, 5, 7]),
    ("tanh", &[5462]),
    ("gelu", &[1, 1, 1]),
    ("gelu", &[5, 7]),
    ("gelu", &[5462]),
    ("flatten", &[2, 3, 4]),
];

/// Signals, with the windows of [`WINDOWS`].
const SIGNALS: [Case; 9] = [
    ("conv1d1k1", &[1, 1]),
    ("conv1d4k5p2", &[1, 12]),
    ("conv1d4k3s2", &[3, 9]),
    ("conv1d3k5s2p1", &[2, 11]),
    ("conv1d2k4", &[3, 4]),
    ("conv1d2k3p3", &[1, 3]),
    ("conv1d2k2s3", &[5, 8]),
    ("channels", &[1, 1, 1]),
    ("channels", &[1, 5, 3]),
];

/// Tokens: one token, one feature, one head, one unit, and odd numbers of them. Attention has few
/// features, so that its scores stay small: the rounding error of a score, which grows with the score,
/// is the relative error of a share.
const TOKENS: [Case; 29] = [
    ("rows", &[1, 1, 1]),
    ("rows", &[1, 5, 3]),
    ("patches1", &[2, 3, 4]),
    ("patches2", &[1, 2, 2]),
    ("patches2", &[3, 4, 6]),
    ("patches3", &[2, 9, 3]),
    ("pos", &[1, 1]),
    ("pos", &[1, 9]),
    ("pos", &[7, 5]),
    ("attn1", &[1, 1]),
    ("attn1", &[5, 3]),
    ("attn2", &[1, 4]),
    ("attn3", &[4, 9]),
    ("attn4", &[7, 8]),
    ("attn2", &[16, 6]),
    ("attn7", &[3, 7]),
    ("lstm1", &[1, 1]),
    ("lstm1", &[4, 3]),
    ("lstm3", &[1, 5]),
    ("lstm4", &[7, 1]),
    ("lstm5", &[3, 6]),
    ("lstm17", &[9, 11]),
    ("last", &[1, 1]),
    ("last", &[1, 5]),
    ("last", &[7, 3]),
    ("mean", &[1, 1]),
    ("mean", &[1, 5]),
    ("mean", &[7, 3]),
    ("fc3", &[5, 7]),
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
    let specs = layer.tensors(input);
    let parameters = specs.iter().map(|tensor| tensor.len()).sum();
    let seed = (input.len() * 100 + batch) as u64;
    let x = well_separated(seed, batch * input.len());
    let parameters = uniform(seed + 1, parameters);
    let dy = uniform(seed + 2, batch * output.len());
    let operands = [&x[..], &parameters, &dy];
    let [expected_y, expected_dparameters, expected_dx] =
        layer_on_tape(layer.as_ref(), input, operands);
    let mut first_of: HashMap<String, _> = HashMap::new();
    for (name, mut primitives) in all_primitives() {
        let what = |part: &str| format!("{name} {text} on {input}, batch {batch}: {part}");
        let found = run_layer(layer.as_ref(), input, primitives.as_mut(), operands);
        let LayerResult { y, dparameters, dx } = &found;
        comparison.slices(&what("y"), y, &expected_y, TOLERANCE);
        comparison.slices(&what("dx"), dx, &expected_dx, TOLERANCE);
        let (mut dparameters, mut expected) = (&dparameters[..], &expected_dparameters[..]);
        for spec in &specs {
            let of_tensor = dparameters.split_off(..spec.len()).unwrap();
            let expected = expected.split_off(..spec.len()).unwrap();
            // The tape knows no running statistics; tests/pytorch.rs compares them.
            if !spec.role.is_running() {
                comparison.slices(&what(&spec.name), of_tensor, expected, TOLERANCE);
            }
        }
        let (set, _) = name.rsplit_once(' ').unwrap_or((&name, ""));
        let bits = (found.y, found.dparameters, found.dx);
        let of_other_threads = first_of.entry(set.into()).or_insert_with(|| bits.clone());
        assert_eq!(*of_other_threads, bits, "{name} {text}: on other threads");
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
fn pools_of_averages_and_of_all_positions_match_the_definition_on_a_tape() {
    check_all(&POOLS);
}

#[test]
fn normalizing_layers_match_the_definition_on_a_tape() {
    check_all(&NORMALIZING);
}

#[test]
fn an_evaluation_uses_running_statistics_and_drops_nothing() {
    let input = Shape::image(3, 5, 7);
    let (x, positions) = (uniform(1, 4 * input.len()), 35);
    let (weight, bias, mean, variance) =
        ([1.5, -0.5, 2.0], [0.25, 1.0, -3.0], [0.5, -0.25, 0.0], [0.5, 2.0, 4.0]);
    let normalized = x.iter().enumerate().map(|(i, &x)| {
        let c = i / positions % 3;
        f64::from(x - mean[c]) / f64::sqrt(variance[c] + 1e-5) * weight[c] + bias[c]
    });
    let normalized: Vec<f64> = normalized.collect();
    let unchanged: Vec<f64> = x.iter().map(|&x| f64::from(x)).collect();
    let parameters = [weight, bias, mean.map(f64::from), variance].concat();
    let parameters: Vec<f32> = parameters.into_iter().map(|value| value as f32).collect();
    let mut comparison = Comparison::default();
    for (name, mut primitives) in all_primitives() {
        for (text, parameters, expected) in
            [("dropout0.5", &[][..], &unchanged), ("batchnorm", &parameters, &normalized)]
        {
            let layer = grammar::layer(text).unwrap();
            let y = evaluate_layer(layer.as_ref(), input, primitives.as_mut(), [&x, parameters]);
            comparison.slices(&format!("{name} {text}"), &y, expected, TOLERANCE);
        }
    }
    comparison.finish();
}

#[test]
fn layers_of_signals_match_the_definition_on_a_tape() {
    check_all(&SIGNALS);
}

#[test]
fn layers_of_tokens_match_the_definition_on_a_tape() {
    check_all(&TOKENS);
}

#[test]
fn every_kind_of_layer_is_checked_here() {
    let texts =
        [&WINDOWS[..], &FEATURES, &POOLS, &NORMALIZING, &ELEMENTS, &SIGNALS, &TOKENS].concat();
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
    let all = all_primitives();
    let mut here: Vec<&str> = all.iter().map(|(name, _)| name.split(' ').next().unwrap()).collect();
    here.dedup();
    assert_eq!(here, layerwise.collect::<Vec<_>>());
}
