//! One row group: its columns are fetched, looked over, and then decoded from memory.

use bytes::{Buf as _, Bytes, buf::Reader};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use parquet::basic::Type;
use parquet::errors::{ParquetError, Result};
use parquet::file::reader::{ChunkReader, Length};

use super::super::cut::ROWS;
use super::super::source::Source;
use super::pages::pages;
use crate::object::ObjectError;

/// About how many bytes are decoded at once.
const DECODED: u64 = 4 << 20;

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

/// Fetches a row group's columns, and begins to decode them: so many rows at once that there is room for the widest ones.
pub(super) async fn open(
    source: &mut Source,
    part: Part<'_>,
    room: u64,
) -> std::result::Result<ParquetRecordBatchReader, ObjectError> {
    let Part { metadata, number, needed, block_rows } = part;
    let (group, of_file) = (metadata.metadata().row_group(number), metadata.parquet_schema());
    let leaves: Vec<usize> =
        (0..group.num_columns()).filter(|leaf| needed.contains(&of_file.get_column_root_idx(*leaf))).collect();
    let mut ranges = Vec::new();
    for leaf in &leaves {
        // It panics where one of the two is negative.
        let (start, length) = source.calmly(|| Ok(group.column(*leaf).byte_range()))?;
        let end = start.checked_add(length).filter(|end| *end <= source.object.size);
        let end = end.ok_or_else(|| source.invalid(format!("a column of row group {number} lies outside of it")))?;
        ranges.push(start..end);
    }
    let fetched = source.read_all(&ranges).await?;
    let stored: u64 = fetched.iter().map(|bytes| bytes.len() as u64).sum();
    let (mut taken, mut row) = (stored, 0_u64);
    for (leaf, column) in leaves.iter().zip(&fetched) {
        let of = pages(column).ok_or_else(|| source.invalid(format!("a page of row group {number} is damaged")))?;
        let root = metadata.schema().field(of_file.get_column_root_idx(*leaf));
        let descriptor = of_file.column(*leaf);
        let wide = match descriptor.physical_type() {
            Type::FIXED_LEN_BYTE_ARRAY => u64::try_from(descriptor.type_length()).unwrap_or(u64::MAX),
            _ => 0,
        };
        taken = taken.saturating_add(of.largest).saturating_add(of.dictionary);
        if root.data_type().is_nested() {
            // A row may have all the values that there are.
            taken = taken.saturating_add(of.all.max(wide.saturating_mul(of.values)));
        } else {
            row = row.saturating_add(of.value.max(wide));
        }
    }
    if taken > room {
        return Err(source.too_large(format!(
            "row group {number} takes {taken} bytes of memory, with the pages that are unpacked at once; there are {room}: read fewer \
             columns, or write smaller pages and row groups"
        )));
    }
    let most = if block_rows == 0 { ROWS } else { ROWS.min(block_rows) } as u64;
    let rows = (DECODED / row.max(1)).clamp(1, most);
    let chunks = ranges.iter().map(|range| range.start).zip(fetched).collect();
    let chunks = Chunks { chunks, size: source.object.size };
    source.calmly(|| {
        ParquetRecordBatchReaderBuilder::new_with_metadata(chunks, metadata.clone())
            .with_batch_size(rows as usize)
            .with_row_groups(vec![number])
            .with_projection(ProjectionMask::roots(of_file, needed.iter().copied()))
            .build()
            .map_err(|error| source.fault(&error))
    })
}

/// The columns that were fetched, as the parts of the file that they are.
struct Chunks {
    chunks: Vec<(u64, Bytes)>,
    size: u64,
}

impl Chunks {
    /// The bytes of a column from there on.
    fn from(&self, start: u64) -> Result<Bytes> {
        let within = |(at, bytes): &&(u64, Bytes)| *at <= start && start - at < bytes.len() as u64;
        let found = self.chunks.iter().find(within);
        let (at, bytes) = found.ok_or_else(|| ParquetError::EOF(format!("byte {start} is of no column")))?;
        Ok(bytes.slice((start - at) as usize..))
    }
}

impl Length for Chunks {
    fn len(&self) -> u64 {
        self.size
    }
}

impl ChunkReader for Chunks {
    type T = Reader<Bytes>;

    fn get_read(&self, start: u64) -> Result<Self::T> {
        Ok(self.from(start)?.reader())
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes> {
        let mut bytes = self.from(start)?;
        if length > bytes.len() {
            return Err(ParquetError::EOF(format!("{length} bytes from {start} on are more than a column has")));
        }
        Ok(bytes.split_to(length))
    }
}
