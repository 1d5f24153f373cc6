//! The ledger: who works on which batch, and what is already done. It makes delivery at least once look like work exactly once.

#[cfg(any(test, feature = "contract"))]
pub mod contract;
pub mod dynamodb;
pub mod fleet;
pub mod none;
mod owners;
mod record;
pub mod registers;
pub mod sqlite;

use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

pub use self::record::{PART, Record};
use crate::job::{BatchId, Digest};

/// A batch that is ours to work on until the lease ends.
#[derive(Clone, Debug)]
pub struct Claimed {
    /// Which batch.
    pub id: BatchId,
    /// Grows with every claim of this batch; a write under an older fence is refused.
    pub fence: u64,
    /// The version (a component, or a release) that the first claim of this work named.
    pub component: Digest,
    /// Whether somebody else began this work and did not give it back: parts of it may be visible.
    pub resumed: bool,
    /// When this work was first claimed, in whole milliseconds: the guest's clock stands there.
    pub started: SystemTime,
}

/// What a committed batch leaves behind: enough to answer again without doing the work again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Receipt {
    /// The answer's JSON text: the output of a success.
    pub output: String,
    /// What the batch was, so that a batch of the same name with other contents is not taken for it.
    pub fingerprint: Digest,
    /// What it rests on, as a text that only its writer understands. `--local` checks whether that is still so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<String>,
}

/// What the ledger says to somebody who wants a batch.
#[derive(Clone, Debug)]
pub enum Claim {
    /// Go ahead.
    Taken(Claimed),
    /// It is ours, and prepared already: all that is left is to carry out the record.
    Prepared(Claimed, Record),
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
    /// A digest over everything that makes it this work: dataset, settings, outputs, input. The caller chooses whether the
    /// component belongs to it. With `--local` it does: a changed component means new work. In a fleet it does not: a component
    /// may be promoted in the middle of a run, and a batch ends with the component that it began with.
    pub fingerprint: Digest,
    /// The version that begins if this is the first claim, by a digest under which the caller finds it again.
    pub component: Digest,
    /// The caller's clock.
    pub now: SystemTime,
    /// How long the claim lasts unless renewed.
    pub lease: Duration,
}

/// How a claim is given back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GiveBack {
    /// Nothing of the batch is visible, or everything that will ever be. Whoever is next begins anew, with its own component.
    Afresh,
    /// A part may be visible. Whoever is next goes on with the same component or the same record.
    Unfinished,
}

/// The ledger did not do what it was asked for.
#[derive(Clone, Debug, thiserror::Error)]
pub enum LedgerError {
    /// Our claim was taken over, so nothing that we do now may count.
    #[error("the claim on batch {0} was lost to another worker")]
    Lost(BatchId),
    /// The ledger did not answer after the client's own retries.
    #[error("the ledger did not answer: {0}")]
    Unavailable(String),
    /// It refused us: no such table, a missing permission. Asking again is of no use.
    #[error("the ledger refused: {0}")]
    Refused(String),
}

/// A ledger of batches.
#[async_trait]
pub trait Ledger: Send + Sync + 'static {
    /// Claims the batch. Once nobody holds it, an entry with another fingerprint does not count, because the work is new.
    async fn claim(&self, request: &ClaimRequest) -> Result<Claim, LedgerError>;

    /// Makes the claim last until `now + lease`.
    async fn renew(&self, claimed: &Claimed, now: SystemTime, lease: Duration) -> Result<(), LedgerError>;

    /// Records what is about to become visible, if the claim is still ours. From then on nobody can make anything else visible.
    async fn prepare(&self, claimed: &Claimed, record: &Record) -> Result<(), LedgerError>;

    /// Records that the batch's rows are visible, if the claim is still ours.
    async fn commit(&self, claimed: &Claimed, receipt: &Receipt) -> Result<(), LedgerError>;

    /// Gives the claim back, so that the next delivery need not wait for the lease to end. Harmless after a commit.
    async fn release(&self, claimed: &Claimed, how: GiveBack) -> Result<(), LedgerError>;
}

/// A time as ledgers store it: milliseconds since 1970.
fn millis(time: SystemTime) -> i64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// The time that was stored.
fn time_of(millis: i64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_millis(millis.max(0).unsigned_abs())
}
