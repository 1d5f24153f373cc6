//! Shadows: versions that run beside the stable one on a share of the batches, of which nothing counts. A batch is answered first; then
//! its items run again with both versions, where there is a slot that nobody wants, and what differs is reported in the registry.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::compare::{Comparison, compare};
use crate::admission::{Admission, Need};
use crate::catalog::{DatasetVersion, Shadowed};
use crate::job::Digest;
use crate::object::ObjectStore;
use crate::registry::{Attachment, Name, Registry};

/// How many items of a batch are compared in a row, before others may have the slot. Two: each version is first once.
const ITEMS_AT_ONCE: usize = 2;

/// Between two looks whether there is a slot that nobody wants.
const PAUSE: Duration = Duration::from_millis(100);

/// A worker reports when it has compared so many times as many items as in its report before, and at its end: soon at first and seldom
/// later, so that reports, which are never removed, are few.
const GROWTH: u64 = 3;

/// What one worker found, up to some moment. Its latest report is the one with the most items.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct ShadowReport {
    /// The head that began the trial.
    pub head: u64,
    /// Which worker.
    pub worker: String,
    /// What it found.
    pub comparison: Comparison,
}

impl ShadowReport {
    /// What all workers found in one trial, from what each of them attached.
    pub fn sum(head: u64, attached: &[Bytes]) -> Comparison {
        let mut latest: BTreeMap<String, Comparison> = BTreeMap::new();
        let reports = attached.iter().filter_map(|bytes| serde_json::from_slice::<Self>(bytes).ok());
        for report in reports.filter(|report| report.head == head) {
            let known = latest.entry(report.worker).or_default();
            let count = |found: &Comparison| found.items + found.undecided;
            if count(&report.comparison) >= count(known) {
                *known = report.comparison;
            }
        }
        latest.into_values().fold(Comparison::default(), Comparison::merge)
    }
}

/// Runs shadows.
pub struct Shadows {
    /// Which batches, with which versions.
    pub work: mpsc::Receiver<Shadowed>,
    /// What items read.
    pub objects: Arc<dyn ObjectStore>,
    /// Where guests run.
    pub guests: Handle,
    /// What is left of slots and memory: shadows have what nobody else wants.
    pub admission: Arc<Admission>,
    /// Where reports go.
    pub registry: Arc<dyn Registry>,
    /// What this worker is called.
    pub worker: String,
}

/// What was found in one trial.
#[derive(Default)]
struct Found {
    report: ShadowReport,
    /// How many items there were in the report that was written last.
    told: u64,
}

impl Shadows {
    /// Works until told to stop, and then says what it found.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut trials: BTreeMap<(Name, Digest, u64), Found> = BTreeMap::new();
        loop {
            let work = tokio::select! {
                work = self.work.recv() => work,
                () = stop.cancelled() => None,
            };
            let Some(work) = work else { break };
            let Some(release) = work.new.release else { continue };
            let Ok(name) = work.new.dataset.of().parse::<Name>() else { continue };
            let key = (name, release, work.head);
            let compared = tokio::select! {
                compared = self.compare(&work) => compared,
                () = stop.cancelled() => None,
            };
            let Some(comparison) = compared else { break };
            // Of a trial that is over the last is said now.
            let (mut over, on) = trials.into_iter().partition(|((name, _, head), _)| *name == key.0 && *head != key.2);
            self.tell(&mut over).await;
            trials = on;
            let found = trials.entry(key).or_default();
            found.report.head = work.head;
            found.report.worker.clone_from(&self.worker);
            found.report.comparison = std::mem::take(&mut found.report.comparison).merge(comparison);
            if found.items() >= found.told.saturating_mul(GROWTH) {
                self.tell(&mut trials).await;
            }
        }
        self.tell(&mut trials).await;
    }

    /// All items of a batch, some at a time.
    async fn compare(&self, work: &Shadowed) -> Option<Comparison> {
        let mut found = Comparison::default();
        let need = need(&work.old, &work.new);
        for items in work.batch.items.chunks(ITEMS_AT_ONCE) {
            let _permit = loop {
                match self.admission.spare(&need) {
                    Some(permit) => break permit,
                    None => tokio::time::sleep(PAUSE).await,
                }
            };
            let Shadowed { old, new, batch, started, .. } = work.clone();
            let comparing = compare(old, new, batch, items.to_vec(), started, self.objects.clone());
            // Whoever stops waiting stops it.
            found = found.merge(AbortOnDropHandle::new(self.guests.spawn(comparing)).await.ok()?);
        }
        Some(found)
    }

    /// Writes what has not been written.
    async fn tell(&self, trials: &mut BTreeMap<(Name, Digest, u64), Found>) {
        for ((name, release, _), found) in trials {
            let items = found.items();
            if items == found.told {
                continue;
            }
            let Ok(document) = serde_json::to_vec(&found.report) else { continue };
            let attached = self.registry.attach(name, release, Attachment::Shadow, document.into()).await;
            match attached {
                Ok(()) => found.told = items,
                Err(error) => {
                    tracing::warn!(dataset = name.as_str(), %error, "what a shadow did could not be reported yet")
                }
            }
        }
    }
}

impl Found {
    fn items(&self) -> u64 {
        self.report.comparison.items + self.report.comparison.undecided
    }
}

/// One instance of each version may wait for the next item.
fn need(old: &DatasetVersion, new: &DatasetVersion) -> Need {
    let (old, new) = (old.need(), new.need());
    let dataset = format!("{} (shadow)", old.dataset).into();
    Need { dataset, memory: old.memory.saturating_add(new.memory), held: 0, max_slots: 1, ..old }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_each_worker_the_latest_report_counts() {
        let report = |head, worker: &str, items| {
            let comparison = Comparison { items, same: items, ..Comparison::default() };
            Bytes::from(serde_json::to_vec(&ShadowReport { head, worker: worker.into(), comparison }).unwrap())
        };
        let attached = [report(3, "a", 10), report(3, "a", 30), report(3, "b", 5), report(2, "b", 500), "{".into()];
        assert_eq!(ShadowReport::sum(3, &attached).items, 35);
        assert_eq!(ShadowReport::sum(4, &attached).items, 0);
    }
}
