//! One loop per batch keeps alive what lapses while the batch is worked on: the message's visibility, the claim in the
//! ledger, and the task token's heartbeat. When one of them is lost, so is the batch, and the work stops.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};

use crate::callback::Waiting;
use crate::commit::Attempt;
use crate::job::Batch;
use crate::ledger::LedgerError;
use crate::pipeline::Pipeline;
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

/// Until when a claim is surely ours, by this process's own clock: it does not depend on anybody's answer, so it holds also for
/// a process that was stopped for minutes and goes on as if nothing had happened.
pub(crate) struct Lease {
    length: Duration,
    until: Mutex<Instant>,
}

impl Lease {
    /// A claim that was asked for at this time, before it was sent.
    pub(crate) fn new(asked: Instant, length: Duration) -> Self {
        Self { length, until: Mutex::new(asked + length) }
    }

    /// It was renewed, by a request that was sent after this time.
    fn renewed(&self, asked: Instant) {
        *self.until.lock().unwrap_or_else(PoisonError::into_inner) = asked + self.length;
    }

    pub(crate) fn is_ours(&self) -> bool {
        Instant::now() < *self.until.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Renews everything three times per period, so that two renewals may fail. Ends only when something is lost; a renewal
/// that merely did not go through is tried again at the next beat.
pub(crate) async fn keep(
    pipeline: &Pipeline,
    batch: &Batch,
    attempt: &Attempt,
    delivery: &Delivery,
    received: Instant,
    heartbeat: Duration,
) -> Lost {
    let visibility = pipeline.queue.visibility_timeout();
    let beat = (visibility.min(pipeline.lease).min(heartbeat) / 3).max(Duration::from_millis(100));
    // From the receipt: a claim that took its time must not cost the message.
    let mut beats = interval_at(received + beat, beat);
    beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let message = async || {
        let extension = [(delivery.receipt.clone(), visibility)];
        match in_time(beat, pipeline.queue.change_visibility(&extension)).await {
            Ok(refused) => refused.into_iter().next().map(|(_, reason)| Lost::Message(reason)),
            Err(error) => later(batch, "the message's visibility", &error),
        }
    };
    let claim = async || {
        let asked = Instant::now();
        match in_time(beat, pipeline.ledger.renew(&attempt.claimed, (pipeline.now)(), pipeline.lease)).await {
            Ok(()) => {
                attempt.lease.renewed(asked);
                None
            }
            Err(Late::Failed(error @ LedgerError::Lost(_))) => Some(Lost::Claim(error)),
            Err(error) => later(batch, "the claim", &error),
        }
    };
    let token = async || match in_time(beat, pipeline.callback.heartbeat(&batch.token)).await {
        Ok(Waiting::Yes) => None,
        Ok(Waiting::No) => Some(Lost::Token),
        Err(error) => later(batch, "the heartbeat", &error),
    };
    // The token's time runs since the message was sent.
    let waited = (pipeline.now)().duration_since(delivery.sent).unwrap_or_default();
    if waited > heartbeat / 3
        && let Some(lost) = token().await
    {
        return lost;
    }
    loop {
        beats.tick().await;
        let (message, claim, token) = tokio::join!(message(), claim(), token());
        if let Some(lost) = claim.or(token).or(message) {
            return lost;
        }
    }
}

/// Why a renewal did not go through.
#[derive(Debug, thiserror::Error)]
enum Late<E> {
    #[error(transparent)]
    Failed(E),
    #[error("no answer before the next one was due")]
    Silent,
}

/// A renewal that takes longer than a beat must not hold up the others.
async fn in_time<T, E>(beat: Duration, renewal: impl Future<Output = Result<T, E>>) -> Result<T, Late<E>> {
    timeout(beat, renewal).await.map_or(Err(Late::Silent), |result| result.map_err(Late::Failed))
}

fn later(batch: &Batch, what: &str, error: &dyn std::error::Error) -> Option<Lost> {
    tracing::warn!(dataset = batch.dataset, batch = %batch.id, %error, "{what} was not renewed; it is tried again");
    None
}
