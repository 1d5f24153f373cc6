//! What a worker does, written down where it happens: batches with atomics, what is rare behind locks.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::SystemTime;

use tokio::time::Instant;

use super::facts::{Datasets, Refusal};
use super::failures::{Example, Failed, Failures, cut};
use super::rate::Rate;
use super::running::{BatchFacts, Running};
use crate::job::Digest;

/// What this process does, written down where it happens.
pub struct Board {
    pub(super) began: Instant,
    pub(super) began_at: SystemTime,
    pub(super) running: Arc<Mutex<BTreeMap<u64, Arc<Running>>>>,
    next: AtomicU64,
    pub(super) items: Arc<Rate>,
    pub(super) batches: Rate,
    totals: [AtomicU64; 7],
    pub(super) failures: Mutex<Failures>,
    /// Until when batches may go on; set once no new ones are taken.
    pub(super) drain: OnceLock<Instant>,
    /// Since when services do not keep up, and why.
    pub(super) held_back: Mutex<Option<(Instant, String)>>,
    /// By dataset and release.
    pub(super) refusals: Mutex<HashMap<(String, Digest), Refusal>>,
    pub(super) outputs_refused: Mutex<BTreeMap<String, Vec<String>>>,
    pub(super) datasets: OnceLock<Arc<dyn Datasets>>,
    pub(super) registry: OnceLock<()>,
    pub(super) local: OnceLock<()>,
}

/// What is counted, in the order of its place among the totals.
#[derive(Clone, Copy, Debug)]
pub(in crate::telemetry) enum Total {
    Acked,
    Returned,
    Parked,
    Succeeded,
    Rejected,
    Rows,
    BytesRead,
}

impl Default for Board {
    fn default() -> Self {
        Self {
            began: Instant::now(),
            began_at: SystemTime::now(),
            running: Arc::default(),
            next: AtomicU64::new(0),
            items: Arc::default(),
            batches: Rate::default(),
            totals: Default::default(),
            failures: Mutex::default(),
            drain: OnceLock::new(),
            held_back: Mutex::default(),
            refusals: Mutex::default(),
            outputs_refused: Mutex::default(),
            datasets: OnceLock::new(),
            registry: OnceLock::new(),
            local: OnceLock::new(),
        }
    }
}

impl Board {
    /// A batch that is under way until the guard is dropped.
    pub fn batch(&self, facts: BatchFacts) -> UnderWay {
        let number = self.next.fetch_add(1, Relaxed);
        let running = Arc::new(Running::new(facts, self.items.clone(), self.began));
        lock(&self.running).insert(number, running.clone());
        UnderWay { running, number, all: self.running.clone() }
    }

    /// Counts a delivery whose fate is known.
    pub(in crate::telemetry) fn settled(&self, fate: Total) {
        self.add(fate, 1);
        self.batches.count(1, self.began.elapsed());
    }

    pub(in crate::telemetry) fn add(&self, total: Total, more: u64) {
        self.totals[total as usize].fetch_add(more, Relaxed);
    }

    pub(super) fn total(&self, total: Total) -> u64 {
        self.totals[total as usize].load(Relaxed)
    }

    /// Counts what failed. Codes and datasets are bounded by whoever calls, and once more here.
    pub fn failed(&self, failed: Failed, dataset: &str, code: &str, count: u64, latest: Option<Example>) {
        lock(&self.failures).add(failed, dataset, code, count, latest);
    }

    /// No new batches are taken; those under way may go on until then.
    pub fn drains(&self, until: Instant) {
        let _ = self.drain.set(until);
    }

    /// Services do not keep up, for this reason.
    pub fn held_back(&self, why: &str) {
        let mut held = lock(&self.held_back);
        let since = held.as_ref().map_or_else(Instant::now, |(since, _)| *since);
        *held = Some((since, cut(why)));
    }

    /// Services keep up.
    pub fn keeps_up(&self) {
        *lock(&self.held_back) = None;
    }

    /// A version that the registry wants is not taken into use.
    pub fn refused(&self, dataset: &str, version: &str, release: Digest, why: &str) {
        let refusal = Refusal { version: version.into(), release: release.to_string(), reason: cut(why) };
        lock(&self.refusals).insert((dataset.to_owned(), release), refusal);
    }

    /// Forgets the refusals of releases that are not of interest any more.
    pub fn forget_refusals(&self, is_over: impl Fn(&Digest) -> bool) {
        lock(&self.refusals).retain(|(_, release), _| !is_over(release));
    }

    /// Outputs refuse a dataset's rows.
    pub fn outputs_refused(&self, dataset: &str, why: &[String]) {
        lock(&self.outputs_refused).insert(dataset.to_owned(), why.iter().map(|why| cut(why)).collect());
    }

    /// From now on these datasets are shown.
    pub fn shows(&self, datasets: Arc<dyn Datasets>) {
        let _ = self.datasets.set(datasets);
    }

    /// A registry is followed.
    pub fn follows_a_registry(&self) {
        let _ = self.registry.set(());
    }

    /// The process is a run on one machine, no worker of a fleet.
    pub fn is_a_local_run(&self) {
        let _ = self.local.set(());
    }
}

/// A batch that is under way until this is dropped.
#[derive(Debug)]
pub struct UnderWay {
    running: Arc<Running>,
    number: u64,
    all: Arc<Mutex<BTreeMap<u64, Arc<Running>>>>,
}

impl UnderWay {
    /// What is written down of the batch.
    pub fn running(&self) -> &Arc<Running> {
        &self.running
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        lock(&self.all).remove(&self.number);
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
