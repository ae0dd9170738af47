//! Tools of several test files: the gradients of a tape in f64, random inputs, the sets of
//! primitives, and a comparison that reports all failures and details three.

#![allow(dead_code)] // Each test file uses its own part.

use mnist_train::autograd::{Tape, Var};
use mnist_train::data::batches::Batch;
use mnist_train::data::dataset::Split;
use mnist_train::data::synthetic::SIDE;
use mnist_train::engine::Engine;
use mnist_train::engine::compute::{Compute, Precision};
use mnist_train::model::architecture::Architecture;
use mnist_train::model::parameters::{Parameters, TrainState};
use mnist_train::model::recipe::Recipe;
use mnist_train::nn::cross_entropy;
use mnist_train::nn::layer::{Backward, Forward, Kept, Layer, Training};
use mnist_train::nn::primitives::{Primitives, Reference};
use mnist_train::nn::shape::Shape;
use mnist_train::optim::adam::Adam;
use mnist_train::random::Stream;
use mnist_train::simd::Isa;
use mnist_train::stages::gemm::Gemm;
use mnist_train::stages::im2col::Im2col;
use mnist_train::stages::{STAGES, Stage, tiled};

/// Reproducible random values in [-1, 1).
pub fn uniform(seed: u64, count: usize) -> Vec<f32> {
    let mut stream = Stream::new(seed, "test values", 0);
    (0..count).map(|_| stream.uniform(-1.0, 1.0)).collect()
}

/// Collects comparisons, and reports the number of failures with the first three in detail.
#[derive(Default)]
pub struct Comparison {
    checked: usize,
    failures: Vec<String>,
}

impl Comparison {
    /// Compares slices by the error relative to the largest expected value, because a sum of many
    /// terms is only as accurate as its largest term.
    pub fn slices(&mut self, what: &str, found: &[f32], expected: &[f64], tolerance: f64) {
        assert_eq!(found.len(), expected.len(), "{what}");
        let scale = expected.iter().fold(0.0_f64, |largest, value| largest.max(value.abs()));
        for (index, (&found, &expected)) in found.iter().zip(expected).enumerate() {
            self.checked += 1;
            let error = (f64::from(found) - expected).abs();
            if error > tolerance * scale.max(1e-6) || error.is_nan() {
                self.failures.push(format!("{what}[{index}]: {found} for {expected}"));
            }
        }
    }

    /// Fails the test if any comparison failed.
    pub fn finish(self) {
        assert!(self.checked > 0, "nothing was compared");
        assert!(
            self.failures.is_empty(),
            "{} of {} values differ, for example\n{}",
            self.failures.len(),
            self.checked,
            self.failures[..self.failures.len().min(3)].join("\n")
        );
    }
}

/// Every set of primitives with its name. A set that uses threads is there for one thread and for
/// several.
pub fn all_primitives() -> Vec<(String, Box<dyn Primitives>)> {
    let mut all: Vec<(String, Box<dyn Primitives>)> = vec![
        ("naive".into(), Box::new(Reference)),
        ("im2col".into(), Box::new(Im2col::default())),
        ("gemm 1".into(), Box::new(Gemm::new(1).unwrap())),
        ("gemm 3".into(), Box::new(Gemm::new(3).unwrap())),
    ];
    for isa in Isa::ALL.into_iter().filter(|isa| isa.is_available()) {
        for threads in [1, 2, 3, 7] {
            let primitives = tiled::build(Compute { threads, isa }).unwrap();
            all.push((format!("tiled {isa} {threads}"), primitives));
        }
    }
    all
}

/// Place in a training at which layers are tested.
pub const TRAINING: Training = Training { seed: 7, step: 3, first_image: 0, layer: 2 };

/// Results of a layer for a batch.
pub struct LayerResult {
    pub y: Vec<f32>,
    pub dparameters: Vec<f32>,
    pub dx: Vec<f32>,
}

/// Results of `layer` on images of shape `input`, forward and backward, by `primitives`. The
/// results are full of NaN before.
pub fn run_layer(
    layer: &dyn Layer,
    input: Shape,
    primitives: &mut dyn Primitives,
    [x, parameters, dy]: [&[f32]; 3],
) -> LayerResult {
    let images = input.images_in(x.len());
    let Kept { bytes, floats, .. } = layer.kept(input);
    let mut kept_bytes = vec![255; images * bytes];
    let mut kept_floats = vec![f32::NAN; images * floats];
    let mut scratch = vec![f32::NAN; images * layer.scratch(input)];
    let [mut y, mut dparameters, mut dx] =
        [dy, parameters, x].map(|like| vec![f32::NAN; like.len()]);
    let io = Forward {
        kept_bytes: &mut kept_bytes,
        kept_floats: &mut kept_floats,
        scratch: &mut scratch,
        training: Some(TRAINING),
        ..Forward::new(input, x, parameters, &mut y)
    };
    layer.forward(primitives, io);
    let io = Backward {
        input,
        x,
        y: &y,
        parameters,
        kept_bytes: &kept_bytes,
        kept_floats: &kept_floats,
        scratch: &mut scratch,
        training: TRAINING,
        dy,
        dparameters: &mut dparameters,
        dx: Some(&mut dx),
    };
    layer.backward(primitives, io);
    // The first layer of a network is not asked for the gradient of its input.
    let mut dparameters_alone = vec![f32::NAN; parameters.len()];
    let io = Backward {
        input,
        x,
        y: &y,
        parameters,
        kept_bytes: &kept_bytes,
        kept_floats: &kept_floats,
        scratch: &mut scratch,
        training: TRAINING,
        dy,
        dparameters: &mut dparameters_alone,
        dx: None,
    };
    layer.backward(primitives, io);
    assert_eq!(dparameters_alone, dparameters, "{layer} without dx");
    LayerResult { y, dparameters, dx }
}

/// Output of `layer` on images of shape `input` in an evaluation, by `primitives`. It is full of
/// NaN before.
pub fn evaluate_layer(
    layer: &dyn Layer,
    input: Shape,
    primitives: &mut dyn Primitives,
    [x, parameters]: [&[f32]; 2],
) -> Vec<f32> {
    let images = input.images_in(x.len());
    let Kept { bytes, floats, .. } = layer.kept(input);
    let mut y = vec![f32::NAN; images * layer.output(input).unwrap().len()];
    let io = Forward {
        kept_bytes: &mut vec![255; images * bytes],
        kept_floats: &mut vec![f32::NAN; images * floats],
        scratch: &mut vec![f32::NAN; images * layer.scratch(input)],
        ..Forward::new(input, x, parameters, &mut y)
    };
    layer.forward(primitives, io);
    y
}

/// Leaves of `tape` for tensors of these `shapes`, whose `values` lie one after the other.
fn leaves(tape: &mut Tape<f64>, shapes: &[Vec<usize>], mut values: &[f32]) -> Vec<Var> {
    let mut next = |shape: &Vec<usize>| {
        let own = values.split_off(..shape.iter().product()).expect("its values");
        tape.leaf(shape, to_f64(own))
    };
    shapes.iter().map(&mut next).collect()
}

/// Output of `layer` on images of shape `input`, recorded on a tape in f64, and the gradients of
/// its parameters and of its input: \[y, dparameters, dx\]. For a random dy, the number Σ y·dy has
/// the gradients that a backward pass computes from dy.
pub fn layer_on_tape(
    layer: &dyn Layer,
    input: Shape,
    [x, parameters, dy]: [&[f32]; 3],
) -> [Vec<f64>; 3] {
    let mut tape = Tape::new();
    let x = tape.leaf(&input.of_batch(input.images_in(x.len())), to_f64(x));
    let shapes: Vec<_> = layer.tensors(input).into_iter().map(|tensor| tensor.shape).collect();
    let tensors = leaves(&mut tape, &shapes, parameters);
    let y = layer.record(&mut tape, x, &tensors, TRAINING);
    let of_y = tape.reshape(y, &[dy.len()]);
    let dy = tape.leaf(&[dy.len()], to_f64(dy));
    let products = tape.mul(of_y, dy);
    let sum = tape.sum(products, 0);
    let gradients = tape.gradients(sum);
    let dparameters = tensors.iter().flat_map(|&tensor| gradients.of(tensor).to_vec()).collect();
    [tape.value(y).to_vec(), dparameters, gradients.of(x).to_vec()]
}

/// Gradient of every tensor of `architecture` at `parameters`, for the mean loss of all images of
/// `split`, by a tape in f64.
pub fn gradient_on_tape(
    architecture: &Architecture,
    parameters: &Parameters,
    split: &Split,
) -> Vec<Vec<f64>> {
    let mut tape = Tape::new();
    let pixels = (0..split.len()).flat_map(|n| split.image(n)).map(|&p| f64::from(p) / 255.0);
    let x = tape.leaf(&architecture.input().of_batch(split.len()), pixels.collect());
    let shapes: Vec<_> = parameters.specs().iter().map(|spec| spec.shape.clone()).collect();
    let tensors = leaves(&mut tape, &shapes, parameters.values());
    let logits = architecture.record(&mut tape, x, &tensors, TRAINING);
    let loss = cross_entropy::record(&mut tape, logits, split.labels());
    let gradients = tape.gradients(loss);
    tensors.iter().map(|&tensor| gradients.of(tensor).to_vec()).collect()
}

/// `values` as f64.
pub fn to_f64(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&value| f64::from(value)).collect()
}

/// A split with labels of all classes. Each image has random ink in a rectangle, which differs from
/// image to image, and background around it. One rectangle is the whole image, and one is empty.
pub fn noise_split(seed: u64, images: usize) -> Split {
    let mut stream = Stream::new(seed, "noise", 0);
    let mut pixels = vec![0; images * SIDE * SIDE];
    for (n, image) in pixels.chunks_exact_mut(SIDE * SIDE).enumerate() {
        let mut between = |from: usize, to: usize| from + stream.below((to - from) as u32) as usize;
        let (top, left) = (between(0, 14), between(0, 14));
        let (bottom, right) = (between(top, SIDE), between(left, SIDE));
        let (rows, columns) = match n {
            1 => (0..SIDE, 0..SIDE),
            2 => (0..0, 0..0),
            _ => (top..bottom, left..right),
        };
        for row in rows {
            for pixel in &mut image[row * SIDE..][columns.clone()] {
                *pixel = if stream.below(3) == 0 { stream.below(256) as u8 } else { 0 };
            }
        }
    }
    let labels = (0..images).map(|_| stream.below(10) as u16).collect();
    Split::new(pixels, [SIDE; 2], labels)
}

/// Every stage that can run `architecture`, with every set of vector instructions for which it has
/// kernels and which this machine has.
pub fn runnable(architecture: &Architecture) -> Vec<(&'static Stage, Isa)> {
    let isas = |stage: &'static Stage| stage.isas(architecture, &Recipe::default()).into_iter();
    STAGES.iter().flat_map(|stage| isas(stage).map(move |isa| (stage, isa))).collect()
}

/// The stages of [`runnable`] that differ from naive only by rounding.
pub fn exact(architecture: &Architecture) -> Vec<(&'static Stage, Isa)> {
    let mut stages = runnable(architecture);
    stages.retain(|(stage, _)| stage.precision == Precision::F32);
    stages
}

/// Gradient that `engine` computes for `batch` at `parameters`. It is read from Adam's state: with
/// β₁ = 0 and λ = 0, the first moment after a step is the gradient. This works for every engine
/// that is built with [`see_gradient`], also for one that never stores a gradient.
pub fn gradient(engine: &mut dyn Engine, parameters: &Parameters, batch: &Batch<'_>) -> Parameters {
    engine.load(&TrainState::new(parameters.clone(), &Adam::SLOTS));
    engine.step(batch, 1e-3);
    engine.store().slots.swap_remove(0).values
}

/// Settings with `threads` threads and the widest vectors of this machine.
pub fn compute(threads: usize) -> Compute {
    Compute { threads, isa: Isa::detect() }
}

/// Recipe with which [`gradient`] works.
pub fn see_gradient() -> Recipe {
    Recipe { beta1: 0.0, l2: 0.0, ..Recipe::default() }
}
