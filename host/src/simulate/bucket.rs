//! Token buckets: launches of tasks, starts of children, answers.

/// So many at once, and so many a second after that.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rate {
    /// The bucket's size.
    pub burst: f64,
    /// What flows in.
    pub per_second: f64,
}

/// A bucket in which each request is told when its turn comes.
#[derive(Clone, Debug)]
pub(super) struct Bucket {
    rate: Rate,
    /// When the bucket would be full if nobody asked any more.
    full_at: f64,
}

impl Bucket {
    pub(super) fn new(rate: Rate) -> Self {
        Self { rate, full_at: 0.0 }
    }

    /// When the next request has its turn: now, or later.
    pub(super) fn turn(&mut self, now: f64) -> f64 {
        self.full_at = self.full_at.max(now) + 1.0 / self.rate.per_second;
        (self.full_at - self.rate.burst / self.rate.per_second).max(now)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Fargate: 100 at once, then 20 a second. 3,500 tasks take 170 s by the bucket alone.
    #[test]
    fn the_bucket_of_fargate_launches_3500_tasks_in_170_seconds() {
        let mut bucket = Bucket::new(Rate { burst: 100.0, per_second: 20.0 });
        let turns: Vec<f64> = (0..3_500).map(|_| bucket.turn(0.0)).collect();
        assert_eq!((turns[99], turns[3_499].round()), (0.0, 170.0));
        assert!(turns[100] > 0.0);
    }

    proptest! {
        /// In no span are there more than the bucket holds and what flows in meanwhile.
        #[test]
        fn no_span_has_more_than_it_may(waits in prop::collection::vec(0.0f64..3.0, 1..60), burst in 1u32..9) {
            let rate = Rate { burst: f64::from(burst), per_second: 2.0 };
            let (mut bucket, mut now, mut turns) = (Bucket::new(rate), 0.0, Vec::new());
            for wait in waits {
                now += wait;
                turns.push(bucket.turn(now));
            }
            for (n, from) in turns.iter().enumerate() {
                for (m, to) in turns.iter().enumerate().skip(n) {
                    prop_assert!((m - n + 1) as f64 <= rate.burst + (to - from) * rate.per_second + 1e-6);
                }
            }
        }
    }
}
