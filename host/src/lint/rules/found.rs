//! What a rule gives.

use crate::lint::finding::Severity;
use crate::lint::path::Path;

/// What a rule has found.
pub(super) struct Found {
    pub(super) severity: Severity,
    pub(super) path: Path,
    pub(super) message: String,
    pub(super) help: String,
}

pub(super) fn error(path: Path, message: impl Into<String>, help: impl Into<String>) -> Found {
    Found { severity: Severity::Error, path, message: message.into(), help: help.into() }
}

pub(super) fn warning(path: Path, message: impl Into<String>, help: impl Into<String>) -> Found {
    Found { severity: Severity::Warning, ..error(path, message, help) }
}

pub(super) fn note(path: Path, message: impl Into<String>, help: impl Into<String>) -> Found {
    Found { severity: Severity::Note, ..error(path, message, help) }
}
