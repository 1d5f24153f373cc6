//! Canaries: what the fleet found of them, and their end.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use time::OffsetDateTime;
use tokio::time::{Instant, timeout};

use super::judge::{Verdict, judge};
use super::pace::PATIENCE;
use crate::catalog::{Catalog, Versions};
use crate::ledger::fleet::Tally;
use crate::registry::{self, Change, Head, Name, Registry, RegistryError, TrialKind};

/// Between two times that a worker adds what its batches under trial came to. All workers add to the same two entries of the
/// ledger, and DynamoDB takes 1,000 writes per second to one: enough for some thousand workers.
const TALLY: Duration = Duration::from_secs(5);

/// The same for a worker that has nothing to add, and asks only what others did.
const TALLY_WITHOUT_NEWS: Duration = Duration::from_secs(30);

/// Judges the canaries of a catalog.
pub(super) struct Canaries {
    catalog: Arc<Catalog>,
    registry: Arc<dyn Registry>,
    /// Who says so in the registry: for people.
    by: String,
    /// Trials that this process has ended for itself.
    over: HashSet<u64>,
    /// When it added to the fleet's counts.
    tallied: Option<Instant>,
}

impl Canaries {
    pub(super) fn new(catalog: Arc<Catalog>, registry: Arc<dyn Registry>, by: String) -> Self {
        Self { catalog, registry, by, over: HashSet::new(), tallied: None }
    }

    /// Whether the trial that this head began was ended here.
    pub(super) fn is_over(&self, head: u64) -> bool {
        self.over.contains(&head)
    }

    /// Adds what batches under trial came to, and ends the trials of which that says enough.
    pub(super) async fn judge(&mut self, head: Option<&Head>) -> Result<(), RegistryError> {
        let Some(head) = head else { return Ok(()) };
        let silence = if self.catalog.has_news() { TALLY } else { TALLY_WITHOUT_NEWS };
        if self.tallied.is_some_and(|tallied| tallied.elapsed() < silence) {
            return Ok(());
        }
        self.tallied = Some(Instant::now());
        let mut told = self.catalog.told();
        let mut ended = Ok(());
        for (name, in_use) in &head.names {
            let Some(trial) = in_use.trial.as_ref().filter(|trial| trial.kind == TrialKind::Canary) else { continue };
            let (dataset, began) = (name.as_str(), trial.chosen.head);
            let mut tallies = [None; 2];
            for (new, sum) in [false, true].into_iter().zip(&mut tallies) {
                let more = told.remove(&(dataset.to_owned(), began, new)).unwrap_or_default();
                *sum = self.tally(dataset, began, new, more).await;
            }
            let ([Some(stable), Some(canary)], Some(Ok(loaded))) = (tallies, self.catalog.get(dataset)) else {
                continue;
            };
            let age = (OffsetDateTime::now_utc() - trial.since).try_into().unwrap_or_default();
            if let Some(verdict) = judge(&loaded.dataset.release.canary, &canary, &stable, age) {
                ended = ended.and(self.end(head, name, began, verdict).await);
            }
        }
        ended
    }

    /// The fleet's count of one side, with what this worker has to add; none when the ledger does not answer.
    async fn tally(&self, dataset: &str, began: u64, new: bool, more: Tally) -> Option<Tally> {
        let key = format!("{dataset}#{began}#{}", if new { "canary" } else { "stable" });
        match timeout(PATIENCE, self.catalog.fleet().tally(&key, more, SystemTime::now())).await {
            Ok(Ok(sum)) => Some(sum),
            _ => {
                tracing::debug!(dataset, "what a canary came to is not known yet: the ledger does not answer");
                self.catalog.tell((dataset.to_owned(), began, new), more);
                None
            }
        }
    }

    async fn end(&mut self, head: &Head, name: &Name, began: u64, verdict: Verdict) -> Result<(), RegistryError> {
        let dataset = name.as_str();
        let change = match verdict {
            Verdict::Accept => Change::Accept { trial: began },
            Verdict::Reject(why) => {
                // Here at once, whether or not this process may write to the registry.
                if self.over.insert(began)
                    && let Some(versions) = self.catalog.versions(dataset)
                {
                    tracing::error!(dataset, why, "the canary is rolled back");
                    self.catalog.set(dataset, Versions { trial: None, ..versions });
                }
                Change::Reject { trial: began, why }
            }
        };
        let now = OffsetDateTime::now_utc();
        let Ok(next) = Head::after(Some(head), name, &change, &self.by, now) else { return Ok(()) };
        match timeout(PATIENCE, registry::add(&*self.registry, &next)).await {
            // Whoever was first: the next look finds it.
            Ok(Ok(_)) => Ok(()),
            Ok(Err(RegistryError::Denied(why))) => {
                tracing::warn!(
                    dataset,
                    why,
                    "the trial is over, and this worker may not say so in the registry: end it by hand"
                );
                Ok(())
            }
            Ok(Err(error)) => Err(error),
            Err(_) => Err(RegistryError::Unavailable(format!("no answer in {} s", PATIENCE.as_secs()))),
        }
    }
}
