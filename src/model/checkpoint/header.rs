//! The beginning of a safetensors file, checked before anything that it describes is read: what the
//! safetensors library does not check, and what it would not say in our words.

use std::fmt;

use safetensors::Dtype;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::error::{CheckpointError, ParseResult};
use super::format::HEADER_LIMIT;

/// Where the header begins, after its length.
const HEADER_START: usize = 8;

/// The most of a file that [`check`] looks at, in bytes.
pub const LONGEST: u64 = HEADER_START as u64 + HEADER_LIMIT;

/// Under this name a header has texts for people instead of a tensor.
const TEXTS: &str = "__metadata__";

/// Checks a file of `length` bytes by its `start`, its first [`LONGEST`] bytes or all: that it is a
/// safetensors file, whose tensors have names of their own and tile the data.
pub fn check(start: &[u8], length: u64) -> ParseResult<()> {
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
    let Entries(entries) = serde_json::from_slice(json).map_err(|error| not_json(json, &error))?;
    let mut names: Vec<&str> = entries.iter().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    if let Some(twice) = names.windows(2).find(|pair| pair[0] == pair[1]) {
        return Err(CheckpointError::DuplicateName(twice[0].into()));
    }
    let tensors = entries.iter().filter(|(name, _)| name != TEXTS);
    let mut tensors = tensors.map(Tensor::try_from).collect::<ParseResult<Vec<_>>>()?;
    let data = length.saturating_sub(HEADER_START as u64 + header_length);
    check_offsets(&mut tensors, data)?;
    let texts = entries.iter().find(|(name, _)| name == TEXTS);
    let are_texts =
        |value: &Value| value.as_object().is_some_and(|texts| texts.values().all(Value::is_string));
    match texts {
        Some((_, value)) if !are_texts(value) => {
            Err(CheckpointError::Entry { name: TEXTS.into(), expected: "an object of texts" })
        }
        _ => Ok(()),
    }
}

/// Names what is no safetensors file at all.
fn recognise(start: &[u8]) -> ParseResult<()> {
    if start.is_empty() {
        return Err(CheckpointError::Empty);
    }
    // A header's length can begin with the same bytes, but then its JSON begins after it.
    if start.get(HEADER_START) != Some(&b'{') {
        if start.starts_with(b"PK\x03\x04") || (start[0] == 0x80 && start.get(1) < Some(&6)) {
            return Err(CheckpointError::Pickle);
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

/// Where in the file `json` stops being an object of the header.
fn not_json(json: &[u8], error: &serde_json::Error) -> CheckpointError {
    let lines = json.split_inclusive(|&byte| byte == b'\n');
    let before: usize = lines.take(error.line().saturating_sub(1)).map(<[u8]>::len).sum();
    let byte = HEADER_START + before + error.column().saturating_sub(1);
    CheckpointError::NotJson { byte }
}

/// Refuses tensors that overlap, leave gaps, or do not end where the data does, and a length that
/// is not that of the shape.
fn check_offsets(tensors: &mut [Tensor<'_>], data: u64) -> ParseResult<()> {
    let needed = tensors.iter().map(|tensor| tensor.end).max().unwrap_or(0);
    if needed != data {
        return Err(CheckpointError::DataLength { needed, found: data });
    }
    tensors.sort_by_key(|tensor| (tensor.begin, tensor.end));
    let mut expected = 0;
    for tensor in tensors {
        let Tensor { name, dtype, begin, end, .. } = *tensor;
        if begin != expected || end < begin {
            let (name, found) = (name.into(), [begin, end]);
            return Err(CheckpointError::Offsets { name, found, expected });
        }
        if tensor.bytes() != Some(end - begin) {
            let (name, shape, found) = (name.into(), tensor.shape.clone(), end - begin);
            return Err(CheckpointError::Length { name, dtype: dtype.to_string(), shape, found });
        }
        expected = end;
    }
    Ok(())
}

/// What a header says of one tensor.
struct Tensor<'a> {
    name: &'a str,
    dtype: Dtype,
    shape: Vec<u64>,
    /// Where its bytes are in the data.
    begin: u64,
    end: u64,
}

impl Tensor<'_> {
    /// How many bytes its shape takes, if that can be counted and is whole.
    fn bytes(&self) -> Option<u64> {
        let bits =
            self.shape.iter().try_fold(self.dtype.bitsize() as u64, |a, &n| a.checked_mul(n));
        bits.filter(|bits| bits % 8 == 0).map(|bits| bits / 8)
    }
}

impl<'a> TryFrom<&'a (String, Value)> for Tensor<'a> {
    type Error = CheckpointError;

    fn try_from((name, entry): &'a (String, Value)) -> ParseResult<Self> {
        let without = |expected| CheckpointError::Entry { name: name.clone(), expected };
        let counts = |field: &str| {
            let values = entry.get(field)?.as_array()?;
            values.iter().map(Value::as_u64).collect::<Option<Vec<_>>>()
        };
        let dtype = entry.get("dtype").and_then(|dtype| Dtype::deserialize(dtype).ok());
        let dtype = dtype.ok_or_else(|| without("a known \"dtype\""))?;
        let shape = counts("shape").ok_or_else(|| without("a \"shape\" of whole numbers"))?;
        let offsets = counts("data_offsets").unwrap_or_default();
        let [begin, end] = offsets[..] else {
            return Err(without("two \"data_offsets\""));
        };
        Ok(Self { name, dtype, shape, begin, end })
    }
}

/// The names and values of a JSON object in the order of the file, with repetitions.
struct Entries(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Entries {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct EntriesVisitor;

        impl<'de> Visitor<'de> for EntriesVisitor {
            type Value = Entries;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entries, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Entries(entries))
            }
        }

        deserializer.deserialize_map(EntriesVisitor)
    }
}
