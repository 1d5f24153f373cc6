//! How long a batch waited for its first worker, and whether anybody still waits for it after that.

use std::time::Duration;

use tokio::time::timeout;

use super::fault::Fault;
use super::lease::Lost;
use super::services::Services;
use super::work::Work;
use crate::callback::Waiting;
use crate::queue::Delivery;

/// How long a heartbeat is waited for: nobody extends the message's visibility meanwhile.
const ASK: Duration = Duration::from_secs(5);

/// Measures the wait. When it was longer than the heartbeat, the waiting state is asked before anything else is done: if it has
/// given up, nothing is spent on the batch, and the message is deleted.
///
/// A message that comes again says nothing about the queue, and its token has had heartbeats since it was sent: it is asked about
/// when its claim is there, because an earlier attempt may have left something to be finished.
pub(super) async fn over(services: &Services, work: &Work, delivery: &Delivery) -> Result<(), Fault> {
    if delivery.receives > 1 {
        return Ok(());
    }
    let heartbeat = work.choice.loaded.dataset.map.heartbeat;
    // The two clocks differ by a little, so that a message may seem to come from the future.
    let waited = (services.now)().duration_since(delivery.sent).unwrap_or_default();
    services.metrics.waited(&work.batch.dataset, waited, heartbeat);
    if waited < heartbeat {
        return Ok(());
    }
    match timeout(ASK, services.callback.heartbeat(&work.batch.token)).await {
        Ok(Ok(Waiting::No)) => Err(Fault::Lost(Lost::Token)),
        // Nobody said that it is over; the keeper asks again with each beat.
        _ => Ok(()),
    }
}
