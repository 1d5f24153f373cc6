//! Items with two versions, one after the other.

use std::sync::Arc;
use std::time::SystemTime;

use super::comparison::Comparison;
use super::keys::check_keys;
use super::ran::Ran;
use super::rows;
use crate::catalog::DatasetVersion;
use crate::database::WatchedConnections;
use crate::job::{Batch, FailureKind, Item, error_names};
use crate::object::ObjectStore;
use crate::object::watch::WatchedStore;
use crate::runtime::{self, GuestMetrics, ITEM_ATTEMPTS, ItemRun, Lane};
use crate::sink::OutputSchema;
use crate::sink::keys::KeySet;

/// Runs these items of a batch with two versions, one after the other, and says what differs. Nothing is written, logged or
/// counted on the plugin's behalf. The batch says what the items share, `started` where their clock stands.
///
/// It must be polled where guests run, as [`Lane::run`] must. It runs one item at a time. With `instance = "batch"` both
/// versions keep an instance, so that it takes the memory of one item of each.
pub async fn compare(
    old: Arc<DatasetVersion>,
    new: Arc<DatasetVersion>,
    batch: Arc<Batch>,
    items: Vec<Item>,
    started: SystemTime,
    objects: Arc<dyn ObjectStore>,
) -> Comparison {
    let mut comparison = Comparison { schema: rows::schema_changes(&old, &new), ..Comparison::default() };
    let mut sides = [Side::new(&old, &batch, started, &objects), Side::new(&new, &batch, started, &objects)];
    for (number, item) in items.iter().enumerate() {
        let [before, after] = &mut sides;
        // The versions take turns to be first, because the second one finds the caches warm.
        let (was, is) = if number % 2 == 0 {
            let was = before.run(item).await;
            (was, after.run(item).await)
        } else {
            let is = after.run(item).await;
            (before.run(item).await, is)
        };
        match (was, is) {
            (Some(was), Some(is)) => rows::add(&mut comparison, item, (&old.outputs, was), (&new.outputs, is)),
            _ => comparison.undecided += 1,
        }
    }
    comparison
}

/// One of the two versions.
struct Side {
    lane: Lane,
    outputs: Vec<Arc<OutputSchema>>,
    watched: Arc<WatchedStore>,
    databases: Arc<WatchedConnections>,
}

impl Side {
    fn new(loaded: &DatasetVersion, batch: &Batch, started: SystemTime, objects: &Arc<dyn ObjectStore>) -> Self {
        let watched = Arc::new(WatchedStore::new(objects.clone(), loaded.dataset.plugin.timeout));
        let store: Arc<dyn ObjectStore> = watched.clone();
        let databases = Arc::new(WatchedConnections::new(loaded.databases.clone()));
        let mut context = loaded.context(batch, started, &store, &databases, Arc::new(Unheard));
        context.limits.max_log = 0;
        let lane = Lane::new(loaded.plugin.clone(), Arc::new(context));
        Self { lane, outputs: loaded.outputs.clone(), watched, databases }
    }

    /// Runs one item. None when a store kept the item from a result, which says nothing about the version.
    async fn run(&mut self, item: &Item) -> Option<Ran> {
        let mut call = 1;
        let run = loop {
            let run = self.lane.run(item).await;
            let asks = matches!(&run.result, Err(fault) if fault.kind == FailureKind::Retryable);
            if !asks || call == ITEM_ATTEMPTS {
                break run;
            }
            tokio::time::sleep(runtime::pause_after(call)).await;
            call += 1;
        };
        let waited = matches!(&run.result, Err(fault) if fault.kind == FailureKind::Retryable || fault.code == error_names::TIMEOUT);
        if waited && (self.watched.trouble().is_some() || self.databases.trouble().is_some()) {
            return None;
        }
        let ItemRun { result, rows, took, memory, .. } = run;
        // Each item has keys of its own, because which items share a batch is not known here.
        let mut keys: Vec<KeySet> = self.outputs.iter().map(|_| KeySet::default()).collect();
        let result = result.and_then(|value| check_keys(&self.outputs, &mut keys, &rows).map(|()| value));
        Some(Ran { rows: if result.is_ok() { rows } else { Vec::new() }, result, took, memory })
    }
}

/// Nobody counts what a comparison's plugins report.
struct Unheard;

impl GuestMetrics for Unheard {
    fn count(&self, _: &str, _: u64) {}
    fn observe(&self, _: &str, _: f64) {}
}
