//! The dataset file's `[settings]`.

use serde::Deserialize;

/// What is kept of what arrives.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The measuring points that are kept; all without it.
    pub points: Option<Vec<String>>,
}

impl Settings {
    /// Their JSON Schema.
    pub const SCHEMA: &str = r#"{
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "properties": {
            "points": {
                "description": "The measuring points whose events are kept, as `unieke_id` has them. Without it all are.",
                "type": "array",
                "items": { "type": "string", "minLength": 1 },
                "minItems": 1
            }
        },
        "additionalProperties": false
    }"#;
}
