//! One task per batch keeps alive what lapses while the batch is worked on: the message's visibility, the claim in the
//! ledger, and the task token's heartbeat. When one of them is lost, so is the batch, and the work stops.
//!
//! It is a task of its own, so that renewals are on time whatever the work is busy with.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};
use tokio_util::task::AbortOnDropHandle;

use crate::callback::{Callback, Waiting};
use crate::commit::Attempt;
use crate::job::Batch;
use crate::ledger::{Ledger, LedgerError};
use crate::pipeline::Pipeline;
use crate::queue::{Delivery, Queue, Receipt};

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

/// Renews everything three times per period, so that two renewals may fail; a renewal that merely did not go through is tried
/// again at the next beat. Ends only when something is lost, and when the handle is dropped.
pub(crate) fn keep(
    pipeline: &Pipeline,
    batch: &Arc<Batch>,
    attempt: &Arc<Attempt>,
    delivery: &Delivery,
    received: Instant,
    heartbeat: Duration,
) -> AbortOnDropHandle<Lost> {
    let keeper = Keeper {
        queue: pipeline.queue.clone(),
        ledger: pipeline.ledger.clone(),
        callback: pipeline.callback.clone(),
        lease: pipeline.lease,
        now: pipeline.now,
        batch: batch.clone(),
        attempt: attempt.clone(),
        receipt: delivery.receipt.clone(),
        sent: delivery.sent,
    };
    AbortOnDropHandle::new(tokio::spawn(async move { keeper.keep(received, heartbeat).await }))
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
    async fn keep(&self, received: Instant, heartbeat: Duration) -> Lost {
        let visibility = self.queue.visibility_timeout();
        let beat = (visibility.min(self.lease).min(heartbeat) / 3).max(Duration::from_millis(100));
        // From the receipt: a claim that took its time must not cost the message.
        let mut beats = interval_at(received + beat, beat);
        beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // The token's time runs since the message was sent.
        let waited = (self.now)().duration_since(self.sent).unwrap_or_default();
        if waited > heartbeat / 3
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
                self.attempt.lease.renewed(asked);
                None
            }
            Err(Late::Failed(error @ LedgerError::Lost(_))) => Some(Lost::Claim(error)),
            Err(error) => self.later("the claim", &error),
        }
    }

    async fn token(&self, beat: Duration) -> Option<Lost> {
        match in_time(beat, self.callback.heartbeat(&self.batch.token)).await {
            Ok(Waiting::Yes) => None,
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
