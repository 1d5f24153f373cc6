//! Pauses between attempts: they double up to a limit, and half of each is left to chance ("exponential backoff with equal
//! jitter"), so that what failed together does not come back together. Pure but for the chance.

use std::time::Duration;

/// Pauses that double from a first to a longest one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Backoff {
    first: Duration,
    longest: Duration,
}

impl Backoff {
    /// Begins with `first` and goes no further than `longest`.
    pub(crate) const fn new(first: Duration, longest: Duration) -> Self {
        Self { first, longest }
    }

    /// The pause after this many earlier ones, nothing of it left to chance.
    pub(crate) fn whole(self, earlier: u32) -> Duration {
        self.first.saturating_mul(2_u32.saturating_pow(earlier)).min(self.longest)
    }

    /// The pause after this many earlier ones.
    pub(crate) fn pause(self, earlier: u32) -> Duration {
        jittered(self.whole(earlier))
    }

    /// The whole pause after a whole one, which may be none.
    pub(crate) fn after(self, pause: Duration) -> Duration {
        pause.saturating_mul(2).clamp(self.first, self.longest)
    }
}

/// A pause of which half is left to chance.
pub(crate) fn jittered(whole: Duration) -> Duration {
    spread(whole, fastrand::f64())
}

/// At least half of the pause, and more of it with more `chance` (0 to 1).
pub(crate) fn spread(whole: Duration, chance: f64) -> Duration {
    whole.mul_f64(0.5 + chance / 2.0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_backoff() -> impl Strategy<Value = Backoff> {
        (1_u64..10_000, 1_u64..10_000).prop_map(|(first, factor)| {
            let first = Duration::from_millis(first);
            Backoff::new(first, first * u32::try_from(factor).unwrap())
        })
    }

    #[test]
    fn pauses_double_up_to_the_longest() {
        let backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(30));
        let seconds: Vec<_> = (0..7).map(|earlier| backoff.whole(earlier).as_secs()).collect();
        assert_eq!(seconds, [1, 2, 4, 8, 16, 30, 30]);
        assert_eq!(backoff.whole(u32::MAX), Duration::from_secs(30));
    }

    proptest! {
        #[test]
        fn a_pause_stays_between_half_and_the_whole(backoff in any_backoff(), earlier in 0_u32..100) {
            let whole = backoff.whole(earlier);
            prop_assert!((backoff.first..=backoff.longest).contains(&whole));
            prop_assert!((whole / 2..=whole).contains(&backoff.pause(earlier)));
        }

        #[test]
        fn step_by_step_is_the_same_as_by_number(backoff in any_backoff(), steps in 0_u32..50) {
            let last = (0..=steps).fold(Duration::ZERO, |pause, _| backoff.after(pause));
            prop_assert_eq!(last, backoff.whole(steps));
        }

        #[test]
        fn more_chance_is_a_longer_pause(millis in 1_u64..100_000, one in 0.0..=1.0_f64, other in 0.0..=1.0_f64) {
            let whole = Duration::from_millis(millis);
            prop_assert!(spread(whole, one.min(other)) <= spread(whole, one.max(other)));
            prop_assert_eq!((spread(whole, 0.0), spread(whole, 1.0)), (whole / 2, whole));
        }
    }
}
