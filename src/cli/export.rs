//! Flags of the command `export`.

use std::path::{Path, PathBuf};

use clap::Args;

use super::shared::{DataArgs, OutputArgs};
use crate::error::{Error, Result, printable};
use crate::model::checkpoint::DEFAULT_FILE;
use crate::model::export::Format;

/// Text below the help of `export`.
pub const NOTES: &str = "\
onnx has the network and its weights, for any runtime with opset 17: the input
'image' takes f32 (N, 1, H, W) of pixels/255, the output 'logits' gives one row
of classes for each image. safetensors has the weights alone, under PyTorch's
names. Beside the file stand FILE.test.safetensors, ten test images with their
logits, and FILE.py, a script that compares them with onnxruntime or PyTorch.

Examples:
  mnist-train export --format onnx              ckpt.bin as ckpt.onnx
  mnist-train export m.bin --out m.safetensors  weights for PyTorch";

/// Flags of the command `export`.
#[derive(Debug, Args)]
pub struct ExportArgs {
    /// The model, as with --model
    #[arg(value_name = "FILE", conflicts_with = "model")]
    file: Option<PathBuf>,
    /// A checkpoint, or a safetensors file with the tensors of the network
    #[arg(long, value_name = "FILE", default_value = DEFAULT_FILE)]
    model: PathBuf,
    /// Network of a file with weights alone, unless the file names it or it is the default one
    #[arg(long, value_name = "LAYERS")]
    pub arch: Option<String>,
    /// Format to write: safetensors or onnx [default: the ending of --out]
    #[arg(long, value_name = "NAME", value_parser = format)]
    format: Option<Format>,
    /// File to write [default: the name of the model with the ending of the format]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Data that test images are read from.
    #[command(flatten)]
    pub data: DataArgs,
    /// Form of the output.
    #[command(flatten)]
    pub output: OutputArgs,
}

impl ExportArgs {
    /// File of the model.
    pub fn model(&self) -> &Path {
        self.file.as_deref().unwrap_or(&self.model)
    }

    /// Format to write, and the file to write it to.
    ///
    /// # Errors
    /// [`Error::Usage`] when no format is named, or the file has another ending.
    pub fn target(&self) -> Result<(Format, PathBuf)> {
        let of_name = self.out.as_deref().and_then(Format::of_file);
        match (self.format, &self.out) {
            (None, None) => Err(Error::Usage(format!(
                "--format: there is none: choose {}",
                Format::ALL.map(Format::name).join(" or ")
            ))),
            (Some(format), None) => Ok((format, self.model().with_extension(format.name()))),
            (format, Some(out)) => match format.or(of_name) {
                Some(format) if of_name == Some(format) => Ok((format, out.clone())),
                format => Err(Error::Usage(format!(
                    "--out {}: the name must end with .{}",
                    printable(out),
                    format.map_or_else(
                        || Format::ALL.map(Format::name).join(" or ."),
                        |one| one.to_string()
                    ),
                ))),
            },
        }
    }
}

/// Finds a format by its name.
fn format(name: &str) -> std::result::Result<Format, String> {
    let found = Format::ALL.into_iter().find(|format| format.name() == name);
    found.ok_or_else(|| format!("there are {}", Format::ALL.map(Format::name).join(" and ")))
}
