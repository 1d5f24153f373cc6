//! How long a batch takes these days, and so how long a queue will. Pure.

use std::time::Duration;

/// How much the latest batch counts: the last dozen or so decide.
const WEIGHT: f64 = 1.0 / 8.0;

/// A moving mean of how long batches take.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pace(Option<f64>);

impl Pace {
    /// A batch was worked on for this long.
    pub(super) fn took(&mut self, time: Duration) {
        let time = time.as_secs_f64();
        self.0 = Some(self.0.map_or(time, |mean| mean + (time - mean) * WEIGHT));
    }

    /// How long one worker takes for so many batches, with so many at once. None before it has done one.
    pub(super) fn seconds_for(&self, batches: u64, at_once: i64) -> Option<f64> {
        self.0.map(|mean| mean * batches as f64 / at_once.max(1) as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_steady_pace_is_known_exactly_and_a_new_one_soon() {
        let mut pace = Pace::default();
        assert_eq!(pace.seconds_for(100, 4), None);
        (0..5).for_each(|_| pace.took(Duration::from_secs(2)));
        assert_eq!(pace.seconds_for(100, 4), Some(50.0));
        (0..30).for_each(|_| pace.took(Duration::from_secs(8)));
        let now = pace.seconds_for(100, 4).unwrap();
        assert!((195.0..200.0).contains(&now), "{now}");
    }

    proptest! {
        #[test]
        fn it_is_never_beyond_what_batches_took(millis in prop::collection::vec(1..100_000_u64, 1..50)) {
            let mut pace = Pace::default();
            millis.iter().for_each(|millis| pace.took(Duration::from_millis(*millis)));
            let mean = pace.seconds_for(1, 1).unwrap() * 1000.0;
            let (least, most) = (*millis.iter().min().unwrap() as f64, *millis.iter().max().unwrap() as f64);
            prop_assert!((least - 0.001..=most + 0.001).contains(&mean), "{mean}");
        }
    }
}
