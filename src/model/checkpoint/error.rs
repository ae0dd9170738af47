//! Errors in the content of a checkpoint, and their messages.

use std::fmt;

use super::format::{FORMAT_VERSION, HEADER_LIMIT};
use crate::data::classes;
use crate::error::quoted;
use crate::model::mnist_cnn::MnistCnn;

/// Result of checking the content of a checkpoint.
pub type ParseResult<T> = std::result::Result<T, CheckpointError>;

/// Error in the content of a checkpoint.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)] // The messages explain the variants.
pub enum CheckpointError {
    #[error("empty file: train a model first")]
    Empty,
    #[error(
        "is a pickle, as PyTorch writes, and is not read, because it can run code; export \
         safetensors: safetensors.torch.save_file(model.state_dict(), 'model.safetensors')"
    )]
    Pickle,
    #[error("is packed with gzip: unpack it first")]
    Gzip,
    #[error(
        "is {0}, and only safetensors is read: write its weights with safetensors.numpy.save_file, \
         under PyTorch's names and in its layouts"
    )]
    Foreign(&'static str),
    #[error("looks like HTML, not a model: fetch it again")]
    Html,
    #[error("is a Git LFS pointer, not the file itself: run 'git lfs pull'")]
    LfsPointer,
    #[error("not a checkpoint: {found} bytes, and a checkpoint has at most {limit}")]
    TooLarge { found: u64, limit: u64 },
    #[error("not a checkpoint: need 8 bytes of header length, have {found}")]
    NoHeader { found: usize },
    #[error("not a checkpoint: header length {found} at byte 0, at most {HEADER_LIMIT} expected")]
    HeaderLength { found: u64 },
    #[error("truncated checkpoint: the header needs {needed} bytes, and the file has {found}")]
    HeaderTruncated { needed: u64, found: u64 },
    #[error(
        "{} checkpoint: the tensors need {needed} bytes, and the file has {found}",
        if found < needed { "truncated" } else { "damaged" }
    )]
    DataLength { needed: u64, found: u64 },
    #[error("damaged checkpoint header: {}", quoted(.0))]
    Header(String),
    #[error("damaged checkpoint metadata: {0}")]
    Metadata(String),
    #[error("damaged checkpoint metadata: field {field} is {found}, expected {expected}")]
    Value { field: String, found: String, expected: String },
    #[error(
        "format version {found}, and this program reads up to {FORMAT_VERSION}: written by a newer \
         version, update mnist-train"
    )]
    NewerVersion { found: u64 },
    #[error("holds another network: {}; expected {expected}", quoted(found))]
    Architecture { found: String, expected: String },
    #[error("tensor {} is missing; the file has {}", quoted(name), if found.is_empty() { "none".into() } else { quoted(found) })]
    MissingTensor { name: String, found: String },
    #[error("{0}; if this is not the default network in some size, name it with --arch")]
    Unnamed(Box<Self>),
    #[error("tensor {} does not belong to this network", quoted(.0))]
    ExtraTensor(String),
    #[error(
        "tensor conv1.weight has shape {}, expected [C, 1, K, K] with C at most {} and K odd and at \
         most {}",
        shown(found), MnistCnn::LARGEST.channels, MnistCnn::LARGEST.kernel_size
    )]
    Convolution { found: Vec<usize> },
    #[error(
        "tensor fc1.weight has shape {}, expected [H, F] with H at most {}",
        shown(found), MnistCnn::LARGEST.hidden
    )]
    Hidden { found: Vec<usize> },
    #[error(
        "tensor fc2.weight has shape {}, expected [O, H] with O from 2 to {}",
        shown(found),
        classes::MOST
    )]
    Classes { found: Vec<usize> },
    #[error("tensor {name} has shape {}, expected {expected:?}", shown(found))]
    Shape { name: String, found: Vec<usize>, expected: Vec<usize> },
    #[error("tensor {name} has type {found}, expected F32, F16, BF16 or F64: export it as f32")]
    Type { name: String, found: String },
    #[error("checksum mismatch: the content was changed after it was written")]
    Checksum,
    #[error("tensor {name} holds {value} at index {index}: the model is unusable")]
    NotFinite { name: String, index: usize, value: f32 },
}

impl CheckpointError {
    /// This error, of weights whose network neither the file nor the user names. If the tensors are
    /// those of another network than the default one, the remedy is to name it.
    pub(super) fn without_a_name(self) -> Self {
        match self {
            Self::MissingTensor { .. }
            | Self::ExtraTensor(_)
            | Self::Shape { .. }
            | Self::Convolution { .. }
            | Self::Hidden { .. }
            | Self::Classes { .. } => Self::Unnamed(Box::new(self)),
            other => other,
        }
    }
}

/// Refuses the value `found` of a `field` of the metadata unless it `holds`.
///
/// # Errors
/// The field with its value and the expected value.
pub(super) fn expect(
    holds: bool,
    field: &str,
    found: impl ToString,
    expected: impl ToString,
) -> ParseResult<()> {
    let field = field.to_string();
    let (found, expected) = (found.to_string(), expected.to_string());
    if holds { Ok(()) } else { Err(CheckpointError::Value { field, found, expected }) }
}

/// Text of a shape. It is truncated, because a file can name any number of dimensions.
fn shown<N: fmt::Debug>(shape: &[N]) -> String {
    quoted(&format!("{shape:?}"))
}
