//! How much memory rows take, and how they are cut into pieces that take little.

use arrow::array::{Array as _, RecordBatch};

use crate::cpu::PIECE_BYTES;

/// The memory that rows take, in bytes. Columns that were read from one message share its buffer, which counts once.
pub(crate) fn memory(rows: &RecordBatch) -> usize {
    let mut buffers = Vec::new();
    for column in rows.columns() {
        let data = column.to_data();
        let nulls = data.nulls().map(|nulls| nulls.buffer());
        let of = |buffer: &arrow::buffer::Buffer| (buffer.data_ptr(), buffer.capacity());
        buffers.extend(data.buffers().iter().chain(nulls).map(of));
    }
    buffers.sort_unstable();
    buffers.dedup_by_key(|(start, _)| *start);
    buffers.into_iter().map(|(_, bytes)| bytes).sum()
}

/// The same rows in pieces of about [`PIECE_BYTES`] and of at most `most` rows, each with the bytes that it takes. Nothing is
/// copied.
pub(super) fn pieces(rows: &RecordBatch, most: usize) -> impl Iterator<Item = (RecordBatch, usize)> + Send + use<> {
    let (count, bytes) = (rows.num_rows(), memory(rows));
    let per_row = bytes.div_ceil(count.max(1)).max(1);
    let length = (PIECE_BYTES / per_row).clamp(1, most);
    let rows = rows.clone();
    (0..count).step_by(length).map(move |from| {
        let length = length.min(count - from);
        (rows.slice(from, length), length * per_row)
    })
}

#[cfg(test)]
mod tests {
    use arrow::compute::concat_batches;

    use super::super::OutputSchema;
    use super::super::tests::{all_types, rows, table};
    use super::*;

    #[test]
    fn pieces_are_small_and_together_the_whole() {
        let schema = OutputSchema::new("daily", all_types(), table(&["id"])).unwrap();
        let lines: String = (0..5_000).map(|n| format!("{{\"id\":\"{n}{}\"}}\n", "x".repeat(1_000))).collect();
        let whole = rows(&schema, &lines);
        assert!((5_000_000..12_000_000).contains(&memory(&whole)), "{}", memory(&whole));
        let (cut, bytes): (Vec<_>, Vec<_>) = pieces(&whole, 8_192).unzip();
        assert!(cut.len() > 4 && bytes.iter().all(|bytes| *bytes <= PIECE_BYTES), "{bytes:?}");
        assert_eq!(concat_batches(&schema.arrow, &cut).unwrap(), whole);
        assert_eq!(memory(&cut[0]), memory(&whole), "a piece keeps the whole");
        assert!(pieces(&whole, 10).all(|(piece, _)| piece.num_rows() == 10));
        assert_eq!(pieces(&rows(&schema, ""), 10).count(), 0);
    }

    #[test]
    fn columns_that_share_a_buffer_count_once() {
        let schema = OutputSchema::new("daily", all_types(), table(&["id"])).unwrap();
        let once = rows(&schema, r#"{"id":"a"}"#);
        let twice = RecordBatch::try_from_iter([("a", once.column(0).clone()), ("b", once.column(0).clone())]).unwrap();
        let one = RecordBatch::try_from_iter([("a", once.column(0).clone())]).unwrap();
        assert_eq!(memory(&one), memory(&twice));
    }
}
