//! The header of a safetensors file, checked before any tensor is read.
//!
//! The safetensors library parses the entries and checks that their tensors fill the data without
//! gaps. This module adds the checks that the library does not make: it names other kinds of files,
//! limits the length of a header, and refuses a name that appears twice, of which the library would
//! keep the last. It needs only the beginning of a file.

use std::collections::{HashMap, HashSet};
use std::fmt;

use safetensors::tensor::{Metadata, TensorInfo};
use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::error::{CheckpointError, ParseResult};
use super::format::HEADER_LIMIT;
use crate::error::quoted;

/// Byte of the file at which the header begins; its length comes before it.
const HEADER_START: usize = 8;

/// Largest number of bytes of a file that [`check`] looks at.
pub const LONGEST: u64 = HEADER_START as u64 + HEADER_LIMIT;

/// Name of the header's entry that holds texts for people instead of a tensor.
const TEXTS: &str = "__metadata__";

/// Header of a file of `length` bytes, read from its `start`: the first [`LONGEST`] bytes or, in a
/// shorter file, all.
///
/// # Errors
/// The first reason why the file is not a safetensors file with distinct names.
pub fn check(start: &[u8], length: u64) -> ParseResult<Metadata> {
    recognise(start)?;
    let Some((header_length, rest)) = start.split_first_chunk() else {
        return Err(CheckpointError::NoHeader { found: start.len() });
    };
    let header_length = u64::from_le_bytes(*header_length);
    if header_length > HEADER_LIMIT {
        return Err(CheckpointError::HeaderLength { found: header_length });
    }
    let Some(json) = rest.get(..header_length as usize) else {
        let (needed, found) = (header_length, rest.len() as u64);
        return Err(CheckpointError::HeaderTruncated { needed, found });
    };
    let damaged = |problem: &dyn fmt::Display| CheckpointError::Header(problem.to_string());
    let Entries { texts, mut tensors } =
        serde_json::from_slice(json).map_err(|error| damaged(&error))?;
    tensors.sort_by_key(|(_, tensor)| tensor.data_offsets);
    let header = Metadata::new(texts, tensors).map_err(|error| damaged(&error))?;
    let needed = header.data_len() as u64;
    let found = length.saturating_sub(HEADER_START as u64 + header_length);
    if needed == found { Ok(header) } else { Err(CheckpointError::DataLength { needed, found }) }
}

/// Offset and bytes by which other formats of models are recognized, and their names.
const FOREIGN: [(usize, &[u8], &str); 4] = [
    (0, b"\x89HDF", "an HDF5 file, as Keras writes"),
    (0, b"\x93NUMPY", "a NumPy array"),
    (0, b"GGUF", "a GGUF file"),
    (4, b"TFL3", "a TensorFlow Lite model"),
];

/// What a zip archive holds, by the name of its first file.
fn zip(start: &[u8]) -> CheckpointError {
    let length = start.get(26..28).map_or(0, |bytes| usize::from(bytes[0]));
    let name = start.get(30..30 + length).unwrap_or_default();
    if name.ends_with(b".pkl") {
        CheckpointError::Pickle
    } else if name.ends_with(b".npy") {
        CheckpointError::Foreign("an archive of NumPy arrays")
    } else if name.ends_with(b".json") {
        CheckpointError::Foreign("an archive, as Keras writes")
    } else {
        CheckpointError::Foreign("a zip archive")
    }
}

/// Refuses an empty file and other kinds of files that people take for a model.
fn recognise(start: &[u8]) -> ParseResult<()> {
    if start.is_empty() {
        return Err(CheckpointError::Empty);
    }
    // A header's length can begin with the same bytes, but then its JSON begins after it.
    if start.get(HEADER_START) != Some(&b'{') {
        if matches!(start, [0x80, 0..6, ..]) {
            return Err(CheckpointError::Pickle);
        }
        if start.starts_with(b"PK\x03\x04") {
            return Err(zip(start));
        }
        if start.starts_with(b"\x1f\x8b") {
            return Err(CheckpointError::Gzip);
        }
        // A protocol buffer: the version of the format, then the producer's name or the graph.
        if let [8, 1..32, 0x12 | 0x3a, ..] = start {
            return Err(CheckpointError::Foreign("an ONNX model"));
        }
        if let Some((_, _, format)) = FOREIGN.iter().find(|(offset, bytes, _)| {
            start.get(*offset..).is_some_and(|start| start.starts_with(bytes))
        }) {
            return Err(CheckpointError::Foreign(format));
        }
        if start.starts_with(b"version https://git-lfs") {
            return Err(CheckpointError::LfsPointer);
        }
        if start.trim_ascii_start().starts_with(b"<") {
            return Err(CheckpointError::Html);
        }
    }
    Ok(())
}

/// Entries of a header, whose names are distinct.
struct Entries {
    texts: Option<HashMap<String, String>>,
    tensors: Vec<(String, TensorInfo)>,
}

impl<'de> Deserialize<'de> for Entries {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct EntriesVisitor;

        impl<'de> Visitor<'de> for EntriesVisitor {
            type Value = Entries;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of tensors")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entries, A::Error> {
                let (mut texts, mut tensors) = (None, Vec::new());
                let mut names = HashSet::new();
                while let Some(name) = map.next_key::<String>()? {
                    let about = |problem: &dyn fmt::Display| {
                        A::Error::custom(format!("{}: {problem}", quoted(&name)))
                    };
                    if !names.insert(name.clone()) {
                        return Err(about(&"appears twice"));
                    }
                    if name == TEXTS {
                        texts = map.next_value().map(Some).map_err(|error| about(&error))?;
                    } else {
                        let tensor = map.next_value().map_err(|error| about(&error))?;
                        tensors.push((name, tensor));
                    }
                }
                Ok(Entries { texts, tensors })
            }
        }

        deserializer.deserialize_map(EntriesVisitor)
    }
}
