//! Checkpoint: one file with everything that a run needs to go on. It is a safetensors file,
//! whatever its name.
//!
//! ```text
//! header length · JSON header · data
//!
//! conv1.weight, conv1.bias, fc1.weight, …       the weights, under PyTorch's names
//! adam.m.conv1.weight, …                        Adam's first moment
//! adam.v.conv1.weight, …                        Adam's second moment; or sgd.v.…, or nothing
//! __metadata__ = { "mnist-train": "{ … }" }     [`Metadata`], as JSON
//! ```
//!
//! `safetensors.torch.load_file` opens it. In the other direction, a file that PyTorch users write
//! with the weights alone can be evaluated, and another training can begin with it, but training
//! cannot go on from it. The shapes of its tensors tell the sizes of the network, unless it is an export
//! of this program, which names its network.
//!
//! Nothing in a file is trusted. Lengths are compared with the length of the file before anything
//! is allocated; names and shapes must be the network's; metadata and data must match their
//! checksum; every value must be finite; the place in the run must be one that a run can reach.

mod error;
mod format;
mod header;
pub mod history;
mod metadata;

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Read, Take};
use std::path::Path;

use half::{bf16, f16};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};

pub use self::error::CheckpointError;
use self::error::ParseResult;
use self::format::METADATA_KEY;
pub use self::format::{FORMAT_VERSION, RUNAWAY_LOSS};
pub use self::history::EpochRecord;
pub use self::metadata::{DatasetIdentity, Metadata, Position, Validation, check_place};
use super::architecture::Architecture;
use super::export;
use super::mnist_cnn::MnistCnn;
use super::parameters::{Parameters, Slot, TrainState, little_endian};
use crate::data::classes;
use crate::data::dataset::ImageFormat;
use crate::digest::Sha256Digest;
use crate::error::{Error, Result, printable};
use crate::files::durable::previous_names;
use crate::files::input;
use crate::nn::tensor::TensorSpec;

/// File of the model if the user names none.
pub const DEFAULT_FILE: &str = "ckpt.bin";

/// Content of a checkpoint: everything that a run needs to go on.
#[derive(Debug, Clone, PartialEq)]
pub struct Checkpoint {
    /// Weights, the optimizer's slots and number of steps.
    pub state: TrainState,
    /// Metadata. [`Checkpoint::to_bytes`] sets its `steps` and `content_sha256`.
    pub metadata: Metadata,
}

/// Content of a file that can be evaluated.
#[derive(Debug, Clone, PartialEq)]
pub enum Model {
    /// Checkpoint that this program wrote; boxed, because it is much larger than weights alone.
    Checkpoint(Box<Checkpoint>),
    /// Weights alone, from any program.
    Weights(Parameters),
}

impl Model {
    /// Name of each class that the model predicts; empty if the names are the numbers from 0, or not
    /// known.
    pub fn class_names(&self) -> &[String] {
        match self {
            Self::Checkpoint(checkpoint) => &checkpoint.metadata.dataset.class_names,
            Self::Weights(_) => &[],
        }
    }

    /// Weights and biases of the model.
    pub fn parameters(&self) -> &Parameters {
        match self {
            Self::Checkpoint(checkpoint) => &checkpoint.state.parameters,
            Self::Weights(parameters) => parameters,
        }
    }
}

impl Checkpoint {
    /// Bytes of the file. The same state gives the same bytes.
    pub fn to_bytes(&mut self) -> Vec<u8> {
        let TrainState { parameters, slots, steps } = &self.state;
        let slots = slots.iter().map(|slot| (format!("{}.", slot.name), &slot.values));
        let mut tensors: Vec<(String, &[usize], Vec<u8>)> = [(String::new(), parameters)]
            .into_iter()
            .chain(slots)
            .flat_map(|(prefix, set)| {
                set.iter().map(move |(spec, values)| {
                    let name = format!("{prefix}{}", spec.name);
                    (name, spec.shape.as_slice(), little_endian(values))
                })
            })
            .collect();
        tensors.sort_by(|a, b| a.0.cmp(&b.0));
        self.metadata.steps = *steps;
        self.metadata.content_sha256.clear();
        let unsealed = self.metadata.to_json();
        let content = [unsealed.as_bytes()].into_iter().chain(tensors.iter().map(|t| &t.2[..]));
        self.metadata.content_sha256 = Sha256Digest::of(content).to_string();
        let metadata = self.metadata.to_json();
        let views = tensors.iter().map(|(name, shape, bytes)| {
            let view = TensorView::new(Dtype::F32, shape.to_vec(), bytes);
            (name, view.expect("the shape has as many elements as there are values"))
        });
        safetensors::serialize(views, Some(HashMap::from([(METADATA_KEY.into(), metadata)])))
            .expect("valid views")
    }
}

/// Reads a model and its network from the file at `path`. If a network is `expected`, the file must
/// hold it. Most files that are not models are refused after their first megabyte.
///
/// # Errors
/// [`Error::Io`] when the file cannot be read, [`Error::InvalidFile`] when it is not a model. If the
/// model before it is there, the error names it, as [`Error::Unavailable`] in place of [`Error::Io`].
pub fn read(path: &Path, expected: Option<&Architecture>) -> Result<(Architecture, Model)> {
    read_file(path, expected).map_err(|error| {
        let previous = previous_names(path, 1).unwrap_or_default();
        let Some(previous) = previous.first().filter(|previous| previous.is_file()) else {
            return error;
        };
        let remedy = format!("the model before it is {}", printable(previous));
        match error {
            Error::InvalidFile { path, reason } => {
                Error::InvalidFile { path, reason: format!("{reason}; {remedy}") }
            }
            error => error.with_remedy(&remedy),
        }
    })
}

/// Weights for `architecture` from the file at `path`: a checkpoint of any network whose tensors have
/// the same names and shapes, or weights alone.
///
/// # Errors
/// The errors of [`read`], and [`Error::InvalidFile`] with the first tensor that is missing, does not
/// belong to the network or has another shape.
pub fn weights(path: &Path, architecture: &Architecture) -> Result<Parameters> {
    let Beginning { mut file, mut bytes, .. } = read_beginning(path)?;
    file.read_to_end(&mut bytes).map_err(Error::io("read", path))?;
    weights_of(&bytes, architecture).map_err(Error::invalid(path))
}

fn weights_of(bytes: &[u8], architecture: &Architecture) -> ParseResult<Parameters> {
    let header = header::check(bytes, bytes.len() as u64)?;
    if !names_its_network(&header)? {
        return Ok(parse(bytes, Some(architecture))?.1.parameters().clone());
    }
    let (_, model) = parse(bytes, None)?;
    let (found, expected) = (model.parameters(), architecture.tensors());
    let names = || found.specs().iter().map(|spec| spec.name.as_str()).collect::<Vec<_>>();
    for TensorSpec { name, shape, .. } in &expected {
        let Some(same) = found.specs().iter().find(|spec| spec.name == *name) else {
            let (name, found) = (name.clone(), names().join(", "));
            return Err(CheckpointError::MissingTensor { name, found });
        };
        if same.shape != *shape {
            let (name, found, expected) = (name.clone(), same.shape.clone(), shape.clone());
            return Err(CheckpointError::Shape { name, found, expected });
        }
    }
    let is_extra = |name: &&str| expected.iter().all(|spec| spec.name != **name);
    if let Some(extra) = names().into_iter().find(is_extra) {
        return Err(CheckpointError::ExtraTensor(extra.into()));
    }
    Ok(Parameters::new(architecture, found.values().to_vec()))
}

/// Whether a file with this `header` says of which network its weights are.
fn names_its_network(header: &safetensors::tensor::Metadata) -> ParseResult<bool> {
    let Some(texts) = header.metadata() else { return Ok(false) };
    let of_export = export::network_of(texts).map_err(CheckpointError::Metadata)?;
    Ok(texts.contains_key(METADATA_KEY) || of_export.is_some())
}

fn read_file(path: &Path, expected: Option<&Architecture>) -> Result<(Architecture, Model)> {
    let Beginning { mut file, mut bytes, length } = read_beginning(path)?;
    bytes.reserve_exact((length as usize).saturating_sub(bytes.len()));
    file.read_to_end(&mut bytes).map_err(Error::io("read", path))?;
    parse(&bytes, expected).map_err(Error::invalid(path))
}

/// Whether the file at `path` begins like a model.
pub fn is_model(path: &Path) -> bool {
    read_beginning(path).is_ok()
}

/// Checks that a model can be written to `path` without destroying anything else: no file exists
/// there, or an empty file, or a safetensors file.
///
/// # Errors
/// [`Error::InvalidFile`] when another kind of file exists, [`Error::Io`] when it cannot be read.
pub fn check_replaceable(path: &Path) -> Result<()> {
    match read_beginning(path) {
        Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(Error::InvalidFile { .. }) if fs::metadata(path).is_ok_and(|file| file.len() == 0) => {
            Ok(())
        }
        Err(Error::InvalidFile { path, reason }) => {
            let remedy = "it is not replaced: name another --model, or move it away";
            Err(Error::InvalidFile { path, reason: format!("{reason}; {remedy}") })
        }
        beginning => beginning.map(|_| ()),
    }
}

/// Beginning of a file that looks like a model.
struct Beginning {
    /// File, read up to the end of `bytes`.
    file: Take<File>,
    /// First bytes of the file, up to [`header::LONGEST`].
    bytes: Vec<u8>,
    /// Length of the file in bytes.
    length: u64,
}

fn read_beginning(path: &Path) -> Result<Beginning> {
    let (mut file, length) = input::open(path)?;
    let limit = size_limit();
    if length > limit {
        return Err(Error::invalid(path)(CheckpointError::TooLarge { found: length, limit }));
    }
    let mut bytes = Vec::new();
    let read = file.by_ref().take(header::LONGEST).read_to_end(&mut bytes);
    read.map_err(Error::io("read", path))?;
    header::check(&bytes, length).map_err(Error::invalid(path))?;
    Ok(Beginning { file, bytes, length })
}

/// Name of the first tensor of the default network in any size.
const FIRST: &str = "conv1.weight";

/// Name of the first tensor of `architecture`.
fn first_name(architecture: &Architecture) -> String {
    architecture.tensors().swap_remove(0).name
}

/// Length in bytes of the largest file that can be a model.
fn size_limit() -> u64 {
    header::LONGEST + 3 * 4 * Architecture::MOST_PARAMETERS as u64
}

/// Model and its network from the `bytes` of a file. If a network is `expected`, the file must hold
/// it. The network of weights alone is that which `mnist-train export` names in their file, or else
/// follows from the shapes of their tensors.
///
/// # Errors
/// The first problem that is found.
pub fn parse(bytes: &[u8], expected: Option<&Architecture>) -> ParseResult<(Architecture, Model)> {
    let header = header::check(bytes, bytes.len() as u64)?;
    let tensors = SafeTensors::deserialize(bytes)
        .map_err(|error| CheckpointError::Header(error.to_string()))?;
    let texts = header.metadata().as_ref();
    let Some(json) = texts.and_then(|texts| texts.get(METADATA_KEY)) else {
        let named =
            texts.map_or(Ok(None), export::network_of).map_err(CheckpointError::Metadata)?;
        check_expected(expected, named.as_ref())?;
        let read = match named.or_else(|| expected.cloned()) {
            Some(architecture) => read_weights(&tensors, architecture),
            None => default_network(&tensors)
                .and_then(|architecture| read_weights(&tensors, architecture))
                .map_err(CheckpointError::without_a_name),
        };
        return read.map(|(architecture, weights)| (architecture, Model::Weights(weights)));
    };
    let metadata = metadata::parse(json)?;
    let architecture = metadata::architecture(&metadata, || network_of(&tensors, ""))?;
    check_expected(expected, Some(&architecture))?;
    let metadata = metadata.upgraded(&architecture);
    let slots = metadata.slots.iter().map(|slot| format!("{slot}."));
    let prefixes: Vec<String> = [String::new()].into_iter().chain(slots).collect();
    let mut sets = read_sets(&tensors, &architecture, &prefixes)?.into_iter();
    let mut names = tensors.names();
    names.sort_unstable();
    let data = names.iter().map(|name| tensors.tensor(name).expect("a name of it").data());
    // The checksum covers the text itself, so that no change in it goes unnoticed.
    let unsealed = json.replacen(&metadata.content_sha256, "", 1);
    let content = [unsealed.as_bytes()].into_iter().chain(data);
    if Sha256Digest::of(content).to_string() != metadata.content_sha256 {
        return Err(CheckpointError::Checksum);
    }
    let parameters = sets.next().expect("weights are always read");
    let slots = metadata.slots.iter().cloned().zip(sets);
    let slots: Vec<Slot> = slots.map(|(name, values)| Slot { name, values }).collect();
    check_finite("", &parameters)?;
    for slot in &slots {
        check_finite(&format!("{}.", slot.name), &slot.values)?;
    }
    let state = TrainState { parameters, slots, steps: metadata.steps };
    Ok((architecture, Model::Checkpoint(Box::new(Checkpoint { state, metadata }))))
}

/// Refuses a file whose network is `found`, if it is known, and not the one that is `expected`, if any is.
fn check_expected(
    expected: Option<&Architecture>,
    found: Option<&Architecture>,
) -> ParseResult<()> {
    match (expected, found) {
        (Some(expected), Some(found)) if expected != found => {
            let (found, expected) = (found.to_string(), expected.to_string());
            Err(CheckpointError::Architecture { found, expected })
        }
        _ => Ok(()),
    }
}

/// Beginning that all names of weights in `file` share, like `module.` or `_orig_mod.`, because the
/// network was inside of another module when its weights were written; empty for most files. `first` is
/// the name of the network's first tensor.
fn wrapper(file: &SafeTensors<'_>, first: &str) -> String {
    let names = file.names();
    let prefixes = names.iter().filter_map(|name| name.strip_suffix(first));
    let shared = prefixes.filter(|prefix| names.iter().all(|name| name.starts_with(prefix)));
    shared.min().unwrap_or_default().into()
}

/// The tensor of `file` with this `name`.
fn tensor<'a>(file: &SafeTensors<'a>, name: String) -> ParseResult<TensorView<'a>> {
    file.tensor(&name).map_err(|_| {
        let mut found = file.names();
        found.sort_unstable();
        CheckpointError::MissingTensor { name, found: found.join(", ") }
    })
}

/// Network of a `file` of weights alone that does not name it: the default network, in the sizes that the
/// shapes of the tensors have.
fn default_network(file: &SafeTensors<'_>) -> ParseResult<Architecture> {
    let prefix = wrapper(file, FIRST);
    let sizes = network_of(file, &prefix)?;
    let images = ImageFormat { classes: classes_of(file, &prefix)?, ..ImageFormat::MNIST };
    sizes.for_images(images).map_err(CheckpointError::Metadata)
}

/// Weights of `architecture` in a `file` of weights alone.
fn read_weights(
    file: &SafeTensors<'_>,
    architecture: Architecture,
) -> ParseResult<(Architecture, Parameters)> {
    let prefix = wrapper(file, &first_name(&architecture));
    let weights = read_sets(file, &architecture, &[prefix])?.swap_remove(0);
    check_finite("", &weights)?;
    Ok((architecture, weights))
}

/// Sizes of the network, from the shapes of its first two weights, whose names begin with `prefix`.
fn network_of(file: &SafeTensors<'_>, prefix: &str) -> ParseResult<MnistCnn> {
    let shape = |name| Ok(tensor(file, format!("{prefix}{name}"))?.shape().to_vec());
    let (conv1, fc1) = (shape(FIRST)?, shape("fc1.weight")?);
    let convolution = match conv1[..] {
        [channels, 1, height, width] if height == width => {
            Some(MnistCnn { channels, kernel_size: width, ..MnistCnn::default() })
        }
        _ => None,
    };
    let convolution = convolution
        .filter(|network| network.is_possible())
        .ok_or(CheckpointError::Convolution { found: conv1 })?;
    let network = match fc1[..] {
        [hidden, _] => Some(MnistCnn { hidden, ..convolution }),
        _ => None,
    };
    network.filter(|network| network.is_possible()).ok_or(CheckpointError::Hidden { found: fc1 })
}

/// Number of classes of the network, from the shape of its last weight.
fn classes_of(file: &SafeTensors<'_>, prefix: &str) -> ParseResult<usize> {
    let shape = tensor(file, format!("{prefix}fc2.weight"))?.shape().to_vec();
    match shape[..] {
        [classes, _] if (2..=classes::MOST).contains(&classes) => Ok(classes),
        _ => Err(CheckpointError::Classes { found: shape }),
    }
}

/// A set of the tensors of `architecture` for each of the `prefixes` of their names: the weights,
/// then the optimizer's slots. A file with any other tensor is refused.
fn read_sets(
    file: &SafeTensors<'_>,
    architecture: &Architecture,
    prefixes: &[String],
) -> ParseResult<Vec<Parameters>> {
    let specs = architecture.tensors();
    let belongs = |name: &str| {
        prefixes.iter().any(|prefix| {
            name.strip_prefix(prefix).is_some_and(|rest| specs.iter().any(|s| s.name == rest))
        })
    };
    if let Some(extra) = file.names().into_iter().filter(|name| !belongs(name)).min() {
        return Err(CheckpointError::ExtraTensor(extra.to_string()));
    }
    prefixes.iter().map(|prefix| read_set(file, prefix, architecture)).collect()
}

fn read_set(
    file: &SafeTensors<'_>,
    prefix: &str,
    architecture: &Architecture,
) -> ParseResult<Parameters> {
    let mut values = Vec::new();
    for spec in architecture.tensors() {
        let name = format!("{prefix}{}", spec.name);
        let tensor = tensor(file, name.clone())?;
        let Some(convert) = numbers(tensor.dtype()) else {
            return Err(CheckpointError::Type { name, found: tensor.dtype().to_string() });
        };
        if tensor.shape() != spec.shape {
            let (found, expected) = (tensor.shape().to_vec(), spec.shape);
            return Err(CheckpointError::Shape { name, found, expected });
        }
        // Only now is it certain that the file has as many bytes as these values take.
        values.extend(convert(tensor.data()));
    }
    Ok(Parameters::new(architecture, values))
}

/// Conversion of the bytes of a tensor to f32.
type Numbers = fn(&[u8]) -> Vec<f32>;

/// Conversion of the bytes of a tensor of this type to f32, if it is a type of floating-point numbers
/// that other programs use for weights. A number of f64 is rounded.
fn numbers(dtype: Dtype) -> Option<Numbers> {
    fn each<const BYTES: usize>(data: &[u8], convert: fn([u8; BYTES]) -> f32) -> Vec<f32> {
        let (words, _) = data.as_chunks();
        words.iter().map(|word| convert(*word)).collect()
    }
    match dtype {
        Dtype::F32 => Some(|data| each(data, f32::from_le_bytes)),
        Dtype::F16 => Some(|data| each(data, |word| f16::from_le_bytes(word).to_f32())),
        Dtype::BF16 => Some(|data| each(data, |word| bf16::from_le_bytes(word).to_f32())),
        Dtype::F64 => Some(|data| each(data, |word| f64::from_le_bytes(word) as f32)),
        _ => None,
    }
}

fn check_finite(prefix: &str, set: &Parameters) -> ParseResult<()> {
    match set.first_not_finite() {
        Some((spec, index, value)) => {
            let name = format!("{prefix}{}", spec.name);
            Err(CheckpointError::NotFinite { name, index, value })
        }
        None => Ok(()),
    }
}
