//! One loop per batch keeps alive what lapses while the batch is worked on: the message's visibility, the claim in the
//! ledger, and the task token's heartbeat. When one of them is lost, so is the batch, and the work stops.

use std::time::Duration;

use crate::callback::Waiting;
use crate::job::Batch;
use crate::ledger::{Claimed, LedgerError};
use crate::pipeline::{LEASE, Pipeline};
use crate::queue::Delivery;

/// What was lost.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Lost {
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

/// Renews everything three times per period, so that two renewals may fail. Ends only when something is lost; a renewal
/// that merely did not go through is tried again at the next beat.
pub(crate) async fn keep(
    pipeline: &Pipeline,
    batch: &Batch,
    claimed: &Claimed,
    delivery: &Delivery,
    heartbeat: Duration,
) -> Lost {
    let visibility = pipeline.queue.visibility_timeout();
    let beat = visibility.min(LEASE).min(heartbeat) / 3;
    let mut beats = tokio::time::interval(beat.max(Duration::from_millis(100)));
    beats.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    // The first tick is at once, and everything is fresh.
    beats.tick().await;
    loop {
        beats.tick().await;
        let message = async {
            let extension = [(delivery.receipt.clone(), visibility)];
            match pipeline.queue.change_visibility(&extension).await {
                Ok(refused) => refused.into_iter().next().map(|(_, reason)| Lost::Message(reason)),
                Err(error) => later(batch, &error),
            }
        };
        let claim = async {
            match pipeline.ledger.renew(claimed, (pipeline.now)(), LEASE).await {
                Ok(()) => None,
                Err(error @ LedgerError::Lost(_)) => Some(Lost::Claim(error)),
                Err(error) => later(batch, &error),
            }
        };
        let token = async {
            match pipeline.callback.heartbeat(&batch.token).await {
                Ok(Waiting::Yes) => None,
                Ok(Waiting::No) => Some(Lost::Token),
                Err(error) => later(batch, &error),
            }
        };
        let (message, claim, token) = tokio::join!(message, claim, token);
        if let Some(lost) = claim.or(token).or(message) {
            return lost;
        }
    }
}

fn later(batch: &Batch, error: &dyn std::error::Error) -> Option<Lost> {
    tracing::warn!(dataset = batch.dataset, batch = %batch.id, %error, "a renewal did not go through; it is tried again");
    None
}
