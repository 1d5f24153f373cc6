//! What is to become of a canary: said by counts of the whole fleet, of the new version and of the stable one in the same time.

use std::time::Duration;

use crate::dataset::CanarySpec;
use crate::ledger::fleet::Tally;

/// What was found.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Verdict {
    /// Nothing spoke against it for long enough.
    Accept,
    /// It fails too often, or is too slow.
    Reject(String),
}

/// Judges a canary that began `age` ago; none while it is too early to say.
pub(super) fn judge(spec: &CanarySpec, canary: &Tally, stable: &Tally, age: Duration) -> Option<Verdict> {
    if canary.items < spec.min_items {
        return None;
    }
    let (failed, usual) = (percent_failed(canary), percent_failed(stable));
    if failed > usual + spec.tolerated_failure_percentage {
        return Some(Verdict::Reject(format!(
            "{failed:.2} % of its {} items failed, {usual:.2} % of the stable version's {}; tolerated are {} points more",
            canary.items, stable.items, spec.tolerated_failure_percentage
        )));
    }
    // One item of a version that was just started says little of how fast it is.
    if stable.items >= spec.min_items {
        let (time, usual) = (micros_per_item(canary), micros_per_item(stable));
        if time > usual * (1.0 + spec.tolerated_slowdown_percentage / 100.0) {
            return Some(Verdict::Reject(format!(
                "an item takes {:.1} ms, one of the stable version {:.1} ms; tolerated are {} % more",
                time / 1000.0,
                usual / 1000.0,
                spec.tolerated_slowdown_percentage
            )));
        }
    }
    (age >= spec.promote_after).then_some(Verdict::Accept)
}

fn percent_failed(tally: &Tally) -> f64 {
    if tally.items == 0 { 0.0 } else { tally.failed as f64 * 100.0 / tally.items as f64 }
}

fn micros_per_item(tally: &Tally) -> f64 {
    if tally.items == 0 { 0.0 } else { tally.micros as f64 / tally.items as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn tally(items: u64, failed: u64, micros_per_item: u64) -> Tally {
        Tally { batches: 1, items, failed, micros: items * micros_per_item }
    }

    fn judged(canary: Tally, stable: Tally, age: Duration) -> Option<String> {
        match judge(&CanarySpec::default(), &canary, &stable, age)? {
            Verdict::Accept => Some("accepted".into()),
            Verdict::Reject(why) => Some(why),
        }
    }

    #[test]
    fn a_canary_is_accepted_in_time_and_rejected_at_once() {
        let stable = tally(1000, 10, 1000);
        let soon = Duration::from_secs(1);
        assert_eq!(judged(tally(99, 99, 1000), stable, HOUR), None, "too few items");
        assert_eq!(judged(tally(100, 2, 1000), stable, soon), None, "one point more is tolerated");
        assert_eq!(judged(tally(100, 2, 1000), stable, HOUR).as_deref(), Some("accepted"));
        let failing = judged(tally(100, 3, 1000), stable, soon).unwrap();
        assert_eq!(
            failing,
            "3.00 % of its 100 items failed, 1.00 % of the stable version's 1000; tolerated are 1 points more"
        );
        assert_eq!(judged(tally(100, 0, 1500), stable, HOUR).as_deref(), Some("accepted"));
        let slow = judged(tally(100, 0, 1501), stable, soon).unwrap();
        assert_eq!(slow, "an item takes 1.5 ms, one of the stable version 1.0 ms; tolerated are 50 % more");
        // With nothing to compare with, no time is too long.
        assert_eq!(judged(tally(100, 0, 1_000_000), Tally::default(), HOUR).as_deref(), Some("accepted"));
    }

    proptest! {
        #[test]
        fn a_version_that_is_like_the_stable_one_is_never_rejected(
            items in 0_u64..1_000_000, share in 1_u64..100, failed in 0_u64..100, micros in 0_u64..1_000_000,
        ) {
            let (canary, stable) = (tally(items / share, items / share * failed / 100, micros), tally(items, items * failed / 100, micros));
            let verdict = judge(&CanarySpec::default(), &canary, &stable, HOUR);
            prop_assert!(!matches!(verdict, Some(Verdict::Reject(_))), "{verdict:?}");
        }
    }
}
