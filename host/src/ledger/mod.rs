//! The ledger: who works on which batch, and what is already done. It is what makes delivery at least once look like
//! work exactly once.

use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::job::{BatchId, Digest};

/// A batch that is ours to work on until the lease ends.
#[derive(Clone, Debug)]
pub struct Claimed {
    /// Which batch.
    pub id: BatchId,
    /// Grows with every claim of this batch; a write under an older fence is refused.
    pub fence: u64,
    /// The component that the first claim chose. Whoever takes the batch over runs the same one, so that the rows are the
    /// same whatever was promoted in between.
    pub component: Digest,
    /// When the batch was first claimed: the guest's clock stands there.
    pub started: SystemTime,
}

/// What a committed batch leaves behind: enough to answer again without working again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Receipt {
    /// The answer's JSON text: the output of a success.
    pub output: String,
    /// What the batch was, so that a batch of the same name with other contents is not taken for it.
    pub fingerprint: Digest,
}

/// What the ledger says to somebody who wants a batch.
#[derive(Clone, Debug)]
pub enum Claim {
    /// Go ahead.
    Taken(Claimed),
    /// Already done; this is what to answer.
    Committed(Receipt),
    /// Somebody else has it until then.
    Held {
        /// How long the other's lease still runs.
        remaining: Duration,
    },
}

/// What a claim asks for.
#[derive(Clone, Debug)]
pub struct ClaimRequest {
    /// Which batch.
    pub id: BatchId,
    /// A digest over everything that decides the batch's rows: dataset, component, settings, outputs, input.
    pub fingerprint: Digest,
    /// The component to run if this is the first claim.
    pub component: Digest,
    /// The caller's clock.
    pub now: SystemTime,
    /// How long the claim lasts unless renewed.
    pub lease: Duration,
}

/// The ledger did not do what it was asked for.
#[derive(Clone, Debug, thiserror::Error)]
pub enum LedgerError {
    /// Our claim was taken over: whatever we do now must not count.
    #[error("the claim on batch {0} was lost to another worker")]
    Lost(BatchId),
    /// The ledger did not answer after the client's own retries.
    #[error("the ledger did not answer: {0}")]
    Unavailable(String),
}

/// A ledger of batches.
#[async_trait]
pub trait Ledger: Send + Sync + 'static {
    /// Claims the batch. A committed entry with another fingerprint does not count: the work is new.
    async fn claim(&self, request: &ClaimRequest) -> Result<Claim, LedgerError>;

    /// Makes the claim last until `now + lease`.
    async fn renew(&self, claimed: &Claimed, now: SystemTime, lease: Duration) -> Result<(), LedgerError>;

    /// Records that the batch's rows are visible, on condition that the claim is still ours.
    async fn commit(&self, claimed: &Claimed, receipt: &Receipt) -> Result<(), LedgerError>;

    /// Gives the claim back, so that the next delivery need not wait for the lease to end.
    async fn release(&self, claimed: &Claimed) -> Result<(), LedgerError>;
}
