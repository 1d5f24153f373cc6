//! The memory that rows take after their item has ended, until they are written.
//!
//! Rows need no permit: their item had more memory. But when several batches have rows in memory, a moment may come in
//! which nothing runs and no batch has room for its next item. Then the oldest batch goes on before all others. If
//! there is no room even for that, the youngest batch gives up its rows, and begins again when those before it are done
//! ([`Displaced::Later`]). Items are pure, so only time is lost. There is always a batch that ends, and each one's turn
//! comes. A batch that has no room although it is alone is too large for this process ([`Displaced::TooLarge`]).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio_util::sync::CancellationToken;

use super::need::Need;
use super::permits::{Admission, Permit};
use super::state::{Counts, Held};

/// What a batch may hold without being counted: part of what the host keeps for itself. Most batches never hold more.
const UNCOUNTED: u64 = 4 << 20;

/// The memory that a batch's rows take, until this is dropped.
#[derive(Debug)]
pub struct Holding {
    admission: Arc<Admission>,
    dataset: Arc<str>,
    number: u64,
    age: u64,
    bytes: AtomicU64,
    counts: Arc<Counts>,
    displaced: CancellationToken,
}

/// Why a batch has to give up its rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Displaced {
    /// It may begin again when [`Holding::again`] returns.
    Later,
    /// Its rows leave no room for its next item, though it is alone: it holds so many bytes.
    TooLarge(u64),
}

impl Admission {
    /// Counts what a new batch of this dataset holds: nothing yet.
    pub fn holding(self: &Arc<Self>, need: &Need) -> Holding {
        self.holding_of(need.dataset.clone(), None)
    }

    fn holding_of(self: &Arc<Self>, dataset: Arc<str>, age: Option<u64>) -> Holding {
        let (counts, displaced) = (Arc::new(Counts::default()), CancellationToken::new());
        let mut state = self.state();
        let number = state.holdings;
        state.holdings += 1;
        let age = age.unwrap_or(number);
        let held = Held { age, bytes: 0, counts: counts.clone(), displaced: displaced.clone(), too_large: false };
        state.held.insert(number, held);
        drop(state);
        Holding { admission: self.clone(), dataset, number, age, bytes: AtomicU64::new(0), counts, displaced }
    }
}

impl Holding {
    /// Waits until an item of this batch may run. None when the batch has to give up what it holds.
    pub async fn acquire(&self, need: &Need) -> Option<Permit> {
        tokio::select! {
            biased;
            () = self.displaced.cancelled() => None,
            permit = self.admission.acquire_for(need, Some(self.number)) => permit,
        }
    }

    /// An item ended, and its rows take so many bytes. To be called before its permit is dropped.
    pub fn hand_over(&self, bytes: u64) {
        self.counts.handed_over.fetch_add(1, Ordering::SeqCst);
        self.add(bytes);
    }

    /// So many more results were looked at, and all was done with them that can be done now. `early` items wait for an
    /// earlier one.
    pub fn looked_at(&self, items: u64, early: u64) {
        self.counts.early.store(early, Ordering::SeqCst);
        self.counts.looked_at.fetch_add(items, Ordering::SeqCst);
        if self.bytes.load(Ordering::SeqCst) > UNCOUNTED {
            self.admission.serve();
        }
    }

    /// An item will be repeated. Its memory is set aside.
    pub fn reserve(&self, bytes: u64) {
        self.counts.repeated.fetch_add(1, Ordering::SeqCst);
        self.add(bytes);
    }

    /// The item is not repeated any more.
    pub fn unreserve(&self, bytes: u64) {
        self.counts.repeated.fetch_sub(1, Ordering::SeqCst);
        self.remove(bytes);
    }

    /// The batch holds more.
    pub fn add(&self, bytes: u64) {
        if bytes > 0 {
            let before = self.bytes.fetch_add(bytes, Ordering::SeqCst);
            self.count(before, before.saturating_add(bytes));
        }
    }

    /// The batch holds less.
    pub fn remove(&self, bytes: u64) {
        if bytes > 0 {
            let before = self.bytes.fetch_sub(bytes, Ordering::SeqCst);
            debug_assert!(before >= bytes, "{bytes} of {before} bytes are given back");
            self.count(before, before.saturating_sub(bytes));
        }
    }

    fn count(&self, before: u64, after: u64) {
        let (before, after) = (before.saturating_sub(UNCOUNTED), after.saturating_sub(UNCOUNTED));
        if before == after {
            return;
        }
        self.admission.state().hold(self.number, &self.dataset, i128::from(after) - i128::from(before));
        if after < before {
            self.admission.serve();
            self.admission.freed.notify_waiters();
        }
    }

    /// Whether the batch has to give up what it holds.
    pub fn is_displaced(&self) -> bool {
        self.displaced.is_cancelled()
    }

    /// Waits until the batch has to give up what it holds.
    pub async fn displaced(&self) -> Displaced {
        self.displaced.cancelled().await;
        let state = self.admission.state();
        match state.held.get(&self.number) {
            Some(held) if held.too_large => Displaced::TooLarge(self.bytes.load(Ordering::SeqCst)),
            _ => Displaced::Later,
        }
    }

    /// Waits until no older batch holds anything. Then the batch begins again, with its old place in the order.
    pub async fn again(self: Arc<Self>) -> Self {
        let (admission, dataset, age) = (self.admission.clone(), self.dataset.clone(), self.age);
        drop(self);
        loop {
            let mut freed = std::pin::pin!(admission.freed.notified());
            freed.as_mut().enable();
            if !admission.state().held.values().any(|held| held.age < age && held.bytes > 0) {
                return admission.holding_of(dataset, Some(age));
            }
            freed.await;
        }
    }
}

impl Drop for Holding {
    fn drop(&mut self) {
        let mut state = self.admission.state();
        if let Some(held) = state.held.get(&self.number).map(|held| held.bytes) {
            state.hold(self.number, &self.dataset, -held);
            state.held.remove(&self.number);
        }
        drop(state);
        self.admission.serve();
        self.admission.freed.notify_waiters();
    }
}
