//! Rows that are sorted among themselves: in memory, or in a temporary file.

use std::fs::File;
use std::io::{BufReader, BufWriter, Seek as _};

use arrow::array::{Array as _, RecordBatch};
use arrow::compute::interleave_record_batch;
use arrow::datatypes::SchemaRef;
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::StreamWriter;

use super::order::unsorted;
use crate::sink::error::SinkError;
use crate::sink::pieces::memory;

/// About how many bytes of rows a block has that comes out of a run, and how many rows at most.
const BLOCK_BYTES: usize = 256 << 10;
pub(super) const BLOCK_ROWS: usize = 8192;

/// Rows in memory, and the order in which they come.
pub(super) struct Sorted {
    blocks: Vec<RecordBatch>,
    order: std::vec::IntoIter<(usize, usize)>,
    at_once: usize,
}

impl Sorted {
    /// The blocks' rows in this order: each by its block and its row.
    pub(super) fn new(blocks: Vec<RecordBatch>, order: Vec<(usize, usize)>) -> Self {
        let bytes: usize = blocks.iter().map(memory).sum();
        let at_once = (BLOCK_BYTES / (bytes / order.len().max(1)).max(1)).clamp(1, BLOCK_ROWS);
        Self { blocks, order: order.into_iter(), at_once }
    }
}

impl Iterator for Sorted {
    type Item = Result<RecordBatch, SinkError>;

    fn next(&mut self) -> Option<Self::Item> {
        let next: Vec<(usize, usize)> = self.order.by_ref().take(self.at_once).collect();
        if next.is_empty() {
            return None;
        }
        let blocks: Vec<&RecordBatch> = self.blocks.iter().collect();
        Some(interleave_record_batch(&blocks, &next).map_err(unsorted))
    }
}

/// One run.
pub(super) enum Run {
    Waiting(Sorted),
    Spilled(StreamReader<BufReader<File>>),
}

impl Run {
    /// A run in memory.
    pub(super) fn waiting(rows: Sorted) -> Self {
        Self::Waiting(rows)
    }

    /// A run in a temporary file that has no name: whatever becomes of this process, nothing of it stays.
    pub(super) fn spilled(
        schema: &SchemaRef,
        rows: impl Iterator<Item = Result<RecordBatch, SinkError>>,
    ) -> Result<Self, SinkError> {
        let file = tempfile::tempfile().map_err(no_room)?;
        let mut writer = StreamWriter::try_new(BufWriter::new(file), schema).map_err(not_written)?;
        for block in rows {
            // Rows of very different sizes: a block that is read again should not be larger than others.
            let mut pieces = vec![block?];
            while let Some(piece) = pieces.pop() {
                let half = piece.num_rows() / 2;
                if half == 0 || size(&piece) <= 2 * BLOCK_BYTES {
                    writer.write(&piece).map_err(not_written)?;
                } else {
                    pieces.push(piece.slice(half, piece.num_rows() - half));
                    pieces.push(piece.slice(0, half));
                }
            }
        }
        let file = writer.into_inner().map_err(not_written)?.into_inner();
        let mut file = file.map_err(|error| no_room(error.into_error()))?;
        file.rewind().map_err(no_room)?;
        StreamReader::try_new_buffered(file, None).map(Self::Spilled).map_err(not_written)
    }
}

impl Iterator for Run {
    type Item = Result<RecordBatch, SinkError>;

    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Self::Waiting(rows) => rows.next(),
            Self::Spilled(file) => file.next().map(|block| block.map_err(not_written)),
        }
    }
}

/// What of its buffers the rows of a slice need, in bytes.
fn size(rows: &RecordBatch) -> usize {
    rows.columns().iter().map(|column| column.to_data().get_slice_memory_size().unwrap_or_default()).sum()
}

fn not_written(error: arrow::error::ArrowError) -> SinkError {
    no_room(error)
}

fn no_room(error: impl std::fmt::Display) -> SinkError {
    // Others may give room back.
    SinkError::Unavailable(format!(
        "rows that wait to be sorted could not lie in temporary files under {}: {error}; TMPDIR names a folder with more room",
        std::env::temp_dir().display()
    ))
}
