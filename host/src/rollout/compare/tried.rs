//! One version that is tried on items: nothing of it is written or counted.

use std::sync::Arc;
use std::time::SystemTime;

use super::keys::check_keys;
use super::ran::Ran;
use crate::catalog::DatasetVersion;
use crate::database::WatchedConnections;
use crate::job::{Batch, FailureKind, Item, error_names};
use crate::object::ObjectStore;
use crate::object::watch::WatchedStore;
use crate::runtime::{self, GuestMetrics, ITEM_ATTEMPTS, ItemRun, Lane};
use crate::sink::OutputSchema;
use crate::sink::keys::KeySet;

/// What is heard of a plugin that is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// Neither its log nor what it prints.
    Nothing,
    /// As much as its dataset allows.
    Log,
}

/// A version, and the instance that its neighbours share if the dataset says so.
pub struct Tried {
    lane: Lane,
    outputs: Vec<Arc<OutputSchema>>,
    watched: Arc<WatchedStore>,
    databases: Arc<WatchedConnections>,
}

impl Tried {
    /// A version for items of this batch, which read these objects. Their clock stands at `started`.
    pub fn new(
        loaded: &DatasetVersion,
        batch: &Batch,
        started: SystemTime,
        objects: &Arc<dyn ObjectStore>,
        heard: Heard,
    ) -> Self {
        let watched = Arc::new(WatchedStore::new(objects.clone(), loaded.dataset.plugin.timeout));
        let store: Arc<dyn ObjectStore> = watched.clone();
        let databases = Arc::new(WatchedConnections::new(loaded.databases.clone()));
        let mut context = loaded.context(batch, started, &store, &databases, Arc::new(Unheard));
        if heard == Heard::Nothing {
            context.limits.max_log = 0;
        }
        let lane = Lane::new(loaded.plugin.clone(), Arc::new(context));
        Self { lane, outputs: loaded.outputs.clone(), watched, databases }
    }

    /// Runs one item, as often as it asks for. None when a store or database kept the item from a result, which says nothing about the
    /// version.
    pub(super) async fn run(&mut self, item: &Item) -> Option<Ran> {
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
        Some(self.ran(run))
    }

    /// Runs one item once, and gives what the plugin answered.
    pub async fn call(&mut self, item: &Item) -> Ran {
        let run = self.lane.run(item).await;
        self.ran(run)
    }

    fn ran(&self, run: ItemRun) -> Ran {
        let ItemRun { result, rows, took, memory, .. } = run;
        // Each item has keys of its own, because which items share a batch is not known here.
        let mut keys: Vec<KeySet> = self.outputs.iter().map(|_| KeySet::default()).collect();
        let result = result.and_then(|value| check_keys(&self.outputs, &mut keys, &rows).map(|()| value));
        Ran { rows: if result.is_ok() { rows } else { Vec::new() }, result, took, memory }
    }
}

/// Nobody counts what a plugin reports that is only tried.
struct Unheard;

impl GuestMetrics for Unheard {
    fn count(&self, _: &str, _: u64) {}
    fn observe(&self, _: &str, _: f64) {}
}
