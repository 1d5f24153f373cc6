//! Rows in parts that are small enough.

use arrow::array::{Array as _, ArrayRef, AsArray as _, RecordBatch};
use arrow::datatypes::DataType;

/// About the most bytes of a block: half of what `wit/tables.wit` says, so that a single row may have twice as many.
pub(crate) const BLOCK: usize = 4 << 20;

/// What blocks take in memory at once: as decoded, as asked for, as bytes (which JSON has more of), and those on their way.
pub(super) const BLOCKS: u64 = 6 * BLOCK as u64;

/// The most rows of a block.
pub(crate) const ROWS: usize = 16 << 10;

/// How many bytes the rows of a batch take, once every text stands for itself.
pub(super) fn bytes(rows: &RecordBatch) -> usize {
    rows.columns().iter().map(column_bytes).fold(0, usize::saturating_add)
}

/// Both halves of a batch that has more than one row.
pub(super) fn halves(rows: &RecordBatch) -> Option<[RecordBatch; 2]> {
    let (count, half) = (rows.num_rows(), rows.num_rows() / 2);
    (half > 0).then(|| [rows.slice(0, half), rows.slice(half, count - half)])
}

fn column_bytes(values: &ArrayRef) -> usize {
    // The lower half of a view is the length of its text (Arrow columnar format, Variable-size Binary View Layout).
    let lengths = |views: &[u128]| views.iter().map(|view| *view as u32 as usize + 4).fold(0, usize::saturating_add);
    match values.data_type() {
        DataType::Utf8View => lengths(values.as_string_view().views()),
        DataType::BinaryView => lengths(values.as_binary_view().views()),
        _ => values.to_data().get_slice_memory_size().unwrap_or(usize::MAX),
    }
}
