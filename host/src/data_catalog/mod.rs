//! The adapter that makes a table known to people who query: its columns and its partitions, in the AWS Glue Data Catalog
//! or, under `--local`, in a file that DuckDB reads. Not to be confused with `catalog/`, the versions of datasets.
//!
//! What is published is what a run left, and it is published once its objects are there. Everything here may be repeated: the
//! same change twice changes nothing, and what a process that ended in between has left undone, the repetition does. There is
//! one writer of a table. What somebody else made of it meanwhile is found, and is mended or refused, never overlooked.

mod change;
#[cfg(any(test, feature = "contract"))]
pub mod contract;
mod definition;
mod error;
mod evolve;
pub mod glue;
mod known;
pub mod local;
mod name;
mod partition;
mod projection;
mod sql;
mod table;
#[cfg(test)]
mod tests;

use async_trait::async_trait;

pub use self::change::{Change, File};
pub use self::definition::{Column, Definition, Storage};
pub use self::error::CatalogError;
pub use self::partition::Partition;
pub use self::projection::Values;
pub use self::table::Table;

/// Where people find tables.
#[async_trait]
pub trait DataCatalog: Send + Sync {
    /// Makes known what a run left of a table. It is safe to repeat, whatever became of the first attempt.
    async fn publish(&self, change: &Change) -> Result<Published, CatalogError>;
}

/// A catalog that nobody asks, for work that writes aside: nothing becomes known.
#[derive(Clone, Copy, Debug)]
pub struct NoCatalog;

#[async_trait]
impl DataCatalog for NoCatalog {
    async fn publish(&self, _: &Change) -> Result<Published, CatalogError> {
        Ok(Published::default())
    }
}

/// What became different in the catalog.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Published {
    /// Whether the table was new.
    pub created: bool,
    /// Whether the table was changed: columns were added or widened, or its partitions are looked for in a wider range.
    pub evolved: bool,
    /// Partitions that were not known.
    pub added: u64,
    /// Partitions that were known to lie elsewhere.
    pub moved: u64,
    /// Partitions that lie where they lay and were described otherwise, as before the table had a column.
    pub updated: u64,
    /// Partitions that are known no more.
    pub removed: u64,
    /// Partitions of which nothing had to be changed, those that are gone already among them.
    pub unchanged: u64,
}
