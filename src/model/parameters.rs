//! The canonical form of what training changes: PyTorch's names, shapes and order.

use super::architecture::{Architecture, TensorSpec};
use crate::digest::Sha256Digest;

/// A value for each element of each tensor of a network: the weights, or one of Adam's moments.
#[derive(Debug, Clone, PartialEq)]
pub struct Parameters {
    specs: Vec<TensorSpec>,
    /// One for each of `specs`, row-major.
    values: Vec<Vec<f32>>,
}

impl Parameters {
    /// All zero.
    pub fn zeros(architecture: &Architecture) -> Self {
        let specs = architecture.tensors();
        let values = specs.iter().map(|spec| vec![0.0; spec.len()]).collect();
        Self { specs, values }
    }

    /// With these values for each tensor, in canonical order.
    ///
    /// # Panics
    /// When there are not as many as `architecture` has.
    pub fn new(architecture: &Architecture, values: Vec<Vec<f32>>) -> Self {
        let specs = architecture.tensors();
        assert!(specs.iter().map(TensorSpec::len).eq(values.iter().map(Vec::len)));
        Self { specs, values }
    }

    /// What each tensor is.
    pub fn specs(&self) -> &[TensorSpec] {
        &self.specs
    }

    /// The values of each tensor, in canonical order.
    pub fn values(&self) -> &[Vec<f32>] {
        &self.values
    }

    /// Likewise, to write. The lengths must stay.
    pub fn values_mut(&mut self) -> impl Iterator<Item = &mut [f32]> {
        self.values.iter_mut().map(Vec::as_mut_slice)
    }

    /// The weight and the bias of the layer number `pair` among those that have parameters.
    pub fn pair(&self, pair: usize) -> (&[f32], &[f32]) {
        (&self.values[2 * pair], &self.values[2 * pair + 1])
    }

    /// Likewise, to write.
    pub fn pair_mut(&mut self, pair: usize) -> (&mut [f32], &mut [f32]) {
        let [weight, bias] = &mut self.values[2 * pair..2 * pair + 2] else {
            unreachable!("a slice of two");
        };
        (weight, bias)
    }

    /// Each tensor with its values.
    pub fn iter(&self) -> impl Iterator<Item = (&TensorSpec, &[f32])> {
        self.specs.iter().zip(self.values.iter().map(Vec::as_slice))
    }

    /// The first value that is infinite or not a number, with its tensor and index.
    pub fn first_not_finite(&self) -> Option<(&TensorSpec, usize, f32)> {
        self.iter().find_map(|(spec, values)| {
            let index = values.iter().position(|value| !value.is_finite())?;
            Some((spec, index, values[index]))
        })
    }

    /// The SHA-256 over the little-endian bytes of all values in canonical order: two models are
    /// the same bit for bit when these agree.
    pub fn sha256(&self) -> Sha256Digest {
        Sha256Digest::of(self.values.iter().map(|values| little_endian(values)))
    }
}

/// The bytes of `values` as a file holds them.
pub fn little_endian(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

/// Everything that a training step reads and writes, in canonical form.
#[derive(Debug, Clone, PartialEq)]
pub struct TrainState {
    /// The weights and biases.
    pub parameters: Parameters,
    /// Adam's first moment (PyTorch: `exp_avg`).
    pub first_moment: Parameters,
    /// Adam's second moment (PyTorch: `exp_avg_sq`).
    pub second_moment: Parameters,
    /// Steps taken, t.
    pub steps: u64,
}

impl TrainState {
    /// A fresh optimizer for `parameters`.
    pub fn new(architecture: &Architecture, parameters: Parameters) -> Self {
        let zeros = Parameters::zeros(architecture);
        Self { parameters, first_moment: zeros.clone(), second_moment: zeros, steps: 0 }
    }

    /// Whether no weight and no moment is infinite or not a number.
    pub fn is_finite(&self) -> bool {
        [&self.parameters, &self.first_moment, &self.second_moment]
            .iter()
            .all(|set| set.first_not_finite().is_none())
    }
}
