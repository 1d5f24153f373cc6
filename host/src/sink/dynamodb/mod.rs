//! Tables in Amazon DynamoDB. A row is an item: PutItem's rules, so a row that is written again replaces itself.

mod client;
mod item;
mod write;

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arrow::array::RecordBatch;
use async_trait::async_trait;
use futures::stream;

use self::item::Item;
use self::write::ITEMS_PER_REQUEST;
use super::cells::Cells;
use super::{Ours, OutputSchema, Prepared, Sink, SinkError, Staging, TableRows, TableSink, keys, memory};
use crate::cpu::{self, PIECE_BYTES};
use crate::dataset::{ColumnType, Target};
use crate::job::BatchId;

/// What this room needs of DynamoDB; the SDK's client, or a table of a test.
#[async_trait]
trait Tables: Send + Sync + 'static {
    async fn describe(&self, table: &str) -> Result<Description, Fault>;

    /// BatchWriteItem with puts. Gives back the items that DynamoDB did not process.
    async fn write(&self, table: &str, items: Vec<Item>) -> Result<Vec<Item>, Fault>;

    /// Lets time pass between attempts.
    async fn pause(&self, wait: Duration) {
        tokio::time::sleep(wait).await;
    }
}

/// A table that exists: its key's attributes in order, each with its type, `S`, `N` or `B`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Description {
    key: Vec<(String, String)>,
}

/// Why a request failed.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Fault {
    /// Throttled, or no answer.
    Retry(String),
    /// It would fail again.
    Refused(String),
}

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
        let found = self.tables.describe(table).await.map_err(|fault| match fault {
            Fault::Retry(why) => SinkError::Unavailable(format!("table `{table}` of DynamoDB: {why}")),
            Fault::Refused(why) => SinkError::Refused(format!("table `{table}` of DynamoDB: {why}")),
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

impl std::fmt::Display for Description {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let key: Vec<_> = self.key.iter().map(|(name, kind)| format!("`{name}` ({kind})")).collect();
        f.write_str(&key.join(", "))
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
        Ok(Box::new(Staged(TableRows { schema: Arc::clone(schema), blocks: Vec::new() })))
    }
}

#[async_trait]
impl TableSink for DynamoDbSink {
    async fn put(&self, rows: &TableRows, ours: &Ours) -> Result<(), SinkError> {
        let Target::Table { table, .. } = &rows.schema.target else { return Ok(()) };
        let requests = stream::try_unfold(Rest { rows: rows.clone(), block: 0, row: 0 }, |rest| {
            cpu::run(rest.next_bytes(), move || rest.next())
        });
        write::write_all(&*self.tables, table, requests, ours).await
    }
}

/// Rows wait as record batches, which are much smaller than the items that they become.
struct Staged(TableRows);

#[async_trait]
impl Staging for Staged {
    async fn write(&mut self, rows: RecordBatch) -> Result<(), SinkError> {
        self.0.blocks.push(rows);
        Ok(())
    }

    async fn prepare(self: Box<Self>) -> Result<Prepared, SinkError> {
        self.0.prepare().await
    }

    async fn abort(self: Box<Self>) -> Result<(), SinkError> {
        Ok(())
    }
}

/// Rows that are not items yet: they become some a request at a time, because items take many times the memory.
struct Rest {
    rows: TableRows,
    block: usize,
    row: usize,
}

impl Rest {
    /// How many bytes of rows the next request takes about.
    fn next_bytes(&self) -> usize {
        self.rows.blocks.get(self.block).map_or(0, |block| (row_bytes(block) * ITEMS_PER_REQUEST).min(PIECE_BYTES))
    }

    /// The items of one request, and the rest.
    fn next(mut self) -> Result<Option<(Vec<Item>, Self)>, SinkError> {
        let (mut items, mut bytes) = (Vec::new(), 0);
        let schema = self.rows.schema.clone();
        let refused = |why| SinkError::Refused(format!("output `{}`: {why}", schema.name));
        while let Some(block) = self.rows.blocks.get(self.block).cloned() {
            let cells = Cells::of(&schema, &block)?;
            while self.row < cells.rows() {
                if items.len() == ITEMS_PER_REQUEST || bytes >= PIECE_BYTES {
                    return Ok(Some((items, self)));
                }
                items.push(convert(&schema, &cells, self.row).map_err(refused)?);
                bytes += row_bytes(&block);
                self.row += 1;
            }
            (self.block, self.row) = (self.block + 1, 0);
        }
        Ok(if items.is_empty() { None } else { Some((items, self)) })
    }
}

/// What a row takes on average, in bytes.
fn row_bytes(block: &RecordBatch) -> usize {
    memory(block).div_ceil(block.num_rows().max(1))
}

/// What DynamoDB would refuse of these rows. Tables elsewhere refuse the same, so that a dataset that runs locally runs in the
/// cloud.
pub(super) fn check(schema: &OutputSchema, rows: &RecordBatch) -> Result<(), String> {
    let cells = Cells::of(schema, rows).map_err(|error| error.to_string())?;
    (0..cells.rows()).try_for_each(|row| convert(schema, &cells, row).map(|_| ()))
}

/// Makes a row's item, or says which row cannot be one.
fn convert(schema: &OutputSchema, cells: &Cells<'_>, row: usize) -> Result<Item, String> {
    item::item(schema, cells, row).map_err(|why| {
        let key = keys::describe(schema, cells, row);
        format!("DynamoDB cannot take the row with {key}: {why}")
    })
}

#[cfg(test)]
mod tests;
