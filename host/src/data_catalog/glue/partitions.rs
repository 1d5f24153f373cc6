//! Partitions that are registered one by one. Each call is about as many as the service takes, and says which of them it did not do.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::super::partition::shown;
use super::super::{CatalogError, Published, Table};
use super::{Glue, description};

/// The most partitions of `BatchCreatePartition` and `BatchUpdatePartition`; `BatchGetPartition` takes more.
const MOST: usize = 100;

/// The most partitions of `BatchDeletePartition`.
const MOST_DELETED: usize = 25;

impl Glue {
    /// Registers partitions, and mends those that are registered and lie elsewhere or are described otherwise than this storage.
    pub(super) async fn register(
        &self,
        table: &Table,
        storage: &Value,
        present: BTreeMap<Vec<String>, String>,
        published: &mut Published,
    ) -> Result<(), CatalogError> {
        let present: Vec<_> = present.into_iter().collect();
        for some in present.chunks(MOST) {
            let inputs: Vec<Value> = some.iter().map(|(values, at)| input(values, at, storage)).collect();
            let name = "BatchCreatePartition";
            let faults = self.calls.ask_of_partitions(table, name, json!({"PartitionInputList": inputs})).await?;
            let mut there = BTreeSet::new();
            for fault in faults {
                if !fault.is("AlreadyExistsException") {
                    return Err(fault.of(table, name).into());
                }
                there.insert(fault.partition_values);
            }
            published.added += (some.len() - there.len()) as u64;
            let there: Vec<_> = some.iter().filter(|(values, _)| there.contains(values)).collect();
            self.mend(table, storage, &there, published).await?;
        }
        Ok(())
    }

    async fn mend(
        &self,
        table: &Table,
        storage: &Value,
        there: &[&(Vec<String>, String)],
        published: &mut Published,
    ) -> Result<(), CatalogError> {
        if there.is_empty() {
            return Ok(());
        }
        let keys: Vec<Value> = there.iter().map(|(values, _)| json!({"Values": values})).collect();
        let mut found = self.calls.ask(table, "BatchGetPartition", json!({"PartitionsToGet": keys})).await?;
        let found: Vec<Value> = serde_json::from_value(found["Partitions"].take()).unwrap_or_default();
        let values = |partition: &Value| serde_json::from_value(partition["Values"].clone()).unwrap_or_default();
        let found: BTreeMap<Vec<String>, Value> =
            found.into_iter().map(|partition| (values(&partition), partition)).collect();
        let mut entries = Vec::new();
        for (values, at) in there {
            let Some(old) = found.get(values) else {
                return Err(CatalogError::Unavailable(format!(
                    "table `{}`: partition {} was there a moment ago, and AWS Glue does not say where it lies",
                    table.full_name(),
                    shown(values)
                )));
            };
            let count = match difference(&old["StorageDescriptor"], at, storage) {
                Difference::None => {
                    published.unchanged += 1;
                    continue;
                }
                Difference::Place => &mut published.moved,
                Difference::Description => &mut published.updated,
            };
            *count += 1;
            let mut new = input(values, at, storage);
            // What somebody wrote down about it.
            if let Some(parameters) = old.get("Parameters").filter(|parameters| parameters.is_object()) {
                new["Parameters"] = parameters.clone();
            }
            entries.push(json!({"PartitionValueList": values, "PartitionInput": new}));
        }
        if entries.is_empty() {
            return Ok(());
        }
        let name = "BatchUpdatePartition";
        let faults = self.calls.ask_of_partitions(table, name, json!({"Entries": entries})).await?;
        faults.into_iter().next().map_or(Ok(()), |fault| Err(fault.of(table, name).into()))
    }

    /// Takes partitions out of the catalog.
    pub(super) async fn forget(
        &self,
        table: &Table,
        gone: BTreeSet<Vec<String>>,
        published: &mut Published,
    ) -> Result<(), CatalogError> {
        let gone: Vec<_> = gone.into_iter().collect();
        for some in gone.chunks(MOST_DELETED) {
            let values: Vec<Value> = some.iter().map(|values| json!({"Values": values})).collect();
            let name = "BatchDeletePartition";
            let faults = self.calls.ask_of_partitions(table, name, json!({"PartitionsToDelete": values})).await?;
            let unknown = faults.len() as u64;
            for fault in faults {
                if !fault.is("EntityNotFoundException") {
                    return Err(fault.of(table, name).into());
                }
            }
            published.removed += some.len() as u64 - unknown;
            published.unchanged += unknown;
        }
        Ok(())
    }
}

/// How a registered partition is not what it should be.
enum Difference {
    None,
    Place,
    Description,
}

fn difference(found: &Value, at: &str, storage: &Value) -> Difference {
    if found["Location"].as_str().map(|at| at.trim_end_matches('/')) != Some(at.trim_end_matches('/')) {
        return Difference::Place;
    }
    let same = description::read_columns(&found["Columns"]) == description::read_columns(&storage["Columns"])
        && description::read_storage(found) == description::read_storage(storage);
    if same { Difference::None } else { Difference::Description }
}

/// A partition that is described as its table is, which readers go by: one without a column of its table has nulls in it, whatever
/// its files have.
pub(super) fn input(values: &[String], at: &str, storage: &Value) -> Value {
    let mut storage = storage.clone();
    storage["Location"] = at.into();
    json!({"Values": values, "StorageDescriptor": storage})
}
