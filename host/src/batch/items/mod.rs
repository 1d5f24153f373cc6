//! The items of a batch: run in parallel over the slots, taken in order.
//!
//! Rows go to the sinks in the order of the items, whatever order they finish in, so that the same batch gives the same
//! bytes. An item's rows are taken together or not at all.

mod lanes;
mod results;
mod stager;

use std::collections::BTreeMap;
use std::sync::Arc;

use bytesize::ByteSize;

use self::lanes::Lanes;
use self::results::ItemResults;
use self::stager::Stager;
use super::attempt::Attempt;
use super::fault::Fault;
use super::services::{Identity, Services};
use crate::admission::{Displaced, Holding};
use crate::aws::only_while;
use crate::catalog::DatasetVersion;
use crate::database::WatchedConnections;
use crate::job::Batch;
use crate::object::watch::WatchedStore;
use crate::object::{ObjectError, ObjectStore};
use crate::sink::SinkError;
use crate::telemetry::guest_metrics::DatasetMetrics;
use crate::telemetry::status::Running;

/// Runs all items. An error is the host's; items' own failures are in the outcome.
pub(in crate::batch) async fn run(
    services: &Services,
    loaded: &Arc<DatasetVersion>,
    batch: &Arc<Batch>,
    attempt: &Attempt,
) -> Result<ItemResults, Fault> {
    let claimed = &attempt.claimed;
    if claimed.fence > 1 {
        remove_staged(services, loaded, batch, attempt).await?;
    }
    let watched = WatchedStore::new(services.stores.objects.clone(), loaded.dataset.plugin.timeout);
    let watched = Arc::new(watched.traced(services.identity == Identity::Contents));
    let objects: Arc<dyn ObjectStore> = watched.clone();
    let databases = Arc::new(WatchedConnections::new(loaded.databases.clone()));
    let metrics = Arc::new(DatasetMetrics::new(services.metrics.clone(), &batch.dataset));
    let context = Arc::new(loaded.context(batch, claimed.started, &objects, &databases, metrics));
    let mut holding = Arc::new(services.admission.holding(&loaded.need()));
    loop {
        let mut stager = Stager::begin(loaded, batch, holding.clone()).await?;
        let mut lanes = Lanes::start(services, loaded, batch, &context, &holding);
        let ended = tokio::select! {
            biased;
            ended = take_all(&mut stager, &mut lanes, batch, &holding, &attempt.shown) => Ok(ended?),
            displaced = holding.displaced() => Err(displaced),
        };
        // Lanes end, too, when the batch is displaced, and may be heard of first.
        let ended = match ended {
            Ok(items) if items < batch.items.len() && holding.is_displaced() => Err(holding.displaced().await),
            ended => ended,
        };
        match ended {
            Ok(items) if items == batch.items.len() => {
                return Ok(ItemResults {
                    trouble: watched.trouble().or_else(|| of_databases(&databases)),
                    read: watched.trace(),
                    holding: Some(holding),
                    ..stager.results
                });
            }
            Ok(item) => {
                return Err(SinkError::Unavailable(format!("the host lost item {item} while it ran")).into());
            }
            Err(Displaced::TooLarge(bytes)) => {
                stager.abort().await;
                return Err(Fault::NoRoom(ByteSize(bytes)));
            }
            Err(Displaced::Later) => {
                tracing::debug!(dataset = batch.dataset, batch = %batch.id, "it begins again: other batches need the memory");
                drop(lanes);
                stager.abort().await;
                attempt.shown.again();
                holding = Arc::new(holding.again().await);
            }
        }
    }
}

/// What a database did wrong is nobody's fault here, as with a store.
fn of_databases(databases: &WatchedConnections) -> Option<ObjectError> {
    databases.trouble().map(|error| ObjectError::Unavailable(error.to_string()))
}

/// Takes what lanes finish, in order, and says how many items that was.
async fn take_all(
    stager: &mut Stager,
    lanes: &mut Lanes,
    batch: &Batch,
    holding: &Holding,
    shown: &Running,
) -> Result<usize, SinkError> {
    // Lanes finish items out of order; what is ahead of its turn waits here.
    let (mut early, mut next) = (BTreeMap::new(), 0);
    while let Some(finished) = lanes.next().await {
        let (seen, begin) = (finished.len(), next);
        shown.items_ended(seen as u64);
        early.extend(finished);
        let mut runs = Vec::new();
        while let Some(run) = early.remove(&next) {
            runs.push((next, run));
            next += 1;
        }
        if !runs.is_empty() {
            stager.take(batch, runs).await?;
            lanes.ahead.add_permits(next - begin);
        }
        holding.looked_at(seen as u64, early.len() as u64);
    }
    Ok(next)
}

/// Takes away what earlier attempts staged: what they cannot complete, they cannot make visible.
///
/// An attempt that slept until somebody else recorded the batch must not do this: those uploads are the record's.
async fn remove_staged(
    services: &Services,
    loaded: &DatasetVersion,
    batch: &Batch,
    attempt: &Attempt,
) -> Result<(), Fault> {
    for (sink, output) in loaded.sinks.iter().zip(&loaded.outputs) {
        attempt.still_ours()?;
        // There may be many: asked again before each request.
        let lease = attempt.lease.clone();
        only_while(Arc::new(move || lease.is_ours()), sink.remove_staged(&batch.id, output)).await?;
    }
    if let Some(at) = loaded.report_place(batch) {
        attempt.still_ours()?;
        services.stores.objects.abort_uploads(&at).await?;
    }
    Ok(())
}
