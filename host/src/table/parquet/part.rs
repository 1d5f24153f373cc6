//! Which row groups are read together, and what of them.

use std::fmt;
use std::ops::Range;

use parquet::arrow::arrow_reader::ArrowReaderMetadata;

/// What is read of row groups that follow each other.
pub(super) struct Part<'a> {
    pub(super) metadata: &'a ArrowReaderMetadata,
    /// The row groups, at least one.
    pub(super) groups: Range<usize>,
    /// The columns, by their numbers in the file.
    pub(super) needed: &'a [usize],
    /// The most rows of a block, or 0.
    pub(super) block_rows: usize,
}

impl fmt::Display for Part<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Range { start, end } = self.groups;
        match end - start {
            1 => write!(f, "row group {start}"),
            _ => write!(f, "row groups {start} to {}", end - 1),
        }
    }
}
