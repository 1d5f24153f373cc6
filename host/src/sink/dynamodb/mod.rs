//! Tables in Amazon DynamoDB. A row is an item and follows PutItem's rules: a row that is written again replaces itself.

mod client;
mod item;
mod requests;
mod tables;
#[cfg(test)]
mod tests;
mod write;

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;

pub(super) use self::requests::check;
use self::tables::{Description, TableError, Tables};
use super::error::SinkError;
use super::lease_check::LeaseCheck;
use super::schema::OutputSchema;
use super::staged_rows::StagedRows;
use super::stores::{Sink, Staging, TableSink};
use super::table_rows::TableRows;
use crate::dataset::{ColumnType, Target};
use crate::job::BatchId;

/// Takes rows for [`Target::Table`].
pub struct DynamoDbSink {
    tables: Arc<dyn Tables>,
    /// The tables that were checked, each with the key that it has.
    checked: Mutex<HashSet<(String, Description)>>,
}

impl DynamoDbSink {
    /// The tables that this configuration leads to. They need `dynamodb:DescribeTable` and `dynamodb:BatchWriteItem`.
    pub fn new(config: &aws_config::SdkConfig) -> Self {
        Self::with(Arc::new(client::connect(config)))
    }

    fn with(tables: Arc<dyn Tables>) -> Self {
        Self { tables, checked: Mutex::default() }
    }

    /// Checks once that the table exists and has the output's key.
    async fn check(&self, schema: &OutputSchema, table: &str) -> Result<(), SinkError> {
        let key = schema.key().into_iter().map(|index| &schema.columns[index]);
        let wanted = Description { key: key.map(|column| (column.name.clone(), letter(column.kind).into())).collect() };
        let wanted = (table.to_owned(), wanted);
        let checked = || self.checked.lock().unwrap_or_else(PoisonError::into_inner);
        if checked().contains(&wanted) {
            return Ok(());
        }
        let found = self.tables.describe(table).await.map_err(|error| match error {
            TableError::Retry(why) => SinkError::Unavailable(format!("table `{table}` of DynamoDB: {why}")),
            TableError::Refused(why) => SinkError::Refused(format!("table `{table}` of DynamoDB: {why}")),
        })?;
        if found != wanted.1 {
            return Err(SinkError::Refused(format!(
                "table `{table}` of DynamoDB has the key {found}, output `{}` has {}: change `key` in the dataset file \
                 or the column's type, or make a table with this key",
                schema.name, wanted.1
            )));
        }
        checked().insert(wanted);
        Ok(())
    }
}

/// DynamoDB's letter for the type of a key column.
fn letter(kind: ColumnType) -> &'static str {
    if kind == ColumnType::Int64 { "N" } else { "S" }
}

#[async_trait]
impl Sink for DynamoDbSink {
    async fn ready(&self, schema: &OutputSchema) -> Result<(), SinkError> {
        match &schema.target {
            Target::Table { table, .. } => self.check(schema, table).await,
            Target::Objects { .. } => Ok(()),
        }
    }

    async fn stage(&self, _: &BatchId, schema: &Arc<OutputSchema>) -> Result<Box<dyn Staging>, SinkError> {
        let Target::Table { table, .. } = &schema.target else {
            return Err(SinkError::Refused(format!("output `{}` goes to objects, not to a table", schema.name)));
        };
        self.check(schema, table).await?;
        Ok(Box::new(StagedRows::new(schema)))
    }
}

#[async_trait]
impl TableSink for DynamoDbSink {
    async fn put(&self, rows: &TableRows, lease: &LeaseCheck) -> Result<(), SinkError> {
        let Target::Table { table, .. } = &rows.schema.target else { return Ok(()) };
        write::write_all(&*self.tables, table, requests::requests(rows.clone()), lease).await
    }
}
