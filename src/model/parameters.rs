//! The canonical form of what training changes: PyTorch's names, shapes and order.

use std::sync::Arc;

use super::architecture::Architecture;
use crate::digest::Sha256Digest;
use crate::nn::tensor::TensorSpec;

/// A value for each element of each tensor of a network: the weights, the gradient, or what an
/// optimizer keeps for each weight.
#[derive(Debug, Clone, PartialEq)]
pub struct Parameters {
    specs: Arc<[TensorSpec]>,
    /// All tensors in canonical order, each row-major.
    values: Vec<f32>,
}

impl Parameters {
    /// Zeros for every tensor of `architecture`.
    pub fn zeros(architecture: &Architecture) -> Self {
        Self::new(architecture, vec![0.0; architecture.parameter_count()])
    }

    /// The tensors of `architecture` with these `values`, one tensor after the other in canonical
    /// order.
    ///
    /// # Panics
    /// When the number of values is not that of the network's parameters.
    pub fn new(architecture: &Architecture, values: Vec<f32>) -> Self {
        let specs: Arc<[TensorSpec]> = architecture.tensors().into();
        assert_eq!(values.len(), specs.iter().map(TensorSpec::len).sum::<usize>());
        Self { specs, values }
    }

    /// Names, shapes and roles of the tensors.
    pub fn specs(&self) -> &[TensorSpec] {
        &self.specs
    }

    /// The values of all tensors, one after the other in canonical order.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// The values of all tensors, to write.
    pub fn values_mut(&mut self) -> &mut [f32] {
        &mut self.values
    }

    /// Each tensor with its values, in canonical order.
    pub fn iter(&self) -> impl Iterator<Item = (&TensorSpec, &[f32])> {
        let mut rest = self.values.as_slice();
        self.specs.iter().map(move |spec| (spec, rest.split_off(..spec.len()).expect("its values")))
    }

    /// Each tensor with its values to write, in canonical order.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (&TensorSpec, &mut [f32])> {
        let mut rest = self.values.as_mut_slice();
        self.specs
            .iter()
            .map(move |spec| (spec, rest.split_off_mut(..spec.len()).expect("its values")))
    }

    /// The first value that is infinite or not a number, with its tensor and its index there.
    pub fn first_not_finite(&self) -> Option<(&TensorSpec, usize, f32)> {
        self.iter().find_map(|(spec, values)| {
            let index = values.iter().position(|value| !value.is_finite())?;
            Some((spec, index, values[index]))
        })
    }

    /// The SHA-256 over the little-endian bytes of all values in canonical order: two models are
    /// the same bit for bit when their digests agree.
    pub fn sha256(&self) -> Sha256Digest {
        Sha256Digest::of([little_endian(&self.values)])
    }
}

/// The bytes of `values` as a file holds them.
pub fn little_endian(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

/// What an optimizer keeps for each parameter under one name: Adam's first moment, for example.
#[derive(Debug, Clone, PartialEq)]
pub struct Slot {
    /// Name in checkpoints: `adam.m`.
    pub name: String,
    /// A value for each parameter.
    pub values: Parameters,
}

/// Everything that a training step reads and writes, in canonical form.
#[derive(Debug, Clone, PartialEq)]
pub struct TrainState {
    /// The weights and biases.
    pub parameters: Parameters,
    /// What the optimizer keeps, in its own order.
    pub slots: Vec<Slot>,
    /// Number of steps taken, t.
    pub steps: u64,
}

impl TrainState {
    /// `parameters` before the first step of an optimizer that keeps `slots`, all zero.
    pub fn new(parameters: Parameters, slots: &[&str]) -> Self {
        let zeros = Parameters { values: vec![0.0; parameters.values.len()], ..parameters.clone() };
        let slot = |name: &&str| Slot { name: (*name).into(), values: zeros.clone() };
        Self { slots: slots.iter().map(slot).collect(), parameters, steps: 0 }
    }

    /// The values that the optimizer keeps under `name`.
    ///
    /// # Panics
    /// When it keeps none.
    pub fn slot(&self, name: &str) -> &Parameters {
        let slot = self.slots.iter().find(|slot| slot.name == name);
        &slot.unwrap_or_else(|| panic!("no slot {name}")).values
    }

    /// Whether every weight and every value of the optimizer is a finite number.
    pub fn is_finite(&self) -> bool {
        let slots = self.slots.iter().map(|slot| &slot.values);
        slots.chain([&self.parameters]).all(|set| set.first_not_finite().is_none())
    }
}
