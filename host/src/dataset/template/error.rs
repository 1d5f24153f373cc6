//! What can be wrong with a template.

use serde_json::Value;

/// Why a template makes no sense, or has no value for this input.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// A placeholder that is no reference path.
    #[error("`{text}` holds a placeholder that cannot be read: {reason}")]
    Malformed {
        /// The whole string.
        text: String,
        /// What is wrong.
        reason: String,
    },
    /// The input or the context object has no such field.
    #[error("`{{{path}}}`: there is no such field in the {}", if path.starts_with("$$") { "context object" } else { "input" })]
    Missing {
        /// The path.
        path: String,
    },
    /// A value that cannot be a part of a longer string.
    #[error("`{{{path}}}` is {found}; within a longer text only a string or a number can stand")]
    NotText {
        /// The path.
        path: String,
        /// What is there instead.
        found: &'static str,
    },
    /// JSONPath payload templates cannot say this.
    #[error("{0}")]
    NotInJsonPath(String),
    /// A text that was meant as a field, but is no placeholder.
    #[error("`{text}` is a text like any other: {help}")]
    NoPlaceholder {
        /// The text.
        text: String,
        /// What to write instead.
        help: String,
    },
    /// The rendered template is no JSON. This should not happen.
    #[error("no value could be made of the template: {0}")]
    Broken(String),
    /// The text is no URI of an object, whatever the placeholders will be.
    #[error("`{0}` must start with `s3://`, a bucket and `/`")]
    NoUri(String),
}

impl TemplateError {
    pub(super) fn broken(error: serde_json::Error) -> Self {
        Self::Broken(error.to_string())
    }
}

/// The kind of a value, for people.
pub(super) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

/// A template as it stands in the file.
pub(super) fn written(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
