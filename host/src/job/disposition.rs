//! What became of a message.

use std::time::Duration;

/// What became of the message. Every message ends as one of these.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Disposition {
    /// Answered and deleted.
    Acked,
    /// Visible again after this time, for this reason.
    Returned {
        /// How long the message stays hidden.
        after: Duration,
        /// Why, for the log.
        reason: String,
        /// Whether something failed. Otherwise somebody else has the batch, or is to have it.
        fault: bool,
    },
    /// In the dead-letter queue, because nobody can work on it.
    DeadLettered {
        /// Why, for the log and the dead-letter queue.
        reason: String,
    },
}
