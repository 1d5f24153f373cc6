//! The AWS Glue Data Catalog: what Athena, Redshift Spectrum, Spark on EMR and Glue's own jobs ask for tables.
//!
//! First the table, then its partitions, those that are gone last: who queries meanwhile finds nothing that is not described. A
//! table is changed under the version that was read (`VersionId`), so that of two who change it one reads again.

#[cfg(any(test, feature = "contract"))]
mod by_hand;
mod calls;
mod description;
mod partitions;

use async_trait::async_trait;
use serde_json::{Value, json};

use self::calls::{Calls, Fault};
use super::change::Plan;
use super::evolve::evolve;
use super::{CatalogError, Change, DataCatalog, Published, Table};
use crate::aws::SdkConfig;

/// How often a table is read again that somebody else changes at the same time.
const ROUNDS: usize = 4;

/// The Data Catalog of the account and the region that the configuration is for.
#[derive(Clone, Debug)]
pub struct Glue {
    calls: Calls,
}

/// A table as it is in the catalog now.
struct Described {
    /// The description of its files, as partitions have it too.
    storage: Value,
    created: bool,
    evolved: bool,
}

impl Glue {
    /// The catalog as this configuration reaches it.
    pub fn new(config: &SdkConfig) -> Self {
        Self { calls: Calls::new(config) }
    }

    /// Makes or changes the table, if it is not yet as it should be.
    async fn describe(&self, table: &Table) -> Result<Described, CatalogError> {
        let wanted = table.definition();
        for _ in 0..ROUNDS {
            let Some(found) = self.read(table).await? else {
                let input = description::new_table(table);
                let storage = input["StorageDescriptor"].clone();
                match self.calls.ask(table, "CreateTable", json!({"TableInput": input})).await {
                    Ok(_) => return Ok(Described { storage, created: true, evolved: false }),
                    Err(fault) if fault.is("AlreadyExistsException") => continue,
                    Err(fault) if fault.is("EntityNotFoundException") => return Err(no_database(table)),
                    Err(fault) => return Err(fault.into()),
                }
            };
            let existing = description::definition(&found).map_err(|why| refused(table, &why))?;
            let Some(evolved) = evolve(&table.full_name(), &existing, &wanted)? else {
                let storage = found["StorageDescriptor"].clone();
                return Ok(Described { storage, created: false, evolved: false });
            };
            let input = description::evolved_table(&found, &evolved);
            let storage = input["StorageDescriptor"].clone();
            // Its earlier versions would be kept, and there is a limit to their number.
            let mut change = json!({"TableInput": input, "SkipArchive": true});
            if let Some(version) = found["VersionId"].as_str() {
                change["VersionId"] = version.into();
            }
            match self.calls.ask(table, "UpdateTable", change).await {
                Ok(_) => return Ok(Described { storage, created: false, evolved: true }),
                Err(fault) if fault.is_race() || fault.is("EntityNotFoundException") => {}
                Err(fault) => return Err(fault.into()),
            }
        }
        Err(CatalogError::Unavailable(format!(
            "table `{}`: somebody else changes it in the AWS Glue Data Catalog again and again",
            table.full_name()
        )))
    }

    async fn read(&self, table: &Table) -> Result<Option<Value>, CatalogError> {
        match self.calls.ask(table, "GetTable", json!({"Name": table.name})).await {
            Ok(mut found) => Ok(Some(found["Table"].take())),
            Err(fault) if fault.is("EntityNotFoundException") => Ok(None),
            Err(fault) => Err(fault.into()),
        }
    }
}

#[async_trait]
impl DataCatalog for Glue {
    async fn publish(&self, change: &Change) -> Result<Published, CatalogError> {
        let Plan { present, gone } = change.plan()?;
        let table = &change.table;
        let Described { storage, created, evolved } = self.describe(table).await?;
        let mut published = Published { created, evolved, ..Published::default() };
        if table.projection.is_some() {
            published.unchanged = (present.len() + gone.len()) as u64;
            return Ok(published);
        }
        self.register(table, &storage, present, &mut published).await?;
        self.forget(table, gone, &mut published).await?;
        Ok(published)
    }
}

fn refused(table: &Table, why: &str) -> CatalogError {
    CatalogError::Refused(format!("table `{}`: {why}", table.full_name()))
}

fn no_database(table: &Table) -> CatalogError {
    let database = &table.database;
    CatalogError::Refused(format!(
        "table `{}`: there is no database `{database}` in the AWS Glue Data Catalog of this account and region: make it with `aws \
         glue create-database --database-input Name={database}`",
        table.full_name()
    ))
}

impl From<Fault> for CatalogError {
    fn from(fault: Fault) -> Self {
        if fault.is_refusal() { Self::Refused(fault.sentence) } else { Self::Unavailable(fault.sentence) }
    }
}
