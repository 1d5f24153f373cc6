//! Tables in Amazon DynamoDB. A row is an item: PutItem's rules, so a row that is written again replaces itself.

mod client;
mod item;
mod write;

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arrow::array::RecordBatch;
use async_trait::async_trait;

use self::item::Item;
use super::cells::Cells;
use super::{Effect, Ours, OutputSchema, Prepared, Sink, SinkError, Staging, TableRows, TableSink, keys};
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
    async fn put(&self, rows: &TableRows, ours: Ours<'_>) -> Result<(), SinkError> {
        let Target::Table { table, .. } = &rows.schema.target else { return Ok(()) };
        let blocks = rows.cells()?;
        let items = Items { schema: &rows.schema, blocks: &blocks, next: (0, 0) };
        write::write_all(&*self.tables, table, items, ours).await
    }
}

/// Rows wait as record batches, which are much smaller than the items that they become.
struct Staged(TableRows);

#[async_trait]
impl Staging for Staged {
    fn check(&self, rows: &RecordBatch) -> Result<(), String> {
        check(&self.0.schema, rows)
    }

    async fn write(&mut self, rows: RecordBatch) -> Result<(), SinkError> {
        self.0.blocks.push(rows);
        Ok(())
    }

    async fn prepare(self: Box<Self>) -> Result<Prepared, SinkError> {
        Ok(Prepared { written: self.0.measure()?, effect: Effect::Put(self.0) })
    }

    async fn abort(self: Box<Self>) -> Result<(), SinkError> {
        Ok(())
    }
}

/// The items of all rows, made as they are asked for.
struct Items<'a> {
    schema: &'a OutputSchema,
    blocks: &'a [Cells<'a>],
    /// The block and the row within it.
    next: (usize, usize),
}

impl Iterator for Items<'_> {
    type Item = Result<Item, SinkError>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.next.1 == self.blocks.get(self.next.0)?.rows() {
            self.next = (self.next.0 + 1, 0);
        }
        let (block, row) = self.next;
        self.next.1 += 1;
        let refused = |why| SinkError::Refused(format!("output `{}`: {why}", self.schema.name));
        Some(convert(self.schema, &self.blocks[block], row).map_err(refused))
    }
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
