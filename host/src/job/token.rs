//! The credential that an answer needs.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The longest task token, in bytes (`taskToken` of `SendTaskSuccess`, Step Functions API reference).
pub(super) const MAX_TOKEN_BYTES: usize = 2048;

/// The token with which Step Functions waits for this batch's answer. It is a credential: it is never logged.
#[derive(Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TaskToken(String);

impl TaskToken {
    /// Takes the token as Step Functions wrote it.
    pub fn new(token: impl Into<String>) -> Self {
        Self(token.into())
    }

    /// The token itself, for the callback only.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether it can be a token of Step Functions.
    pub(super) fn is_possible(&self) -> bool {
        (1..=MAX_TOKEN_BYTES).contains(&self.0.len())
    }
}

impl fmt::Debug for TaskToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TaskToken(..)")
    }
}
