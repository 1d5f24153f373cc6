//! What the workers of a fleet agree on beside batches: which version a run has, and how a version on trial does.

use std::collections::HashMap;
use std::ops::AddAssign;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use async_trait::async_trait;

use super::LedgerError;

/// What a fleet shares.
#[async_trait]
pub trait Fleet: Send + Sync + 'static {
    /// The value that the first one to ask proposed. Everybody gets it from then on, for as long as messages live.
    async fn agree(&self, key: &str, proposal: &str, now: SystemTime) -> Result<String, LedgerError>;

    /// Adds to the counts under this key, and returns those of the whole fleet. When an answer is lost, the counts may have
    /// been added all the same. So they are good for judging a version, and not for accounting.
    async fn tally(&self, key: &str, more: Tally, now: SystemTime) -> Result<Tally, LedgerError>;
}

/// How batches did on one version.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Batches.
    pub batches: u64,
    /// Their items.
    pub items: u64,
    /// Items without a result.
    pub failed: u64,
    /// The time that items ran, in microseconds.
    pub micros: u64,
}

impl AddAssign for Tally {
    fn add_assign(&mut self, more: Self) {
        self.batches += more.batches;
        self.items += more.items;
        self.failed += more.failed;
        self.micros += more.micros;
    }
}

/// A process that shares nothing with others, as in a fleet without a ledger. Each worker agrees with itself.
#[derive(Debug, Default)]
pub struct FleetOfOne {
    agreed: Mutex<Agreed>,
    tallies: Mutex<HashMap<String, Tally>>,
}

/// How many agreements a process remembers. Runs come and go, and only a few are worked on at a time.
const MOST_AGREED: usize = 10_000;

#[derive(Debug, Default)]
struct Agreed {
    now: HashMap<String, String>,
    before: HashMap<String, String>,
}

impl Agreed {
    /// Remembers at least the last half of what was agreed on or asked for.
    fn agree(&mut self, key: &str, proposal: &str) -> String {
        if let Some(value) = self.now.get(key) {
            return value.clone();
        }
        if self.now.len() >= MOST_AGREED / 2 {
            self.before = std::mem::take(&mut self.now);
        }
        let value = self.before.remove(key).unwrap_or_else(|| proposal.to_owned());
        self.now.insert(key.to_owned(), value.clone());
        value
    }
}

#[async_trait]
impl Fleet for FleetOfOne {
    async fn agree(&self, key: &str, proposal: &str, _: SystemTime) -> Result<String, LedgerError> {
        Ok(lock(&self.agreed).agree(key, proposal))
    }

    async fn tally(&self, key: &str, more: Tally, _: SystemTime) -> Result<Tally, LedgerError> {
        let mut tallies = lock(&self.tallies);
        let tally = tallies.entry(key.to_owned()).or_default();
        *tally += more;
        Ok(*tally)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::super::contract::fleet_suite;
    use super::*;

    #[tokio::test]
    async fn a_process_agrees_with_itself() {
        fleet_suite(&FleetOfOne::default(), "x").await;
    }

    #[test]
    fn what_is_asked_for_is_not_forgotten() {
        let mut agreed = Agreed::default();
        for n in 0..10 * MOST_AGREED {
            agreed.agree(&n.to_string(), "other");
            assert_eq!(agreed.agree("run", if n == 0 { "first" } else { "later" }), "first");
        }
        assert!(agreed.now.len() + agreed.before.len() <= MOST_AGREED);
    }
}
