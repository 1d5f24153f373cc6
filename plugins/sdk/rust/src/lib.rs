//! Write [gristmill](https://github.com/gristmill) plugins in Rust: a function from an item to rows.
#![doc = ""]
pub mod csv;
pub mod objects;

#[doc(hidden)]
pub mod bindings;
mod call;
mod export;
mod failure;
mod logging;
mod manifest;
mod output;

pub use bindings::gristmill::plugin::metrics;
pub use call::{AnyBatchInput, Bucket, Call, NoSettings, S3Object};
#[doc(hidden)]
pub use export::__private;
pub use failure::Failure;
pub use log;
pub use manifest::{ColumnType, Manifest, Output};
pub use output::Rows;
