//! The files of an export that are safetensors: weights, and test images.

use std::collections::HashMap;

use safetensors::tensor::{Dtype, TensorView};
use serde_json::{Map, Value, json};

use crate::data::dataset::Split;
use crate::error::quoted;
use crate::model::architecture::Architecture;
use crate::model::parameters::{Parameters, little_endian};
use crate::model::presets;

/// Key of the text in the header that says that the file is an export; its value is a JSON object with
/// facts about the file. It is one text, because texts have no fixed order, and the same model must
/// give the same bytes. A checkpoint has another key.
const KEY: &str = "mnist-train.export";

/// Name of the fact that is the text of the network, and of the one that has the shape of its images.
pub const NETWORK: &str = "network";
pub const INPUT: &str = "input";

/// Bytes of a safetensors file with the weights alone, and with these `facts` in its header.
pub fn weights(parameters: &Parameters, facts: &[(&str, String)]) -> Vec<u8> {
    let tensors: Vec<_> = parameters
        .iter()
        .map(|(spec, values)| (&*spec.name, Dtype::F32, &*spec.shape, little_endian(values)))
        .collect();
    let facts = facts.iter().map(|(name, fact)| (name.to_string(), Value::from(fact.as_str())));
    serialized(&tensors, &Map::from_iter(facts).into())
}

/// Network of the weights in a safetensors file whose header has these `texts`; `None` if they are not
/// those of an export of weights.
///
/// # Errors
/// What is wrong with the texts, which a person can have changed.
pub fn network_of(texts: &HashMap<String, String>) -> Result<Option<Architecture>, String> {
    let Some(facts) = texts.get(KEY) else { return Ok(None) };
    let facts: Value = serde_json::from_str(facts)
        .map_err(|error| format!("no JSON from column {} on in {KEY}", error.column()))?;
    let Some(network) = facts[NETWORK].as_str() else { return Ok(None) };
    let shape = facts[INPUT].as_str().and_then(|input| {
        let (sizes, _) = input.strip_prefix("f32 (N, ")?.split_once(')')?;
        let sizes: Vec<usize> = sizes.split(", ").map(str::parse).collect::<Result<_, _>>().ok()?;
        <[usize; 3]>::try_from(sizes).ok()
    });
    let Some(shape) = shape else {
        return Err(format!("field {INPUT} of {KEY} has no shape (N, C, H, W) of images"));
    };
    let at = |problem: String| format!("field {NETWORK} of {KEY}: {}", quoted(&problem));
    presets::network_for(network, shape).map(Some).map_err(at)
}

/// Test images with the logits that are expected for them.
#[derive(Debug, Clone, Copy)]
pub struct TestImages<'a> {
    /// Images and labels, all of which are written.
    pub split: &'a Split,
    /// Logits, (N, classes).
    pub logits: &'a [f32],
    /// Name of the dataset of the images.
    pub dataset: &'a str,
}

impl TestImages<'_> {
    /// Bytes of a safetensors file with the images as f32 from 0 to 1 (N, 1, H, W), their labels as
    /// i64 (N), and the logits (N, classes).
    pub fn to_bytes(&self) -> Vec<u8> {
        let Self { split, logits, dataset } = self;
        let ([height, width], images) = (split.sides(), split.len());
        let pixels: Vec<f32> =
            split.images().iter().map(|&pixel| f32::from(pixel) / 255.0).collect();
        let labels = split.labels().iter().flat_map(|&label| i64::from(label).to_le_bytes());
        let tensors = [
            ("images", Dtype::F32, &[images, 1, height, width][..], little_endian(&pixels)),
            ("labels", Dtype::I64, &[images], labels.collect()),
            ("logits", Dtype::F32, &[images, logits.len() / images], little_endian(logits)),
        ];
        serialized(&tensors, &json!({ "dataset": dataset }))
    }
}

/// Bytes of a safetensors file of `tensors`, each with its name, type, shape and bytes, and with these
/// `facts`.
fn serialized(tensors: &[(&str, Dtype, &[usize], Vec<u8>)], facts: &Value) -> Vec<u8> {
    let views = tensors.iter().map(|(name, dtype, shape, bytes)| {
        let view = TensorView::new(*dtype, shape.to_vec(), bytes);
        (*name, view.expect("the shape has as many elements as there are values"))
    });
    let metadata = HashMap::from([(KEY.into(), facts.to_string())]);
    safetensors::serialize(views, Some(metadata)).expect("valid views")
}

/// Whether `bytes` are a safetensors file of an export, or the beginning of one.
pub fn is_written_here(bytes: &[u8]) -> bool {
    let Some((length, rest)) = bytes.split_first_chunk() else { return false };
    let header = usize::try_from(u64::from_le_bytes(*length)).ok().and_then(|n| rest.get(..n));
    let header = header.and_then(|header| serde_json::from_slice::<Value>(header).ok());
    header.is_some_and(|header| header["__metadata__"][KEY].is_string())
}
