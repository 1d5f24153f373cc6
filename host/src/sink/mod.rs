//! Where rows go: objects (JSON lines, CSV, Parquet) and tables (DynamoDB, SQLite).
//!
//! A batch stages its rows, then prepares them: what is left is an [`Effect`], data that this process or another one carries
//! out. Nothing is visible before that; carried out twice, it leaves the same result, because the object's key follows from
//! the batch and a table's rows from their keys.

mod cells;
mod digest;
pub mod dynamodb;
mod effect;
mod encode;
pub mod keys;
pub mod objects;
mod pieces;
pub(crate) mod record;
pub mod rows;
pub mod schema;
pub mod sqlite;
#[cfg(test)]
mod tests;
mod texts;
mod values;

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use serde::{Deserialize, Serialize};

pub use self::digest::RowsDigest;
pub use self::effect::{Effect, TableRows};
pub(crate) use self::pieces::memory;
pub use self::texts::RowTexts;
use crate::aws::{Condition, only_while};
use crate::dataset::{Column, Target};
use crate::job::{BatchId, Digest};
use crate::object::ObjectWriter;

/// An output whose columns are known: the dataset file's, or else the manifest's.
#[derive(Clone, Debug, PartialEq, Eq)]
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
    /// What the rows are, wherever they lie and in whatever format. None in what an earlier gristmill wrote.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
}

/// Rows could not be written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SinkError {
    /// The store did not answer, or throttles: worth another attempt.
    #[error("{0}")]
    Unavailable(String),
    /// The store refuses: no such table, a key that does not fit the table's schema, no permission, no room. It will refuse
    /// again until somebody changes something.
    #[error("{0}")]
    Refused(String),
    /// What was prepared is no more. The batch has to run again.
    #[error("{0}")]
    Gone(String),
    /// The batch is not ours any more, as far as our own clock can tell: nothing more is written.
    #[error("the claim ran out before everything was written")]
    Lost,
}

/// Asked right before everything that is seen from outside: whether the batch is still ours.
#[derive(Clone)]
pub struct Ours(Condition);

impl Ours {
    /// Ours as long as this says so.
    pub fn while_it_is(ours: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        Self(Arc::new(ours))
    }

    /// An error when it is not.
    pub fn still(&self) -> Result<(), SinkError> {
        if (self.0)() { Ok(()) } else { Err(SinkError::Lost) }
    }

    /// Does what is seen from outside. It is asked again before each attempt at a request that this takes, however often
    /// a client repeats it.
    async fn during(&self, work: impl Future<Output = Result<(), SinkError>>) -> Result<(), SinkError> {
        self.still()?;
        match only_while(self.0.clone(), work).await {
            // Whatever became of a request that was not repeated: it is not ours to say.
            Err(SinkError::Unavailable(_)) if self.still().is_err() => Err(SinkError::Lost),
            ended => ended,
        }
    }
}

/// Why the place of this output could not take these rows, if so: the item's fault, found as it emits them. Locally the same rows are refused as in the cloud, so that this
/// needs no place to ask.
pub(crate) fn refusal(schema: &OutputSchema, rows: &RecordBatch) -> Result<(), String> {
    match schema.target {
        Target::Table { .. } => dynamodb::check(schema, rows),
        Target::Objects { .. } => Ok(()),
    }
}

/// Where outputs go, and where plugins read.
#[derive(Clone)]
pub struct Stores {
    /// Objects.
    pub objects: Arc<dyn ObjectWriter>,
    /// Tables.
    pub tables: Arc<dyn TableSink>,
}

/// One place that takes rows of one output.
#[async_trait]
pub trait Sink: Send + Sync + 'static {
    /// Whether the place is there and takes such rows, asked once and for all: nothing is written.
    async fn ready(&self, _: &OutputSchema) -> Result<(), SinkError> {
        Ok(())
    }

    /// Begins to take this batch's rows.
    async fn stage(&self, batch: &BatchId, schema: &Arc<OutputSchema>) -> Result<Box<dyn Staging>, SinkError>;

    /// Removes what attempts at this batch staged that are no more, so that nobody can make it visible. Whoever took the batch
    /// over does this first.
    async fn remove_staged(&self, _: &BatchId, _: &OutputSchema) -> Result<(), SinkError> {
        Ok(())
    }
}

/// A place of tables.
#[async_trait]
pub trait TableSink: Sink {
    /// Writes rows, each in place of the row with its key; asks before each request. A failure may leave a part written.
    async fn put(&self, rows: &TableRows, ours: &Ours) -> Result<(), SinkError>;

    /// What tells this table from another one that is made under its name later; none where there is no such table, or it has no
    /// rows, or nobody can tell.
    async fn mark(&self, _: &str) -> Result<Option<String>, SinkError> {
        Ok(None)
    }
}

/// A batch's rows of one output, not visible yet. Dropped, it leaves nothing visible.
#[async_trait]
pub trait Staging: Send {
    /// Appends rows, which have the output's Arrow schema and are none that the place refuses.
    async fn write(&mut self, rows: RecordBatch) -> Result<(), SinkError>;

    /// Does all that can be done unseen.
    async fn prepare(self: Box<Self>) -> Result<Prepared, SinkError>;

    /// Gives up what was staged.
    async fn abort(self: Box<Self>) -> Result<(), SinkError>;
}

/// An output that is ready to be seen.
#[derive(Clone, Debug)]
pub struct Prepared {
    /// What it will hold.
    pub written: Written,
    /// What is left to do.
    pub effect: Effect,
}
