//! A batch without items: it concludes a stage. What the stage's batches committed takes the place of what earlier runs had, and
//! becomes the items of the stages behind it.
//!
//! It is a batch like others to the ledger: whoever finds its record carries it out, and a repetition is answered from the receipt.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::SystemTime;

use super::fault::Fault;
use super::plan::{self, Stepped};
use super::ready::Ready;
use super::services::Services;
use super::uploading::{fault, write};
use crate::callback::Answer;
use crate::catalog::DatasetVersion;
use crate::conclude::{self, ByPartition, Concluded, ItemsFile, PartitionKey, Published, RunRecord};
use crate::data_catalog::{CatalogError, Change, Table};
use crate::dataset::{HandOver, OutputSpec, Prefix, Runs};
use crate::job::{Batch, Conclude};
use crate::object::{ObjectStore, Uploads};
use crate::report::BatchReport;
use crate::sink::{Effect, SinkError};

/// Does all that can be done unseen.
pub(super) async fn prepare(
    services: &Services,
    loaded: &Arc<DatasetVersion>,
    batch: &Batch,
    conclude: &Conclude,
    started: SystemTime,
) -> Result<Stepped, Fault> {
    let window = match plan::held(services, loaded.dataset.of(), batch.window.as_ref()).await? {
        Ok(window) => window,
        Err(answer) => return Ok(Err(answer)),
    };
    let takes = takes(loaded, conclude)?;
    // Who refuses a table refuses it before anything of it goes.
    for (output, prefix) in loaded.dataset.concluded() {
        if let Some(table) = table(loaded, output, prefix)? {
            let change = Change { table, present: Vec::new(), gone: Vec::new(), files: Vec::new() };
            services.data_catalog.publish(&change).await.map_err(of_catalog)?;
        }
    }
    let store: Arc<dyn ObjectStore> = services.stores.objects.clone();
    let mut uploads = Uploads::new(services.stores.objects.clone());
    let (mut effects, mut items) = (Vec::new(), HashMap::new());
    let (run, at) = (batch.id.object_name(), millis(started));
    for (output, prefix) in loaded.dataset.concluded() {
        let Some(prefix) = prefix.fixed() else { continue };
        let fresh = match &conclude.results {
            Some(results) => conclude::committed(&store, results, &batch.dataset, &output.name).await.map_err(fault)?,
            None => ByPartition::new(),
        };
        let others = conclude::others(&store, prefix, &run, &output.name).await.map_err(fault)?;
        // Behind those that are there, whatever the clocks of their workers said.
        let at = others.iter().map(|(_, other)| other.at.saturating_add(1)).fold(at, u64::max);
        let runs = match &window {
            None if loaded.dataset.stage.as_ref().is_some_and(|stage| stage.planned_by.is_some()) => Runs::Append,
            None => output.runs(),
            // A window adds to those before it, and everything takes the place of all of them, unless they are to stay.
            Some(held) if held.full && output.runs.is_none() => Runs::Replace,
            Some(_) => Runs::Append,
        };
        let record = RunRecord::new(at, runs, window.as_ref().map(|held| held.number), prefix, &fresh);
        let Published { current, gone } = conclude::publish(prefix, others, &record);
        let text = serde_json::to_string(&record).map_err(|error| Fault::Record(error.to_string()))?;
        let place = RunRecord::place(prefix, &run, &output.name);
        let (uploaded, _) = write(services, &place, std::iter::once(Ok(text))).await?;
        uploads.watch(uploaded.clone());
        effects.push(Effect::List(uploaded));
        effects.extend(gone.into_iter().map(Effect::Remove));
        if let Some(since) = window.as_ref().and_then(|held| held.unended) {
            // A window keeps other runs away: what is in no record, runs have left that never ended.
            let left = conclude::leftovers(&store, prefix, &output.name, since, &current).await.map_err(fault)?;
            effects.extend(left.into_iter().map(Effect::Remove));
        }
        for takes in takes.iter().filter(|takes| takes.output == output.name) {
            let at = conclude::place(prefix, &batch.id, takes);
            let (uploaded, count) = write(services, &at, conclude::lines(&fresh, &current, takes.each)).await?;
            uploads.watch(uploaded.clone());
            effects.push(Effect::Complete(uploaded));
            items.insert(takes, ItemsFile { bucket: at.bucket, key: at.key, count });
        }
    }
    // Asked once more: another run may have taken the window over while this was looked at.
    if let Err(answer) = plan::held(services, loaded.dataset.of(), batch.window.as_ref()).await? {
        return Ok(Err(answer));
    }
    effects.sort_by_key(Effect::turn);
    let items = takes.iter().filter_map(|takes| items.remove(takes)).collect();
    let concluded = Concluded { stage: batch.dataset.clone(), items };
    let output = serde_json::to_string(&concluded).map_err(|error| Fault::Record(error.to_string()))?;
    let report = BatchReport::of_no_items(&batch.dataset, loaded.component());
    Ok(Ok((Ready { report, answer: Answer::Success { output }, effects, _holding: None, read: None }, uploads)))
}

/// What the state machine wants of the stage, if this version has it.
fn takes(loaded: &DatasetVersion, conclude: &Conclude) -> Result<Vec<HandOver>, Fault> {
    let refused = |why: String| {
        Fault::Sink(SinkError::Refused(format!(
            "{why}; the state machine and the version of {} that concludes the stage are of different files: generate the machine again \
             with `gristmill asl`",
            loaded.dataset.of()
        )))
    };
    let known = |takes: &HandOver| loaded.dataset.concluded().any(|(output, _)| output.name == takes.output);
    let read = |value: &serde_json::Value| match serde_json::from_value::<HandOver>(value.clone()) {
        Ok(takes) if known(&takes) => Ok(takes),
        Ok(takes) => Err(refused(format!("the stage hands over no output `{}`", takes.output))),
        Err(error) => Err(refused(format!("{value} says nothing that a stage could take: {error}"))),
    };
    conclude.takes.iter().map(read).collect()
}

/// The table that an output is in a data catalog, if it is to be one.
fn table(loaded: &DatasetVersion, output: &OutputSpec, prefix: &Prefix) -> Result<Option<Table>, Fault> {
    let schema = loaded.outputs.iter().find(|schema| schema.name == output.name);
    let (Some(name), Some(prefix), Some(schema)) = (&output.catalog, prefix.fixed(), schema) else { return Ok(None) };
    Table::of_output(schema, prefix, &name.database, &name.table).map(Some).map_err(of_catalog)
}

/// Makes known where people look for tables what the outputs hold now. It is done before the batch is committed, and may be repeated.
pub(super) async fn make_known(services: &Services, loaded: &Arc<DatasetVersion>, batch: &Batch) -> Result<(), Fault> {
    let store: Arc<dyn ObjectStore> = services.stores.objects.clone();
    let run = batch.id.object_name();
    for (output, prefix) in loaded.dataset.concluded() {
        let Some(table) = table(loaded, output, prefix)? else { continue };
        let prefix = &table.location;
        // Another version may have recorded the conclusion, of which the output was none.
        let Some(ours) = conclude::own(&store, prefix, &run, &output.name).await.map_err(fault)? else { continue };
        let others = conclude::others(&store, prefix, &run, &output.name).await.map_err(fault)?;
        let (written, gone) = conclude::partitions(prefix, others, &ours);
        let values = |partition: PartitionKey| partition.columns().iter().map(|(_, value)| value.clone()).collect();
        let (present, gone) = match table.partition_keys.is_empty() {
            true => (Vec::new(), Vec::new()),
            false => {
                let present = written.into_iter().map(|partition| table.partition(values(partition)));
                (present.collect(), gone.into_iter().map(values).collect())
            }
        };
        let change = Change { table, present, gone, files: Vec::new() };
        let published = services.data_catalog.publish(&change).await.map_err(of_catalog)?;
        let table = format!("{}.{}", change.table.database, change.table.name);
        tracing::info!(table, ?published, "the data catalog knows the run");
    }
    Ok(())
}

fn of_catalog(error: CatalogError) -> Fault {
    Fault::Sink(match error {
        CatalogError::Unavailable(why) => SinkError::Unavailable(why),
        CatalogError::Refused(why) => SinkError::Refused(why),
    })
}

fn millis(time: SystemTime) -> u64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
