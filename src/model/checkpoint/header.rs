//! What the safetensors library does not check about a file's beginning.

use std::fmt;

use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::{CheckpointError, HEADER_LIMIT, ParseResult};

/// Recognises what is no safetensors file at all, and checks what the safetensors library does not:
/// lengths before they are believed or added up, names that appear twice.
pub fn check(bytes: &[u8]) -> ParseResult<()> {
    if bytes.is_empty() {
        return Err(CheckpointError::Empty);
    }
    // A header's length can begin with the same bytes, but then its JSON begins at byte 8.
    if bytes.get(8) != Some(&b'{') {
        if bytes.starts_with(b"PK\x03\x04") || (bytes[0] == 0x80 && bytes.get(1) < Some(&6)) {
            return Err(CheckpointError::Pickle);
        }
        if bytes.starts_with(b"version https://git-lfs") {
            return Err(CheckpointError::LfsPointer);
        }
        if bytes.trim_ascii_start().starts_with(b"<") {
            return Err(CheckpointError::Html);
        }
    }
    let Some((length, rest)) = bytes.split_first_chunk() else {
        return Err(CheckpointError::NoHeader { found: bytes.len() });
    };
    let length = u64::from_le_bytes(*length);
    if length > HEADER_LIMIT {
        return Err(CheckpointError::HeaderLength { found: length });
    }
    let Some((json, data)) = rest.split_at_checked(length as usize) else {
        let (needed, found) = (length, rest.len() as u64);
        return Err(CheckpointError::HeaderTruncated { needed, found });
    };
    let Entries(entries) =
        serde_json::from_slice(json).map_err(|error| CheckpointError::Header(error.to_string()))?;
    let mut names: Vec<&str> = entries.iter().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    if let Some(twice) = names.windows(2).find(|pair| pair[0] == pair[1]) {
        return Err(CheckpointError::DuplicateName(twice[0].into()));
    }
    let ends = entries.iter().filter_map(|(_, end)| *end);
    let (needed, found) = (ends.max().unwrap_or(0), data.len() as u64);
    if needed != found {
        return Err(CheckpointError::DataLength { needed, found });
    }
    Ok(())
}

/// The names of a JSON object in the order of the file, with repetitions, each with where its
/// tensor ends.
struct Entries(Vec<(String, Option<u64>)>);

impl<'de> Deserialize<'de> for Entries {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Entry {
            Tensor { data_offsets: (u64, u64) },
            Other(IgnoredAny),
        }

        struct EntriesVisitor;

        impl<'de> Visitor<'de> for EntriesVisitor {
            type Value = Entries;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object of tensors")
            }

            fn visit_map<A: MapAccess<'de>>(
                self,
                mut map: A,
            ) -> std::result::Result<Entries, A::Error> {
                let mut entries = Vec::new();
                while let Some((name, entry)) = map.next_entry()? {
                    let end = match entry {
                        Entry::Tensor { data_offsets } => Some(data_offsets.1),
                        Entry::Other(_) => None,
                    };
                    entries.push((name, end));
                }
                Ok(Entries(entries))
            }
        }

        deserializer.deserialize_map(EntriesVisitor)
    }
}
