//! What a component says of itself, as the contract's `manifest` record: filled by the runtime, compared with the dataset
//! file in [`super::check`].

use serde_json::Value;

use super::Column;

/// What a component says of itself.
#[derive(Clone, Debug, PartialEq)]
pub struct Manifest {
    /// The plugin's name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// A sentence for people.
    pub description: String,
    /// The JSON Schema (2020-12) of the settings; `{}` accepts everything.
    pub settings_schema: Value,
    /// Every output that the plugin may emit to.
    pub outputs: Vec<OutputShape>,
}

/// One of the outputs of a plugin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutputShape {
    /// The name used with `emit`.
    pub name: String,
    /// A sentence for people.
    pub description: String,
    /// In the order in which they are written. The dataset file may give its own columns instead.
    pub columns: Vec<Column>,
}
