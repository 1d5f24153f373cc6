//! The receive loop: a permit first, then a message, then work; and an orderly end.

pub mod depth;
pub mod pressure;
pub mod protection;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use self::pressure::Pressure;
use crate::batch::{self, Services};
use crate::job::Disposition;
use crate::queue::{Delivery, Queue, QueueError, Receipt};

/// What one receive may bring; SQS gives at most ten per request, and the queue asks as often as it needs to.
const MOST_AT_ONCE: usize = 10;
/// How long a settled message waits for others to be deleted with. The tenth never waits for a ninth.
const DELETE_LINGER: Duration = Duration::from_millis(20);
/// Between two attempts to return a message while the queue does not answer.
const RETURN_PAUSE: Duration = Duration::from_secs(2);
/// How long returning what is under way may take once the drain time is over: with it, and a moment for the process to
/// end, the default drain time fits into the 30 s that ECS gives a container before it is killed.
const RETURN_TIME: Duration = Duration::from_secs(4);

/// Works on a queue until told to stop.
pub struct Worker {
    /// What each batch is worked on with.
    pub services: Arc<Services>,
    /// How much the worker holds back.
    pub pressure: Arc<Pressure>,
    /// How many batches may be under way at once.
    pub batches: usize,
    /// How long batches under way may go on once the worker is told to stop; what is not done by then is returned.
    pub drain: Duration,
    /// Told of each batch.
    pub activity: Activity,
}

/// How many batches are under way, in all workers that share it.
#[derive(Clone, Debug, Default)]
pub struct Activity(watch::Sender<usize>);

impl Activity {
    /// Follows the number. Only its change from or to zero wakes whoever waits for a change.
    pub fn watch(&self) -> watch::Receiver<usize> {
        self.0.subscribe()
    }

    fn batch(&self) -> Batch {
        self.change(|batches| batches + 1);
        Batch(self.clone())
    }

    fn change(&self, to: impl Fn(usize) -> usize) {
        self.0.send_if_modified(|batches| {
            let before = std::mem::replace(batches, to(*batches));
            (before == 0) != (*batches == 0)
        });
    }
}

/// A batch that is under way until this is dropped.
struct Batch(Activity);

impl Drop for Batch {
    fn drop(&mut self) {
        self.0.change(|batches| batches - 1);
    }
}

/// What is under way: batches, and the poll that was left when the worker was told to stop.
#[derive(Default)]
struct UnderWay {
    tasks: JoinSet<()>,
    /// Cancelled when batches shall be given up.
    give_up: CancellationToken,
}

impl Worker {
    /// Receives and works until `stop`, then finishes what fits into the drain time; `hurry` ends that time. An error is a
    /// queue that refuses us.
    pub async fn run(self, stop: CancellationToken, hurry: CancellationToken) -> Result<(), QueueError> {
        let (settled, settlements) = mpsc::channel(1024);
        let deleter = tokio::spawn(delete_settled(self.services.queue.clone(), settlements));
        let mut under_way = UnderWay::default();
        let result = self.take_work(&stop, &settled, &mut under_way).await;
        drop(settled);
        self.services.metrics.board.drains(Instant::now() + self.drain);
        under_way.finish(self.drain, &hurry).await;
        if timeout(RETURN_TIME, deleter).await.is_err() {
            tracing::warn!("not every settled message could be deleted; they are answered again when they come back");
        }
        result
    }

    async fn take_work(
        &self,
        stop: &CancellationToken,
        settled: &mpsc::Sender<Receipt>,
        under_way: &mut UnderWay,
    ) -> Result<(), QueueError> {
        let permits = Arc::new(Semaphore::new(self.batches));
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
            let (pressure, metrics) = (&self.pressure, &self.services.metrics);
            let room = tokio::select! {
                room = pressure.admit(free.len()) => room,
                () = stop.cancelled() => break,
            };
            free.truncate(room);
            let deliveries = match self.receive(free.len(), stop, under_way).await {
                Ok(deliveries) => deliveries,
                Err(QueueError::Unavailable(reason)) => {
                    tracing::warn!(reason, "the queue did not answer; it is asked again in a moment");
                    pressure.up(metrics, &reason);
                    continue;
                }
                Err(refused) => return Err(refused),
            };
            // A queue that answers and holds nothing asks nothing of anybody.
            if deliveries.is_empty() {
                pressure.down(metrics);
            }
            for delivery in deliveries {
                let permit = free.pop();
                let (services, pressure) = (self.services.clone(), self.pressure.clone());
                let (settled, give_up) = (settled.clone(), under_way.give_up.clone());
                let batch = self.activity.batch();
                under_way.tasks.spawn(async move {
                    let in_flight = services.metrics.in_flight();
                    settle(&services, &pressure, delivery, &settled, &give_up).await;
                    drop((in_flight, batch, permit));
                });
            }
            while let Some(ended) = under_way.tasks.try_join_next() {
                ended_well(ended);
            }
        }
        Ok(())
    }

    /// One receive, never dropped in the middle: a poll that is cancelled may have taken messages that nobody then has.
    /// When `stop` comes first the poll goes on beside the batches, and what it still brings is returned at once.
    async fn receive(
        &self,
        max: usize,
        stop: &CancellationToken,
        under_way: &mut UnderWay,
    ) -> Result<Vec<Delivery>, QueueError> {
        let queue = self.services.queue.clone();
        let mut poll = tokio::spawn(async move { queue.receive(max).await });
        tokio::select! {
            joined = &mut poll => {
                joined.unwrap_or_else(|error| Err(QueueError::Unavailable(format!("the receive failed: {error}"))))
            }
            () = stop.cancelled() => {
                let queue = self.services.queue.clone();
                under_way.tasks.spawn(async move {
                    if let Ok(Ok(deliveries)) = poll.await {
                        return_now(queue.as_ref(), &deliveries).await;
                    }
                });
                Ok(Vec::new())
            }
        }
    }
}

impl UnderWay {
    async fn finish(mut self, drain: Duration, hurry: &CancellationToken) {
        let out_of_time = async {
            tokio::select! { () = tokio::time::sleep(drain) => {}, () = hurry.cancelled() => {} }
        };
        tokio::select! {
            () = all(&mut self.tasks) => return,
            () = out_of_time => {}
        }
        tracing::warn!("the drain time is over; what is under way is returned to the queue");
        self.give_up.cancel();
        if timeout(RETURN_TIME, all(&mut self.tasks)).await.is_err() {
            let messages = self.tasks.len();
            tracing::warn!(
                messages,
                "not everything could be returned; it comes back when its visibility time-out ends"
            );
            self.tasks.shutdown().await;
        }
    }
}

async fn all(tasks: &mut JoinSet<()>) {
    while let Some(ended) = tasks.join_next().await {
        ended_well(ended);
    }
}

/// A batch that panics answers for that itself. Should it panic over that, too, somebody has to know.
fn ended_well(ended: Result<(), JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        tracing::error!(%error, "a message was not settled: gristmill itself failed; it comes back by itself");
    }
}

async fn settle(
    services: &Services,
    pressure: &Pressure,
    delivery: Delivery,
    settled: &mpsc::Sender<Receipt>,
    give_up: &CancellationToken,
) {
    let ended = batch::process(services, &delivery, give_up).await;
    pressure.feel(&services.metrics, &ended);
    match ended.disposition {
        Disposition::Acked => {
            let _ = settled.send(delivery.receipt).await;
        }
        Disposition::Returned { after, .. } => give_back(services.queue.as_ref(), delivery.receipt, after).await,
        Disposition::DeadLettered { .. } => {}
    }
}

/// Returns a message, for as long as it would stay hidden otherwise: what made its batch fail may also keep the queue from
/// answering, and a batch that waits for nothing may miss its heartbeat. One that is not ours any more need not be returned.
async fn give_back(queue: &dyn Queue, receipt: Receipt, after: Duration) {
    let returned = async {
        let hidden = [(receipt, after)];
        while let Err(error) = queue.change_visibility(&hidden).await {
            tracing::debug!(%error, "a message was not returned; it is tried again");
            tokio::time::sleep(RETURN_PAUSE).await;
        }
    };
    if tokio::time::timeout(queue.visibility_timeout(), returned).await.is_err() {
        tracing::warn!("a message was not returned: the queue did not answer; it has come back by itself");
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
            let _ = timeout(DELETE_LINGER, more).await;
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
