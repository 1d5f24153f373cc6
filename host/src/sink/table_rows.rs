//! Rows of a table that wait in memory.

use std::sync::Arc;

use arrow::array::RecordBatch;

use super::cells::Cells;
use super::error::SinkError;
use super::pieces::memory;
use super::schema::OutputSchema;

/// Rows of a table, in the order of the items.
#[derive(Clone, Debug)]
pub struct TableRows {
    /// The table, its key and its columns.
    pub schema: Arc<OutputSchema>,
    /// The rows, with the schema's Arrow schema.
    pub blocks: Vec<RecordBatch>,
}

impl TableRows {
    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.blocks.iter().all(|block| block.num_rows() == 0)
    }

    /// The memory that the rows take, in bytes.
    pub(crate) fn memory(&self) -> usize {
        self.blocks.iter().map(memory).sum()
    }

    pub(super) fn cells(&self) -> Result<Vec<Cells<'_>>, SinkError> {
        self.blocks.iter().map(|block| Cells::of(&self.schema, block)).collect()
    }
}
