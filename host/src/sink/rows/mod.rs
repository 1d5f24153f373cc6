//! A block of rows, as a guest emits it, becomes a record batch of the output's schema or a sentence that names row and column.
//! Nothing that a guest emits may panic here, or take memory without bound.

mod column;
mod error;
mod ipc;
mod json;

use arrow::array::RecordBatch;

pub use self::error::{BadRows, MAX_DECODED_BYTES};
use super::schema::OutputSchema;

/// The largest block, in bytes. A component emits no more than `max_output` per item. This limit holds where that one is very
/// high: it keeps a text column below the 2 GiB that Arrow's 32-bit offsets reach.
pub const MAX_BLOCK_BYTES: usize = 256 << 20;

/// A block of rows: the contract's `rows`.
#[derive(Clone, Copy, Debug)]
pub enum Rows<'a> {
    /// One JSON object per line.
    JsonLines(&'a [u8]),
    /// An Arrow IPC stream.
    ArrowIpc(&'a [u8]),
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
