//! Models for other programs: the weights as safetensors for PyTorch, or weights and network as ONNX for
//! any runtime.
//!
//! Beside the file of a model stand two others, which let its user check it: a file of test images with
//! the logits that this program computes, and a script that compares them with the logits of the other
//! program.
//!
//! ```text
//! ckpt.onnx                    the model
//! ckpt.onnx.test.safetensors   images (N, 1, H, W), labels (N), logits (N, classes)
//! ckpt.onnx.py                 loads both and prints the largest difference
//! ```
//!
//! Every file says in its first bytes that this command wrote it, so that no other file is replaced.

mod network;
mod script;
mod tensors;

use std::fmt;
use std::path::{Path, PathBuf};

pub use self::script::TOLERANCE;
use self::tensors::{INPUT, NETWORK};
pub use self::tensors::{TestImages, network_of};
use super::architecture::Architecture;
use super::parameters::Parameters;
use crate::onnx;

/// Format of an exported model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Weights alone, under PyTorch's names and in its layouts.
    Safetensors,
    /// Weights and network, for any runtime of ONNX.
    Onnx,
}

impl Format {
    /// All formats.
    pub const ALL: [Self; 2] = [Self::Safetensors, Self::Onnx];

    /// Name of the format, and ending of the names of its files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Safetensors => "safetensors",
            Self::Onnx => "onnx",
        }
    }

    /// Format whose ending `path` has.
    pub fn of_file(path: &Path) -> Option<Self> {
        let ending = path.extension()?;
        Self::ALL.into_iter().find(|format| ending == format.name())
    }

    /// Version of the operators that a file of this format uses, if it has any.
    pub fn opset(self) -> Option<i64> {
        (self == Self::Onnx).then_some(onnx::OPSET)
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Model to export.
#[derive(Debug, Clone, Copy)]
pub struct Export<'a> {
    /// Network of the model.
    pub architecture: &'a Architecture,
    /// Weights of the model.
    pub parameters: &'a Parameters,
    /// Name of the dataset that the model was trained on, if it is known.
    pub dataset: Option<&'a str>,
}

impl Export<'_> {
    /// Bytes of the model's file. The same model gives the same bytes.
    pub fn model(&self, format: Format) -> Vec<u8> {
        match format {
            Format::Safetensors => tensors::weights(self.parameters, &self.facts()),
            Format::Onnx => network::model(self.architecture, self.parameters, &self.facts()),
        }
    }

    /// Text of the script that checks the model's file, in Python.
    pub fn script(&self, format: Format) -> String {
        match format {
            Format::Safetensors => script::of_pytorch(self.architecture),
            Format::Onnx => script::of_onnxruntime(),
        }
    }

    /// Facts about the model that stand in its file, each with its name.
    fn facts(&self) -> Vec<(&'static str, String)> {
        let input = self.architecture.input();
        let input: Vec<_> = input.sizes().iter().map(usize::to_string).collect();
        let mut facts = vec![
            (NETWORK, self.architecture.to_string()),
            (INPUT, format!("f32 (N, {}), pixels divided by 255", input.join(", "))),
            ("weights_sha256", self.parameters.sha256().to_string()),
        ];
        facts.extend(self.dataset.map(|dataset| ("dataset", dataset.to_string())));
        facts
    }
}

/// Paths of the files that belong together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paths {
    /// File of the model.
    pub model: PathBuf,
    /// File of the test images.
    pub test: PathBuf,
    /// Script that compares the two.
    pub script: PathBuf,
}

impl Paths {
    /// Paths of the files beside the file `model`: its name with two more endings.
    pub fn beside(model: &Path) -> Self {
        let with = |ending: &str| {
            let mut path = model.as_os_str().to_os_string();
            path.push(ending);
            path.into()
        };
        Self { model: model.into(), test: with(".test.safetensors"), script: with(".py") }
    }
}

/// Whether `bytes` are a file of an export in this `format`, or the beginning of one.
pub fn is_model(format: Format, bytes: &[u8]) -> bool {
    match format {
        Format::Safetensors => tensors::is_written_here(bytes),
        Format::Onnx => onnx::is_written_here(bytes),
    }
}

/// Whether `bytes` are the file of test images of an export.
pub fn is_test(bytes: &[u8]) -> bool {
    tensors::is_written_here(bytes)
}

/// Whether `bytes` are the script of an export.
pub fn is_script(bytes: &[u8]) -> bool {
    script::is_written_here(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_belong_together_have_the_name_of_the_model_in_front() {
        let paths = Paths::beside(Path::new("runs/a.b.onnx"));
        assert_eq!(paths.test, Path::new("runs/a.b.onnx.test.safetensors"));
        assert_eq!(paths.script, Path::new("runs/a.b.onnx.py"));
        assert_eq!(Format::of_file(&paths.model), Some(Format::Onnx));
        assert_eq!(Format::of_file(&paths.test), Some(Format::Safetensors));
        assert_eq!(Format::of_file(&paths.script), None);
        assert_eq!(Format::of_file(Path::new(".onnx")), None);
    }
}
