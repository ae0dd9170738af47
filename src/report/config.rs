//! The settings of a training, each with the place that sets it.

use serde::Serialize;

/// Value of a flag of a training.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Setting {
    /// Name of the flag, without dashes.
    pub name: String,
    /// Value; `None` if the flag has none, and what it sets follows from something else.
    pub value: Option<String>,
    /// Place that sets it: `flag`, the name of a variable, the path of the file, `recipe` and its name,
    /// or `default`.
    pub origin: String,
}

/// All settings of a training.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Config {
    /// Version of the schema, [`super::SCHEMA_VERSION`].
    pub schema: u32,
    /// Settings in the order of the help.
    pub settings: Vec<Setting>,
}
