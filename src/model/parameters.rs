//! Parameters and training state in canonical form: with PyTorch's names, shapes and order.

use std::sync::Arc;

use super::architecture::Architecture;
use crate::digest::Sha256Digest;
use crate::nn::tensor::TensorSpec;

/// One number for each parameter of a network: the parameters themselves, their gradient, or a
/// moment of the optimizer.
#[derive(Debug, Clone, PartialEq)]
pub struct Parameters {
    specs: Arc<[TensorSpec]>,
    /// Values of all tensors in canonical order, each tensor row-major.
    values: Vec<f32>,
}

impl Parameters {
    /// Zeros for every tensor of `architecture`.
    pub fn zeros(architecture: &Architecture) -> Self {
        Self::new(architecture, vec![0.0; architecture.parameter_count()])
    }

    /// Tensors of `architecture` with these `values`, one tensor after the other in canonical
    /// order.
    ///
    /// # Panics
    /// When the number of values is not the number of the network's parameters.
    pub fn new(architecture: &Architecture, values: Vec<f32>) -> Self {
        let specs: Arc<[TensorSpec]> = architecture.tensors().into();
        assert_eq!(values.len(), specs.iter().map(TensorSpec::len).sum::<usize>());
        Self { specs, values }
    }

    /// Names, shapes and roles of the tensors.
    pub fn specs(&self) -> &[TensorSpec] {
        &self.specs
    }

    /// Values of all tensors, one tensor after the other in canonical order.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// Mutable values of all tensors, one tensor after the other in canonical order.
    pub fn values_mut(&mut self) -> &mut [f32] {
        &mut self.values
    }

    /// Each tensor with its values, in canonical order.
    pub fn iter(&self) -> impl Iterator<Item = (&TensorSpec, &[f32])> {
        let mut rest = self.values.as_slice();
        self.specs.iter().map(move |spec| (spec, rest.split_off(..spec.len()).expect("its values")))
    }

    /// Each tensor with its mutable values, in canonical order.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (&TensorSpec, &mut [f32])> {
        let mut rest = self.values.as_mut_slice();
        self.specs
            .iter()
            .map(move |spec| (spec, rest.split_off_mut(..spec.len()).expect("its values")))
    }

    /// First value that is infinite or not a number: its tensor, its index in the tensor, and the
    /// value.
    pub fn first_not_finite(&self) -> Option<(&TensorSpec, usize, f32)> {
        self.iter().find_map(|(spec, values)| {
            let index = values.iter().position(|value| !value.is_finite())?;
            Some((spec, index, values[index]))
        })
    }

    /// L2 norm of all weights and biases; running statistics, which are not trained, do not count.
    pub fn norm(&self) -> f64 {
        let trained = self.iter().filter(|(spec, _)| !spec.role.is_running());
        let squares = |values: &[f32]| values.iter().map(|&w| f64::from(w).powi(2)).sum::<f64>();
        trained.map(|(_, values)| squares(values)).sum::<f64>().sqrt()
    }

    /// SHA-256 over the little-endian bytes of all values in canonical order. Two models are equal
    /// bit for bit when their digests are equal.
    pub fn sha256(&self) -> Sha256Digest {
        Sha256Digest::of([little_endian(&self.values)])
    }
}

/// Bytes of `values` in little-endian order, as a file holds them.
pub fn little_endian(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

/// Slot of an optimizer: one number that it keeps for each parameter, such as Adam's first moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Slot {
    /// Name of the slot in checkpoints, such as `adam.m`.
    pub name: String,
    /// Values of the slot, one for each parameter.
    pub values: Parameters,
}

/// Everything that a training step reads and writes, in canonical form.
#[derive(Debug, Clone, PartialEq)]
pub struct TrainState {
    /// Weights and biases of the network.
    pub parameters: Parameters,
    /// Slots of the optimizer, in the optimizer's order.
    pub slots: Vec<Slot>,
    /// Number of steps taken, t.
    pub steps: u64,
}

impl TrainState {
    /// State before the first step: the given `parameters`, and zeros in each of the optimizer's
    /// `slots`.
    pub fn new(parameters: Parameters, slots: &[&str]) -> Self {
        let zeros = Parameters { values: vec![0.0; parameters.values.len()], ..parameters.clone() };
        let slot = |name: &&str| Slot { name: (*name).into(), values: zeros.clone() };
        Self { slots: slots.iter().map(slot).collect(), parameters, steps: 0 }
    }

    /// Values of the optimizer's slot `name`.
    ///
    /// # Panics
    /// When the optimizer has no slot of this name.
    pub fn slot(&self, name: &str) -> &Parameters {
        let slot = self.slots.iter().find(|slot| slot.name == name);
        &slot.unwrap_or_else(|| panic!("no slot {name}")).values
    }

    /// Whether every parameter and every value in the optimizer's slots is finite.
    pub fn is_finite(&self) -> bool {
        let slots = self.slots.iter().map(|slot| &slot.values);
        slots.chain([&self.parameters]).all(|set| set.first_not_finite().is_none())
    }
}
