//! What somebody does in the console: for tests, which look at a catalog and change it behind our back.

// A failed step of a test ends the test.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::super::Table;
use super::super::contract::Seen;
use super::{Glue, description, partitions};

impl Glue {
    /// Makes a database.
    pub async fn make_database(&self, table: &Table) {
        let body = json!({"DatabaseInput": {"Name": table.database}});
        self.calls.ask(table, "CreateDatabase", body).await.unwrap();
    }

    /// What is known of a table.
    pub async fn seen(&self, table: &Table) -> Option<Seen> {
        let found = self.read(table).await.unwrap()?;
        let definition = description::definition(&found).unwrap();
        let at = |storage: Value| storage["Location"].as_str().unwrap().to_owned();
        let partitions = self.partitions(table).await.into_iter().map(|(values, storage)| (values, at(storage)));
        Some(Seen { definition, partitions: partitions.collect() })
    }

    /// How the partitions of a table are described.
    pub async fn partitions(&self, table: &Table) -> BTreeMap<Vec<String>, Value> {
        let (mut partitions, mut next) = (BTreeMap::new(), Value::Null);
        loop {
            let mut body = json!({});
            if next.is_string() {
                body["NextToken"] = next;
            }
            let mut some = self.calls.ask(table, "GetPartitions", body).await.unwrap();
            for partition in some["Partitions"].as_array().unwrap() {
                let values = serde_json::from_value(partition["Values"].clone()).unwrap();
                partitions.insert(values, partition["StorageDescriptor"].clone());
            }
            next = some["NextToken"].take();
            if !next.is_string() {
                return partitions;
            }
        }
    }

    /// Makes a table what somebody wants it to be, or takes it away.
    pub async fn put(&self, table: &Table, seen: Option<&Seen>) {
        if self.read(table).await.unwrap().is_some() {
            self.calls.ask(table, "DeleteTable", json!({"Name": table.name})).await.unwrap();
        }
        let Some(Seen { definition, partitions }) = seen else { return };
        let input = description::of_definition(&table.name, definition);
        self.calls.ask(table, "CreateTable", json!({"TableInput": input.clone()})).await.unwrap();
        for (values, at) in partitions {
            let body = json!({"PartitionInputList": [partitions::input(values, at, &input["StorageDescriptor"])]});
            let faults = self.calls.ask_of_partitions(table, "BatchCreatePartition", body).await.unwrap();
            assert!(faults.is_empty(), "{faults:?}");
        }
    }

    /// The table as the service has it.
    pub async fn raw(&self, table: &Table) -> Value {
        self.read(table).await.unwrap().unwrap()
    }

    /// Changes what the service has of a table.
    pub async fn overwrite(&self, table: &Table, input: Value) {
        self.calls.ask(table, "UpdateTable", json!({"TableInput": input})).await.unwrap();
    }
}
