//! Tables in one SQLite file, for `--local`: the stand-in for DynamoDB that people can look at with their own tools.
//!
//! A row replaces the row with its key whole, as DynamoDB's PutItem does.

mod database;
mod file;
mod table;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use rusqlite::types::ValueRef;

use self::database::Database;
pub use self::file::{open_sqlite, sqlite_error};
use self::table::{Table, quoted};
use super::error::SinkError;
use super::lease_check::LeaseCheck;
use super::schema::OutputSchema;
use super::staged_rows::StagedRows;
use super::stores::{Sink, Staging, TableSink};
use super::table_rows::TableRows;
use crate::dataset::Target;
use crate::job::BatchId;

/// Takes rows for [`Target::Table`].
pub struct SqliteSink(Arc<Database>);

impl SqliteSink {
    /// Opens or creates the file.
    pub fn open(path: &Path) -> Result<Self, SinkError> {
        Ok(Self(Arc::new(Database::open(path)?)))
    }

    /// The names of a table's columns and its first rows by key, as text for people.
    pub fn first_rows(&self, table: &str, most: usize) -> rusqlite::Result<(Vec<String>, Vec<Vec<String>>)> {
        let connection = self.0.connection();
        let mut statement = connection.prepare(&format!("SELECT * FROM {} LIMIT {most}", quoted(table)))?;
        let names: Vec<String> = statement.column_names().map(str::to_owned).collect();
        let row = |row: &rusqlite::Row<'_>| {
            (0..names.len()).map(|column| row.get_ref(column).map(shown)).collect::<rusqlite::Result<Vec<_>>>()
        };
        let rows = statement.query_map([], row)?.collect::<rusqlite::Result<_>>()?;
        drop(statement);
        Ok((names, rows))
    }
}

fn shown(value: rusqlite::types::ValueRef<'_>) -> String {
    match value {
        ValueRef::Null => String::new(),
        ValueRef::Integer(number) => number.to_string(),
        ValueRef::Real(number) => number.to_string(),
        ValueRef::Text(text) | ValueRef::Blob(text) => String::from_utf8_lossy(text).into_owned(),
    }
}

#[async_trait]
impl Sink for SqliteSink {
    async fn stage(&self, _: &BatchId, schema: &Arc<OutputSchema>) -> Result<Box<dyn Staging>, SinkError> {
        let Target::Table { table, key } = &schema.target else {
            return Err(SinkError::Refused(format!("output `{}` goes to objects, not to a table", schema.name)));
        };
        let table = Table::new(table, key, schema);
        if !self.0.is_ready(&table) {
            let (database, table) = (Arc::clone(&self.0), table.clone());
            blocking(move || database.prepare(&table)).await?;
        }
        Ok(Box::new(StagedRows::new(schema)))
    }
}

#[async_trait]
impl TableSink for SqliteSink {
    async fn put(&self, rows: &TableRows, lease: &LeaseCheck) -> Result<(), SinkError> {
        if rows.is_empty() {
            return Ok(());
        }
        let Target::Table { table, key } = &rows.schema.target else { return Ok(()) };
        let (database, table, rows) = (Arc::clone(&self.0), Table::new(table, key, &rows.schema), rows.clone());
        lease.check()?;
        blocking(move || database.write(&table, &rows)).await
    }

    async fn mark(&self, table: &str) -> Result<Option<String>, SinkError> {
        let (database, table) = (Arc::clone(&self.0), table.to_owned());
        blocking(move || {
            let failed = |error| sqlite_error(&database.path, &format!("look at table `{table}`"), &error);
            Table::mark(&database.connection(), &table).map_err(failed)
        })
        .await
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, SinkError> + Send + 'static,
) -> Result<T, SinkError> {
    let stopped = |error| SinkError::Unavailable(format!("writing rows was stopped: {error}"));
    tokio::task::spawn_blocking(work).await.map_err(stopped)?
}
