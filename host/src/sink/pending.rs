//! Rows that wait until they are enough to work on.

use arrow::array::RecordBatch;

use super::pieces::{memory, pieces};
use crate::cpu::PIECE_BYTES;

/// Rows are worked on once they take this many bytes of memory, or are this many. That is enough to make work cheap, and
/// little beside what the items themselves hold.
const BYTES: usize = PIECE_BYTES;
pub(super) const ROWS: usize = 8192;

/// Rows that wait.
#[derive(Default)]
pub(super) struct Pending {
    pub(super) blocks: Vec<RecordBatch>,
    pub(super) rows: usize,
    pub(super) bytes: usize,
}

impl Pending {
    /// Adds a block's rows, and gives what is enough by now.
    pub(super) fn add(&mut self, rows: &RecordBatch) -> Vec<Self> {
        let mut full = Vec::new();
        for (piece, bytes) in pieces(rows, ROWS) {
            if self.rows + piece.num_rows() > ROWS || self.bytes + bytes > BYTES {
                full.push(std::mem::take(self));
            }
            self.rows += piece.num_rows();
            self.bytes += bytes;
            self.blocks.push(piece);
        }
        // A piece keeps its whole block in memory, so no piece of a large block stays.
        if memory(rows) >= BYTES {
            full.push(std::mem::take(self));
        }
        full.retain(|pending| pending.rows > 0);
        full
    }
}
