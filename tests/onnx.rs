//! Layers, primitives, the loss and the optimizers against the node tests of the ONNX project
//! (tests/reference/README.md). These tests are an opinion beside PyTorch's: their expected outputs
//! come from definitions in NumPy. Most were computed in f32, so their rounding errors count too.

mod common;

use std::collections::BTreeMap;
use std::fmt::Write;

use common::{Comparison, all_primitives, evaluate_layer, run_layer};
use mnist_train::model::recipe::Recipe;
use mnist_train::nn::cross_entropy;
use mnist_train::nn::grammar;
use mnist_train::nn::primitives::Primitives;
use mnist_train::nn::primitives::convolution::{ConvForward, Convolution};
use mnist_train::nn::primitives::pooling::Pooling;
use mnist_train::nn::primitives::product::Matrix;
use mnist_train::nn::primitives::window::Window;
use mnist_train::nn::shape::{ImageShape, Shape};
use mnist_train::optim::{Optimizer, Weights};
use serde::Deserialize;
use serde_json::Value;

/// Tolerance of every output, relative to the largest output of its case; seen 4.9e-7, in attention,
/// with AVX2.
const TOLERANCE: f64 = 2e-6;

/// Content of onnx_nodes.json.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Nodes {
    /// Version of the package.
    onnx: String,
    /// Number of all tests in the package.
    tests: usize,
    /// Number of tests of each operator that was asked for.
    selected: BTreeMap<String, usize>,
    applying: BTreeMap<String, Case>,
    /// Reason of each test that does not apply.
    not_applying: BTreeMap<String, String>,
}

/// What a test becomes in this program.
#[derive(Deserialize)]
#[serde(tag = "by", rename_all = "snake_case", deny_unknown_fields)]
enum Case {
    Layer(LayerCase),
    Window(WindowCase),
    Product(ProductCase),
    Loss(LossCase),
    Optimizer(OptimizerCase),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LayerCase {
    /// Text of the layer.
    layer: String,
    /// Sizes of one image's input.
    input: Vec<usize>,
    /// Whether the pass is a step of a training, and not an evaluation.
    training: bool,
    x: Vec<f32>,
    parameters: Parameters,
    /// Output; `None` is not compared.
    y: Vec<Option<f64>>,
    /// Outputs of the operator that the layer does not have.
    not_compared: Vec<String>,
}

/// Parameters of a layer. If most of them are 0, the others stand with their indices.
#[derive(Deserialize)]
#[serde(untagged)]
enum Parameters {
    All(Vec<f32>),
    Sparse { length: usize, indices: Vec<usize>, values: Vec<f32> },
}

/// Convolution or pooling whose windows have no text in the network language.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WindowCase {
    primitive: String,
    /// Channels, rows and columns.
    input: [usize; 3],
    /// Kernel, stride and padding.
    rows: [usize; 3],
    columns: [usize; 3],
    x: Vec<f32>,
    /// Weight and bias of a convolution.
    parameters: Vec<f32>,
    y: Vec<f64>,
    /// Places of the maxima in their windows, if the test has them.
    places: Vec<f64>,
}

/// Products y = c + a·b of `count` pairs of matrices.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ProductCase {
    count: usize,
    rows: usize,
    inner: usize,
    columns: usize,
    /// Whether a and b are stored column by column.
    transposed: [bool; 2],
    a: Vec<f32>,
    b: Vec<f32>,
    c: Vec<f32>,
    y: Vec<f64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LossCase {
    classes: usize,
    reduction: String,
    logits: Vec<f32>,
    labels: Vec<u16>,
    /// Loss of each image, their sum or their mean.
    loss: Vec<f64>,
    /// Logarithm of each class's probability for each image, if the test has them.
    log_probabilities: Vec<Vec<f64>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OptimizerCase {
    /// Values of the recipe that are not the default's.
    recipe: BTreeMap<String, Value>,
    lr: f64,
    step: u64,
    tensors: Vec<TensorCase>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TensorCase {
    w: Vec<f32>,
    g: Vec<f32>,
    slots: Vec<Vec<f32>>,
    w_after: Vec<f64>,
    slots_after: Vec<Vec<f64>>,
}

impl Parameters {
    fn values(&self) -> Vec<f32> {
        match self {
            Self::All(values) => values.clone(),
            Self::Sparse { length, indices, values } => {
                let mut all = vec![0.0; *length];
                indices.iter().zip(values).for_each(|(&index, &value)| all[index] = value);
                all
            }
        }
    }
}

impl LayerCase {
    fn check(&self, what: &str, primitives: &mut dyn Primitives, comparison: &mut Comparison) {
        let layer = grammar::layer(&self.layer).unwrap();
        let layer = layer.as_ref();
        let input = Shape::of(&self.input).unwrap();
        let (x, parameters) = (&self.x, self.parameters.values());
        let y = if self.training {
            run_layer(layer, input, primitives, [x, &parameters, &vec![1.0; self.y.len()]]).y
        } else {
            evaluate_layer(layer, input, primitives, [x, &parameters])
        };
        assert_eq!(y.len(), self.y.len(), "{what}");
        let compared = y.iter().zip(&self.y).filter_map(|(&y, expected)| Some((y, (*expected)?)));
        let (found, expected): (Vec<f32>, Vec<f64>) = compared.unzip();
        assert!(!found.is_empty(), "{what}");
        comparison.slices(what, &found, &expected, TOLERANCE);
    }
}

impl WindowCase {
    fn check(&self, what: &str, primitives: &mut dyn Primitives, comparison: &mut Comparison) {
        let window = |[kernel, stride, padding]: [usize; 3]| Window { kernel, stride, padding };
        let [channels, height, width] = self.input;
        let input = ImageShape::new(channels, height, width);
        let (rows, columns) = (window(self.rows), window(self.columns));
        let pool = Pooling { input, rows, columns };
        let mut y = vec![f32::NAN; self.y.len()];
        match self.primitive.as_str() {
            "max_pool" => {
                let mut places = vec![255; y.len()];
                primitives.max_pool(&pool, &self.x, &mut y, &mut places);
                if !self.places.is_empty() {
                    let places: Vec<f32> = places.into_iter().map(f32::from).collect();
                    comparison.slices(&format!("{what} places"), &places, &self.places, 0.0);
                }
            }
            "average_pool" => primitives.average_pool(&pool, &self.x, &mut y),
            "convolve" => {
                let taps = channels * rows.kernel * columns.kernel;
                let out_channels = self.parameters.len() / (taps + 1);
                let (weight, bias) = self.parameters.split_at(out_channels * taps);
                let io = ConvForward { x: &self.x, weight, bias, y: &mut y };
                primitives.convolve(&Convolution { input, out_channels, rows, columns }, io);
            }
            other => panic!("{what}: there is no primitive {other}"),
        }
        comparison.slices(what, &y, &self.y, TOLERANCE);
    }
}

impl ProductCase {
    fn check(&self, what: &str, primitives: &mut dyn Primitives, comparison: &mut Comparison) {
        let Self { count, rows, inner, columns, .. } = *self;
        let matrix = |values, [rows, columns]: [usize; 2], transposed| match transposed {
            true => Matrix::new(values, columns, rows).transposed(),
            false => Matrix::new(values, rows, columns),
        };
        let mut y = self.c.clone();
        assert_eq!(y.len(), count * rows * columns, "{what}");
        let products = self.a.chunks_exact(rows * inner).zip(self.b.chunks_exact(inner * columns));
        for ((a, b), y) in products.zip(y.chunks_exact_mut(rows * columns)) {
            let a = matrix(a, [rows, inner], self.transposed[0]);
            let b = matrix(b, [inner, columns], self.transposed[1]);
            primitives.add_product(a, b, y);
        }
        comparison.slices(what, &y, &self.y, TOLERANCE);
    }
}

impl LossCase {
    fn check(&self, what: &str, comparison: &mut Comparison) {
        let (logits, labels) = (&self.logits, self.labels.iter().copied());
        let images = labels.len();
        let sum = cross_entropy::evaluate(logits, labels.clone()).loss;
        let mut dlogits = vec![f32::NAN; logits.len()];
        let of_training =
            cross_entropy::backward(logits, labels.clone(), images, 0.0, &mut dlogits);
        assert_eq!(of_training.loss, sum, "{what}");
        let rows = || logits.chunks_exact(self.classes);
        let found = match self.reduction.as_str() {
            "sum" => vec![sum],
            "mean" => vec![sum / images as f64],
            "none" => {
                let of_image = |(z, label)| cross_entropy::evaluate(z, [label].into_iter()).loss;
                rows().zip(labels).map(of_image).collect()
            }
            other => panic!("{what}: there is no reduction {other}"),
        };
        let found: Vec<f32> = found.into_iter().map(|loss| loss as f32).collect();
        comparison.slices(what, &found, &self.loss, TOLERANCE);
        for expected in &self.log_probabilities {
            let of_image =
                |z| (0..self.classes).map(move |c| cross_entropy::probability(z, c).ln());
            let found: Vec<f32> = rows().flat_map(of_image).collect();
            comparison.slices(&format!("{what} log_prob"), &found, expected, TOLERANCE);
        }
    }
}

impl OptimizerCase {
    fn check(&self, what: &str, comparison: &mut Comparison) {
        let mut recipe = serde_json::to_value(Recipe::default()).unwrap();
        self.recipe.iter().for_each(|(name, value)| recipe[name] = value.clone());
        let recipe: Recipe = serde_json::from_value(recipe).unwrap();
        assert_eq!(recipe.contradiction(), None, "{what}");
        let step = Optimizer::from(&recipe).step(self.step, self.lr);
        for tensor in &self.tensors {
            let (mut w, mut kept) = (tensor.w.clone(), tensor.slots.clone());
            let mut own = kept.iter_mut();
            let slots = [(); 2].map(|()| own.next().map_or(&mut [][..], |slot| slot));
            assert!(step.update(&tensor.g, Weights { w: &mut w, slots }), "{what}");
            comparison.slices(what, &w, &tensor.w_after, TOLERANCE);
            assert_eq!(kept.len(), tensor.slots_after.len(), "{what}");
            for (found, expected) in kept.iter().zip(&tensor.slots_after) {
                comparison.slices(&format!("{what} slot"), found, expected, TOLERANCE);
            }
        }
    }
}

fn nodes() -> Nodes {
    serde_json::from_str(include_str!("reference/onnx_nodes.json")).expect("onnx_nodes.py wrote it")
}

#[test]
fn every_node_test_of_onnx_that_applies_passes_with_every_set_of_primitives() {
    let nodes = nodes();
    let mut comparison = Comparison::default();
    for (name, case) in &nodes.applying {
        match case {
            Case::Loss(case) => case.check(name, &mut comparison),
            Case::Optimizer(case) => case.check(name, &mut comparison),
            Case::Layer(_) | Case::Window(_) | Case::Product(_) => {}
        }
        for (set, mut primitives) in all_primitives() {
            let (what, primitives) = (format!("{set} {name}"), primitives.as_mut());
            match case {
                Case::Layer(case) => case.check(&what, primitives, &mut comparison),
                Case::Window(case) => case.check(&what, primitives, &mut comparison),
                Case::Product(case) => case.check(&what, primitives, &mut comparison),
                Case::Loss(_) | Case::Optimizer(_) => break,
            }
        }
    }
    comparison.finish();
}

#[test]
fn the_readme_counts_the_node_tests_of_onnx_and_every_reason() {
    let Nodes { onnx, tests, selected, applying, not_applying } = nodes();
    let all: usize = selected.values().sum();
    assert_eq!(applying.len() + not_applying.len(), all);
    assert!(applying.keys().all(|name| !not_applying.contains_key(name)));
    let is_partial =
        |case: &&Case| matches!(case, Case::Layer(case) if !case.not_compared.is_empty());
    let partial = applying.values().filter(is_partial).count();
    let mut reasons: BTreeMap<&str, usize> = BTreeMap::new();
    not_applying.values().for_each(|reason| *reasons.entry(reason).or_default() += 1);
    let mut reasons: Vec<_> = reasons.into_iter().collect();
    reasons.sort_by_key(|&(reason, count)| (std::cmp::Reverse(count), reason));
    let mut counts = format!(
        "Version {onnx} has {tests} tests, of which {all} are of these operators. {} apply and pass, \
         {partial} of them\nwithout an output that this program does not have. {} do not apply:\n\n\
         | tests | why they do not apply |\n|---:|---|\n",
        applying.len(),
        not_applying.len(),
    );
    for (reason, count) in reasons {
        writeln!(counts, "| {count} | {reason} |").unwrap();
    }
    let readme = include_str!("reference/README.md");
    assert!(readme.contains(&counts), "tests/reference/README.md must contain\n{counts}");
}
