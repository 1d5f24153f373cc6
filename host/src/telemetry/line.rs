//! The one log line of a batch.

use std::time::Duration;

use tracing::Level;

use crate::job::Disposition;

/// What is known of a batch when its fate is known. Token and body are left out: they have no place in a log.
#[derive(Debug)]
pub struct BatchLine<'a> {
    /// The dataset's name; none when the message could not be read.
    pub dataset: Option<&'a str>,
    /// The child execution's name, or the message's id when the message could not be read.
    pub batch: &'a str,
    /// The attempt of the waiting state, from 0.
    pub attempt: Option<u32>,
    /// How often the message was delivered.
    pub receives: u32,
    /// The version that ran it, and the component's digest.
    pub component: Option<(String, String)>,
    /// How many items the batch has.
    pub items: usize,
    /// How many of them were rejected.
    pub rejected: u64,
    /// Rows that are visible now.
    pub rows: u64,
    /// Bytes of objects that were read.
    pub bytes: u64,
    /// What the waiting state was told: `success` or the error's name; none when it was not told.
    pub answer: Option<&'a str>,
    /// Whether anybody waited for an answer; none when that is not known.
    pub heard: Option<bool>,
    /// Whether an earlier delivery had committed the batch.
    pub from_receipt: bool,
    /// Whether an earlier attempt had prepared the batch, so that all that was left was to make it visible.
    pub rolled_forward: bool,
}

impl BatchLine<'_> {
    /// Writes the line: as an error if an operator has to act, as a warning if the host failed, otherwise as
    /// information.
    pub fn log(&self, disposition: &Disposition, took: Duration) {
        let (level, fate, reason, after) = match disposition {
            Disposition::Acked => (Level::INFO, "acked", None, None),
            // Nothing is wrong: another worker has the batch, or will have it.
            Disposition::Returned { after, reason, fault: false } => {
                (Level::INFO, "returned", Some(reason), Some(after))
            }
            Disposition::Returned { after, reason, fault: true } => {
                (Level::WARN, "returned", Some(reason), Some(after))
            }
            Disposition::DeadLettered { reason } => (Level::ERROR, "parked", Some(reason), None),
        };
        let (version, digest) =
            self.component.as_ref().map(|(version, digest)| (version.as_str(), digest.as_str())).unzip();
        // An event's level is fixed at compile time, so that each level needs an event of its own.
        macro_rules! line {
            ($level:expr) => {
                tracing::event!(
                    $level,
                    fate,
                    dataset = self.dataset,
                    batch = self.batch,
                    attempt = self.attempt,
                    receives = self.receives,
                    version,
                    digest,
                    items = self.items,
                    rejected = self.rejected,
                    rows = self.rows,
                    bytes = self.bytes,
                    millis = took.as_millis() as u64,
                    answer = self.answer,
                    heard = self.heard,
                    replayed = self.from_receipt,
                    rolled_forward = self.rolled_forward,
                    hidden_millis = after.map(|after| after.as_millis() as u64),
                    reason = reason.map(String::as_str),
                    "batch"
                )
            };
        }
        match level {
            Level::ERROR => line!(Level::ERROR),
            Level::WARN => line!(Level::WARN),
            _ => line!(Level::INFO),
        }
    }
}
