//! Good checkpoint files of a small network, and tools to build wrong ones from their parts.

use mnist_train::digest::Sha256Digest;
use mnist_train::model::architecture::Architecture;
use mnist_train::model::checkpoint::{
    Checkpoint, DatasetIdentity, EpochRecord, Metadata, Position,
};
use mnist_train::model::init::Init;
use mnist_train::model::parameters::{Slot, TrainState};
use mnist_train::model::recipe::Recipe;
use mnist_train::nn::shape::Shape;
use serde_json::Value;

/// A small network with a convolution and a linear layer.
pub fn network() -> Architecture {
    Architecture::parse("conv2k3p1,relu,maxpool2,flatten,fc3", Shape::image(1, 4, 4)).unwrap()
}

/// A checkpoint in the middle of a run.
pub fn checkpoint(architecture: &Architecture) -> Checkpoint {
    let values = |seed| Init::Pytorch.parameters(architecture, seed);
    Checkpoint {
        state: TrainState {
            parameters: values(1),
            slots: vec![
                Slot { name: "adam.m".into(), values: values(2) },
                Slot { name: "adam.v".into(), values: values(3) },
            ],
            steps: 345,
        },
        metadata: Metadata {
            dataset: DatasetIdentity {
                name: "custom".into(),
                sha256: "5e".repeat(32),
                class_names: vec![],
            },
            isa: Some("avx2".into()),
            position: Position {
                epoch: 3,
                batch: 45,
                loss: 678.912_345_678_901_2,
                correct: 2345,
                gradient_norm: 67.5,
            },
            history: vec![EpochRecord {
                epoch: 1,
                loss: 0.25,
                train_accuracy: 0.75,
                validation_correct: None,
                validation_total: None,
                validation_loss: None,
                test_correct: Some(80),
                test_total: Some(90),
                test_loss: Some(0.375),
                gradient_norm: None,
                weight_norm: 12.5,
                lr: 0.0007,
            }],
            ..Metadata::new(architecture, Recipe { seed: 77, ..Recipe::default() }, "fused")
        },
    }
}

/// Bytes of the file of [`checkpoint`].
pub fn whole() -> Vec<u8> {
    checkpoint(&network()).to_bytes()
}

/// Bytes of a file as PyTorch users write it: the weights, and metadata with `format` only.
pub fn weights_alone() -> Vec<u8> {
    let mut file = Crafted::from(&whole());
    file.keep(|name| !name.starts_with("adam."));
    file.metadata = Some(r#"{"format":"pt"}"#.into());
    file.bytes()
}

/// Key of this program's metadata in the header's `__metadata__`.
const KEY: &str = "mnist-train";

/// Parts of a safetensors file, which need not fit together.
pub struct Crafted {
    /// The header's JSON object `__metadata__`.
    pub metadata: Option<String>,
    pub tensors: Vec<Tensor>,
    pub data: Vec<u8>,
}

/// Entry of the header for one tensor.
#[derive(Clone)]
pub struct Tensor {
    pub name: String,
    pub dtype: String,
    pub shape: Vec<usize>,
    pub offsets: [u64; 2],
}

impl From<&Vec<u8>> for Crafted {
    fn from(bytes: &Vec<u8>) -> Self {
        let (json, data) = split(bytes);
        let Value::Object(mut header) = serde_json::from_slice(json).unwrap() else {
            panic!("the header is an object");
        };
        let metadata = header.remove("__metadata__").map(|value| value.to_string());
        let mut tensors: Vec<_> = header.into_iter().map(tensor).collect();
        tensors.sort_by_key(|tensor| tensor.offsets);
        Self { metadata, tensors, data: data.to_vec() }
    }
}

fn tensor((name, entry): (String, Value)) -> Tensor {
    let from = |value: &Value| serde_json::from_value(value.clone()).unwrap();
    Tensor {
        name,
        dtype: entry["dtype"].as_str().unwrap().into(),
        shape: serde_json::from_value(entry["shape"].clone()).unwrap(),
        offsets: from(&entry["data_offsets"]),
    }
}

impl Crafted {
    /// Bytes of the file that has these parts.
    pub fn bytes(&self) -> Vec<u8> {
        let metadata = self.metadata.iter();
        let metadata = metadata.map(|json| format!("\"__metadata__\":{json}"));
        let tensors = self.tensors.iter().map(|tensor| {
            let Tensor { name, dtype, shape, offsets } = tensor;
            let name = Value::from(name.as_str());
            format!(
                "{name}:{{\"dtype\":\"{dtype}\",\"shape\":{shape:?},\"data_offsets\":{offsets:?}}}"
            )
        });
        let entries: Vec<_> = metadata.chain(tensors).collect();
        join(format!("{{{}}}", entries.join(",")).as_bytes(), &self.data)
    }

    /// First entry with this `name`.
    pub fn tensor(&mut self, name: &str) -> &mut Tensor {
        self.tensors.iter_mut().find(|t| t.name == name).unwrap()
    }

    /// Last entry with this `name`.
    pub fn last(&mut self, name: &str) -> &mut Tensor {
        self.tensors.iter_mut().rfind(|t| t.name == name).unwrap()
    }

    /// Bytes of the tensor with this `name`.
    pub fn values(&mut self, name: &str) -> &mut [u8] {
        let [start, end] = self.tensor(name).offsets;
        &mut self.data[start as usize..end as usize]
    }

    /// Adds a tensor at the end of the file.
    pub fn add(&mut self, name: &str, dtype: &str, shape: &[usize], bytes: &[u8]) {
        let start = self.data.len() as u64;
        self.data.extend(bytes);
        self.tensors.push(Tensor {
            name: name.into(),
            dtype: dtype.into(),
            shape: shape.into(),
            offsets: [start, self.data.len() as u64],
        });
    }

    /// Adds a copy of the tensor with this `name`.
    pub fn repeat(&mut self, name: &str) {
        let bytes = self.values(name).to_vec();
        let Tensor { dtype, shape, .. } = self.tensor(name).clone();
        self.add(name, &dtype, &shape, &bytes);
    }

    /// Removes the tensors whose names are not wanted, and their data.
    pub fn keep(&mut self, wanted: impl Fn(&str) -> bool) {
        let all = std::mem::take(&mut self.tensors);
        let data = std::mem::take(&mut self.data);
        for tensor in all.iter().filter(|tensor| wanted(&tensor.name)) {
            let [start, end] = tensor.offsets;
            let bytes = &data[start as usize..end as usize];
            self.add(&tensor.name, &tensor.dtype, &tensor.shape, bytes);
        }
    }

    /// This program's metadata as JSON.
    fn own_metadata(&self) -> Option<String> {
        let entries: Value = serde_json::from_str(self.metadata.as_ref()?).unwrap();
        Some(entries.get(KEY)?.as_str()?.into())
    }

    /// Replaces this program's metadata by `json`.
    pub fn replace_metadata(&mut self, json: &str) {
        self.metadata = Some(serde_json::json!({ KEY: json }).to_string());
    }

    /// Replaces the text `from` by `to` in this program's metadata.
    pub fn replace_in_metadata(&mut self, from: &str, to: &str) {
        let json = self.own_metadata().unwrap();
        assert!(json.contains(from), "{from} is not in {json}");
        self.replace_metadata(&json.replacen(from, to, 1));
    }

    /// Corrects the checksum, if there is one and the tensors are inside the data.
    pub fn seal(&mut self) {
        let Some(json) = self.own_metadata() else {
            return;
        };
        let Some(found) = serde_json::from_str::<Value>(&json)
            .ok()
            .and_then(|value| Some(value.get("content_sha256")?.as_str()?.to_string()))
        else {
            return;
        };
        let mut tensors: Vec<_> = self.tensors.iter().collect();
        tensors.sort_by_key(|tensor| &tensor.name);
        let data = tensors.into_iter().map(|tensor| {
            let [start, end] = tensor.offsets.map(|offset| offset as usize);
            self.data.get(start..end).unwrap_or_default()
        });
        let unsealed = json.replacen(&found, "", 1);
        let content = [unsealed.as_bytes()].into_iter().chain(data);
        let sealed = Sha256Digest::of(content).to_string();
        self.replace_metadata(&json.replacen(&found, &sealed, 1));
    }
}

/// The file `bytes` with `spaces` more spaces at the end of its header.
pub fn pad_header(bytes: &[u8], spaces: usize) -> Vec<u8> {
    let (json, data) = split(bytes);
    join(&[json, &vec![b' '; spaces]].concat(), data)
}

/// A file whose tensors end at byte 2^64 - 1, so that the computed length of the file overflows to a
/// small number. Each tensor is small enough for its number of bits to fit into 64 bits.
pub fn wrapping_lengths() -> Vec<u8> {
    let longest = (1_u64 << 61) - 1;
    let mut start = 0;
    let mut tensors = Vec::new();
    while start < u64::MAX {
        let length = longest.min(u64::MAX - start);
        tensors.push(Tensor {
            name: format!("t{}", tensors.len()),
            dtype: "U8".into(),
            shape: vec![length as usize],
            offsets: [start, start + length],
        });
        start += length;
    }
    Crafted { metadata: None, tensors, data: Vec::new() }.bytes()
}

/// JSON of the header, and the data after it.
fn split(bytes: &[u8]) -> (&[u8], &[u8]) {
    let (length, rest) = bytes.split_first_chunk().unwrap();
    rest.split_at(u64::from_le_bytes(*length) as usize)
}

fn join(json: &[u8], data: &[u8]) -> Vec<u8> {
    [&(json.len() as u64).to_le_bytes(), json, data].concat()
}
