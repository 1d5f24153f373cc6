//! Tables in objects: the columns and rows that somebody asks for, as blocks of Arrow in the few types of
//! [`ValueType`]. What is not asked for is not fetched. Knows nothing of plugins.

mod cast;
mod condition;
mod cut;
mod encode;
mod format;
pub(crate) mod hive;
mod parquet;
mod plan;
mod request;
mod scan;
mod source;
#[cfg(test)]
mod tests;
mod text;

pub(crate) use self::cut::{BLOCK, ROWS};
pub use self::encode::Encoding;
pub(crate) use self::encode::encode;
pub use self::request::{Column, Comparison, CsvOptions, Format, Literal, Predicate, Request, ValueType, Wanted};
pub use self::scan::Scan;
