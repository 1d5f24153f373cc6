//! The connections of this process, by name.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use super::error::DatabaseError;
use super::file::{self, FileError};
use super::password::Vaults;
use super::query::Database;
use crate::aws::SdkConfig;

/// All connections that the operator's file names. Clones are the same sessions. The default has none.
#[derive(Clone, Default)]
pub struct Connections {
    by_name: Arc<BTreeMap<String, Database>>,
    /// Whether nobody looks whether there are those that datasets are granted.
    unasked: bool,
}

impl Connections {
    /// Reads the file. No database is asked before something is queried, and AWS, as this configuration or else its own chain
    /// reaches it, not before a password is needed that is kept there.
    pub fn load(file: &Path, config: Option<&SdkConfig>) -> Result<Self, FileError> {
        let vaults = config.map_or_else(Vaults::default, Vaults::new);
        let databases = file::load(file)?.into_iter().map(|(name, settings)| {
            let database = Database::new(&name, settings, vaults.clone());
            database.map(|database| (name, database)).map_err(|error| FileError(format!("{}: {error}", file.display())))
        });
        Ok(Self { by_name: Arc::new(databases.collect::<Result<_, _>>()?), unasked: false })
    }

    /// None, where nothing is asked of any: datasets are only looked at.
    pub fn unasked() -> Self {
        Self { unasked: true, ..Self::default() }
    }

    /// The database behind a name.
    pub fn named(&self, name: &str) -> Result<&Database, DatabaseError> {
        self.by_name.get(name).ok_or_else(|| {
            let why = self.lacks(name).unwrap_or_else(|| "nothing is asked of databases here".into());
            DatabaseError::NoSuchConnection(format!("connection `{name}`: {why}"))
        })
    }

    /// What is to be said of a name that is not there.
    pub fn lacks(&self, name: &str) -> Option<String> {
        if self.unasked || self.by_name.contains_key(name) {
            return None;
        }
        if self.by_name.is_empty() {
            return Some("no connections are known here: name a file of them with `--connections FILE`".into());
        }
        let names: Vec<String> = self.by_name.keys().map(|name| format!("`{name}`")).collect();
        Some(format!("the file of `--connections` has no such connection; it has {}", names.join(", ")))
    }
}

impl fmt::Debug for Connections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.by_name.keys()).finish()
    }
}
