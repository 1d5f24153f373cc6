//! Items without a result.

use serde::{Deserialize, Serialize};

/// Why an item has no result, and what follows from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// The same call would fail again: the item is reported and never repeated.
    Rejected,
    /// Something outside was not ready: the batch is worth another attempt.
    Retryable,
}

/// One item that has no result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ItemFailure {
    /// The item's place in the batch.
    pub index: u32,
    /// The item's own name, when it has one (`Key` of an object), for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub item: Option<String>,
    /// The code by which failures are counted. The host's codes begin with `Gristmill.`; all others are the plugin's own.
    pub code: String,
    /// What happened, for the person who has to act.
    pub message: String,
    /// What follows.
    pub kind: FailureKind,
}
