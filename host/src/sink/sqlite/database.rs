//! The transactions: a table is made or widened, and a batch's rows are written whole or not at all.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, TransactionBehavior};

use super::super::cells::{self, Cell};
use super::super::error::SinkError;
use super::super::table_rows::TableRows;
use super::file::{open_sqlite, sqlite_error};
use super::table::Table;

/// One file, and what is known of its tables.
pub(super) struct Database {
    pub(super) path: PathBuf,
    /// One connection: SQLite has one writer at a time anyway, and waiting for our own lock is cheaper than waiting for
    /// SQLite's.
    connection: Mutex<Connection>,
    /// The tables that were made or checked, by the statement that makes them.
    ready: Mutex<HashSet<String>>,
}

impl Database {
    /// Opens or creates the file.
    pub(super) fn open(path: &Path) -> Result<Self, SinkError> {
        let connection = Mutex::new(open_sqlite(path)?);
        Ok(Self { path: path.to_owned(), connection, ready: Mutex::default() })
    }

    pub(super) fn connection(&self) -> MutexGuard<'_, Connection> {
        lock(&self.connection)
    }

    /// Whether the table was made or checked already.
    pub(super) fn is_ready(&self, table: &Table) -> bool {
        lock(&self.ready).contains(&table.create)
    }

    /// Makes the table, or gives one that exists the columns that it lacks.
    pub(super) fn prepare(&self, table: &Table) -> Result<(), SinkError> {
        let tried = format!("make table `{}`", table.name);
        let failed = |error| sqlite_error(&self.path, &tried, &error);
        let mut connection = self.connection();
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
        let called = Table::called(&transaction, &table.name).map_err(failed)?;
        if let Some(called) = called.filter(|called| *called != table.name) {
            return Err(SinkError::Refused(format!(
                "`{}` has a table `{called}`, and SQLite takes `{}` for the same: rename one of them in its dataset file, or give \
                 each a folder of its own",
                self.path.display(),
                table.name
            )));
        }
        let existing = Table::existing(&transaction, &table.name).map_err(failed)?;
        if existing.is_empty() {
            transaction.execute(&table.marked(), []).map_err(failed)?;
        } else {
            for statement in table.differences(&existing, &self.path)? {
                transaction.execute(&statement, []).map_err(failed)?;
            }
        }
        transaction.commit().map_err(failed)?;
        lock(&self.ready).insert(table.create.clone());
        Ok(())
    }

    /// Writes all rows or none.
    pub(super) fn write(&self, table: &Table, rows: &TableRows) -> Result<(), SinkError> {
        let tried = format!("write to table `{}`", table.name);
        let failed = |error| sqlite_error(&self.path, &tried, &error);
        let blocks = rows.cells()?;
        let mut connection = self.connection();
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
        {
            let mut insert = transaction.prepare_cached(&table.insert).map_err(failed)?;
            for (cells, row) in blocks.iter().flat_map(|cells| (0..cells.rows()).map(move |row| (cells, row))) {
                insert.execute(rusqlite::params_from_iter(cells.row(row))).map_err(failed)?;
            }
        }
        transaction.commit().map_err(failed)
    }
}

impl rusqlite::ToSql for Cell<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match *self {
            Cell::Null => ToSqlOutput::Borrowed(ValueRef::Null),
            Cell::Boolean(value) => i64::from(value).into(),
            Cell::Int64(value) => value.into(),
            Cell::Float64(value) => value.into(),
            Cell::Text(text) | Cell::Json(text) => text.into(),
            Cell::Date(days) => cells::date(days).into(),
            Cell::Timestamp(micros) => cells::timestamp(micros).into(),
        })
    }
}

/// A thread that panicked has rolled its transaction back, so the connection is still good.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
