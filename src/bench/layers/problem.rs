//! A layer with its operands, and the check of its results.
//!
//! Inputs, parameters and gradients of the output are small whole numbers, as benchdnn fills them.
//! Their products and sums are whole numbers below 2²⁴, so a layer that only multiplies, adds and
//! compares has no rounding errors, and every right way to compute it gives the same bits. No number
//! is 0, so that no product is −0. The weights of other layers are divided by a power of two, which
//! keeps their sums exact, and away from where an exponential is flat.

use super::cases::LayerCase;
use crate::nn::grammar;
use crate::nn::layer::{Backward, Forward, Kept, Layer, Training, Work};
use crate::nn::primitives::Primitives;
use crate::nn::shape::Shape;
use crate::nn::tensor::{Role, TensorSpec};
use crate::random::Stream;
use crate::report::layers::Direction;

/// Kinds of layers whose results are rounded: they divide, or take exponentials or roots.
const ROUNDING: [&str; 10] = [
    "softmax",
    "sigmoid",
    "tanh",
    "gelu",
    "batchnorm",
    "layernorm",
    "attn",
    "lstm",
    "globalavgpool",
    "mean",
];
/// Largest difference from the reference that rounding explains, relative to the largest element of
/// the tensor: sums of up to a few thousand terms, in another order.
const TOLERANCE: f64 = 1e-5;
/// Factor of the weights of layers that round.
const SMALL: f32 = 1.0 / 32.0;
/// Place in a training at which every pass is computed.
const TRAINING: Training = Training { seed: 1, step: 0, first_image: 0, layer: 0 };

/// Layer with its operands.
pub struct Problem {
    /// Row of the table.
    pub case: &'static LayerCase,
    pub layer: Box<dyn Layer>,
    /// Shape of one image's input.
    pub input: Shape,
    /// Tensors of the layer.
    pub tensors: Vec<TensorSpec>,
    x: Vec<f32>,
    parameters: Vec<f32>,
    dy: Vec<f32>,
}

/// `count` whole numbers from −3 to 3 without 0.
fn whole_numbers(purpose: &str, count: usize) -> Vec<f32> {
    let mut stream = Stream::new(1, purpose, 0);
    let values = [-3.0, -2.0, -1.0, 1.0, 2.0, 3.0];
    (0..count).map(|_| values[stream.below(6) as usize]).collect()
}

impl Problem {
    /// Operands of the layer of `case`.
    pub fn new(case: &'static LayerCase) -> Self {
        let layer = grammar::layer(case.layer).expect("the table has layers");
        let input = Shape::of(case.input).expect("the table has shapes");
        let output = layer.output(input).expect("a layer of the table takes its input");
        let tensors = layer.tensors(input);
        let count = tensors.iter().map(TensorSpec::len).sum();
        let mut problem = Self {
            case,
            input,
            x: whole_numbers("x", case.batch * input.len()),
            parameters: whole_numbers("parameters", count),
            dy: whole_numbers("dy", case.batch * output.len()),
            tensors,
            layer,
        };
        if problem.tolerance().is_some() {
            let mut rest = &mut problem.parameters[..];
            for tensor in &problem.tensors {
                let own = rest.split_off_mut(..tensor.len()).expect("its elements");
                if tensor.role == Role::Weight {
                    own.iter_mut().for_each(|weight| *weight *= SMALL);
                }
            }
        }
        problem
    }

    /// Largest difference from the reference that is accepted, relative to the largest element of a
    /// tensor; `None` if the bits must be the same.
    pub fn tolerance(&self) -> Option<f64> {
        ROUNDING.contains(&&*self.layer.word()).then_some(TOLERANCE)
    }

    /// Work of the pass in this `direction`.
    pub fn work(&self, direction: Direction) -> Work {
        let [forward, backward] = Work::of(self.layer.as_ref(), self.input, self.case.batch, true);
        match direction {
            Direction::Forward => forward,
            Direction::Backward => backward,
        }
    }

    /// Passes of the layer by `primitives`, in new memory.
    pub fn passes(&self, primitives: Box<dyn Primitives>) -> Passes<'_> {
        let images = self.case.batch;
        let Kept { bytes, floats, .. } = self.layer.kept(self.input);
        let unwritten = |count| vec![f32::NAN; count];
        Passes {
            problem: self,
            primitives,
            y: unwritten(self.dy.len()),
            kept_bytes: vec![u8::MAX; images * bytes],
            kept_floats: unwritten(images * floats),
            scratch: unwritten(images * self.layer.scratch(self.input)),
            dparameters: unwritten(self.parameters.len()),
            dx: unwritten(self.x.len()),
        }
    }
}

/// Passes of a layer by a set of primitives, with their results. Results that were not computed are
/// NaN.
pub struct Passes<'a> {
    problem: &'a Problem,
    primitives: Box<dyn Primitives>,
    y: Vec<f32>,
    kept_bytes: Vec<u8>,
    kept_floats: Vec<f32>,
    scratch: Vec<f32>,
    dparameters: Vec<f32>,
    dx: Vec<f32>,
}

impl Passes<'_> {
    /// Computes the pass in this `direction`. The backward pass needs a forward pass before it.
    pub fn compute(&mut self, direction: Direction) {
        let Problem { layer, input, x, parameters, dy, .. } = self.problem;
        match direction {
            Direction::Forward => {
                let io = Forward {
                    kept_bytes: &mut self.kept_bytes,
                    kept_floats: &mut self.kept_floats,
                    scratch: &mut self.scratch,
                    training: Some(TRAINING),
                    ..Forward::new(*input, x, parameters, &mut self.y)
                };
                layer.forward(self.primitives.as_mut(), io);
            }
            Direction::Backward => {
                let io = Backward {
                    input: *input,
                    x,
                    y: &self.y,
                    parameters,
                    kept_bytes: &self.kept_bytes,
                    kept_floats: &self.kept_floats,
                    scratch: &mut self.scratch,
                    training: TRAINING,
                    dy,
                    dparameters: &mut self.dparameters,
                    dx: Some(&mut self.dx),
                };
                layer.backward(self.primitives.as_mut(), io);
            }
        }
    }

    /// First element of the results of the pass in this `direction` that is not the element of
    /// `expected`, in words; `None` if the results agree.
    pub fn difference(&self, expected: &Self, direction: Direction) -> Option<String> {
        let tolerance = self.problem.tolerance();
        let compare = |name: &str, found: &[f32], expected: &[f32]| {
            let index = differing(found, expected, tolerance)?;
            Some(format!("{name}[{index}] is {} instead of {}", found[index], expected[index]))
        };
        if direction == Direction::Forward {
            return compare("y", &self.y, &expected.y);
        }
        let mut begin = 0;
        let of_tensors = self.problem.tensors.iter().find_map(|tensor| {
            let own = begin..begin + tensor.len();
            begin = own.end;
            let name = format!("the gradient of {}", tensor.name);
            compare(&name, &self.dparameters[own.clone()], &expected.dparameters[own])
        });
        of_tensors.or_else(|| compare("dx", &self.dx, &expected.dx))
    }
}

/// Index of the first of the values `found` that differs from its `expected` value: in its bits, or
/// by more than the `tolerance` relative to the largest expected value.
fn differing(found: &[f32], expected: &[f32], tolerance: Option<f64>) -> Option<usize> {
    let largest = expected.iter().fold(0.0_f64, |most, &value| most.max(f64::from(value).abs()));
    let agree = |found: f32, expected: f32| match tolerance {
        None => found.to_bits() == expected.to_bits(),
        Some(tolerance) => (f64::from(found) - f64::from(expected)).abs() <= tolerance * largest,
    };
    found.iter().zip(expected).position(|(&found, &expected)| !agree(found, expected))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_agree_in_their_bits_or_to_the_tolerance() {
        assert_eq!(differing(&[1.0, 2.0], &[1.0, 2.0], None), None);
        assert_eq!(differing(&[1.0, 2.000_001], &[1.0, 2.0], None), Some(1));
        assert_eq!(differing(&[0.0, -0.0], &[0.0, 0.0], None), Some(1));
        assert_eq!(differing(&[100.0, 2.000_9], &[100.0, 2.0], Some(1e-5)), None);
        assert_eq!(differing(&[100.0, 2.001_1], &[100.0, 2.0], Some(1e-5)), Some(1));
        for tolerance in [None, Some(1e-5)] {
            assert_eq!(differing(&[f32::NAN], &[1.0], tolerance), Some(0));
        }
    }
}
