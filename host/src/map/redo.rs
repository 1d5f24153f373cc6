//! What of an earlier run is done again: batches that rest on something that is no longer so.
//!
//! Looked for before anything begins, so that a run knows what it does for the first time and what it does again.

use std::collections::BTreeMap;

use super::names::{batch_number, child_executions};
use crate::dataset::Dataset;
use crate::evidence::{Cause, Evidence};
use crate::ledger::LedgerError;
use crate::ledger::sqlite::SqliteLedger;
use crate::sink::{SinkError, Stores};

/// How many batches are looked at between two questions to the ledger: each may rest on many objects.
const AT_ONCE: usize = 100;

/// Batches that an earlier run had done, by their number, with why they are done again and the place that says so.
#[derive(Debug, Default)]
pub struct Redo(BTreeMap<u64, (Cause, String)>);

/// It could not be found out.
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
    /// Looks at every batch of the run that is done, and makes those that are not as they were, or all, new work.
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
                let cause = if all {
                    Some((Cause::Asked, String::new()))
                } else {
                    match kept.evidence.as_deref().map(serde_json::from_str::<Evidence>) {
                        Some(Ok(evidence)) => evidence.outdated(dataset, stores).await?,
                        // What cannot be read says nothing.
                        Some(Err(_)) | None => Some((Cause::InputsChanged, String::new())),
                    }
                };
                if let (Some(cause), Some(number)) = (cause, batch_number(&kept.id.execution)) {
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

    /// Why a batch is done again, and the place that says so.
    pub(super) fn why(&self, number: u64) -> Option<&(Cause, String)> {
        self.0.get(&number)
    }

    #[cfg(test)]
    pub(super) fn of(batches: impl IntoIterator<Item = (u64, Cause, &'static str)>) -> Self {
        Self(batches.into_iter().map(|(number, cause, place)| (number, (cause, place.to_owned()))).collect())
    }
}
