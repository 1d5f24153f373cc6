//! The lanes of a batch: each takes the next items as soon as it is free, when there is a slot and memory for them.
//!
//! Items that share an instance (`instance = "batch"`) are a stretch of neighbours whose length follows from the batch alone,
//! and they run in order: what one finds in the instance is the same in every run, whatever the slots.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;

use crate::admission::{Admission, Need, Permit};
use crate::catalog::Loaded;
use crate::dataset::InstanceLife;
use crate::job::{Batch, FailureKind, Item};
use crate::pipeline::Pipeline;
use crate::runtime::{self, BatchContext, ITEM_ATTEMPTS, ItemRun, Lane};
use crate::telemetry::metrics::Metrics;

/// How far the lanes may be ahead of the item whose turn it is, in items per lane: what an item emitted waits in memory.
const AHEAD_PER_LANE: usize = 8;

/// Into how many stretches a batch is cut where items share an instance: enough of them for the lanes of any worker.
const STRETCHES: usize = 16;

/// How many items one instance serves in a batch of so many. As short as the lanes may be ahead: a lane that has begun a
/// stretch must not wait for room in the middle, where it would hold a slot.
fn stretch(life: InstanceLife, items: usize) -> usize {
    match life {
        InstanceLife::Item => 1,
        InstanceLife::Batch => items.div_ceil(STRETCHES).clamp(1, AHEAD_PER_LANE),
    }
}

/// The lanes of a batch; dropping them stops what runs.
pub(super) struct Lanes {
    pub(super) finished: mpsc::Receiver<(usize, ItemRun)>,
    /// How many more items may be begun: those whose rows wait for an earlier item take up memory.
    pub(super) ahead: Arc<Semaphore>,
    _running: JoinSet<Option<()>>,
}

impl Lanes {
    pub(super) fn start(
        pipeline: &Pipeline,
        loaded: &Arc<Loaded>,
        batch: &Arc<Batch>,
        context: &Arc<BatchContext>,
    ) -> Self {
        let need = Arc::new(loaded.need());
        let items = batch.items.len();
        let stretch = stretch(context.limits.instance, items);
        let lanes = pipeline.lanes.min(items.div_ceil(stretch)).min(need.max_slots);
        let ahead = Arc::new(Semaphore::new(lanes * AHEAD_PER_LANE));
        let (sender, finished) = mpsc::channel(lanes * AHEAD_PER_LANE);
        let next = Arc::new(AtomicUsize::new(0));
        let mut running: JoinSet<Option<()>> = JoinSet::new();
        for _ in 0..lanes {
            let (batch, next, ahead, sender) = (batch.clone(), next.clone(), ahead.clone(), sender.clone());
            let mut runner = Runner {
                lane: Lane::new(loaded.plugin.clone(), context.clone()),
                permit: None,
                admission: pipeline.admission.clone(),
                need: need.clone(),
                metrics: pipeline.metrics.clone(),
            };
            let work = async move {
                // Items are begun in order: the one whose turn it is gets a slot, and lets the others go on.
                loop {
                    match ahead.try_acquire_many(stretch as u32) {
                        Ok(room) => room.forget(),
                        Err(_) => {
                            runner.rest();
                            ahead.acquire_many(stretch as u32).await.ok()?.forget();
                        }
                    }
                    let first = next.fetch_add(stretch, Ordering::Relaxed);
                    let indexes = first.min(items)..(first + stretch).min(items);
                    ahead.add_permits(stretch - indexes.len());
                    if indexes.is_empty() {
                        return None;
                    }
                    for index in indexes {
                        let run = runner.run(&batch.items[index]).await?;
                        sender.send((index, run)).await.ok()?;
                    }
                    runner.end_stretch();
                }
            };
            running.spawn_on(work, &pipeline.guests);
        }
        Self { finished, ahead, _running: running }
    }
}

/// A lane, and what it runs with. An instance that is kept for the next item takes up memory: it never outlives the permit.
struct Runner {
    lane: Lane,
    permit: Option<Permit>,
    admission: Arc<Admission>,
    need: Arc<Need>,
    metrics: Arc<Metrics>,
}

impl Runner {
    /// Repeats an item that asks for it, after a moment in which others have its slot. None when the host stops.
    async fn run(&mut self, item: &Item) -> Option<ItemRun> {
        let mut attempt = 1;
        loop {
            let permit = match self.permit.take() {
                Some(permit) => permit,
                None => self.admission.acquire(&self.need).await?,
            };
            let counted = (self.metrics.busy_slot(), self.metrics.busy_memory(permit.memory()));
            let run = self.lane.run(item).await;
            drop(counted);
            self.permit = Some(permit);
            let asks = matches!(&run.result, Err(fault) if fault.kind == FailureKind::Retryable);
            let again = asks && attempt < ITEM_ATTEMPTS;
            // An instance that is kept is needed for the rest of its stretch.
            if again || !self.lane.is_kept() {
                self.rest();
            }
            if !again {
                return Some(run);
            }
            tokio::time::sleep(runtime::pause_after(attempt)).await;
            attempt += 1;
        }
    }

    /// Ends the instance that served a stretch, and leaves the rest to others if it is their turn.
    fn end_stretch(&mut self) {
        self.lane.rest();
        if !self.permit.as_ref().is_some_and(Permit::renew) {
            self.permit = None;
        }
    }

    /// Leaves everything to others.
    fn rest(&mut self) {
        self.lane.rest();
        self.permit = None;
    }
}
