//! The lanes of a batch: each takes the next items as soon as it is free, when there is a slot and memory for them.
//!
//! Items that share an instance (`instance = "batch"`) are a stretch of neighbours whose length follows from the batch alone,
//! and they run in order: what one finds in the instance is the same in every run, whatever the slots.
//!
//! An item may be over in microseconds, less than it takes to wake another thread. So a lane keeps what it has for a moment: its
//! permit for the next item, and results until there is a block of them. It keeps neither while it waits.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;

use futures::poll;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::{JoinError, JoinSet};

use crate::admission::{Holding, Need, Permit};
use crate::batch::services::Services;
use crate::catalog::DatasetVersion;
use crate::dataset::{InstanceLife, ItemReader};
use crate::job::{Batch, FailureKind, Item, left_out};
use crate::runtime::{self, BatchContext, ITEM_ATTEMPTS, ItemRun, Lane};
use crate::sink::memory;
use crate::telemetry::metrics::{Busy, Metrics};

/// How far the lanes may be ahead of the item whose turn it is, in items per lane: what an item emitted waits in memory.
const AHEAD_PER_LANE: usize = 64;

/// How many results are handed over together, at most: two blocks at least are on their way before a lane has to wait.
const BLOCK: usize = 32;

/// How long items run before what they came to is handed over, and before others may have their slot.
const MOMENT: Duration = Duration::from_millis(2);

/// Into how many stretches a batch is cut where items share an instance (enough of them for the lanes of most workers), and how
/// long a stretch is at most: for so long a lane keeps its slot.
const STRETCHES: usize = 16;
const LONGEST_STRETCH: usize = 8;

/// How many items one instance serves in a batch of so many.
fn stretch(life: InstanceLife, items: usize) -> usize {
    match life {
        InstanceLife::Item => 1,
        InstanceLife::Batch => items.div_ceil(STRETCHES).clamp(1, LONGEST_STRETCH),
    }
}

/// An item's place in its batch, and what it came to.
type Finished = (usize, ItemRun);

/// The lanes of a batch; dropping them stops what runs.
pub(super) struct Lanes {
    finished: mpsc::UnboundedReceiver<Vec<Finished>>,
    /// How many more items may be begun: those whose rows wait for an earlier item take up memory.
    pub(super) ahead: Arc<Semaphore>,
    running: JoinSet<Option<()>>,
}

impl Lanes {
    pub(super) fn start(
        services: &Services,
        loaded: &Arc<DatasetVersion>,
        batch: &Arc<Batch>,
        context: &Arc<BatchContext>,
        holding: &Arc<Holding>,
    ) -> Self {
        let need = Arc::new(loaded.need());
        let stretch = stretch(context.limits.instance, batch.items.len());
        let lanes = services.lanes.min(batch.items.len().div_ceil(stretch)).min(need.max_slots);
        let ahead = Arc::new(Semaphore::new(lanes * AHEAD_PER_LANE));
        let reader = &loaded.dataset.map.item_reader;
        let lists = matches!(reader, ItemReader::ListObjects { .. } | ItemReader::S3Inventory { .. });
        let (batch, next) = (batch.clone(), AtomicUsize::new(0));
        let work = Arc::new(Work { batch, lists, stretch, next, ahead: ahead.clone() });
        // It never holds more than the lanes may be ahead.
        let (sender, finished) = mpsc::unbounded_channel();
        let mut running = JoinSet::new();
        for _ in 0..lanes {
            let runner = Runner {
                lane: Lane::new(loaded.plugin.clone(), context.clone()),
                permit: None,
                used: Duration::ZERO,
                holding: holding.clone(),
                need: need.clone(),
                metrics: services.metrics.clone(),
            };
            let results = Results { sender: sender.clone(), block: Vec::new(), took: Duration::ZERO };
            running.spawn_on(run_items(runner, results, work.clone()), &services.guests);
        }
        Self { finished, ahead, running }
    }

    /// What was finished next; none when all lanes have ended. Goes on with the panic of a lane at once: the others would wait
    /// for its items.
    pub(super) async fn next(&mut self) -> Option<Vec<Finished>> {
        loop {
            tokio::select! {
                biased;
                block = self.finished.recv() => match block {
                    Some(block) => return Some(block),
                    None => break,
                },
                Some(ended) = self.running.join_next() => go_on_with_panic(ended),
            }
        }
        while let Some(ended) = self.running.join_next().await {
            go_on_with_panic(ended);
        }
        None
    }
}

fn go_on_with_panic(ended: Result<Option<()>, JoinError>) {
    if let Some(panic) = ended.err().and_then(|error| error.try_into_panic().ok()) {
        std::panic::resume_unwind(panic);
    }
}

/// What the lanes of a batch share.
struct Work {
    batch: Arc<Batch>,
    /// Whether the items are those of a listing or an inventory. Step Functions lists what marks a folder, too, or an object that
    /// was deleted: there is nothing in it that a plugin could do something with.
    lists: bool,
    /// How many items a lane takes at a time.
    stretch: usize,
    next: AtomicUsize,
    ahead: Arc<Semaphore>,
}

impl Work {
    /// The next stretch, for which there is room: items are begun in order, so that the one whose turn it is lets the others go
    /// on. None when all items are begun.
    fn claim(&self) -> Option<std::ops::Range<usize>> {
        let (first, items) = (self.next.fetch_add(self.stretch, Ordering::Relaxed), self.batch.items.len());
        let indexes = first.min(items)..(first + self.stretch).min(items);
        self.ahead.add_permits(self.stretch - indexes.len());
        (!indexes.is_empty()).then_some(indexes)
    }
}

/// What a lane does. None when it was cut short: nobody waits for the items any more, or the host stops.
async fn run_items(mut runner: Runner, mut results: Results, work: Arc<Work>) -> Option<()> {
    let ended = stretches(&mut runner, &mut results, &work).await;
    // Whoever hears of the last item finds the slot free.
    runner.rest();
    results.hand_over()?;
    ended
}

async fn stretches(runner: &mut Runner, results: &mut Results, work: &Work) -> Option<()> {
    loop {
        match work.ahead.try_acquire_many(work.stretch as u32) {
            Ok(room) => room.forget(),
            Err(_) => {
                runner.rest();
                results.hand_over()?;
                work.ahead.acquire_many(work.stretch as u32).await.ok()?.forget();
            }
        }
        let mut waited = false;
        let Some(stretch) = work.claim() else { return Some(()) };
        for index in stretch {
            let item = &work.batch.items[index];
            if work.lists
                && let Some(why) = left_out(&item.body)
            {
                let run = ItemRun::left_out(why);
                runner.holding.hand_over(weight(&run));
                results.push(index, run)?;
                continue;
            }
            if !runner.is_admitted() {
                results.hand_over()?;
                runner.admit().await?;
            }
            let mut run = pin!(runner.run(item));
            let run = match poll!(run.as_mut()) {
                Poll::Ready(run) => run,
                Poll::Pending => {
                    waited = true;
                    results.hand_over()?;
                    run.await
                }
            };
            results.push(index, run?)?;
        }
        runner.lane.rest();
        if waited || runner.used >= MOMENT {
            runner.rest();
            results.hand_over()?;
            // Who waited let others have the thread.
            if !waited {
                tokio::task::yield_now().await;
            }
        }
    }
}

/// Results that wait to be handed over.
struct Results {
    sender: mpsc::UnboundedSender<Vec<Finished>>,
    block: Vec<Finished>,
    /// How long their items ran.
    took: Duration,
}

impl Results {
    /// None when nobody wants them any more.
    fn push(&mut self, index: usize, run: ItemRun) -> Option<()> {
        self.took += run.took;
        self.block.push((index, run));
        if self.block.len() < BLOCK && self.took < MOMENT { Some(()) } else { self.hand_over() }
    }

    fn hand_over(&mut self) -> Option<()> {
        self.took = Duration::ZERO;
        if self.block.is_empty() {
            return Some(());
        }
        self.sender.send(std::mem::take(&mut self.block)).ok()
    }
}

/// The memory that an item's result takes until it is written, in bytes.
pub(super) fn weight(run: &ItemRun) -> u64 {
    let rows: usize = run.rows.iter().map(|(_, rows)| memory(rows)).sum();
    let said = match &run.result {
        Ok(value) => value.as_ref().map_or(0, String::len),
        Err(fault) => fault.message.len(),
    };
    (rows + said) as u64
}

/// A lane, and what it runs with. An instance that is kept for the next item takes up memory: it never outlives the permit.
struct Runner {
    lane: Lane,
    permit: Option<(Permit, [Busy; 2])>,
    /// How long items ran with the permit.
    used: Duration,
    holding: Arc<Holding>,
    need: Arc<Need>,
    metrics: Arc<Metrics>,
}

impl Runner {
    fn is_admitted(&self) -> bool {
        self.permit.is_some()
    }

    /// Waits for a slot and memory. None when the batch has to give up what it holds.
    async fn admit(&mut self) -> Option<()> {
        let permit = self.holding.acquire(&self.need).await?;
        self.take(permit);
        Some(())
    }

    fn take(&mut self, permit: Permit) {
        let counted = [self.metrics.busy_slot(), self.metrics.busy_memory(permit.memory())];
        self.permit = Some((permit, counted));
    }

    /// Repeats an item that asks for it, after a moment in which others have its slot. Its memory is not theirs: rows of later
    /// items may take the rest, and wait for this one.
    async fn run(&mut self, item: &Item) -> Option<ItemRun> {
        let mut reserved = 0;
        for attempt in 1.. {
            if !self.is_admitted() {
                let permit = self.holding.acquire(&Need { memory: 0, ..(*self.need).clone() }).await?;
                self.take(permit);
            }
            let run = self.lane.run(item).await;
            self.used += run.took;
            let asks = matches!(&run.result, Err(fault) if fault.kind == FailureKind::Retryable);
            if !asks || attempt == ITEM_ATTEMPTS {
                self.holding.hand_over(weight(&run));
                if reserved > 0 {
                    self.rest();
                    self.holding.unreserve(reserved);
                }
                return Some(run);
            }
            if reserved == 0 {
                reserved = self.need.memory;
                self.holding.reserve(reserved);
            }
            self.rest();
            tokio::time::sleep(runtime::pause_after(attempt)).await;
        }
        None
    }

    /// Leaves everything to others.
    fn rest(&mut self) {
        self.lane.rest();
        self.permit = None;
        self.used = Duration::ZERO;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stretch_follows_from_the_batch() {
        let of = |items| stretch(InstanceLife::Batch, items);
        assert_eq!([1, 16, 17, 100, 128, 1000].map(of), [1, 1, 2, 7, 8, 8]);
        assert_eq!(stretch(InstanceLife::Item, 1000), 1);
    }

    #[test]
    fn every_item_is_begun_once_and_room_that_nobody_needs_is_given_back() {
        let body = r#"{"gristmill":1,"dataset":"d","task_token":"t","execution":"e","state":"s","input":{"Items":[1,2,3,4,5,6,7]}}"#;
        let batch = Arc::new(Batch::parse(body).unwrap());
        let work =
            Work { batch, lists: false, stretch: 3, next: AtomicUsize::new(0), ahead: Arc::new(Semaphore::new(0)) };
        let claimed: Vec<_> = (0..5).map(|_| work.claim()).collect();
        assert_eq!(claimed, [Some(0..3), Some(3..6), Some(6..7), None, None]);
        // Of five times three.
        assert_eq!(work.ahead.available_permits(), 15 - 7);
    }

    fn finished(took: Duration) -> ItemRun {
        ItemRun { result: Ok(None), rows: Vec::new(), bytes_read: 0, took, memory: 0 }
    }

    #[test]
    fn results_are_handed_over_in_blocks_and_after_a_moment() {
        let (sender, mut receiver) = mpsc::unbounded_channel();
        let mut results = Results { sender, block: Vec::new(), took: Duration::ZERO };
        let mut sizes = |took: Duration, items: usize| {
            (0..items).for_each(|index| results.push(index, finished(took)).unwrap());
            results.hand_over().unwrap();
            std::iter::from_fn(|| receiver.try_recv().ok()).map(|block| block.len()).collect::<Vec<_>>()
        };
        assert_eq!(sizes(Duration::ZERO, 2 * BLOCK + 1), [BLOCK, BLOCK, 1]);
        assert_eq!(sizes(MOMENT / 2, 5), [2, 2, 1]);
        assert_eq!(sizes(MOMENT, 3), [1, 1, 1]);
        assert_eq!(sizes(MOMENT, 0), [0; 0]);
    }
}
