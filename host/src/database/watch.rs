//! Databases that remember whether they failed their reader, so that nobody takes that for the item's fault.

use std::sync::{Mutex, PoisonError};

use super::connections::Connections;
use super::error::DatabaseError;
use super::query::{Database, Patience};
use super::rows::Rows;
use super::value::Value;

/// The connections as the items of one batch use them.
#[derive(Debug, Default)]
pub struct WatchedConnections {
    connections: Connections,
    trouble: Mutex<Option<DatabaseError>>,
}

impl WatchedConnections {
    /// Watches these.
    pub fn new(connections: Connections) -> Self {
        Self { connections, trouble: Mutex::default() }
    }

    /// The first thing that went wrong on a database's side.
    pub fn trouble(&self) -> Option<DatabaseError> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// See [`Database::query`].
    pub async fn query(
        &self,
        connection: &str,
        statement: &str,
        parameters: &[Value],
        rows: usize,
        patience: Patience,
    ) -> Result<Rows, DatabaseError> {
        let database: &Database = self.connections.named(connection)?;
        database.query(statement, parameters, rows, patience).await.inspect_err(|error| self.note(error))
    }

    /// Remembers what went wrong with rows that it gave.
    pub fn note(&self, error: &DatabaseError) {
        if error.is_passing() {
            self.trouble.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error.clone());
        }
    }
}
