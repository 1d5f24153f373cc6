//! What failed, by code, each with the latest example. Pure, but for the time that it is told.

use std::collections::BTreeMap;
use std::time::SystemTime;

use serde::Serialize;
use time::OffsetDateTime;

/// The most rows; what comes when there are so many already counts as `other`.
const MOST: usize = 200;

/// How much of an example's texts is kept, in characters: a plugin may say much.
const KEPT: usize = 500;

/// What failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Failed {
    /// Items, which cost only themselves.
    Items,
    /// Deliveries: whole batches.
    Batches,
}

/// What failed with one code.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// What failed.
    pub failed: Failed,
    /// The dataset; empty where that is not known.
    pub dataset: String,
    /// The code, as metrics have it.
    pub code: String,
    /// How many since the process began.
    pub count: u64,
    /// The latest that there is something to say about.
    pub latest: Option<Example>,
}

/// One that failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Example {
    /// The child execution's name.
    pub batch: String,
    /// The item's own name or its place in the batch; none where it is the batch that failed.
    pub item: Option<String>,
    /// What happened.
    pub message: String,
    /// When that was known.
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
}

impl Example {
    /// Happened now. Long texts are cut.
    pub fn now(batch: &str, item: Option<&str>, message: &str) -> Self {
        let at = OffsetDateTime::from(SystemTime::now());
        Self { batch: cut(batch), item: item.map(cut), message: cut(message), at }
    }
}

/// The beginning of a text.
pub(super) fn cut(text: &str) -> String {
    match text.char_indices().nth(KEPT) {
        Some((end, _)) => format!("{} [...]", &text[..end]),
        None => text.to_owned(),
    }
}

/// Everything that failed.
#[derive(Debug, Default)]
pub(super) struct Failures(BTreeMap<(Failed, String, String), Failure>);

impl Failures {
    pub(super) fn add(&mut self, failed: Failed, dataset: &str, code: &str, count: u64, latest: Option<Example>) {
        let mut key = (failed, dataset.to_owned(), code.to_owned());
        if self.0.len() >= MOST && !self.0.contains_key(&key) {
            key = (failed, String::new(), "other".to_owned());
        }
        let failure = self.0.entry(key.clone()).or_insert_with(|| {
            let (failed, dataset, code) = key;
            Failure { failed, dataset, code, count: 0, latest: None }
        });
        failure.count += count;
        failure.latest = latest.or(failure.latest.take());
    }

    /// The latest first.
    pub(super) fn list(&self) -> Vec<Failure> {
        let mut list: Vec<Failure> = self.0.values().cloned().collect();
        list.sort_by_key(|failure| std::cmp::Reverse(failure.latest.as_ref().map(|latest| latest.at)));
        list
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_example_stays_and_there_is_a_bound() {
        let mut failures = Failures::default();
        failures.add(Failed::Items, "d", "bad", 2, Some(Example::now("b1", Some("k"), "first")));
        failures.add(Failed::Items, "d", "bad", 3, Some(Example::now("b2", None, &"x".repeat(600))));
        failures.add(Failed::Items, "d", "bad", 1, None);
        let list = failures.list();
        let latest = list[0].latest.clone().unwrap();
        assert_eq!((list.len(), list[0].count, latest.batch.as_str()), (1, 6, "b2"));
        assert_eq!(latest.message.len(), KEPT + " [...]".len());
        (0..1000).for_each(|n| failures.add(Failed::Batches, "d", &n.to_string(), 1, None));
        let list = failures.list();
        assert!(list.len() <= MOST + 2, "{}", list.len());
        assert_eq!(list.iter().map(|failure| failure.count).sum::<u64>(), 1006);
    }
}
