//! The answer to whoever waits for a batch: Step Functions' task token API, or the local Distributed Map.

pub mod local;
pub mod step_functions;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::job::TaskToken;

/// What the waiting state is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// `SendTaskSuccess`: the output, a JSON text of at most 262,144 bytes.
    Success {
        /// The output.
        output: String,
    },
    /// `SendTaskFailure`: an error name that ASL can match (at most 256 characters), and the cause (at most 32,768).
    Failure {
        /// One of [`crate::job::error_names`].
        error: String,
        /// What happened, where, what to do.
        cause: String,
    },
}

/// Whether somebody still waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waiting {
    /// Yes, and they have heard us.
    Yes,
    /// No: `TaskTimedOut`, `TaskDoesNotExist` or `InvalidToken`. That settles the matter; asking again is of no use.
    No,
}

/// The answer could not be delivered after the client's own retries.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the callback did not go through: {0}")]
pub struct CallbackError(pub String);

/// Where answers go.
#[async_trait]
pub trait Callback: Send + Sync + 'static {
    /// Gives the answer. Giving it twice is harmless.
    async fn answer(&self, token: &TaskToken, answer: &Answer) -> Result<Waiting, CallbackError>;

    /// Says that the batch is still being worked on.
    async fn heartbeat(&self, token: &TaskToken) -> Result<Waiting, CallbackError>;

    /// Whether an execution is under way, or may be for all that can be known. None if there is none of the name.
    async fn is_running(&self, execution: &str) -> Result<Option<bool>, CallbackError> {
        let _ = execution;
        Ok(Some(true))
    }
}
