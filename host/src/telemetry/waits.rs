//! How long batches waited for a worker, held against how long their waiting states wait. Pure.

use std::collections::BTreeSet;
use std::time::Duration;

/// The datasets whose batches wait for too long, as was said of each of them already.
#[derive(Debug, Default)]
pub(super) struct Waits(BTreeSet<String>);

impl Waits {
    /// Whether it is time to say that batches of this dataset wait for too long: when one has waited for more than half of its
    /// heartbeat. It is said again only after one has waited for less than a quarter.
    pub(super) fn is_news(&mut self, dataset: &str, waited: Duration, heartbeat: Duration) -> bool {
        if waited > heartbeat / 2 {
            return !self.0.contains(dataset) && self.0.insert(dataset.to_owned());
        }
        if waited < heartbeat / 4 {
            self.0.remove(dataset);
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_dataset_is_named_once_until_it_has_recovered() {
        let mut waits = Waits::default();
        let mut said = |dataset, waited| waits.is_news(dataset, Duration::from_secs(waited), Duration::from_secs(100));
        assert_eq!([10, 50, 51, 99, 200].map(|waited| said("a", waited)), [false, false, true, false, false]);
        assert!(said("b", 51), "of another nothing was said");
        assert_eq!([40, 60, 24, 60, 60].map(|waited| said("a", waited)), [false, false, false, true, false]);
        assert!(!said("b", 60));
    }
}
