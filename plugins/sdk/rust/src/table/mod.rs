//! Tables in objects: Parquet, CSV and JSON lines, decoded by the host beside the guest.
//!
//! ```no_run
//! use gristmill_plugin::table::{self, Comparison, Type};
//!
//! # fn main() -> Result<(), gristmill_plugin::Failure> {
//! let blocks = table::open("s3://sensors/part-0")
//!     .columns(["deviceid"])
//!     .column("temperature", Type::Float64)
//!     .optional("humidity", Type::Float64)
//!     .filter("temperature", Comparison::Greater, 35.0)
//!     .blocks()?;
//! for block in blocks {
//!     let block = block?;
//!     let (devices, temperatures) = (block.text("deviceid")?, block.f64("temperature")?);
//!     for (device, temperature) in devices.iter().zip(temperatures.iter()) {
//!         log::debug!("{device:?}: {temperature:?}");
//!     }
//! }
//! # Ok(())
//! # }
//! ```

#[cfg(feature = "arrow")]
pub mod arrow;
mod block;
mod column;
mod columnar;
mod columns;
mod encode;
mod flat;
mod instant;
mod layout;
mod open;
mod row;
mod values;
mod write;

pub use block::Block;
pub use columnar::Columnar;
pub use columns::Columns;
pub use instant::{Date, Timestamp};
pub use layout::Type;
pub use open::{Blocks, Comparison, CsvOptions, Format, Literal, Open, open};
pub use values::{Bits, Bytes, Fixed, Texts, Values};
