//! The dataset file's `[settings]`.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::mask::Mask;

/// What becomes of the columns.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The key of `hash`. It comes from a variable, and stands in no file.
    pub hash_key: Option<String>,
    /// By the column's name. A column that is not named keeps the type that the database gave it, and is null in `masked`: what
    /// nobody has decided on, nobody may see.
    pub columns: BTreeMap<String, Column>,
}

/// What becomes of a column.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Column {
    /// Its type; without it the one that the database gave it.
    pub r#type: Option<Kind>,
    /// What `masked` has of it.
    pub mask: Mask,
}

/// A type of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs)]
pub enum Kind {
    Boolean,
    Int64,
    Float64,
    Text,
    Date,
    Timestamp,
}

impl Settings {
    /// Their JSON Schema.
    pub const SCHEMA: &str = r#"{
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "properties": {
            "hash_key": {
                "description": "The key of `hash`, such as \"${MASK_KEY}\": a variable, so that it stands in no file.",
                "type": "string", "minLength": 16
            },
            "columns": {
                "description": "What becomes of each column. One that is not named here is null in `masked`.",
                "type": "object",
                "additionalProperties": {
                    "type": "object",
                    "properties": {
                        "type": { "enum": ["boolean", "int64", "float64", "text", "date", "timestamp"] },
                        "mask": { "enum": ["keep", "null", "hash", "partial", "year", "month"] }
                    },
                    "additionalProperties": false
                }
            }
        },
        "additionalProperties": false
    }"#;
}
