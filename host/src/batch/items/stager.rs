//! Takes items' results in the items' order: their keys are checked, their rows staged.

use std::sync::Arc;

use arrow::array::RecordBatch;

use super::lanes::weight;
use super::results::ItemResults;
use crate::admission::Holding;
use crate::catalog::DatasetVersion;
use crate::cpu;
use crate::dataset::Target;
use crate::job::{Batch, FailureKind, ItemFailure, error_names, item_name};
use crate::runtime::{ItemFault, ItemRun};
use crate::sink::keys::{KEY_BYTES, KeySet};
use crate::sink::{OutputSchema, SinkError, memory, partition};

/// How much memory rows of tables may take that wait for the end of their batch, in bytes. What goes to objects is uploaded
/// meanwhile.
const MAX_STAGED_BYTES: usize = 256 << 20;

/// Takes items' results in order.
pub(super) struct Stager {
    pub(super) results: ItemResults,
    checks: Checks,
    holding: Arc<Holding>,
    /// How many bytes of rows wait to be sorted.
    sorted: u64,
    /// Whether what items return is for anybody.
    reports: bool,
}

/// What rows are checked against: those of the items before.
#[derive(Default)]
struct Checks {
    keys: Vec<(Arc<OutputSchema>, KeySet)>,
    /// How much memory the rows take that wait for the end of the batch, in bytes.
    staged: usize,
}

impl Stager {
    pub(super) async fn begin(
        loaded: &DatasetVersion,
        batch: &Batch,
        holding: Arc<Holding>,
    ) -> Result<Self, SinkError> {
        let mut stagings = Vec::new();
        for (sink, schema) in loaded.sinks.iter().zip(&loaded.outputs) {
            stagings.push(sink.stage(&batch.id, schema).await?);
        }
        let keys = loaded.outputs.iter().map(|schema| (schema.clone(), KeySet::default())).collect();
        let results = ItemResults::of(stagings, batch.items.len());
        let reports = loaded.report_place(batch).is_some();
        Ok(Self { results, checks: Checks { keys, staged: 0 }, holding, sorted: 0, reports })
    }

    /// Takes the results of items that follow those before.
    pub(super) async fn take(&mut self, batch: &Batch, runs: Vec<(usize, ItemRun)>) -> Result<(), SinkError> {
        let bytes: usize = runs.iter().flat_map(|(_, run)| &run.rows).map(|(_, rows)| memory(rows)).sum();
        let mut checks = std::mem::take(&mut self.checks);
        let check = move || {
            let checked: Vec<_> = runs
                .into_iter()
                .map(|(index, run)| {
                    let weight = weight(&run);
                    let refused = if run.result.is_ok() { checks.check(&run.rows).err() } else { None };
                    (index, run, weight, refused)
                })
                .collect();
            (checks, checked)
        };
        let (checks, checked) = cpu::run(bytes, check).await;
        self.checks = checks;
        for (index, run, weight, refused) in checked {
            self.stage(batch, index, run, weight, refused).await?;
        }
        Ok(())
    }

    /// Gives up everything.
    pub(super) async fn abort(self) {
        let Self { results, checks, holding, .. } = self;
        drop(checks);
        results.abort().await;
        drop(holding);
    }

    async fn stage(
        &mut self,
        batch: &Batch,
        index: usize,
        run: ItemRun,
        weight: u64,
        refused: Option<ItemFault>,
    ) -> Result<(), SinkError> {
        let item = &batch.items[index];
        let results = &mut self.results;
        results.bytes_read += run.bytes_read;
        results.ran += run.took;
        let mut kept = 0;
        match refused.map_or(run.result, Err) {
            Ok(value) => {
                for (output, rows) in run.rows {
                    let (schema, _) = &self.checks.keys[output];
                    if matches!(schema.target, Target::Table { .. }) {
                        kept += memory(&rows) + rows.num_rows() * KEY_BYTES;
                    }
                    results.stagings[output].write(rows).await?;
                }
                if let Some(value) = value.filter(|_| self.reports) {
                    kept += value.len();
                    results.results.push((item.index, value));
                }
            }
            Err(ItemFault { code, message, kind }) => {
                kept += message.len();
                let item_name = item_name(&item.body);
                results.failures.push(ItemFailure { index: item.index, item: item_name, code, message, kind });
            }
        }
        let sorted = results.stagings.iter().map(|staging| staging.held()).sum();
        let before = std::mem::replace(&mut self.sorted, sorted);
        // First what it is now: in between it must not look as if there were room.
        self.holding.add(kept as u64 + sorted.saturating_sub(before));
        self.holding.remove(weight + before.saturating_sub(sorted));
        Ok(())
    }
}

impl Checks {
    /// Checks all rows of an item, before any of them is taken.
    fn check(&mut self, rows: &[(usize, RecordBatch)]) -> Result<(), ItemFault> {
        let tables = rows.iter().filter(|(output, _)| matches!(self.keys[*output].0.target, Target::Table { .. }));
        let more = tables.map(|(_, rows)| memory(rows)).sum();
        let staged = room(self.staged, more).map_err(|why| rejected(error_names::OUTPUT_LIMIT, why))?;
        self.check_keys(rows)?;
        self.staged = staged;
        Ok(())
    }

    /// Checks all keys of an item.
    fn check_keys(&mut self, rows: &[(usize, RecordBatch)]) -> Result<(), ItemFault> {
        let mut checked = Vec::new();
        for (output, (schema, keys)) in self.keys.iter().enumerate() {
            let blocks: Vec<_> = rows.iter().filter(|(to, _)| *to == output).map(|(_, rows)| rows.clone()).collect();
            let found = keys.check(schema, &blocks);
            let bad = |bad| rejected(error_names::BAD_KEY, format!("output `{}`: {bad}", schema.name));
            partition::check(schema, &blocks).map_err(bad)?;
            checked.push(found.map_err(bad)?);
        }
        for ((_, keys), found) in self.keys.iter_mut().zip(checked) {
            keys.insert(found);
        }
        Ok(())
    }
}

fn rejected(code: &str, message: String) -> ItemFault {
    ItemFault { code: code.into(), message, kind: FailureKind::Rejected }
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
