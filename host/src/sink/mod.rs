//! Where rows go: objects (JSON lines, CSV, Parquet) and tables (DynamoDB, SQLite).
//!
//! A batch stages its rows, then prepares them: what is left is an [`Effect`], data that this process or another one carries
//! out. Nothing is visible before that. An effect that is carried out twice leaves the same result, because the object's key
//! follows from the batch and a table's rows from their keys.

mod apply;
mod cells;
mod compress;
#[cfg(any(test, feature = "contract"))]
pub mod contract;
mod digest;
pub mod dynamodb;
mod effect;
mod encode;
mod error;
pub(crate) mod file_list;
mod files;
pub mod keys;
mod laid_out;
mod lease_check;
pub mod objects;
pub(crate) mod partition;
mod pending;
mod pieces;
mod place;
mod prepared;
pub(crate) mod record;
mod refusal;
pub mod rows;
pub mod schema;
mod sort;
pub mod sqlite;
mod staged_rows;
mod stores;
mod table_rows;
#[cfg(test)]
mod tests;
mod texts;
mod values;
mod writing;

pub use self::digest::RowsDigest;
pub use self::effect::Effect;
pub use self::error::SinkError;
pub(crate) use self::error::object_error;
pub(crate) use self::laid_out::SORTED;
pub use self::lease_check::LeaseCheck;
pub(crate) use self::pieces::memory;
pub(crate) use self::place::append_folder;
pub use self::prepared::{Prepared, Written};
pub(crate) use self::refusal::refusal;
pub use self::schema::OutputSchema;
pub use self::stores::{Sink, Staging, Stores, TableSink};
pub use self::table_rows::TableRows;
pub use self::texts::RowTexts;
