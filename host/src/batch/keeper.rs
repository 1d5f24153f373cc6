//! Keeps alive what lapses while a batch is worked on: the message's visibility, the claim in the ledger, and the task token's
//! heartbeat. When one of them is lost, so is the batch, and the work stops; but what may be seen in part is finished though
//! nobody waits for the answer.
//!
//! It is a task of its own, so that renewals are on time whatever the work is busy with.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};
use tokio_util::task::AbortOnDropHandle;

use super::attempt::Attempt;
use super::lease::Lost;
use super::services::Services;
use crate::callback::{Callback, Waiting};
use crate::job::Batch;
use crate::ledger::{GiveBack, Ledger, LedgerError};
use crate::queue::{Delivery, Queue, Receipt};

/// Renews everything three times per period, so that two renewals may fail; a renewal that merely did not go through is tried
/// again at the next beat. Ends only when something is lost, and when the handle is dropped.
pub(super) fn keep(
    services: &Services,
    batch: &Arc<Batch>,
    attempt: &Arc<Attempt>,
    delivery: &Delivery,
    heartbeat: Duration,
) -> AbortOnDropHandle<Lost> {
    let keeper = Keeper {
        queue: services.queue.clone(),
        ledger: services.ledger.clone(),
        callback: services.callback.clone(),
        lease: services.lease,
        now: services.now,
        batch: batch.clone(),
        attempt: attempt.clone(),
        receipt: delivery.receipt.clone(),
        sent: delivery.sent,
    };
    AbortOnDropHandle::new(tokio::spawn(async move { keeper.keep(heartbeat).await }))
}

/// What is renewed, and where.
struct Keeper {
    queue: Arc<dyn Queue>,
    ledger: Arc<dyn Ledger>,
    callback: Arc<dyn Callback>,
    lease: Duration,
    now: fn() -> SystemTime,
    batch: Arc<Batch>,
    attempt: Arc<Attempt>,
    receipt: Receipt,
    /// When the message was sent.
    sent: SystemTime,
}

impl Keeper {
    async fn keep(&self, heartbeat: Duration) -> Lost {
        let visibility = self.queue.visibility_timeout();
        let beat = (visibility.min(self.lease).min(heartbeat) / 3).max(Duration::from_millis(100));
        // From the receipt: a claim that took its time must not cost the message.
        let mut beats = interval_at(self.attempt.lease.asked + beat, beat);
        beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // The token's time runs since the message was sent. Who waited may have gone meanwhile, and then there is nothing to do.
        let waited = (self.now)().duration_since(self.sent).unwrap_or_default();
        if waited > beat
            && let Some(lost) = self.token(beat).await
        {
            return lost;
        }
        loop {
            beats.tick().await;
            let (message, claim, token) = tokio::join!(self.message(beat), self.claim(beat), self.token(beat));
            if let Some(lost) = claim.or(token).or(message) {
                return lost;
            }
        }
    }

    async fn message(&self, beat: Duration) -> Option<Lost> {
        let extension = [(self.receipt.clone(), self.queue.visibility_timeout())];
        match in_time(beat, self.queue.change_visibility(&extension)).await {
            Ok(refused) => refused.into_iter().next().map(|(_, reason)| Lost::Message(reason)),
            Err(error) => self.later("the message's visibility", &error),
        }
    }

    async fn claim(&self, beat: Duration) -> Option<Lost> {
        let asked = Instant::now();
        match in_time(beat, self.ledger.renew(&self.attempt.claimed, (self.now)(), self.lease)).await {
            Ok(()) => {
                self.attempt.renewed(asked);
                None
            }
            Err(Late::Failed(error @ LedgerError::Lost(_))) => Some(Lost::Claim(error)),
            Err(error) => self.later("the claim", &error),
        }
    }

    async fn token(&self, beat: Duration) -> Option<Lost> {
        match in_time(beat, self.callback.heartbeat(&self.batch.token)).await {
            Ok(Waiting::Yes) => None,
            // What may be seen in part, or is recorded, is finished for whoever comes next, though nobody waits for it.
            Ok(Waiting::No) if self.attempt.release() == GiveBack::Unfinished => None,
            Ok(Waiting::No) => Some(Lost::Token),
            Err(error) => self.later("the heartbeat", &error),
        }
    }

    fn later(&self, what: &str, error: &dyn std::error::Error) -> Option<Lost> {
        let Batch { dataset, id: batch, .. } = &*self.batch;
        tracing::warn!(dataset, %batch, %error, "{what} was not renewed; it is tried again");
        None
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
