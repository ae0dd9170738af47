//! The table of the advice, with the work that shows what it is worth.

use std::hint::black_box;

use crate::bench::autograd::programs::{self, Program};
use crate::data::batches::Batch;
use crate::data::dataset::ImageFormat;
use crate::data::dataset::Split;
use crate::engine::Engine;
use crate::engine::compute::Compute;
use crate::error::Result;
use crate::model::architecture::Architecture;
use crate::model::parameters::TrainState;
use crate::model::presets;
use crate::model::recipe::Recipe;
use crate::nn::tensor::TensorSpec;
use crate::optim::Optimizer;
use crate::scalar::Scalar;
use crate::stages::Stage;

/// Number of images of a batch.
pub const BATCH: usize = 64;
/// Name of the computation on the tape.
const PROGRAM: &str = "784-128-10, batch 32";
/// Network with few parameters, whose update is short.
const SMALL: &str = "flatten,fc12,relu,fc10";
/// Number of elements of the feature map (64, 32, 28, 28), the output of the convolution.
const FEATURES: usize = BATCH * 32 * 28 * 28;
/// Number of parameters of the default network.
const PARAMETERS: usize = 805_066;
/// Number of rows and of columns of the matrix.
const SIDE: usize = 1000;
/// Learning rate of the updates.
const LR: f32 = 1e-3;

/// Piece of advice, with the same work done in two ways.
pub struct Advice<'a> {
    /// What the advice is about.
    pub name: &'static str,
    /// The way that is advised, and the other one.
    pub ways: [Way<'a>; 2],
    /// Largest difference of a result, relative to the largest result: rounding.
    pub tolerance: f64,
}

/// Way to do a piece of work.
pub struct Way<'a> {
    /// What is done.
    pub name: &'static str,
    /// Makes the memory and the threads of the work.
    pub begin: Box<dyn Fn() -> Result<Box<dyn Task + 'a>> + 'a>,
}

/// Work that can be done again and again.
pub trait Task {
    /// Does the work once.
    fn call(&mut self);

    /// Result of the calls.
    fn result(&self) -> Vec<f64>;
}

/// Work on a state.
struct Work<S> {
    state: S,
    call: fn(&mut S),
    result: fn(&S) -> Vec<f64>,
}

impl<S> Task for Work<S> {
    fn call(&mut self) {
        (self.call)(&mut self.state);
    }

    fn result(&self) -> Vec<f64> {
        (self.result)(&self.state)
    }
}

/// Way called `name`: `begin` makes the state, on which `call` works, and which has the `result`.
fn way<'a, S: 'a>(
    name: &'static str,
    begin: impl Fn() -> Result<S> + 'a,
    call: fn(&mut S),
    result: fn(&S) -> Vec<f64>,
) -> Way<'a> {
    let begin = move || {
        let task: Box<dyn Task + 'a> = Box::new(Work { state: begin()?, call, result });
        Ok(task)
    };
    Way { name, begin: Box::new(begin) }
}

/// All advice, with predictions of `images` that use the resources in `compute`.
pub fn all(images: &Split, compute: Compute) -> [Advice<'_>; 6] {
    [
        batches(images, compute),
        precision(),
        reused_memory(),
        collected_parameters(),
        update_in_place(),
        contiguous_rows(),
    ]
}

/// `values` as results.
fn results<T: Copy + Into<f64>>(values: &[T]) -> Vec<f64> {
    values.iter().map(|&value| value.into()).collect()
}

/// Engine of the default network, and the logits of the last predictions.
struct Predictions<'a> {
    engine: Box<dyn Engine>,
    images: &'a Split,
    indices: Vec<u32>,
    logits: Vec<f32>,
}

impl Predictions<'_> {
    /// Predicts all images in batches of `size`.
    fn call(&mut self, size: usize) {
        self.logits.clear();
        for indices in self.indices.chunks(size) {
            let logits = self.engine.predict(&Batch::new(self.images, indices));
            self.logits.extend_from_slice(logits);
        }
    }
}

fn batches(images: &Split, compute: Compute) -> Advice<'_> {
    let begin = move || -> Result<_> {
        let (recipe, architecture) = (Recipe::default(), network("default"));
        let stage = Stage::fastest_exact(&architecture, &recipe);
        let compute = Compute { threads: stage.threads(compute.threads), ..compute };
        let mut engine = stage.build(&architecture, &recipe, compute)?;
        let parameters = recipe.init.parameters(&architecture, recipe.seed);
        engine.load(&TrainState::new(parameters, Optimizer::from(&recipe).slots()));
        let indices = (0..BATCH as u32).collect();
        let logits = Vec::with_capacity(BATCH * architecture.classes());
        Ok(Predictions { engine, images, indices, logits })
    };
    let result = |state: &Predictions<'_>| results(&state.logits);
    Advice {
        name: "predict images in batches",
        ways: [
            way("64 images in one batch", begin, |state| state.call(BATCH), result),
            way("64 batches of one image", begin, |state| state.call(1), result),
        ],
        tolerance: 1e-4,
    }
}

/// Computation on the tape, its inputs, and the gradients of the last call.
struct Recording<T> {
    program: Program,
    inputs: Vec<Vec<T>>,
    gradients: Vec<Vec<T>>,
}

fn recording<'a, T: Scalar>(name: &'static str) -> Way<'a> {
    let begin = || {
        let program = programs::all().into_iter().find(|one| one.name == PROGRAM);
        let program = program.expect("a computation of the table");
        Ok(Recording { inputs: program.draw::<T>(), program, gradients: Vec::new() })
    };
    let call = |state: &mut Recording<T>| {
        state.gradients = state.program.gradients(black_box(&state.inputs)).of_inputs;
    };
    way(name, begin, call, |state| {
        state.gradients.iter().flatten().map(|&gradient| gradient.wide()).collect()
    })
}

fn precision<'a>() -> Advice<'a> {
    let ways = [recording::<f32>("f32"), recording::<f64>("f64")];
    Advice { name: "compute with 32 bits", ways, tolerance: 1e-3 }
}

/// Numbers of both signs.
fn numbers(count: usize) -> Vec<f32> {
    (0..count).map(|index| (index * 7 % 1000) as f32 - 500.0).collect()
}

/// Input and output of relu.
struct Relu {
    input: Vec<f32>,
    output: Vec<f32>,
}

fn reused_memory<'a>() -> Advice<'a> {
    let begin = || Ok(Relu { input: numbers(FEATURES), output: vec![0.0; FEATURES] });
    let result = |state: &Relu| results(&state.output);
    let reuse = |Relu { input, output }: &mut Relu| {
        output.iter_mut().zip(black_box(&*input)).for_each(|(y, x)| *y = x.max(0.0));
    };
    let allocate = |Relu { input, output }: &mut Relu| {
        *output = black_box(&*input).iter().map(|x| x.max(0.0)).collect();
    };
    Advice {
        name: "reuse the memory of a step",
        ways: [
            way("relu of 64x32x28x28 into the same memory", begin, reuse, result),
            way("relu of 64x32x28x28 into new memory", begin, allocate, result),
        ],
        tolerance: 0.0,
    }
}

/// Network with its weights, their gradients, and the tensors that they form.
struct Update {
    architecture: Architecture,
    tensors: Vec<TensorSpec>,
    weights: Vec<f32>,
    gradients: Vec<f32>,
}

impl Update {
    /// Takes a step with every tensor.
    fn step(&mut self) {
        let (mut weights, mut gradients) = (&mut *self.weights, black_box(&*self.gradients));
        for tensor in &self.tensors {
            let w = weights.split_off_mut(..tensor.len()).expect("its weights");
            let g = gradients.split_off(..tensor.len()).expect("their gradients");
            w.iter_mut().zip(g).for_each(|(w, g)| *w -= LR * g);
        }
    }
}

fn collected_parameters<'a>() -> Advice<'a> {
    let begin = || {
        let architecture = network(SMALL);
        let count = architecture.parameter_count();
        let (weights, gradients) = (numbers(count), numbers(count));
        Ok(Update { tensors: architecture.tensors(), architecture, weights, gradients })
    };
    let collect_and_step = |state: &mut Update| {
        state.tensors = state.architecture.tensors();
        state.step();
    };
    let result = |state: &Update| results(&state.weights);
    Advice {
        name: "collect the parameters once",
        ways: [
            way("SGD step of 784-12-10", begin, Update::step, result),
            way("list of its tensors, and SGD step", begin, collect_and_step, result),
        ],
        tolerance: 0.0,
    }
}

/// Weights and their gradients.
struct Weights {
    weights: Vec<f32>,
    gradients: Vec<f32>,
}

fn update_in_place<'a>() -> Advice<'a> {
    let begin = || Ok(Weights { weights: numbers(PARAMETERS), gradients: numbers(PARAMETERS) });
    let in_place = |Weights { weights, gradients }: &mut Weights| {
        weights.iter_mut().zip(black_box(&*gradients)).for_each(|(w, g)| *w -= LR * g);
    };
    let anew = |Weights { weights, gradients }: &mut Weights| {
        *weights = weights.iter().zip(black_box(&*gradients)).map(|(w, g)| w - LR * g).collect();
    };
    let result = |state: &Weights| results(&state.weights);
    Advice {
        name: "update weights in place",
        ways: [
            way("SGD step of 805,066 weights", begin, in_place, result),
            way("the same into a new array", begin, anew, result),
        ],
        tolerance: 0.0,
    }
}

fn contiguous_rows<'a>() -> Advice<'a> {
    let rows = || Ok(Relu { input: numbers(SIDE * SIDE), output: vec![0.0; SIDE * SIDE] });
    let columns = || {
        let rows = numbers(SIDE * SIDE);
        let element = |index| rows[index % SIDE * SIDE + index / SIDE];
        let input = (0..SIDE * SIDE).map(element).collect();
        Ok(Relu { input, output: vec![0.0; SIDE * SIDE] })
    };
    let along = |Relu { input, output }: &mut Relu| {
        output.iter_mut().zip(black_box(&*input)).for_each(|(y, x)| *y = x.max(0.0));
    };
    let across = |Relu { input, output }: &mut Relu| {
        let input = black_box(&**input);
        for (row, output) in output.chunks_exact_mut(SIDE).enumerate() {
            let column = input[row..].iter().step_by(SIDE);
            output.iter_mut().zip(column).for_each(|(y, x)| *y = x.max(0.0));
        }
    };
    let result = |state: &Relu| results(&state.output);
    Advice {
        name: "read memory in its order",
        ways: [
            way("relu of 1000x1000, row by row", rows, along, result),
            way("relu of 1000x1000, stored by columns", columns, across, result),
        ],
        tolerance: 0.0,
    }
}

/// Network of this text or preset.
fn network(text: &str) -> Architecture {
    presets::network(text, ImageFormat::MNIST).expect("the texts are those of networks")
}
