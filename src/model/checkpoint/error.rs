//! Errors in the content of a checkpoint, and their messages.

use std::fmt;

use super::format::{FORMAT_VERSION, HEADER_LIMIT};
use crate::error::quoted;
use crate::model::mnist_cnn::MnistCnn;

/// Result of checking the content of a checkpoint.
pub type ParseResult<T> = std::result::Result<T, CheckpointError>;

/// Error in the content of a checkpoint.
#[derive(Debug)]
#[allow(missing_docs)] // The messages below explain the variants.
pub enum CheckpointError {
    Empty,
    Pickle,
    Gzip,
    Foreign(&'static str),
    Html,
    LfsPointer,
    TooLarge { found: u64, limit: u64 },
    NoHeader { found: usize },
    HeaderLength { found: u64 },
    HeaderTruncated { needed: u64, found: u64 },
    DataLength { needed: u64, found: u64 },
    Header(String),
    Metadata(String),
    Value { field: String, found: String, expected: String },
    NewerVersion { found: u64 },
    Architecture { found: String, expected: String },
    MissingTensor { name: String, found: String },
    ExtraTensor(String),
    Convolution { found: Vec<usize> },
    Hidden { found: Vec<usize> },
    Shape { name: String, found: Vec<usize>, expected: Vec<usize> },
    Type { name: String, found: String },
    Checksum,
    NotFinite { name: String, index: usize, value: f32 },
}

impl fmt::Display for CheckpointError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => write!(f, "empty file: train a model first"),
            Self::Pickle => write!(
                f,
                "is a pickle, as PyTorch writes, and is not read, because it can run code; export \
                 safetensors: safetensors.torch.save_file(model.state_dict(), 'model.safetensors')"
            ),
            Self::Gzip => write!(f, "is packed with gzip: unpack it first"),
            Self::Foreign(format) => write!(
                f,
                "is {format}, and only safetensors is read: write its weights with \
                 safetensors.numpy.save_file, under PyTorch's names and in its layouts"
            ),
            Self::Html => write!(f, "looks like HTML, not a model: fetch it again"),
            Self::LfsPointer => {
                write!(f, "is a Git LFS pointer, not the file itself: run 'git lfs pull'")
            }
            Self::TooLarge { found, limit } => {
                write!(f, "{found} bytes, and a checkpoint has at most {limit}: not a checkpoint")
            }
            Self::NoHeader { found } => {
                write!(f, "need 8 bytes of header length, have {found}: not a checkpoint")
            }
            Self::HeaderLength { found } => write!(
                f,
                "header length {found} at byte 0, at most {HEADER_LIMIT} expected: not a checkpoint"
            ),
            Self::HeaderTruncated { needed, found } => write!(
                f,
                "truncated checkpoint: the header needs {needed} bytes, and the file has {found}"
            ),
            Self::DataLength { needed, found } if found < needed => write!(
                f,
                "truncated checkpoint: the tensors need {needed} bytes, and the file has {found}"
            ),
            Self::DataLength { needed, found } => write!(
                f,
                "damaged checkpoint: the tensors need {needed} bytes, and the file has {found}"
            ),
            Self::Header(problem) => write!(f, "damaged checkpoint header: {}", quoted(problem)),
            Self::Metadata(problem) => {
                write!(f, "damaged checkpoint metadata: {problem}")
            }
            Self::Value { field, found, expected } => write!(
                f,
                "damaged checkpoint metadata: field {field} is {found}, expected {expected}"
            ),
            Self::NewerVersion { found } => write!(
                f,
                "format version {found}, and this program reads up to {FORMAT_VERSION}: written by \
                 a newer version, update mnist-train"
            ),
            Self::Architecture { found, expected } => {
                write!(f, "holds another network: {}; expected {expected}", quoted(found))
            }
            Self::MissingTensor { name, found } if found.is_empty() => {
                write!(f, "tensor {} is missing, and the file has none", quoted(name))
            }
            Self::MissingTensor { name, found } => {
                write!(f, "tensor {} is missing; the file has {}", quoted(name), quoted(found))
            }
            Self::ExtraTensor(name) => {
                write!(f, "tensor {} does not belong to this network", quoted(name))
            }
            Self::Convolution { found } => {
                let MnistCnn { channels, kernel_size, .. } = MnistCnn::LARGEST;
                write!(
                    f,
                    "tensor conv1.weight has shape {}, expected [C, 1, K, K] with C at most \
                     {channels} and K odd and at most {kernel_size}",
                    shown(found),
                )
            }
            Self::Hidden { found } => {
                let MnistCnn { hidden, .. } = MnistCnn::LARGEST;
                write!(
                    f,
                    "tensor fc1.weight has shape {}, expected [H, F] with H at most {hidden}",
                    shown(found),
                )
            }
            Self::Shape { name, found, expected } => {
                write!(f, "tensor {name} has shape {}, expected {expected:?}", shown(found))
            }
            Self::Type { name, found } => {
                write!(f, "tensor {name} has type {found}, expected F32: export it as f32")
            }
            Self::Checksum => {
                write!(f, "checksum mismatch: the content was changed after it was written")
            }
            Self::NotFinite { name, index, value } => {
                write!(f, "tensor {name} holds {value} at index {index}: the model is unusable")
            }
        }
    }
}

/// Text of a shape. It is truncated, because a file can name any number of dimensions.
fn shown<N: fmt::Debug>(shape: &[N]) -> String {
    quoted(&format!("{shape:?}"))
}
