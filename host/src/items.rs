//! The items of a batch: run in parallel over the slots, taken in order.
//!
//! Rows go to the sinks in the order of the items, whatever order they finish in, so that the same batch gives the same
//! bytes. An item's rows are taken together or not at all.

mod lanes;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arrow::array::RecordBatch;

use self::lanes::Lanes;
use crate::catalog::Loaded;
use crate::commit::{Attempt, Ready, Uploads};
use crate::dataset::Target;
use crate::fate;
use crate::job::{Batch, FailureKind, Item, ItemFailure, error_names, item_name};
use crate::ledger::fleet::Tally;
use crate::object::watch::WatchedStore;
use crate::object::{Location, ObjectStore};
use crate::pipeline::{Pipeline, tolerated};
use crate::report::{BatchReport, Component, Failures, FullReport, ItemCounts, Recorded};
use crate::runtime::{Fault, ItemRun};
use crate::sink::keys::KeySet;
use crate::sink::{Effect, OutputSchema, SinkError, Staging};
use crate::telemetry::metrics::DatasetMetrics;

/// How much memory rows of tables may take that wait for the end of their batch, in bytes. What goes to objects is uploaded
/// meanwhile.
const MAX_STAGED_BYTES: usize = 256 << 20;
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
    trouble: Option<String>,
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
    let watched = Arc::new(WatchedStore::new(pipeline.stores.objects.clone(), loaded.dataset.plugin.timeout));
    let objects: Arc<dyn ObjectStore> = watched.clone();
    let metrics = Arc::new(DatasetMetrics::new(pipeline.metrics.clone(), &batch.dataset));
    let context = Arc::new(loaded.context(batch, claimed.started, &objects, metrics));
    let mut taker = Taker::begin(loaded, batch).await?;
    let mut lanes = Lanes::start(pipeline, loaded, batch, &context);
    // Lanes finish items out of order; what is ahead of its turn waits here.
    let mut early = BTreeMap::new();
    let mut next = 0;
    while let Some(finished) = lanes.finished.recv().await {
        early.extend(finished);
        let begin = next;
        while let Some(run) = early.remove(&next) {
            taker.take(&batch.items[next], run).await?;
            next += 1;
        }
        lanes.ahead.add_permits(next - begin);
    }
    if next < batch.items.len() {
        lanes.ended_well().await;
        return Err(SinkError::Unavailable(format!("the host lost item {next} while it ran")).into());
    }
    Ok(Outcome { trouble: watched.trouble(), ..taker.outcome })
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
    let prefix = loaded.dataset.map.reports.as_ref()?;
    Some(prefix.with_key(format!("{}{}.jsonl", prefix.key, batch.id.object_name())))
}

/// Takes items' rows in order.
struct Taker {
    outcome: Outcome,
    keys: Vec<(Arc<OutputSchema>, KeySet)>,
    /// How much memory the rows take that wait for the end of the batch, in bytes.
    staged: usize,
}

impl Taker {
    async fn begin(loaded: &Loaded, batch: &Batch) -> Result<Self, SinkError> {
        let mut stagings = Vec::new();
        for (sink, schema) in loaded.sinks.iter().zip(&loaded.outputs) {
            stagings.push(sink.stage(&batch.id, schema).await?);
        }
        let keys = loaded.outputs.iter().map(|schema| (schema.clone(), KeySet::default())).collect();
        let items = batch.items.len();
        let outcome = Outcome {
            stagings,
            failures: Vec::new(),
            results: Vec::new(),
            items,
            bytes_read: 0,
            ran: Duration::ZERO,
            trouble: None,
        };
        Ok(Self { outcome, keys, staged: 0 })
    }

    async fn take(&mut self, item: &Item, run: ItemRun) -> Result<(), SinkError> {
        self.outcome.bytes_read += run.bytes_read;
        self.outcome.ran += run.took;
        let result = match run.result {
            Ok(value) => self.check(&run.rows).map(|()| value),
            Err(fault) => Err(fault),
        };
        match result {
            Ok(value) => {
                for (output, rows) in run.rows {
                    self.outcome.stagings[output].write(rows).await?;
                }
                self.outcome.results.extend(value.map(|value| (item.index, value)));
            }
            Err(Fault { code, message, kind }) => {
                self.outcome.failures.push(ItemFailure {
                    index: item.index,
                    item: item_name(&item.body),
                    code,
                    message,
                    kind,
                });
            }
        }
        Ok(())
    }

    /// Checks all rows of an item, before any of them is taken.
    fn check(&mut self, rows: &[(usize, RecordBatch)]) -> Result<(), Fault> {
        let rejected = |code: &str, message| Fault { code: code.into(), message, kind: FailureKind::Rejected };
        for (output, rows) in rows {
            let fits = self.outcome.stagings[*output].check(rows);
            fits.map_err(|why| {
                rejected(error_names::BAD_OUTPUT, format!("output `{}`: {why}", self.keys[*output].0.name))
            })?;
        }
        let tables = rows.iter().filter(|(output, _)| matches!(self.keys[*output].0.target, Target::Table { .. }));
        let more = tables.map(|(_, rows)| rows.get_array_memory_size()).sum();
        let staged = room(self.staged, more).map_err(|why| rejected(error_names::OUTPUT_LIMIT, why))?;
        self.check_keys(rows)?;
        self.staged = staged;
        Ok(())
    }

    /// Checks all keys of an item.
    fn check_keys(&mut self, rows: &[(usize, RecordBatch)]) -> Result<(), Fault> {
        let mut checked = Vec::new();
        for (output, (schema, keys)) in self.keys.iter().enumerate() {
            let blocks: Vec<_> = rows.iter().filter(|(to, _)| *to == output).map(|(_, rows)| rows.clone()).collect();
            checked.push(keys.check(schema, &blocks).map_err(|bad| Fault {
                code: error_names::BAD_KEY.into(),
                message: format!("output `{}`: {bad}", schema.name),
                kind: FailureKind::Rejected,
            })?);
        }
        for ((_, keys), found) in self.keys.iter_mut().zip(checked) {
            keys.insert(found);
        }
        Ok(())
    }
}

/// What is staged with so many bytes more, if the batch may have them.
fn room(staged: usize, more: usize) -> Result<usize, String> {
    let staged = staged.saturating_add(more);
    if staged <= MAX_STAGED_BYTES {
        return Ok(staged);
    }
    let most = MAX_STAGED_BYTES >> 20;
    Err(format!("the batch's rows for tables take more than {most} MiB: lower `max_items_per_batch`"))
}

impl Outcome {
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
    pub(crate) fn trouble(&self) -> Option<String> {
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
            uploads.watch(&prepared.effect);
            outputs.push(prepared.written);
            effects.push(prepared.effect);
        }
        let mut by_code = BTreeMap::new();
        for failure in &self.failures {
            *by_code.entry(failure.code.clone()).or_default() += 1;
        }
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
            let report = FullReport::new(recorded, &self.failures, &self.results);
            let mut upload = pipeline.stores.objects.upload(at).await?;
            upload.write(report.to_lines()).await?;
            let effect = Effect::Complete(upload.finish().await?);
            uploads.watch(&effect);
            effects.push(effect);
        }
        let mut first = self.failures;
        first.truncate(FIRST_FAILURES);
        let report = BatchReport {
            dataset: batch.dataset.clone(),
            component,
            items,
            bytes_read: self.bytes_read,
            outputs,
            failures: Failures { by_code, first },
            report: at.map(|at| at.to_string()),
            replayed: false,
        };
        let answer = report.answer(tolerated(loaded));
        // Objects first: as long as no row is seen, a record whose uploads were removed can be given up for a new run.
        effects.sort_by_key(Effect::puts_rows);
        Ok((Ready { report, answer, effects }, uploads))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_a_batch_have_room_up_to_a_limit() {
        assert_eq!(room(MAX_STAGED_BYTES - 10, 10), Ok(MAX_STAGED_BYTES));
        let beyond = room(MAX_STAGED_BYTES - 10, 11).unwrap_err();
        assert!(beyond.contains("256 MiB") && beyond.contains("max_items_per_batch"), "{beyond}");
        assert!(room(MAX_STAGED_BYTES, usize::MAX).is_err());
    }
}
