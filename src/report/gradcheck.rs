//! The result of `mnist-train gradcheck`.

use serde::Serialize;

/// Gradients of a network, computed in three ways and compared.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Gradcheck {
    /// Version of the schema, [`SCHEMA_VERSION`](super::SCHEMA_VERSION).
    pub schema: u32,
    /// Text of the network: its layers in their order.
    pub architecture: String,
    /// Number of images of the batch.
    pub images: usize,
    /// Seed of the random parameters, images and samples.
    pub seed: u64,
    /// Step of a central difference.
    pub eps: f64,
    /// Absolute tolerance.
    pub atol: f64,
    /// Relative tolerance.
    pub rtol: f64,
    /// Whether one random projection of each tensor is compared, and not single elements.
    pub fast: bool,
    /// Tensors of the network in canonical order, and the input.
    pub tensors: Vec<TensorCheck>,
    /// Sets of primitives, each with numbers of threads.
    pub primitives: Vec<PrimitivesCheck>,
    /// First failures, as many as were asked for.
    pub failures: Vec<Failure>,
    /// Whether every check passed.
    pub passed: bool,
}

impl Gradcheck {
    /// Names of the tensors and of the sets of primitives that did not pass.
    pub fn failed(&self) -> Vec<String> {
        let tensors = self.tensors.iter().filter(|tensor| !tensor.passed);
        let primitives = self.primitives.iter().filter(|primitives| !primitives.passed);
        let names = primitives.map(|one| match one.threads {
            1 => format!("{} on 1 thread", one.stage),
            threads => format!("{} on {threads} threads", one.stage),
        });
        tensors.map(|tensor| tensor.name.clone()).chain(names).collect()
    }
}

/// Comparison of the gradient of one tensor.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TensorCheck {
    /// Name of the tensor, like `conv1.weight`; `input` for the images.
    pub name: String,
    /// Sizes of the tensor.
    pub shape: Vec<usize>,
    /// Number of elements of the tensor, for all of which backward pass and tape are compared.
    pub elements: usize,
    /// Number of elements that were compared with central differences; with `--fast`, number of
    /// random projections.
    pub checked: usize,
    /// Number of elements, or projections, that lie at a kink and were not compared with central
    /// differences.
    pub kinks: usize,
    /// Largest difference of the backward pass from the tape.
    pub backward_tape: Difference,
    /// Largest difference of the backward pass from a central difference.
    pub backward_central: Difference,
    /// Largest difference of the tape from a central difference.
    pub tape_central: Difference,
    /// Whether the three agree.
    pub passed: bool,
}

/// Largest differences of two gradients of a tensor. A difference that is not a number is infinite,
/// and `null` in JSON.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Difference {
    /// Largest absolute difference.
    pub absolute: f64,
    /// Largest difference divided by the larger of the two values, among the elements whose larger
    /// value is above the absolute tolerance.
    pub relative: f64,
    /// Index of the element with the largest absolute difference; `null` for a projection, and if
    /// there is no difference.
    pub index: Option<Vec<usize>>,
}

/// Properties of the gradient by one set of primitives. Differences are divided by the largest
/// element of their tensor.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PrimitivesCheck {
    /// Name of the stage that the primitives belong to.
    pub stage: &'static str,
    /// Number of threads.
    pub threads: usize,
    /// Largest difference from the tape.
    pub from_tape: f64,
    /// Largest difference of the batch's gradient from the sum over its images, each as a batch of
    /// its own; `null` if a layer mixes the images, as batch normalization does.
    pub from_sum_of_images: Option<f64>,
    /// Whether the same computation gives the same bits a second time.
    pub repeats: bool,
    /// Whether the bits are those of the stage's first row, on one thread.
    pub as_on_one_thread: bool,
    /// Whether all of these are as they must be.
    pub passed: bool,
}

/// Element for which the three gradients do not agree.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Failure {
    /// Name of the tensor.
    pub tensor: String,
    /// Index of the element; `null` for a projection.
    pub index: Option<Vec<usize>>,
    /// Value by the hand-written backward pass.
    pub backward: f64,
    /// Value by the tape.
    pub tape: f64,
    /// Value by central difference.
    pub central: f64,
}
