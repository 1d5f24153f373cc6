//! From a block of rows as a guest emits it to a record batch of the output's schema, or a sentence that names row and
//! column. Nothing that a guest emits may panic here, or take memory without measure.

mod column;
mod ipc;
mod json;

use arrow::array::RecordBatch;

use super::OutputSchema;
use crate::dataset::ColumnType;

/// The largest block, in bytes. A component emits no more than `max_output` per item; this holds when that is set very
/// high, and keeps a text column below the 2 GiB that Arrow's 32-bit offsets reach.
pub const MAX_BLOCK_BYTES: usize = 256 << 20;

/// What the rows of one block may take in memory, in bytes. A line `{}` makes a null in every column, and an Arrow null
/// column has any length in no bytes: without this a small block could make any number of rows.
pub const MAX_DECODED_BYTES: usize = 256 << 20;

/// A block of rows: the contract's `rows`.
#[derive(Clone, Copy, Debug)]
pub enum Rows<'a> {
    /// One JSON object per line.
    JsonLines(&'a [u8]),
    /// An Arrow IPC stream.
    ArrowIpc(&'a [u8]),
}

/// Why a block was not taken: the contract's `output.error`. Rows are counted from 1 within the block.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadRows {
    /// The rows do not fit the columns.
    #[error("{0}")]
    Invalid(String),
    /// More than a limit allows.
    #[error("{0}")]
    TooLarge(String),
}

/// Reads a block. The batch has exactly the output's Arrow schema; every float is finite, every day and instant can be
/// written, every JSON value is valid and on one line.
pub fn decode(schema: &OutputSchema, rows: Rows<'_>) -> Result<RecordBatch, BadRows> {
    let (Rows::JsonLines(block) | Rows::ArrowIpc(block)) = rows;
    if block.len() > MAX_BLOCK_BYTES {
        return Err(BadRows::TooLarge(format!(
            "the block has {} bytes; at most {MAX_BLOCK_BYTES} may be emitted at once",
            block.len()
        )));
    }
    match rows {
        Rows::JsonLines(block) => json::decode(schema, block),
        Rows::ArrowIpc(block) => ipc::decode(schema, block),
    }
}

/// What a column of this type takes, to follow the words "column `x` takes".
fn takes(kind: ColumnType) -> &'static str {
    match kind {
        ColumnType::Boolean => "true or false",
        ColumnType::Int64 => "a whole number of 64 bits (-9223372036854775808 to 9223372036854775807)",
        ColumnType::Float64 => "a finite number of 64 bits",
        ColumnType::Text => "a string",
        ColumnType::Date => "a day such as \"2024-01-31\"",
        ColumnType::Timestamp => "an instant in RFC 3339 of at most microseconds, such as \"2024-01-31T12:00:00Z\"",
        ColumnType::Json => "a JSON value",
    }
}

fn no_value(row: usize, column: &str) -> BadRows {
    BadRows::Invalid(format!("row {row}: column `{column}` has no value, and it is not nullable"))
}

/// Refuses rows whose columns alone, eight bytes each, would be too much.
fn check_size(schema: &OutputSchema, rows: usize, bytes: usize) -> Result<(), BadRows> {
    if rows.saturating_mul(schema.columns.len() * 8).saturating_add(bytes) <= MAX_DECODED_BYTES {
        return Ok(());
    }
    Err(BadRows::TooLarge(format!(
        "{rows} rows of {} columns take more than {MAX_DECODED_BYTES} bytes of memory: emit smaller blocks",
        schema.columns.len()
    )))
}

/// The beginning of something that a guest wrote, for a sentence.
fn excerpt(text: &str) -> String {
    match text.char_indices().nth(60) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
