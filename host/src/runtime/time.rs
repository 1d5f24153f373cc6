//! How long an item may still take. What the host decodes for it is the host's time and not the item's.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// The time of one item. Clones are the same time.
#[derive(Clone, Debug)]
pub(super) struct ItemTime {
    start: Instant,
    /// The same by the machine's clock: a guest that is busy stops the runtime's own one where a test has taken it over.
    began: std::time::Instant,
    limit: Duration,
    /// In nanoseconds.
    spared: Arc<AtomicU64>,
}

impl ItemTime {
    /// Time that begins now.
    pub(super) fn start(limit: Duration) -> Self {
        Self { start: Instant::now(), began: std::time::Instant::now(), limit, spared: Arc::default() }
    }

    /// Does not count what the item has just waited for the host's work.
    pub(super) fn spare(&self, waited: Duration) {
        let nanos = u64::try_from(waited.as_nanos()).unwrap_or(u64::MAX);
        let add = |spared: u64| Some(spared.saturating_add(nanos));
        // The closure never refuses.
        let _ = self.spared.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add);
    }

    pub(super) fn is_over(&self) -> bool {
        self.long().is_some_and(|long| self.began.elapsed() >= long)
    }

    /// Waits until it is over.
    pub(super) async fn over(&self) {
        while let Some(end) = self.end() {
            if Instant::now() >= end {
                return;
            }
            tokio::time::sleep_until(end).await;
        }
        std::future::pending().await
    }

    /// None if that is further away than time can be counted.
    fn end(&self) -> Option<Instant> {
        self.start.checked_add(self.long()?)
    }

    /// How long it is by now.
    fn long(&self) -> Option<Duration> {
        self.limit.checked_add(Duration::from_nanos(self.spared.load(Ordering::Relaxed)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_is_spared_in_the_middle_moves_the_end() {
        let (time, start) = (ItemTime::start(Duration::from_secs(10)), Instant::now());
        let spare = async {
            tokio::time::sleep(Duration::from_secs(7)).await;
            time.spare(Duration::from_secs(5));
        };
        tokio::join!(time.over(), spare);
        // Tokio's timers count milliseconds.
        let took = start.elapsed();
        assert!((Duration::from_secs(15)..Duration::from_millis(15_010)).contains(&took), "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn an_endless_limit_has_no_end() {
        let time = ItemTime::start(Duration::MAX);
        time.spare(Duration::MAX);
        assert!(tokio::time::timeout(Duration::from_secs(1 << 30), time.over()).await.is_err());
        assert!(!time.is_over());
    }

    /// The clock of the runtime stands still in such a test, and a guest that loops has to be stopped all the same.
    #[tokio::test(start_paused = true)]
    async fn a_busy_guest_is_stopped_whatever_clock_the_runtime_has() {
        let time = ItemTime::start(Duration::from_millis(5));
        time.spare(Duration::from_millis(1));
        while !time.is_over() {}
        assert!(time.began.elapsed() >= Duration::from_millis(6));
    }
}
