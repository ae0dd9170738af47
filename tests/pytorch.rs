//! Compares every stage with PyTorch, on inputs that both compute from one formula
//! (tests/reference/README.md). All other tests of stages compare with naive and so rely on this
//! one.
//!
//! The stages are compared with PyTorch's f64 run, so that a difference contains the rounding errors
//! of one f32 program and not of two. The distance of PyTorch's f32 run from its f64 run, recorded
//! as `f32_from_f64`, is the scale of the tolerances.
//!
//! Relu and max pooling choose between numbers; if two numbers differ by less than the rounding
//! error, two correct programs may choose differently. The inputs avoid this: in f64 no input of a
//! hidden unit's relu is closer to 0 than 6e-6 (formula) and 3e-5 (MNIST). In the first batch, whose
//! gradient is compared, no two largest elements of a pooling window are closer to each other than
//! 8e-7 and 1.9e-6. Some windows of later batches have closer elements; but choosing the other one
//! in all windows closer than 1e-6 changes no loss on MNIST by more than 5e-8.

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::ops::Range;
use std::path::Path;

use common::{
    Comparison, all_primitives, compute, evaluate_layer, exact, gradient, run_layer, see_gradient,
    to_f64,
};
use mnist_train::data::batches::Batch;
use mnist_train::data::dataset::Split;
use mnist_train::data::files;
use mnist_train::data::synthetic::SIDE;
use mnist_train::digest::Sha256Digest;
use mnist_train::engine::compute::{Compute, Precision};
use mnist_train::model::architecture::Architecture;
use mnist_train::model::mnist_cnn::MnistCnn;
use mnist_train::model::parameters::{Parameters, TrainState};
use mnist_train::model::presets::PRESETS;
use mnist_train::model::recipe::Recipe;
use mnist_train::nn::cross_entropy::LossSum;
use mnist_train::nn::grammar::{self, LAYERS};
use mnist_train::nn::primitives::Primitives;
use mnist_train::nn::shape::Shape;
use mnist_train::nn::tensor::{Role, TensorSpec};
use mnist_train::optim::adam::Adam;
use mnist_train::optim::{Optimizer, Weights};
use mnist_train::stages::{STAGES, Stage};
use serde::Deserialize;
use serde_json::Value;

// Tolerances, relative to the largest of the values that are compared together. "Seen" is the
// largest error of any stage on x86-64 with AVX-512. It is nearly always the error of naive, whose
// sums are the longest. Each tolerance is 4 to 10 times as large, because other machines round
// differently.

/// Tolerance of a layer's results, sums of up to 210 products; seen 4.7e-7.
const LAYER: f64 = 2e-6;
/// Tolerance of logits, which depend on sums of 6272 products that naive adds one after the other;
/// seen 2.0e-6.
const LOGITS: f64 = 1e-5;
/// Tolerance of mean losses of up to 64 images, whose rounding errors cancel; seen 1.1e-7.
const LOSS: f64 = 1e-6;
/// Tolerance of single elements of gradients, sums over the batch that partly cancel; seen 4.4e-6.
const GRADIENT: f64 = 2e-5;
/// Tolerance of the norm of a gradient, in which rounding errors average out; seen 4.9e-7.
const GRADIENT_NORM: f64 = 2e-6;
/// Tolerance of weights, which hardly change in ten steps; seen 1.4e-6, and in the norm 1.0e-7.
const PARAMETER: f64 = 1e-5;
const PARAMETER_NORM: f64 = 1e-6;
/// Tolerance of the norm of the weights' change. Adam divides by the size of the gradient, so the
/// change of an element with a tiny gradient is mostly rounding error; seen 2.8e-6, and 5.3e-6 in
/// PyTorch's f32 run.
const CHANGE_NORM: f64 = 2e-5;
/// Tolerance of the norms of both moments; seen 6.9e-7.
const MOMENT_NORM: f64 = 5e-6;

/// Tolerance of weights and slots after some steps of an optimizer, each a few roundings; seen
/// 1.3e-7.
const OPTIMIZER: f64 = 1e-6;
/// Tolerance of the losses of ten steps of a preset, as a multiple of the largest difference
/// between PyTorch's f32 run and its f64 run; seen 4.9, with AVX2.
const PRESET: f64 = 20.0;

fn goldens() -> Value {
    serde_json::from_str(include_str!("reference/goldens.json")).expect("goldens.py wrote it")
}

/// All numbers in `golden`, which is a number or nested lists.
fn numbers(golden: &Value) -> Vec<f64> {
    match golden {
        Value::Array(items) => items.iter().flat_map(numbers).collect(),
        number => vec![number.as_f64().expect("a number in goldens.json")],
    }
}

fn mix(mut x: u32) -> u32 {
    x ^= x >> 16;
    x = x.wrapping_mul(0x7feb_352d);
    x ^= x >> 15;
    x = x.wrapping_mul(0x846c_a68b);
    x ^ x >> 16
}

/// First `count` words of a stream of the formula.
fn words(stream: u32, count: usize) -> impl Iterator<Item = u32> {
    let offset = 0x9E37_79B9_u32.wrapping_mul(stream + 1);
    (0..count as u32).map(move |i| mix(i.wrapping_add(offset)))
}

/// First `count` numbers 2u − 1 of a stream of the formula, which are in [−1, 1) and exact in f32.
fn signed_units(stream: u32, count: usize) -> Vec<f32> {
    words(stream, count).map(|word| 2.0 * ((word >> 8) as f32 / (1 << 24) as f32) - 1.0).collect()
}

/// Parameters of the formula. Their digest is checked against the parameters of PyTorch's run.
fn formula_parameters() -> Parameters {
    let architecture = MnistCnn::default().architecture();
    let mut parameters = Parameters::zeros(&architecture);
    for (stream, (spec, values)) in parameters.iter_mut().enumerate() {
        let bound = (1.0 / (spec.fan_in as f64).sqrt()) as f32;
        let units = signed_units(stream as u32, values.len());
        for (value, unit) in values.iter_mut().zip(units) {
            *value = unit * bound;
        }
    }
    let golden = &goldens()["formula"]["inputs"]["weights_sha256"];
    assert_eq!(parameters.sha256().to_string(), *golden);
    parameters
}

/// First `count` images and labels of the formula.
fn formula_split(count: usize) -> Split {
    let ink = |x: u32| if x & 3 == 0 { (x >> 8) as u8 } else { 0 };
    let pixels = words(100, count * SIDE * SIDE).map(ink).collect();
    let labels = words(101, count).map(|word| (word % 10) as u16).collect();
    Split::new(pixels, [SIDE; 2], labels)
}

/// Results of a stage on a sequence of batches.
struct Trained {
    /// Mean loss of each batch, before its update.
    losses: Vec<f32>,
    /// Number of images of each batch that are classified correctly, before its update.
    correct: Vec<f32>,
    /// Logits of the first batch, before any update.
    logits: Vec<f32>,
    gradients: Parameters,
    after: TrainState,
}

/// Trains one batch of each of `sizes`, through `split` in order, with the default recipe.
fn train(stage: &Stage, start: &Parameters, split: &Split, sizes: &[usize]) -> Trained {
    let (architecture, recipe) = (MnistCnn::default().architecture(), Recipe::default());
    let order: Vec<u32> = (0..split.len() as u32).collect();
    let mut rest = order.as_slice();
    let mut next = |&size| Batch::new(split, rest.split_off(..size).expect("enough images"));
    let batches: Vec<Batch<'_>> = sizes.iter().map(&mut next).collect();

    let mut engine = stage.build(&architecture, &see_gradient(), compute(2)).unwrap();
    let gradients = gradient(engine.as_mut(), start, &batches[0]);

    let mut engine = stage.build(&architecture, &recipe, compute(2)).unwrap();
    engine.load(&TrainState::new(start.clone(), &Adam::SLOTS));
    let logits = engine.predict(&batches[0]).to_vec();
    let mut step = |batch: &Batch<'_>| {
        let LossSum { loss, correct } = engine.step(batch, recipe.lr);
        ((loss / batch.len() as f64) as f32, correct as f32)
    };
    let (losses, correct) = batches.iter().map(&mut step).unzip();
    Trained { losses, correct, logits, gradients, after: engine.store() }
}

/// L2 norm of `values`, summed in f64.
fn norm(values: Vec<f64>) -> Vec<f32> {
    let squares: f64 = values.iter().map(|value| value * value).sum();
    vec![squares.sqrt() as f32]
}

/// Batch sizes of a section of the goldens, whose recipe must be the crate's default.
fn batch_sizes(section: &Value) -> Vec<usize> {
    assert_eq!(section["learning_rate"], Recipe::default().lr);
    let sizes = numbers(&section["batches"]);
    sizes.into_iter().map(|size| size as usize).collect()
}

#[test]
fn ten_steps_of_every_stage_agree_with_pytorch() {
    let section = &goldens()["formula"];
    let golden = &section["f64"];
    let sizes = batch_sizes(section);
    let (start, split) = (formula_parameters(), formula_split(sizes.iter().sum()));
    let labels: Vec<u8> = split.labels().iter().map(|&label| label as u8).collect();
    for (part, bytes) in [("pixels_sha256", split.images()), ("labels_sha256", &labels)] {
        assert_eq!(Sha256Digest::of([bytes]).to_string(), section["inputs"][part], "{part}");
    }
    let mut comparison = Comparison::default();
    for stage in STAGES.iter().filter(|stage| stage.precision == Precision::F32) {
        let trained = train(stage, &start, &split, &sizes);
        for (part, found, tolerance) in [
            ("logits", &trained.logits, LOGITS),
            ("losses", &trained.losses, LOSS),
            ("correct", &trained.correct, 0.0),
        ] {
            let what = format!("{stage:?} {part}");
            comparison.slices(&what, found, &numbers(&golden[part]), tolerance);
        }
        for (tensor, spec) in start.specs().iter().enumerate() {
            let [g, before, w, m, v] = [
                &trained.gradients,
                &start,
                &trained.after.parameters,
                &trained.after.slots[0].values,
                &trained.after.slots[1].values,
            ]
            .map(|parameters| to_f64(parameters.iter().nth(tensor).expect("a tensor").1));
            let change = w.iter().zip(before).map(|(w, before)| w - before).collect();
            let indices = numbers(&section["sample_indices"][&spec.name]);
            let sampled = |values: &[f64]| -> Vec<f32> {
                indices.iter().map(|&i| values[i as usize] as f32).collect()
            };
            let (first, after) = ("first_gradients", "after");
            for (when, part, found, tolerance) in [
                (first, "samples", sampled(&g), GRADIENT),
                (first, "norm", norm(g), GRADIENT_NORM),
                (after, "samples", sampled(&w), PARAMETER),
                (after, "norm", norm(w), PARAMETER_NORM),
                (after, "change_norm", norm(change), CHANGE_NORM),
                (after, "exp_avg_norm", norm(m), MOMENT_NORM),
                (after, "exp_avg_sq_norm", norm(v), MOMENT_NORM),
            ] {
                let what = format!("{stage:?} {} {when} {part}", spec.name);
                let expected = numbers(&golden[when][&spec.name][part]);
                comparison.slices(&what, &found, &expected, tolerance);
            }
        }
    }
    comparison.finish();
}

/// Case of presets.json: a network that has a name, and the losses of ten steps.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PresetCase {
    /// Text of the network.
    network: String,
    /// Tensors in canonical order.
    tensors: Vec<PresetTensor>,
    /// Index of the first image of the first three batches. The later ones are the same again.
    first_image: usize,
    losses: Vec<f64>,
    f32_from_f64: f64,
}

/// Tensor whose elements are `offset + scale·(2u − 1)`. Its place in the network is its stream.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PresetTensor {
    name: String,
    offset: f32,
    scale: f32,
}

impl PresetCase {
    fn start(&self, architecture: &Architecture) -> Parameters {
        let mut parameters = Parameters::zeros(architecture);
        let names = parameters.specs().iter().map(|spec| &spec.name);
        assert!(names.eq(self.tensors.iter().map(|tensor| &tensor.name)), "{}", self.network);
        for (stream, ((_, values), tensor)) in parameters.iter_mut().zip(&self.tensors).enumerate()
        {
            let units = signed_units(stream as u32, values.len());
            for (value, unit) in values.iter_mut().zip(units) {
                *value = unit * tensor.scale + tensor.offset;
            }
        }
        parameters
    }
}

#[test]
fn ten_losses_of_every_preset_agree_with_pytorch() {
    let mut goldens: Value =
        serde_json::from_str(include_str!("reference/presets.json")).expect("presets.py wrote it");
    let cases: BTreeMap<String, PresetCase> =
        serde_json::from_value(goldens["presets"].take()).expect("presets.py wrote it");
    let sizes = batch_sizes(&goldens);
    let kinds = |text: &str| text.replace(|c: char| c.is_ascii_digit(), "");
    let mut comparison = Comparison::default();
    for preset in &PRESETS {
        let Some(case) = cases.get(preset.name) else {
            assert_eq!(kinds(preset.text), kinds(PRESETS[0].text), "{preset:?} has no case");
            continue;
        };
        // The masks of dropout are each program's own.
        assert_eq!(case.network, preset.text.replace("dropout0.5,", ""), "{preset:?}");
        let architecture = Architecture::parse(&case.network, Shape::image(1, SIDE, SIDE)).unwrap();
        let start = case.start(&architecture);
        let images = case.first_image..case.first_image + sizes[..3].iter().sum::<usize>();
        let split = formula_split(images.end);
        let order: Vec<u32> = images.map(|image| image as u32).collect();
        let largest = case.losses.iter().copied().fold(0.0, f64::max);
        for (stage, isa) in exact(&architecture) {
            let compute = Compute { threads: 2, isa };
            let recipe = Recipe::default();
            let mut engine = stage.build(&architecture, &recipe, compute).unwrap();
            engine.load(&TrainState::new(start.clone(), &Adam::SLOTS));
            let mut rest = &order[..];
            let mut step = |&size: &usize| {
                if rest.is_empty() {
                    rest = &order;
                }
                let batch = Batch::new(&split, rest.split_off(..size).expect("enough images"));
                (engine.step(&batch, recipe.lr).loss / size as f64) as f32
            };
            let losses: Vec<f32> = sizes.iter().map(&mut step).collect();
            let what = format!("{} by {stage:?} {isa}", preset.name);
            let tolerance = PRESET * case.f32_from_f64 / largest;
            comparison.slices(&what, &losses, &case.losses, tolerance);
        }
    }
    comparison.finish();
}

/// Test case of one layer in goldens.json.
#[derive(Deserialize)]
struct LayerCase {
    name: String,
    stream: u32,
    #[serde(flatten)]
    layer: LayerKind,
    /// Whether the input is floored to −2, −1, 0 and 1.
    ties: bool,
    input_shape: Vec<usize>,
    /// Weights; empty for pooling, like their gradients.
    #[serde(default)]
    weight_shape: Vec<usize>,
    output_shape: Vec<usize>,
    output: Vec<f64>,
    d_input: Vec<f64>,
    #[serde(default)]
    d_weight: Vec<f64>,
    #[serde(default)]
    d_bias: Vec<f64>,
}

#[derive(Deserialize)]
#[serde(tag = "layer", rename_all = "snake_case")]
enum LayerKind {
    Conv2d { stride: usize, padding: usize },
    MaxPool2d { kernel_size: usize, stride: usize },
    Linear,
}

impl LayerCase {
    /// Output, d_input, d_weight and d_bias that `primitives` compute.
    fn run(&self, primitives: &mut dyn Primitives) -> [Vec<f32>; 4] {
        let mut x = signed_units(self.stream, self.d_input.len());
        if self.ties {
            x.iter_mut().for_each(|x| *x = (2.0 * *x).floor());
        }
        let weight = signed_units(self.stream + 1, self.d_weight.len());
        let bias = signed_units(self.stream + 2, self.d_bias.len());
        let dy = signed_units(self.stream + 3, self.output.len());
        let text = match self.layer {
            LayerKind::Conv2d { stride, padding } => {
                format!("conv{}k{}s{stride}p{padding}", self.weight_shape[0], self.weight_shape[2])
            }
            LayerKind::MaxPool2d { kernel_size, stride } => {
                format!("maxpool{kernel_size}s{stride}")
            }
            LayerKind::Linear => format!("fc{}", self.weight_shape[0]),
        };
        let shape = |shape: &[usize]| match shape[1..] {
            [channels, height, width] => Shape::image(channels, height, width),
            _ => Shape::features(shape[1]),
        };
        let (layer, input) = (grammar::layer(&text).unwrap(), shape(&self.input_shape));
        assert_eq!(layer.output(input), Ok(shape(&self.output_shape)), "{}", self.name);
        let parameters = [weight.as_slice(), &bias].concat();
        let found = run_layer(layer.as_ref(), input, primitives, [&x, &parameters, &dy]);
        let (dw, db) = found.dparameters.split_at(weight.len());
        [found.y, found.dx, dw.to_vec(), db.to_vec()]
    }
}

#[test]
fn single_layers_of_every_set_of_primitives_agree_with_pytorch() {
    let mut comparison = Comparison::default();
    let cases: Vec<LayerCase> =
        serde_json::from_value(goldens()["layers"].take()).expect("goldens.py wrote it");
    for case in cases {
        for (name, mut primitives) in all_primitives() {
            let [y, dx, dw, db] = case.run(primitives.as_mut());
            for (part, found, expected) in [
                ("output", &y, &case.output),
                ("d_input", &dx, &case.d_input),
                ("d_weight", &dw, &case.d_weight),
                ("d_bias", &db, &case.d_bias),
            ] {
                let what = format!("{name} {}: {part}", case.name);
                comparison.slices(&what, found, expected, LAYER);
            }
        }
    }
    comparison.finish();
}

/// Case of a file of tests/reference/layers: a layer on a batch.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct KindCase {
    /// Text of the layer.
    layer: String,
    /// Sizes of one image's input.
    input: Vec<usize>,
    images: usize,
    /// Stream of the input. The gradient of the output and the tensors have the streams after it.
    seed: u32,
    /// Factor of the input.
    scale: f32,
    /// Whether the pass is a step of a training. An evaluation has an output alone.
    training: bool,
    y: Vec<f64>,
    #[serde(default)]
    dx: Vec<f64>,
    /// Gradient of each tensor; of a running statistic, the statistic of the batch.
    #[serde(default)]
    gradients: BTreeMap<String, Vec<f64>>,
}

impl KindCase {
    /// Compares the results of every set of primitives with those of PyTorch.
    fn check(&self, comparison: &mut Comparison) {
        let layer = grammar::layer(&self.layer).unwrap();
        let input = Shape::of(&self.input).unwrap();
        let output = layer.output(input).unwrap();
        let specs = layer.tensors(input);
        let tensor = |(spec, stream): (&TensorSpec, u32)| {
            let mut values = signed_units(stream, spec.len());
            if spec.role == Role::RunningVariance {
                values.iter_mut().for_each(|value| *value += 1.5);
            }
            values
        };
        let parameters: Vec<f32> = specs.iter().zip(self.seed + 2..).flat_map(tensor).collect();
        let mut x = signed_units(self.seed, self.images * input.len());
        x.iter_mut().for_each(|x| *x *= self.scale);
        let dy = signed_units(self.seed + 1, self.images * output.len());
        for (name, mut primitives) in all_primitives() {
            let primitives = primitives.as_mut();
            let what = |part: &str| format!("{name} {} on {input}: {part}", self.layer);
            if !self.training {
                let y = evaluate_layer(layer.as_ref(), input, primitives, [&x, &parameters]);
                comparison.slices(&what("y in an evaluation"), &y, &self.y, LAYER);
                continue;
            }
            let found = run_layer(layer.as_ref(), input, primitives, [&x, &parameters, &dy]);
            comparison.slices(&what("y"), &found.y, &self.y, LAYER);
            comparison.slices(&what("dx"), &found.dx, &self.dx, LAYER);
            let mut gradients = found.dparameters.as_slice();
            assert_eq!(specs.len(), self.gradients.len(), "{}", self.layer);
            for spec in &specs {
                let of_tensor = gradients.split_off(..spec.len()).expect("its gradient");
                comparison.slices(&what(&spec.name), of_tensor, &self.gradients[&spec.name], LAYER);
            }
        }
    }
}

#[test]
fn every_kind_of_layer_agrees_with_the_module_of_pytorch() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference/layers");
    let mut kinds = BTreeSet::new();
    let mut comparison = Comparison::default();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let kind = path.file_stem().unwrap().to_str().unwrap();
        let cases: Vec<KindCase> = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        assert!(cases.len() > 1, "{kind}");
        for case in cases {
            assert!(case.layer.starts_with(kind), "{} in {path:?}", case.layer);
            case.check(&mut comparison);
        }
        kinds.insert(kind.to_string());
    }
    comparison.finish();
    // A layer that only changes the shape computes nothing.
    let computes = |example: &str| !grammar::layer(example).unwrap().is_view();
    let expected = LAYERS.iter().filter(|kind| computes(kind.example));
    assert_eq!(kinds, expected.map(|kind| kind.name.to_string()).collect());
}

/// Training images `range` of MNIST, from the folder in MNIST_DATA, whose checksums are verified.
fn real_images(range: Range<usize>) -> Split {
    let Some(folder) = std::env::var_os("MNIST_DATA") else {
        panic!("set MNIST_DATA to the folder with the four IDX files of MNIST");
    };
    let files = files::locate(Path::new(&folder), None, &files::Part::ALL);
    let dataset = files
        .and_then(|files| files.read(MnistCnn::default().architecture().format()))
        .unwrap_or_else(|error| panic!("MNIST_DATA: {error}"));
    assert_eq!(dataset.kind().name(), "mnist", "of {folder:?}");
    let pixels = range.start * SIDE * SIDE..range.end * SIDE * SIDE;
    Split::new(
        dataset.train.images()[pixels].to_vec(),
        [SIDE; 2],
        dataset.train.labels()[range].to_vec(),
    )
}

#[test]
#[ignore = "needs the real MNIST: MNIST_DATA=DIR cargo test -- --ignored"]
fn ten_steps_on_real_images_agree_with_pytorch() {
    let section = &goldens()["mnist"];
    let golden = &section["f64"];
    let sizes = batch_sizes(section);
    let first = section["first_image"].as_u64().expect("an index") as usize;
    let split = real_images(first..first + sizes.iter().sum::<usize>());
    let start = formula_parameters();
    let mut comparison = Comparison::default();
    for stage in STAGES.iter().filter(|stage| stage.precision == Precision::F32) {
        let trained = train(stage, &start, &split, &sizes);
        for (part, found, tolerance) in
            [("losses", &trained.losses, LOSS), ("correct", &trained.correct, 0.0)]
        {
            let what = format!("{stage:?} {part}");
            comparison.slices(&what, found, &numbers(&golden[part]), tolerance);
        }
        for (spec, found) in trained.gradients.iter() {
            let what = format!("{stage:?} norm of {} gradient", spec.name);
            let expected = numbers(&golden["first_gradient_norms"][&spec.name]);
            comparison.slices(&what, &norm(to_f64(found)), &expected, GRADIENT_NORM);
        }
    }
    comparison.finish();
}

#[test]
fn every_optimizer_takes_the_steps_of_pytorch() {
    let goldens: Value = serde_json::from_str(include_str!("reference/optimizers.json"))
        .expect("optimizers.py wrote it");
    let numbers = |values: &Value| -> Vec<f64> {
        values.as_array().unwrap().iter().map(|value| value.as_f64().unwrap()).collect()
    };
    let lr = goldens["learning_rate"].as_f64().unwrap();
    for case in goldens["cases"].as_array().unwrap() {
        let mut recipe = serde_json::to_value(Recipe::default()).unwrap();
        for (name, value) in case["recipe"].as_object().unwrap() {
            recipe[name] = value.clone();
        }
        let recipe: Recipe = serde_json::from_value(recipe).unwrap();
        assert_eq!(recipe.contradiction(), None, "{recipe:?}");
        let optimizer = Optimizer::from(&recipe);
        let slots = case["slots"].as_object().unwrap();
        assert!(slots.keys().eq(optimizer.slots()), "{slots:?}");
        let mut w: Vec<f32> = numbers(&goldens["start"]).iter().map(|&w| w as f32).collect();
        let mut kept = vec![vec![0.0; w.len()]; slots.len()];
        for (t, expected) in (1..).zip(case["weights"].as_array().unwrap()) {
            let g = w.iter().enumerate().map(|(i, &w)| {
                let (t, i, w) = (t as f64, i as f64, f64::from(w));
                ((3.0 * t + 5.0 * i).cos() * w + (7.0 * t + i).sin() / 2.0) as f32
            });
            let g: Vec<f32> = g.collect();
            let step = optimizer.step(t, if t <= 3 { lr } else { lr / 2.0 });
            let mut own = kept.iter_mut();
            let slots = [(); 2].map(|()| own.next().map_or(&mut [][..], |slot| slot));
            assert!(step.update(&g, Weights { w: &mut w, slots }));
            let of_step = |values: &Value| numbers(&values[t as usize - 1]);
            let pairs = kept.iter().zip(case["slots"].as_object().unwrap().values());
            let pairs = pairs.map(|(kept, expected)| (kept, of_step(expected)));
            for (found, expected) in pairs.chain([(&w, numbers(expected))]) {
                for (&found, expected) in found.iter().zip(expected) {
                    let error = (f64::from(found) - expected).abs();
                    let is_close = error <= OPTIMIZER * expected.abs().max(1.0);
                    assert!(is_close, "{:?} step {t}: {found} {expected}", recipe.optimizer);
                }
            }
        }
    }
}
