//! How much happened in the last minute, counted without a lock. Pure: it is told the time.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// How long what is counted together is apart, in seconds, and how much of it is looked at.
const PERIOD: u64 = 5;
const LOOKED_AT: u64 = 12;
/// More than are looked at, so that what is looked at is not being overwritten.
const KEPT: usize = 16;

/// Which half of a number is the count; the other one is the period's number.
const COUNT: u64 = u32::MAX as u64;

/// What was counted lately, by period: each number is the period and the count, so that both change in one step.
#[derive(Debug, Default)]
pub(super) struct Rate([AtomicU64; KEPT]);

impl Rate {
    /// So much happened at this time since the beginning.
    pub(super) fn count(&self, more: u64, now: Duration) {
        let period = now.as_secs() / PERIOD;
        let kept = &self.0[period as usize % KEPT];
        let _ = kept.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |before| {
            let count = if before >> 32 == period { before & COUNT } else { 0 };
            Some((period << 32) | (count + more).min(COUNT))
        });
    }

    /// How much happened per second, in the last minute or in all the time there was.
    pub(super) fn per_second(&self, now: Duration) -> f64 {
        let period = now.as_secs() / PERIOD;
        let first = (period + 1).saturating_sub(LOOKED_AT);
        let counted = self.0.iter().map(|kept| kept.load(Ordering::Relaxed));
        let sum: u64 = counted.filter(|kept| (first..=period).contains(&(kept >> 32))).map(|kept| kept & COUNT).sum();
        sum as f64 / (now.as_secs_f64() - (first * PERIOD) as f64).max(1.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_steady_flow_is_known_and_forgotten() {
        let (rate, second) = (Rate::default(), Duration::from_secs);
        (0..100).for_each(|now| rate.count(3, second(now)));
        assert!((rate.per_second(second(100)) - 3.0).abs() < 0.2, "{}", rate.per_second(second(100)));
        assert_eq!(rate.per_second(second(200)), 0.0);
    }

    proptest! {
        #[test]
        fn it_counts_what_a_list_would(mut events in prop::collection::vec((0_u64..300, 0_u64..50), 0..60)) {
            let rate = Rate::default();
            events.sort();
            events.iter().for_each(|(at, more)| rate.count(*more, Duration::from_secs(*at)));
            let now = events.last().map_or(0, |(at, _)| *at);
            let first = (now / PERIOD + 1).saturating_sub(LOOKED_AT) * PERIOD;
            let sum: u64 = events.iter().filter(|(at, _)| *at >= first).map(|(_, more)| more).sum();
            let expected = sum as f64 / ((now - first) as f64).max(1.0);
            prop_assert!((rate.per_second(Duration::from_secs(now)) - expected).abs() < 1e-9);
        }
    }
}
