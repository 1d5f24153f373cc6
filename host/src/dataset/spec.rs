//! A dataset file, checked: one field per table of the file.

use std::path::PathBuf;

use serde_json::Value;

use super::{Grants, MapSpec, OutputSpec, PluginSpec, ReleaseSpec, SampleSpec};

/// A dataset file that is valid by itself. Whether its component fits is known only after that was opened.
#[derive(Clone, Debug, PartialEq)]
pub struct Dataset {
    /// Its name: `[A-Za-z0-9][A-Za-z0-9_-]{0,62}`.
    pub name: String,
    /// The file it came from.
    pub file: PathBuf,
    /// The component and its limits.
    pub plugin: PluginSpec,
    /// What the plugin is configured with: a JSON object.
    pub settings: Value,
    /// What the plugin may reach.
    pub grants: Grants,
    /// The Distributed Map.
    pub map: MapSpec,
    /// Where rows go.
    pub outputs: Vec<OutputSpec>,
    /// How versions follow each other.
    pub release: ReleaseSpec,
    /// What a version is tried on.
    pub sample: Option<SampleSpec>,
}
