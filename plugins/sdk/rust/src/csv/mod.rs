//! CSV out of chunks, at the speed of memory.
//!
//! ```
//! use gristmill_plugin::csv::{Memory, Reader};
//!
//! let object = Memory::new("s3://weather/a.csv", ["ID,ELEMENT,VALUE\nA,PRCP,1", "2\nA,TMAX,30\n"]);
//! let mut rows = Reader::new(object)?;
//! let (element, value) = (rows.column("ELEMENT")?, rows.column("VALUE")?);
//! rows.only(element, "PRCP");
//! let mut sum = 0;
//! while let Some(row) = rows.read()? {
//!     sum += row.int64(value)?;
//! }
//! assert_eq!((sum, rows.records()), (12, 2));
//! # Ok::<(), gristmill_plugin::csv::Error>(())
//! ```
//!
//! The format is that of the `csv` crate (RFC 4180 and what is seen in the field): fields may be quoted, a doubled quote
//! stands for one, quoted fields may hold line ends; `\n`, `\r\n` and `\r` end a record; empty lines are skipped; a byte
//! order mark is dropped. Beyond that crate, a quote that is still open at the end is an error, for it has swallowed
//! records. The first record is the header, with no name twice, and every other must have as many fields. What is evidently no
//! CSV, by its first bytes, is said to be what it is.
//!
//! Memory stays bounded whatever is read: one chunk, and one record of at most [`Options::record_limit`].

mod bytes;
mod error;
mod filter;
mod kind;
mod look;
mod pieces;
mod reader;
mod record;
mod scanner;
mod source;

pub use error::{Error, ErrorKind};
pub use reader::{Options, Reader};
pub use record::{Column, Record};
pub use source::{Memory, Source};
