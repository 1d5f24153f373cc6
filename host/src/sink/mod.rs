//! Where rows go: objects (JSON lines, CSV, Parquet) and tables (DynamoDB, SQLite).
//!
//! A batch stages its rows, then commits them. Nothing is visible before the commit; a commit that is repeated, also by
//! another worker, leaves the same result, because the object's key follows from the batch and a table's rows from their
//! keys.

mod cells;
pub mod dynamodb;
mod encode;
pub mod keys;
pub mod objects;
pub mod rows;
pub mod schema;
pub mod sqlite;
#[cfg(test)]
mod tests;
mod values;

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::dataset::{Column, Target};
use crate::job::BatchId;

/// An output whose columns are known: the dataset file's, or else the manifest's.
#[derive(Clone, Debug)]
pub struct OutputSchema {
    /// The output's name.
    pub name: String,
    /// Its columns, in order.
    pub columns: Vec<Column>,
    /// The same as Arrow has it. Dates are `Date32`, timestamps `Timestamp(Microsecond, "UTC")`, JSON columns `Utf8` with
    /// the field's metadata `gristmill.type = json`.
    pub arrow: SchemaRef,
    /// Where the rows go.
    pub target: Target,
}

/// What a committed output holds, for the report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Written {
    /// The output's name.
    pub output: String,
    /// Where: an object's URI, or `table:NAME`.
    pub place: String,
    /// How many rows.
    pub rows: u64,
    /// How many bytes the object has; for a table, of the rows as JSON.
    pub bytes: u64,
}

/// Rows could not be written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SinkError {
    /// The store did not answer, has no room, or throttles: worth another attempt.
    #[error("{0}")]
    Unavailable(String),
    /// The store refuses: no such table, a key that does not fit the table's schema, no permission. It will refuse again
    /// until somebody changes something.
    #[error("{0}")]
    Refused(String),
}

/// One place that takes rows of one output.
#[async_trait]
pub trait Sink: Send + Sync + 'static {
    /// Begins to take this batch's rows.
    async fn stage(&self, batch: &BatchId, schema: &Arc<OutputSchema>) -> Result<Box<dyn Staging>, SinkError>;
}

/// A batch's rows of one output, not visible yet. Dropped, it leaves nothing visible.
#[async_trait]
pub trait Staging: Send {
    /// Appends rows, which have the output's Arrow schema.
    async fn write(&mut self, rows: RecordBatch) -> Result<(), SinkError>;

    /// Makes all rows visible. An output without rows commits too: it removes what an earlier run of the batch had there.
    async fn commit(self: Box<Self>) -> Result<Written, SinkError>;

    /// Gives up what was staged.
    async fn abort(self: Box<Self>) -> Result<(), SinkError>;
}
