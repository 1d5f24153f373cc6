//! Write gristmill plugins in Rust: a function from an item to rows.
//!
//! A plugin is the item processor of a Distributed Map. gristmill calls it once for each item, in a fresh sandbox, and
//! it can reach only what it is given: the item, the settings, and the objects that the dataset file grants. This is all
//! of one that counts the records of each object of a listing:
//!
//! ```
//! use gristmill_plugin::{Call, ColumnType::{Int64, Text}, Failure, Manifest, Output, Rows, json, objects};
//!
//! gristmill_plugin::export!(describe, process);
//!
//! fn describe() -> Manifest {
//!     let counts = Output::new("counts", "The number of records of each object.");
//!     gristmill_plugin::manifest!().output(counts.column("key", Text).column("records", Int64))
//! }
//!
//! fn process(call: Call) -> Result<(), Failure> {
//!     let mut csv = objects::read_csv(&call.uri()?)?;
//!     while csv.read()?.is_some() {}
//!     Rows::to("counts").emit(&json!({ "key": call.item.key, "records": csv.records() }))
//! }
//! # fn main() {}
//! ```
//!
//! In `Cargo.toml`: `crate-type = ["cdylib"]` under `[lib]`. Built with `cargo build --release --target wasm32-wasip2`,
//! it is a component that `gristmill map` and `gristmill worker` run.
//!
//! What is where:
//!
//! - [`export!`] and [`manifest!`] make a component of two functions; [`Manifest`] and [`Output`] say what it is.
//! - [`Call`] is what the function gets: settings, batch input and item as types of yours, read by serde. What does not
//!   fit is rejected before your code runs, with a sentence that says what was missing.
//! - [`objects`] reads from S3 (or a folder, on a laptop); [`csv`] splits what was read, at more than a gigabyte a second.
//! - [`table`] reads Parquet, CSV and JSON lines as typed columns, which the host decodes. [`table::Columnar`] takes many rows,
//!   and hands them over as columns; [`table::Columns`] takes columns. The feature `arrow` adds record batches of arrow-rs.
//! - [`sql`] asks the databases whose connections the dataset file grants, and gives the same columns.
//! - [`Rows`] takes rows, [`metrics`] numbers for operators, and the macros of the [`log`] crate write to the host's log.
//! - [`Failure`] is what to return instead of a result: *reject* where the input is bad and will always be, *retry* where
//!   something outside was not ready. Errors of this crate know which of the two they are; `?` is enough.
//!
//! Keep the logic in a module that reads from any [`csv::Source`]: then it is tested and measured natively, with
//! [`csv::Memory`] for an object. `unsafe` code appears only in what wit-bindgen generates.

pub mod csv;
pub mod objects;
pub mod sql;
pub mod table;

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
pub use serde_json::json;
