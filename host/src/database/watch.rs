//! Databases that remember whether they failed their reader, so that nobody takes that for the item's fault.

use std::sync::{Mutex, PoisonError};

use super::connections::Connections;
use super::error::DatabaseError;
use super::query::Database;

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

    /// The database behind a name.
    pub fn named(&self, name: &str) -> Result<&Database, DatabaseError> {
        self.connections.named(name)
    }

    /// Remembers what went wrong with one of them.
    pub fn note(&self, error: &DatabaseError) {
        if error.is_passing() {
            self.trouble.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error.clone());
        }
    }
}
