//! Until when a claim is surely ours, and what can be lost of a batch.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::ledger::LedgerError;

/// What was lost.
#[derive(Clone, Debug, thiserror::Error)]
pub(super) enum Lost {
    /// The message is somebody else's by now, or gone.
    #[error("the message's visibility could not be extended: {0}")]
    Message(String),
    /// Another worker claimed the batch.
    #[error(transparent)]
    Claim(LedgerError),
    /// Nobody waits for the answer any more.
    #[error("the waiting state timed out or was aborted")]
    Token,
}

/// Until when a claim is surely ours, by this process's own clock: it does not depend on anybody's answer, so it holds also for
/// a process that was stopped for minutes and goes on as if nothing had happened.
pub(super) struct Lease {
    /// When the claim was asked for.
    pub(super) asked: Instant,
    length: Duration,
    until: Mutex<Instant>,
}

impl Lease {
    /// A claim that was asked for at this time, before it was sent.
    pub(super) fn new(asked: Instant, length: Duration) -> Self {
        Self { asked, length, until: Mutex::new(asked + length) }
    }

    /// It was renewed, by a request that was sent after this time.
    pub(super) fn renewed(&self, asked: Instant) {
        *self.until.lock().unwrap_or_else(PoisonError::into_inner) = asked + self.length;
    }

    pub(super) fn is_ours(&self) -> bool {
        Instant::now() < self.until()
    }

    /// When it ends unless it is renewed.
    pub(super) fn until(&self) -> Instant {
        *self.until.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
