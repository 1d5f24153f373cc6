//! The receive loop: a permit first, then a message, then work; and an orderly end.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::job::Disposition;
use crate::pipeline::Pipeline;
use crate::queue::{Delivery, Queue, QueueError, Receipt};

/// What one receive may bring; SQS gives at most ten per request, and the queue asks as often as it needs to.
const MOST_AT_ONCE: usize = 10;
/// How long a settled message waits for others to be deleted with. The tenth never waits for a ninth.
const DELETE_LINGER: Duration = Duration::from_millis(20);
/// How long the worker leaves a queue alone that does not answer.
const QUEUE_PAUSE: Duration = Duration::from_secs(2);

/// Works on a queue until told to stop.
pub struct Worker {
    /// What is done with each batch.
    pub pipeline: Arc<Pipeline>,
    /// How many batches may be under way at once.
    pub batches: usize,
    /// How long batches under way may go on once the worker is told to stop; what is not done by then is returned.
    pub drain: Duration,
}

impl Worker {
    /// Receives and works until `stop`, then finishes what fits into the drain time. An error is a queue that refuses us.
    pub async fn run(self, stop: CancellationToken) -> Result<(), QueueError> {
        let permits = Arc::new(Semaphore::new(self.batches));
        let (settled, settlements) = mpsc::channel(1024);
        let deleter = tokio::spawn(delete_settled(self.pipeline.queue.clone(), settlements));
        let mut under_way = JoinSet::new();
        let give_up = CancellationToken::new();
        let mut result = Ok(());
        while !stop.is_cancelled() {
            let permit = tokio::select! {
                permit = permits.clone().acquire_owned() => permit,
                () = stop.cancelled() => break,
            };
            let Ok(permit) = permit else { break };
            // Whatever else is free right now is asked for in the same request.
            let mut free = vec![permit];
            while free.len() < MOST_AT_ONCE
                && let Ok(permit) = permits.clone().try_acquire_owned()
            {
                free.push(permit);
            }
            let deliveries = match self.receive(free.len(), &stop).await {
                Ok(deliveries) => deliveries,
                Err(error @ QueueError::Refused(_)) => {
                    result = Err(error);
                    break;
                }
                Err(error @ QueueError::Unavailable(_)) => {
                    tracing::warn!(%error, "the queue is asked again in a moment");
                    tokio::select! { () = tokio::time::sleep(QUEUE_PAUSE) => {}, () = stop.cancelled() => {} }
                    continue;
                }
            };
            for delivery in deliveries {
                let permit = free.pop();
                let (pipeline, settled, give_up) = (self.pipeline.clone(), settled.clone(), give_up.clone());
                under_way.spawn(async move {
                    settle(&pipeline, delivery, &settled, &give_up).await;
                    drop(permit);
                });
            }
            while under_way.try_join_next().is_some() {}
        }
        let finished = async { while under_way.join_next().await.is_some() {} };
        if tokio::time::timeout(self.drain, finished).await.is_err() {
            tracing::warn!(
                batches = under_way.len(),
                "the drain time is over; what is under way is returned to the queue"
            );
            give_up.cancel();
            while under_way.join_next().await.is_some() {}
        }
        drop(settled);
        let _ = deleter.await;
        result
    }

    /// One receive, never dropped in the middle: a poll that is cancelled may have taken messages that nobody then has.
    /// What a poll brings after `stop` is returned at once.
    async fn receive(&self, max: usize, stop: &CancellationToken) -> Result<Vec<Delivery>, QueueError> {
        let queue = self.pipeline.queue.clone();
        let mut poll = tokio::spawn(async move { queue.receive(max).await });
        let joined = tokio::select! {
            joined = &mut poll => joined,
            () = stop.cancelled() => {
                // The poll still runs: a queue that is asked to return what it hands out late loses nothing.
                let queue = self.pipeline.queue.clone();
                let late = async move {
                    if let Ok(Ok(deliveries)) = poll.await {
                        return_now(queue.as_ref(), &deliveries).await;
                    }
                };
                let _ = tokio::time::timeout(self.drain, late).await;
                return Ok(Vec::new());
            }
        };
        joined.unwrap_or_else(|error| Err(QueueError::Unavailable(format!("the receive failed: {error}"))))
    }
}

async fn settle(pipeline: &Pipeline, delivery: Delivery, settled: &mpsc::Sender<Receipt>, give_up: &CancellationToken) {
    let disposition = tokio::select! {
        disposition = pipeline.process(&delivery) => disposition,
        () = give_up.cancelled() => Disposition::Returned { after: Duration::ZERO, reason: "the worker stops".into() },
    };
    match disposition {
        Disposition::Acked => {
            let _ = settled.send(delivery.receipt).await;
        }
        Disposition::Returned { after, .. } => {
            if let Err(error) = pipeline.queue.change_visibility(&[(delivery.receipt, after)]).await {
                tracing::warn!(%error, "a message was not returned; it comes back by itself when its visibility ends");
            }
        }
        Disposition::Parked { reason } => {
            if let Err(error) = pipeline.queue.park(&delivery, &reason).await {
                tracing::warn!(%error, "a message was not parked; it comes back and is parked then");
            }
        }
    }
}

async fn return_now(queue: &dyn Queue, deliveries: &[Delivery]) {
    let now: Vec<_> = deliveries.iter().map(|delivery| (delivery.receipt.clone(), Duration::ZERO)).collect();
    if !now.is_empty()
        && let Err(error) = queue.change_visibility(&now).await
    {
        tracing::warn!(%error, "messages that came too late were not returned; they come back by themselves");
    }
}

/// Deletes settled messages, together where several are at hand. One that is not deleted is delivered again, found in
/// the ledger, and answered from there.
async fn delete_settled(queue: Arc<dyn Queue>, mut settled: mpsc::Receiver<Receipt>) {
    let mut receipts = Vec::new();
    while settled.recv_many(&mut receipts, MOST_AT_ONCE).await > 0 {
        if receipts.len() < MOST_AT_ONCE {
            let more =
                async { while receipts.len() < MOST_AT_ONCE && settled.recv_many(&mut receipts, 1).await > 0 {} };
            let _ = tokio::time::timeout(DELETE_LINGER, more).await;
        }
        match queue.delete(&receipts).await {
            Ok(failed) => {
                for (_, reason) in failed {
                    tracing::warn!(
                        reason,
                        "a settled message was not deleted; it is answered again when it comes back"
                    );
                }
            }
            Err(error) => {
                tracing::warn!(%error, "settled messages were not deleted; they are answered again when they come back")
            }
        }
        receipts.clear();
    }
}
