//! How many items may fail before the run does (`ToleratedFailureCount`, `ToleratedFailurePercentage`).
//!
//! Step Functions' rules: a failed batch counts with all its items; the percentage is of all items of the dataset; with both
//! limits given, exceeding either fails the run; with neither, one failure does. A limit is what is still tolerated.
//!
//! While items are still being read their number is not known, and a percentage of the items so far would fail runs that the
//! rest of the dataset puts right. So it is judged when the number is known, or as soon as no number can help: at 0 %.

/// The limits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tolerance {
    count: Option<u64>,
    percentage: Option<f64>,
}

impl Tolerance {
    /// A percentage of 0 is the same as none given: beside a count only the count decides.
    pub fn new(count: Option<u64>, percentage: f64) -> Self {
        let percentage = (percentage > 0.0 || count.is_none()).then_some(percentage);
        Self { count, percentage }
    }

    /// What is exceeded by so many failed items of so many (none: not known yet), as a sentence; none while all is well.
    pub fn exceeded(&self, failed: u64, total: Option<u64>) -> Option<String> {
        if let Some(limit) = self.count
            && failed > limit
        {
            return Some(format!("{failed} items failed, tolerated_failure_count is {limit}"));
        }
        let limit = self.percentage?;
        if limit <= 0.0 {
            // The total is left out even where it is known: the same failure is the same sentence, however far reading was.
            return (failed > 0).then(|| format!("{failed} items failed, tolerated_failure_percentage is {limit}"));
        }
        let total = total?;
        // Multiplied, not divided: 10 of 100 are not more than 10 %.
        let exceeded = failed as f64 * 100.0 > limit * total as f64;
        exceeded.then(|| format!("{failed} of {total} items failed, tolerated_failure_percentage is {limit}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn exceeded(count: Option<u64>, percentage: f64, failed: u64, total: Option<u64>) -> bool {
        Tolerance::new(count, percentage).exceeded(failed, total).is_some()
    }

    #[test]
    fn without_limits_one_failure_is_too_many_at_once() {
        assert!(!exceeded(None, 0.0, 0, Some(9)));
        assert!(exceeded(None, 0.0, 1, Some(9)));
        assert!(exceeded(None, 0.0, 1, None));
    }

    #[test]
    fn a_limit_is_still_tolerated() {
        assert!(!exceeded(Some(3), 0.0, 3, None));
        assert!(exceeded(Some(3), 0.0, 4, None));
        assert!(!exceeded(None, 10.0, 10, Some(100)));
        assert!(exceeded(None, 10.0, 11, Some(100)));
        assert!(!exceeded(None, 100.0, 100, Some(100)));
        assert!(exceeded(Some(0), 50.0, 1, Some(100)), "a count of zero that was given counts");
    }

    #[test]
    fn a_percentage_waits_until_the_total_is_known() {
        assert!(!exceeded(None, 10.0, 50, None));
        assert!(exceeded(None, 10.0, 50, Some(100)));
    }

    #[test]
    fn the_sentence_says_what_and_how_much() {
        let said =
            |count, percentage, failed, total| Tolerance::new(count, percentage).exceeded(failed, total).unwrap();
        assert_eq!(said(None, 2.5, 30, Some(1000)), "30 of 1000 items failed, tolerated_failure_percentage is 2.5");
        assert_eq!(said(Some(3), 0.0, 4, None), "4 items failed, tolerated_failure_count is 3");
        // Whether reading had come to its end when the first item failed is a matter of chance.
        assert_eq!(said(None, 0.0, 2, None), said(None, 0.0, 2, Some(2)));
    }

    proptest! {
        #[test]
        fn both_limits_are_either_limit(count in 0u64..50, percentage in 1u32..100, failed in 0u64..100, more in 0u64..100) {
            let (percentage, total) = (f64::from(percentage), Some(failed + more));
            prop_assert_eq!(
                exceeded(Some(count), percentage, failed, total),
                exceeded(Some(count), 0.0, failed, total) || exceeded(None, percentage, failed, total)
            );
        }

        #[test]
        fn more_failures_never_help(percentage in 0u32..=100, failed in 0u64..100, total in 100u64..1000) {
            let over = |failed| exceeded(None, f64::from(percentage), failed, Some(total));
            prop_assert!(!over(failed) || over(failed + 1));
        }
    }
}
