//! Why a block of rows is not taken, and the words for it.

use super::super::schema::OutputSchema;
use crate::dataset::ColumnType;

/// How much memory the rows of one block may take, in bytes. A line `{}` makes a null in every column, and an Arrow null column
/// of any length takes no bytes. Without this limit a small block could make any number of rows.
pub const MAX_DECODED_BYTES: usize = 256 << 20;

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

/// What a column of this type takes, to follow the words "column `x` takes".
pub(super) fn takes(kind: ColumnType) -> &'static str {
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

pub(super) fn no_value(row: usize, column: &str) -> BadRows {
    BadRows::Invalid(format!("row {row}: column `{column}` has no value, and it is not nullable"))
}

/// Refuses rows that would be too much at eight bytes a value.
pub(super) fn check_size(schema: &OutputSchema, rows: usize, bytes: usize) -> Result<(), BadRows> {
    if rows.saturating_mul(schema.columns.len() * 8).saturating_add(bytes) <= MAX_DECODED_BYTES {
        return Ok(());
    }
    Err(BadRows::TooLarge(format!(
        "{rows} rows of {} columns take more than {MAX_DECODED_BYTES} bytes of memory: emit smaller blocks",
        schema.columns.len()
    )))
}

/// The beginning of what a guest wrote, to be shown in a sentence.
pub(super) fn excerpt(text: &str) -> String {
    match text.char_indices().nth(60) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
