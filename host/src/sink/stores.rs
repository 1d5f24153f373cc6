//! What a place of rows does: it stages a batch's rows unseen, and says what is left to be done to make them visible.

use std::sync::Arc;

use arrow::array::RecordBatch;
use async_trait::async_trait;

use super::error::SinkError;
use super::lease_check::LeaseCheck;
use super::prepared::Prepared;
use super::schema::OutputSchema;
use super::table_rows::TableRows;
use crate::database::Connections;
use crate::job::BatchId;
use crate::object::ObjectWriter;

/// Where outputs go, and where plugins read.
#[derive(Clone)]
pub struct Stores {
    /// Objects.
    pub objects: Arc<dyn ObjectWriter>,
    /// Tables.
    pub tables: Arc<dyn TableSink>,
    /// Databases that plugins ask.
    pub databases: Connections,
}

/// One place that takes rows of one output.
#[async_trait]
pub trait Sink: Send + Sync + 'static {
    /// Whether the place is there and takes such rows. It is asked once, and nothing is written.
    async fn ready(&self, _: &OutputSchema) -> Result<(), SinkError> {
        Ok(())
    }

    /// Begins to take this batch's rows.
    async fn stage(&self, batch: &BatchId, schema: &Arc<OutputSchema>) -> Result<Box<dyn Staging>, SinkError>;

    /// Removes what earlier attempts at this batch staged, so that nobody can make it visible. Whoever takes the batch over
    /// does this first.
    async fn remove_staged(&self, _: &BatchId, _: &OutputSchema) -> Result<(), SinkError> {
        Ok(())
    }
}

/// A place of tables.
#[async_trait]
pub trait TableSink: Sink {
    /// Writes rows, each in place of the row with its key. Checks the lease before each request. A failure may leave a part
    /// written.
    async fn put(&self, rows: &TableRows, lease: &LeaseCheck) -> Result<(), SinkError>;

    /// What tells this table from another one that is made under its name later. None where there is no such table, where it
    /// has no rows, or where nobody can tell.
    async fn mark(&self, _: &str) -> Result<Option<String>, SinkError> {
        Ok(None)
    }
}

/// A batch's rows of one output, not visible yet. Dropped, it leaves nothing visible.
#[async_trait]
pub trait Staging: Send {
    /// Appends rows. They have the output's Arrow schema, and the place refuses none of them.
    async fn write(&mut self, rows: RecordBatch) -> Result<(), SinkError>;

    /// How much memory it holds of rows that it took, in bytes, if that is more than what is on its way to a store.
    fn held(&self) -> u64 {
        0
    }

    /// Does everything that can be done unseen.
    async fn prepare(self: Box<Self>) -> Result<Prepared, SinkError>;

    /// Gives up what was staged.
    async fn abort(self: Box<Self>) -> Result<(), SinkError>;
}
