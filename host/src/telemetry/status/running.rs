//! A batch that is under way, as whoever works on it writes it down: with atomics, so that it costs next to nothing.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use serde::Serialize;
use tokio::time::Instant;

use super::rate::Rate;

/// What is known of a batch before anything is done with it.
#[derive(Clone, Debug)]
pub struct BatchFacts {
    /// Its dataset.
    pub dataset: String,
    /// The child execution's name.
    pub batch: String,
    /// The version that was chosen for it.
    pub version: String,
    /// The attempt of the waiting state, from 0.
    pub attempt: u32,
    /// How often its message was delivered.
    pub receives: u32,
    /// How many items it has.
    pub items: u64,
    /// How long it may go without a sign of progress before something is wrong.
    pub patience: Duration,
}

/// What is being done with a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// It is claimed in the ledger, or is about to be.
    Claiming,
    /// Its items run.
    Items,
    /// Its rows are made visible.
    Writing,
    /// Whoever waits is told.
    Answering,
}

const STAGES: [Stage; 4] = [Stage::Claiming, Stage::Items, Stage::Writing, Stage::Answering];

/// A batch that is under way.
#[derive(Debug)]
pub struct Running {
    facts: BatchFacts,
    /// The version that runs, if it is not the one that was chosen.
    other_version: OnceLock<String>,
    begun: Instant,
    stage: AtomicU8,
    done: AtomicU64,
    /// When something was last done, in milliseconds since the batch was begun.
    progress: AtomicU64,
    /// Until when the claim is ours, the same way; 0 while there is none.
    lease: AtomicU64,
    /// All items of the process.
    items: Arc<Rate>,
    process_began: Instant,
}

impl Running {
    pub(super) fn new(facts: BatchFacts, items: Arc<Rate>, process_began: Instant) -> Self {
        Self {
            facts,
            other_version: OnceLock::new(),
            begun: Instant::now(),
            stage: AtomicU8::new(0),
            done: AtomicU64::new(0),
            progress: AtomicU64::new(0),
            lease: AtomicU64::new(0),
            items,
            process_began,
        }
    }

    /// This is done from now on.
    pub fn stage(&self, stage: Stage) {
        self.stage.store(stage as u8, Relaxed);
        self.progressed();
    }

    /// So many items more have ended.
    pub fn items_ended(&self, more: u64) {
        self.done.fetch_add(more, Relaxed);
        self.items.count(more, self.process_began.elapsed());
        self.progressed();
    }

    /// All items are run once more.
    pub fn again(&self) {
        self.done.store(0, Relaxed);
        self.progressed();
    }

    /// It does not run on the version that was chosen.
    pub fn runs_on(&self, version: String) {
        let _ = self.other_version.set(version);
    }

    /// The claim is surely ours until then.
    pub fn lease_until(&self, until: Instant) {
        self.lease.store(millis(until.saturating_duration_since(self.begun)).max(1), Relaxed);
    }

    fn progressed(&self) {
        self.progress.store(millis(self.begun.elapsed()), Relaxed);
    }

    /// As it is now.
    pub(super) fn look(&self) -> RunningStatus {
        let age = self.begun.elapsed();
        let seconds = |millis: u64| millis as f64 / 1000.0;
        let quiet = millis(age).saturating_sub(self.progress.load(Relaxed));
        let lease = self.lease.load(Relaxed);
        let lease_left = (lease > 0).then(|| seconds(lease) - age.as_secs_f64());
        let BatchFacts { dataset, batch, version, attempt, receives, items, patience } = self.facts.clone();
        RunningStatus {
            stuck: quiet > millis(patience) || lease_left.is_some_and(|left| left <= 0.0),
            dataset,
            batch,
            version: self.other_version.get().cloned().unwrap_or(version),
            attempt,
            receives,
            stage: STAGES[usize::from(self.stage.load(Relaxed)).min(STAGES.len() - 1)],
            items,
            items_done: self.done.load(Relaxed).min(items),
            age_seconds: age.as_secs_f64(),
            quiet_seconds: seconds(quiet),
            lease_left_seconds: lease_left,
        }
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// A batch that is under way, as it is now.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RunningStatus {
    /// Its dataset.
    pub dataset: String,
    /// The version that it runs on.
    pub version: String,
    /// The child execution's name.
    pub batch: String,
    /// The attempt of the waiting state, from 0.
    pub attempt: u32,
    /// How often its message was delivered.
    pub receives: u32,
    /// What is being done.
    pub stage: Stage,
    /// How many items it has.
    pub items: u64,
    /// How many of them have ended.
    pub items_done: u64,
    /// How long this attempt has been going on.
    pub age_seconds: f64,
    /// For how long nothing was done: no item has ended, and no stage.
    pub quiet_seconds: f64,
    /// For how long the claim is surely ours; none before there is one.
    pub lease_left_seconds: Option<f64>,
    /// Whether something is wrong: it was quiet for longer than its items may take, or its lease is over.
    pub stuck: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn a_batch_is_stuck_when_it_is_quiet_for_too_long_or_its_lease_is_over() {
        let facts = BatchFacts {
            dataset: "d".into(),
            batch: "b".into(),
            version: "1".into(),
            attempt: 0,
            receives: 1,
            items: 10,
            patience: 100 * SECOND,
        };
        let running = Running::new(facts, Arc::default(), Instant::now());
        let stuck = || running.look().stuck;
        tokio::time::advance(99 * SECOND).await;
        assert_eq!((stuck(), running.look().lease_left_seconds), (false, None));
        tokio::time::advance(2 * SECOND).await;
        assert!(stuck());
        running.items_ended(3);
        running.lease_until(Instant::now() + 60 * SECOND);
        let now = running.look();
        assert_eq!((now.stuck, now.items_done, now.quiet_seconds, now.lease_left_seconds), (false, 3, 0.0, Some(60.0)));
        tokio::time::advance(60 * SECOND).await;
        assert!(stuck(), "what it shows now it must not show");
        running.lease_until(Instant::now() + 60 * SECOND);
        assert!(!stuck());
        running.again();
        assert_eq!(running.look().items_done, 0);
    }
}
