//! Which row group is read, and what of it.

use parquet::arrow::arrow_reader::ArrowReaderMetadata;

/// What is read of a row group.
pub(super) struct Part<'a> {
    pub(super) metadata: &'a ArrowReaderMetadata,
    /// The row group's.
    pub(super) number: usize,
    /// The columns, by their numbers in the file.
    pub(super) needed: &'a [usize],
    /// The most rows of a block, or 0.
    pub(super) block_rows: usize,
}
