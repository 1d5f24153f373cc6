//! Which batches of an earlier run are done again: those whose inputs or outputs have changed since.
//!
//! They are looked for before anything begins, so that a run can tell what it does again from what it does for the first time.

use std::collections::BTreeMap;

use super::names::{batch_number, child_executions};
use crate::batch::{Cause, Evidence};
use crate::dataset::Dataset;
use crate::job::BatchId;
use crate::ledger::LedgerError;
use crate::ledger::sqlite::{Kept, SqliteLedger};
use crate::sink::{SinkError, Stores};

/// How many batches are read from the ledger at once: checking one may look at many objects.
const AT_ONCE: usize = 100;

/// Batches of an earlier run that are done again, by number, each with the reason and the place that has changed.
#[derive(Debug, Default)]
pub struct Redo(BTreeMap<u64, (Cause, String)>);

/// Why the batches to do again could not be found.
#[derive(Debug, thiserror::Error)]
pub enum RedoError {
    /// The ledger did not say what is done.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The tables did not say what they hold.
    #[error(transparent)]
    Tables(#[from] SinkError),
}

impl Redo {
    /// Looks at every batch of the run that is done, and marks those that are outdated, or all, to be done again.
    pub async fn look(
        ledger: &SqliteLedger,
        stores: &Stores,
        dataset: &Dataset,
        run: &str,
        all: bool,
    ) -> Result<Self, RedoError> {
        let prefix = child_executions(&dataset.name, run);
        let (mut redo, mut behind) = (BTreeMap::new(), None);
        loop {
            let page = ledger.kept_under(&prefix, behind.as_ref(), AT_ONCE).await?;
            for kept in &page {
                // What concludes a stage is looked at when the stage's batches are done.
                let Some(number) = batch_number(&kept.id.execution) else { continue };
                if let Some(cause) = outdated(kept, stores, dataset, all).await? {
                    ledger.outdate(kept).await?;
                    redo.insert(number, cause);
                }
            }
            let full = page.len() == AT_ONCE;
            behind = page.into_iter().next_back().map(|kept| kept.id);
            if !full {
                return Ok(Self(redo));
            }
        }
    }

    /// Forgets a step of an earlier run, also if it came no further than to its record: what it would find now is another thing.
    pub async fn forget_step(ledger: &SqliteLedger, step: BatchId) -> Result<(), LedgerError> {
        ledger.forget(&step).await
    }

    /// Why a batch is done again, and the place that has changed.
    pub(super) fn why(&self, number: u64) -> Option<&(Cause, String)> {
        self.0.get(&number)
    }

    #[cfg(test)]
    pub(super) fn of(batches: impl IntoIterator<Item = (u64, Cause, &'static str)>) -> Self {
        Self(batches.into_iter().map(|(number, cause, place)| (number, (cause, place.to_owned()))).collect())
    }
}

/// Why a batch is done again, and the place that has changed, if it is.
async fn outdated(
    kept: &Kept,
    stores: &Stores,
    dataset: &Dataset,
    asked: bool,
) -> Result<Option<(Cause, String)>, SinkError> {
    if asked {
        return Ok(Some((Cause::Asked, String::new())));
    }
    match kept.evidence.as_deref().map(serde_json::from_str::<Evidence>) {
        Some(Ok(evidence)) => evidence.outdated(dataset, stores).await,
        // Evidence that cannot be read counts as outdated.
        Some(Err(_)) | None => Ok(Some((Cause::InputsChanged, String::new()))),
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::*;
    use crate::job::Digest;
    use crate::ledger::{Claim, ClaimRequest, Ledger as _, Record};
    use crate::map::steps::conclusion_id;

    /// Its record would be carried out over what the stage has by now.
    #[tokio::test]
    async fn a_conclusion_that_came_no_further_than_to_its_record_is_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = SqliteLedger::open(folder.path()).unwrap();
        let request = ClaimRequest {
            id: conclusion_id("d.s", "run"),
            fingerprint: Digest::of(b"work"),
            component: Digest::of(b"component"),
            now: SystemTime::now(),
            lease: Duration::ZERO,
        };
        let Claim::Taken(claimed) = ledger.claim(&request).await.unwrap() else { panic!("it is new") };
        let record = Record::made(|| std::iter::once(b"what there was".to_vec()));
        ledger.prepare(&claimed, &record).await.unwrap();
        assert!(matches!(ledger.claim(&request).await.unwrap(), Claim::Prepared(..)));
        Redo::forget_step(&ledger, conclusion_id("d.s", "run")).await.unwrap();
        assert!(matches!(ledger.claim(&request).await.unwrap(), Claim::Taken(_)));
    }
}
