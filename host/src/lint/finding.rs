//! What is found, and how bad it is.

use serde::{Serialize, Serializer};

use super::path::Path;

/// Why a file cannot be judged.
#[derive(Debug, thiserror::Error)]
pub enum LintError {
    /// No JSON.
    #[error("it is no JSON: {0}; where it is the template of a definition, render it first")]
    NoJson(String),
    /// JSON of another kind.
    #[error("it is no state machine: that is an object with `StartAt` and `States`{0}")]
    NoMachine(&'static str),
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// It will fail, hang or be refused.
    Error,
    /// It will, on a day that comes.
    Warning,
    /// It may be meant so.
    Note,
}

impl Severity {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Note => "note",
        }
    }
}

/// One thing that was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// The rule's name.
    pub rule: &'static str,
    /// Where it is.
    #[serde(serialize_with = "as_text")]
    pub path: Path,
    /// The line of it, from 1.
    pub line: usize,
    /// What happens.
    pub message: String,
    /// What to do.
    pub help: String,
}

fn as_text<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(path)
}
