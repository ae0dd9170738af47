//! What a checkpoint says about itself, read without trust.

use serde::Deserialize;
use serde_json::Value;

use super::{
    CheckpointError, DatasetIdentity, FORMAT_VERSION, Metadata, ParseResult, Position, Recipe,
};
use crate::model::architecture::Architecture;

/// Fields that may be left out.
const OPTIONAL: [&str; 2] = ["isa", "max_samples"];

/// Reads the metadata of a model for `architecture`.
///
/// # Errors
/// The first thing that is wrong.
pub fn parse(json: &str, architecture: &Architecture) -> ParseResult<Metadata> {
    let invalid = |problem: String| CheckpointError::Metadata(problem);
    let value: Value = serde_json::from_str(json)
        .map_err(|error| invalid(format!("no JSON from column {} on", error.column())))?;
    // First the version alone: a newer one may hold anything else.
    match value["format_version"].as_u64() {
        Some(found) if found > u64::from(FORMAT_VERSION) => {
            return Err(CheckpointError::NewerVersion { found });
        }
        Some(_) => {}
        None => return Err(invalid("no whole number in field format_version".into())),
    }
    let metadata = Metadata::deserialize(&value).map_err(|_| {
        let difference = difference(&value, &example(), "");
        invalid(difference.unwrap_or_else(|| "a field holds what no run writes".into()))
    })?;
    let expected = architecture.to_string();
    if metadata.architecture != expected {
        return Err(CheckpointError::Architecture { found: metadata.architecture, expected });
    }
    check_counts(&metadata)?;
    Ok(metadata)
}

/// Metadata with every field that there is.
fn example() -> Value {
    let metadata = Metadata {
        format_version: FORMAT_VERSION,
        architecture: String::new(),
        recipe: Recipe::default(),
        dataset: DatasetIdentity { name: String::new(), sha256: String::new() },
        stage: String::new(),
        isa: Some(String::new()),
        position: Position::default(),
        steps: 0,
        content_sha256: String::new(),
    };
    serde_json::to_value(metadata).expect("plain data")
}

/// The first field in which `found` has not the form of `expected`; both are at `place`.
fn difference(found: &Value, expected: &Value, place: &str) -> Option<String> {
    let inside = |name: &str| format!("{place}{}{name}", if place.is_empty() { "" } else { "." });
    let wanted = match expected {
        Value::Object(fields) => {
            let Some(found) = found.as_object() else {
                return Some(format!("field {place} is {found}, expected an object"));
            };
            if let Some((unknown, _)) = found.iter().find(|(name, _)| !fields.contains_key(*name)) {
                return Some(format!("unknown field {}", inside(unknown)));
            }
            return fields.iter().find_map(|(name, expected)| match found.get(name) {
                None | Some(Value::Null) if OPTIONAL.contains(&name.as_str()) => None,
                Some(found) => difference(found, expected, &inside(name)),
                None => Some(format!("field {} is missing", inside(name))),
            });
        }
        Value::String(_) if !found.is_string() => "a text",
        Value::Number(number) if number.is_u64() && !found.is_u64() => "a whole number from 0 on",
        Value::Number(_) if !found.is_number() => "a number",
        Value::Null if !found.is_u64() => "a whole number or nothing",
        _ => return None,
    };
    Some(format!("field {place} is {found}, expected {wanted}"))
}

/// Refuses counts under which training would divide by zero or overflow. No run writes such a file,
/// but someone can.
fn check_counts(metadata: &Metadata) -> ParseResult<()> {
    let Metadata { recipe, position, steps, .. } = metadata;
    let images = position.batch.checked_mul(recipe.batch_size);
    let possible = recipe.batch_size > 0
        && recipe.t_max > 0
        && recipe.max_samples != Some(0)
        && images.is_some_and(|images| position.correct <= images)
        && *steps < u64::MAX;
    if possible {
        return Ok(());
    }
    let problem = format!("no run can have {recipe:?}, {position:?} and {steps} steps");
    Err(CheckpointError::Metadata(problem))
}
