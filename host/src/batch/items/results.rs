//! What the items of a batch came to, and how that becomes what is ready to be seen.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::admission::Holding;
use crate::batch::fault::Fault;
use crate::batch::ready::Ready;
use crate::batch::services::Services;
use crate::catalog::DatasetVersion;
use crate::cpu;
use crate::job::{Batch, FailureKind, ItemFailure, error_names};
use crate::ledger::fleet::Tally;
use crate::object::trace::Trace;
use crate::object::{ContentType, ObjectError, Uploads};
use crate::report::{BatchReport, Failures, FullReport, ItemCounts, Recorded};
use crate::sink::{Effect, Staging};

/// How many item failures an answer shows; all of them are in the full report.
const FIRST_FAILURES: usize = 10;

/// What the items of a batch came to: rows staged in the sinks, and what is to be said about them.
pub(in crate::batch) struct ItemResults {
    pub(super) stagings: Vec<Box<dyn Staging>>,
    pub(super) failures: Vec<ItemFailure>,
    pub(super) results: Vec<(u32, String)>,
    pub(super) items: usize,
    pub(super) bytes_read: u64,
    /// How long items ran, together.
    pub(super) ran: Duration,
    /// What the store of objects, or a database, did wrong meanwhile.
    pub(super) trouble: Option<ObjectError>,
    /// What the rows take, as long as they are there.
    pub(super) holding: Option<Arc<Holding>>,
    /// What the items read, where that is remembered.
    pub(super) read: Option<Trace>,
}

impl ItemResults {
    /// What no items have come to.
    pub(super) fn of(stagings: Vec<Box<dyn Staging>>, items: usize) -> Self {
        Self {
            stagings,
            failures: Vec::new(),
            results: Vec::new(),
            items,
            bytes_read: 0,
            ran: Duration::ZERO,
            trouble: None,
            holding: None,
            read: None,
        }
    }

    /// What a version on trial is judged by.
    pub(in crate::batch) fn tally(&self) -> Tally {
        let micros = u64::try_from(self.ran.as_micros()).unwrap_or(u64::MAX);
        Tally { batches: 1, items: self.items as u64, failed: self.failures.len() as u64, micros }
    }

    /// The first item that is worth another attempt: then so is the batch.
    pub(in crate::batch) fn retryable(&self) -> Option<&ItemFailure> {
        self.failures.iter().find(|failure| failure.kind == FailureKind::Retryable)
    }

    /// What the store of objects, or a database, did wrong, if that may be why an item has no result: it asks for another attempt, or its
    /// time was over.
    pub(in crate::batch) fn trouble(&self) -> Option<ObjectError> {
        let waited =
            |failure: &ItemFailure| failure.kind == FailureKind::Retryable || failure.code == error_names::TIMEOUT;
        self.trouble.clone().filter(|_| self.failures.iter().any(waited))
    }

    /// Gives up what was staged.
    pub(in crate::batch) async fn abort(self) {
        for staging in self.stagings {
            if let Err(error) = staging.abort().await {
                tracing::warn!(%error, "what was staged for a batch that failed was not removed; it stays invisible");
            }
        }
    }

    /// Does all that can be done unseen, and says what will have been done.
    pub(in crate::batch) async fn prepare(
        self,
        services: &Services,
        loaded: &DatasetVersion,
        batch: &Batch,
        started: SystemTime,
    ) -> Result<(Ready, Uploads), Fault> {
        let (mut outputs, mut effects) = (Vec::new(), Vec::new());
        let mut uploads = Uploads::new(services.stores.objects.clone());
        for staging in self.stagings {
            let prepared = staging.prepare().await?;
            prepared.effects.iter().filter_map(Effect::upload).for_each(|upload| uploads.watch(upload.clone()));
            outputs.push(prepared.written);
            effects.extend(prepared.effects);
        }
        let mut by_code = BTreeMap::new();
        for failure in &self.failures {
            *by_code.entry(failure.code.clone()).or_default() += 1;
        }
        let first = self.failures.iter().take(FIRST_FAILURES).cloned().collect();
        let rejected = self.failures.len() as u64;
        let total = self.items as u64;
        let items = ItemCounts { total, succeeded: total - rejected, rejected };
        let component = loaded.component();
        let at = loaded.report_place(batch);
        if let Some(at) = &at {
            let recorded = Recorded {
                message: batch.message().map_err(|error| Fault::Record(error.to_string()))?,
                component: component.clone(),
                started: started.into(),
                items,
                outputs: outputs.clone(),
            };
            let (failures, results) = (self.failures, self.results);
            let bytes = failures.iter().map(|failure| failure.message.len()).sum::<usize>()
                + results.iter().map(|(_, value)| value.len()).sum::<usize>();
            let lines = cpu::run(bytes, move || FullReport::new(recorded, failures, results).to_lines()).await;
            let mut upload = services.stores.objects.upload(at, ContentType::JsonLines).await?;
            upload.write(lines).await?;
            let uploaded = upload.finish().await?;
            uploads.watch(uploaded.clone());
            effects.push(Effect::Complete(uploaded));
        }
        let report = BatchReport {
            dataset: batch.dataset.clone(),
            component,
            items,
            bytes_read: self.bytes_read,
            outputs,
            failures: Failures { by_code, first },
            report: at.map(|at| at.to_string()),
            from_receipt: false,
        };
        let answer = report.answer(loaded.tolerated());
        effects.sort_by_key(Effect::turn);
        Ok((Ready { report, answer, effects, _holding: self.holding, read: self.read }, uploads))
    }
}
