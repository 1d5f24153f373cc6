//! The items of a batch: run in parallel over the slots, taken in order.
//!
//! Rows go to the sinks in the order of the items, whatever order they finish in, so that the same batch gives the same
//! bytes. An item's rows are taken together or not at all.

mod lanes;
mod taker;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytesize::ByteSize;

use self::lanes::Lanes;
use self::taker::Taker;
use crate::admission::{Displaced, Holding};
use crate::catalog::Loaded;
use crate::commit::{Attempt, Ready, Uploads};
use crate::cpu;
use crate::fate;
use crate::job::{Batch, FailureKind, ItemFailure, error_names};
use crate::ledger::fleet::Tally;
use crate::object::trace::Trace;
use crate::object::watch::WatchedStore;
use crate::object::{Location, ObjectError, ObjectStore};
use crate::pipeline::{Identity, Pipeline, tolerated};
use crate::report::{BatchReport, Component, Failures, FullReport, ItemCounts, Recorded};
use crate::sink::{Effect, SinkError, Staging};
use crate::telemetry::metrics::DatasetMetrics;

/// How many item failures an answer shows; all of them are in the full report.
pub(crate) const FIRST_FAILURES: usize = 10;

/// What the items of a batch came to: rows staged in the sinks, and what is to be said about them.
pub(crate) struct Outcome {
    stagings: Vec<Box<dyn Staging>>,
    failures: Vec<ItemFailure>,
    results: Vec<(u32, String)>,
    items: usize,
    bytes_read: u64,
    /// How long items ran, together.
    ran: Duration,
    /// What the store of objects did wrong meanwhile.
    trouble: Option<ObjectError>,
    /// What the rows take, as long as they are there.
    holding: Option<Arc<Holding>>,
    /// What the items read, where that is remembered.
    read: Option<Trace>,
}

/// Runs all items. An error is the host's; items' own failures are in the outcome.
pub(crate) async fn run(
    pipeline: &Pipeline,
    loaded: &Arc<Loaded>,
    batch: &Arc<Batch>,
    attempt: &Attempt,
) -> Result<Outcome, fate::Fault> {
    let claimed = &attempt.claimed;
    if claimed.fence > 1 {
        remove_staged(pipeline, loaded, batch, attempt).await?;
    }
    let watched = WatchedStore::new(pipeline.stores.objects.clone(), loaded.dataset.plugin.timeout);
    let watched = Arc::new(watched.traced(pipeline.identity == Identity::Contents));
    let objects: Arc<dyn ObjectStore> = watched.clone();
    let metrics = Arc::new(DatasetMetrics::new(pipeline.metrics.clone(), &batch.dataset));
    let context = Arc::new(loaded.context(batch, claimed.started, &objects, metrics));
    let mut holding = Arc::new(pipeline.admission.holding(&loaded.need()));
    loop {
        let mut taker = Taker::begin(loaded, batch, holding.clone()).await?;
        let mut lanes = Lanes::start(pipeline, loaded, batch, &context, &holding);
        let ended = tokio::select! {
            biased;
            ended = take_all(&mut taker, &mut lanes, batch, &holding) => Ok(ended?),
            displaced = holding.displaced() => Err(displaced),
        };
        // Lanes end, too, when the batch is displaced, and may be heard of first.
        let ended = match ended {
            Ok(items) if items < batch.items.len() && holding.is_displaced() => Err(holding.displaced().await),
            ended => ended,
        };
        match ended {
            Ok(items) if items == batch.items.len() => {
                return Ok(Outcome {
                    trouble: watched.trouble(),
                    read: watched.trace(),
                    holding: Some(holding),
                    ..taker.outcome
                });
            }
            Ok(item) => {
                return Err(SinkError::Unavailable(format!("the host lost item {item} while it ran")).into());
            }
            Err(Displaced::TooLarge(bytes)) => {
                taker.abort().await;
                return Err(fate::Fault::NoRoom(ByteSize(bytes)));
            }
            Err(Displaced::Later) => {
                tracing::debug!(dataset = batch.dataset, batch = %batch.id, "it begins again: other batches need the memory");
                drop(lanes);
                taker.abort().await;
                holding = Arc::new(holding.again().await);
            }
        }
    }
}

/// Takes what lanes finish, in order, and says how many items that was.
async fn take_all(taker: &mut Taker, lanes: &mut Lanes, batch: &Batch, holding: &Holding) -> Result<usize, SinkError> {
    // Lanes finish items out of order; what is ahead of its turn waits here.
    let (mut early, mut next) = (BTreeMap::new(), 0);
    while let Some(finished) = lanes.next().await {
        let (seen, begin) = (finished.len(), next);
        early.extend(finished);
        let mut runs = Vec::new();
        while let Some(run) = early.remove(&next) {
            runs.push((next, run));
            next += 1;
        }
        if !runs.is_empty() {
            taker.take(batch, runs).await?;
            lanes.ahead.add_permits(next - begin);
        }
        holding.looked_at(seen as u64, early.len() as u64);
    }
    Ok(next)
}

/// Takes away what earlier attempts staged: what they cannot complete, they cannot make visible.
///
/// An attempt that slept until somebody else recorded the batch must not do this: those uploads are the record's.
async fn remove_staged(
    pipeline: &Pipeline,
    loaded: &Loaded,
    batch: &Batch,
    attempt: &Attempt,
) -> Result<(), fate::Fault> {
    for (sink, output) in loaded.sinks.iter().zip(&loaded.outputs) {
        attempt.still_ours()?;
        sink.remove_staged(&batch.id, output).await?;
    }
    if let Some(at) = report_place(loaded, batch) {
        attempt.still_ours()?;
        pipeline.stores.objects.abort_uploads(&at).await?;
    }
    Ok(())
}

/// Where the batch's full report is, if there is one.
pub(crate) fn report_place(loaded: &Loaded, batch: &Batch) -> Option<Location> {
    let prefix = loaded.dataset.map.reports.as_ref()?.resolve(&batch.values).ok()?;
    Some(prefix.with_key(format!("{}{}.jsonl", prefix.key, batch.id.object_name())))
}

impl Outcome {
    /// What no items have come to.
    fn of(stagings: Vec<Box<dyn Staging>>, items: usize) -> Self {
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
    pub(crate) fn tally(&self) -> Tally {
        let micros = u64::try_from(self.ran.as_micros()).unwrap_or(u64::MAX);
        Tally { batches: 1, items: self.items as u64, failed: self.failures.len() as u64, micros }
    }

    /// The first item that is worth another attempt: then so is the batch.
    pub(crate) fn retryable(&self) -> Option<&ItemFailure> {
        self.failures.iter().find(|failure| failure.kind == FailureKind::Retryable)
    }

    /// What the store of objects did wrong, if that may be why an item has no result: it asks for another attempt, or its
    /// time was over.
    pub(crate) fn trouble(&self) -> Option<ObjectError> {
        let waited =
            |failure: &ItemFailure| failure.kind == FailureKind::Retryable || failure.code == error_names::TIMEOUT;
        self.trouble.clone().filter(|_| self.failures.iter().any(waited))
    }

    /// Gives up what was staged.
    pub(crate) async fn abort(self) {
        for staging in self.stagings {
            if let Err(error) = staging.abort().await {
                tracing::warn!(%error, "what was staged for a batch that failed was not removed; it stays invisible");
            }
        }
    }

    /// Does all that can be done unseen, and says what will have been done.
    pub(crate) async fn prepare(
        self,
        pipeline: &Pipeline,
        loaded: &Loaded,
        batch: &Batch,
        started: SystemTime,
    ) -> Result<(Ready, Uploads), fate::Fault> {
        let (mut outputs, mut effects) = (Vec::new(), Vec::new());
        let mut uploads = Uploads::new(pipeline.stores.objects.clone());
        for staging in self.stagings {
            let prepared = staging.prepare().await?;
            prepared.effects.iter().for_each(|effect| uploads.watch(effect));
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
        let component = Component {
            name: loaded.plugin.manifest.name.clone(),
            version: loaded.plugin.manifest.version.clone(),
            digest: loaded.plugin.digest,
            release: loaded.release,
        };
        let at = report_place(loaded, batch);
        if let Some(at) = &at {
            let recorded = Recorded {
                message: batch.message().map_err(|error| fate::Fault::Record(error.to_string()))?,
                component: component.clone(),
                started: started.into(),
                items,
                outputs: outputs.clone(),
            };
            let (failures, results) = (self.failures, self.results);
            let bytes = failures.iter().map(|failure| failure.message.len()).sum::<usize>()
                + results.iter().map(|(_, value)| value.len()).sum::<usize>();
            let lines = cpu::run(bytes, move || FullReport::new(recorded, failures, results).to_lines()).await;
            let mut upload = pipeline.stores.objects.upload(at).await?;
            upload.write(lines).await?;
            let effect = Effect::Complete(upload.finish().await?);
            uploads.watch(&effect);
            effects.push(effect);
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
        let answer = report.answer(tolerated(loaded));
        // Objects first: as long as no row is seen, a record whose uploads were removed can be given up for a new run.
        effects.sort_by_key(Effect::puts_rows);
        Ok((Ready { report, answer, effects, _holding: self.holding, read: self.read }, uploads))
    }
}
