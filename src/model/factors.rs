//! Factors by which initial values of tensors are multiplied.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::architecture::Architecture;
use super::parameters::Parameters;
use crate::error::quoted;

/// Text of no factors.
const NONE: &str = "none";

/// Factors of initial values, each with the name of a tensor like `fc1.weight`, or of a layer like `fc1`,
/// which means all its tensors. Their text is `fc1=2,conv1.bias=0`, or `none`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Factors(Vec<(String, f32)>);

impl Factors {
    /// Whether `name` means the tensor `tensor`.
    fn means(name: &str, tensor: &str) -> bool {
        tensor == name || tensor.rsplit_once('.').is_some_and(|(layer, _)| layer == name)
    }

    /// Message about the first name that no tensor or layer of `architecture` has; it lists the tensors.
    pub fn misfit(&self, architecture: &Architecture) -> Option<String> {
        let tensors = architecture.tensors();
        let is_there = |name: &str| tensors.iter().any(|tensor| Self::means(name, &tensor.name));
        let (missing, _) = self.0.iter().find(|(name, _)| !is_there(name))?;
        let names: Vec<_> = tensors.iter().map(|tensor| tensor.name.as_str()).collect();
        Some(format!(
            "--init-scale: the network has no tensor {}, only {}",
            quoted(missing),
            names.join(", ")
        ))
    }

    /// Multiplies the values of the tensors in `parameters`.
    pub fn apply(&self, parameters: &mut Parameters) {
        for (spec, values) in parameters.iter_mut() {
            for (_, factor) in self.0.iter().filter(|(name, _)| Self::means(name, &spec.name)) {
                values.iter_mut().for_each(|value| *value *= factor);
            }
        }
    }
}

impl FromStr for Factors {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == NONE {
            return Ok(Self(Vec::new()));
        }
        let factor = |part: &str| {
            let (name, factor) = part.split_once('=')?;
            let factor: f32 = factor.parse().ok()?;
            (!name.is_empty() && factor.is_finite()).then(|| (name.into(), factor))
        };
        let factors: Option<Vec<_>> = text.split(',').map(factor).collect();
        factors
            .map(Self)
            .ok_or_else(|| "must be names and factors, like fc1=2,conv1.bias=0, or none".into())
    }
}

impl TryFrom<String> for Factors {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Factors> for String {
    fn from(factors: Factors) -> Self {
        factors.to_string()
    }
}

impl fmt::Display for Factors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str(NONE);
        }
        for (index, (name, factor)) in self.0.iter().enumerate() {
            let before = if index > 0 { "," } else { "" };
            write!(f, "{before}{name}={factor}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::init::Init;
    use crate::model::mnist_cnn::MnistCnn;

    #[test]
    fn a_text_names_tensors_or_layers_and_survives() {
        for text in ["fc1=2", "fc1=2,conv1.bias=0", "fc2.weight=-0.5", "none"] {
            assert_eq!(text.parse::<Factors>().unwrap().to_string(), text);
        }
        for text in ["", "fc1", "=2", "fc1=x", "fc1=inf", "fc1=2,", "fc1=1e39"] {
            assert!(text.parse::<Factors>().unwrap_err().starts_with("must be names"), "{text}");
        }
    }

    #[test]
    fn the_tensors_that_are_meant_are_multiplied() {
        let network = MnistCnn::default().architecture();
        let before = Init::Pytorch.parameters(&network, 1);
        let mut after = before.clone();
        "fc1=2,fc1.bias=3,conv1.bias=0".parse::<Factors>().unwrap().apply(&mut after);
        let expected = [1.0, 0.0, 2.0, 6.0, 1.0, 1.0];
        for (((spec, was), (_, is)), factor) in before.iter().zip(after.iter()).zip(expected) {
            assert!(was.iter().zip(is).all(|(was, is)| *is == was * factor), "{}", spec.name);
        }
        let misfit = |text: &str| text.parse::<Factors>().unwrap().misfit(&network);
        assert_eq!(misfit("fc1=2,conv1.bias=0"), None);
        let said = misfit("fc1=2,fc=2").unwrap();
        assert!(said.starts_with("--init-scale: the network has no tensor fc, only conv1.weight"));
    }
}
