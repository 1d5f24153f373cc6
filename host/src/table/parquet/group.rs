//! Row groups that follow each other: what is wanted of their columns is fetched, looked over, and then decoded from memory.

use std::ops::Range;
use std::sync::Arc;

use bytes::{Buf as _, Bytes, buf::Reader};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder, RowSelection, RowSelectionPolicy,
};
use parquet::basic::Type;
use parquet::errors::ParquetError;
use parquet::file::metadata::page_index::PageIndexBuilder;
use parquet::file::metadata::{FileMetaData, OffsetIndexBuilder, ParquetMetaDataBuilder};
use parquet::file::reader::{ChunkReader, Length};

use super::super::cut::ROWS;
use super::super::source::Source;
use super::pages::{Pages, pages};
use super::part::Part;
use super::prune::Prunable;
use super::select::{Selected, Selection, select};
use super::types::typed;
use crate::object::ObjectError;

/// About how many bytes are decoded at once.
const DECODED: u64 = 4 << 20;

/// Fetches the columns, or of a single row group those pages that may have what is asked for, and begins to decode them: so many rows
/// at once that there is room for the widest ones. None if no row can meet the conditions.
pub(super) async fn open(
    source: &mut Source,
    part: Part<'_>,
    conditions: &[Prunable],
    room: u64,
) -> Result<Option<ParquetRecordBatchReader>, ObjectError> {
    let chunks = chunks(source, &part)?;
    let mut selection = match conditions {
        [] => None,
        _ => match select(source, &part, &chunks, conditions).await? {
            Selected::Nothing => return Ok(None),
            Selected::All => None,
            Selected::Pages(selection) => Some(selection),
        },
    };
    loop {
        let pieces = selection.as_ref().map_or_else(|| whole(&chunks), |selection| some(&chunks, selection));
        let ranges: Vec<_> = pieces.iter().map(|piece| piece.range.clone()).collect();
        let fetched = source.read_all(&ranges).await?;
        let size = match size(&part, &pieces, &fetched) {
            Some(size) => size,
            // An index that is not one of these pages is as good as none.
            None if selection.take().is_some() => continue,
            None => return Err(source.invalid(format!("a page of {part} is damaged"))),
        };
        if size.taken > room {
            let taken = size.taken;
            return Err(source.too_large(format!(
                "reading {part} takes {taken} bytes of memory, with the pages that are unpacked at once; there are {room}: read \
                 fewer columns, or write smaller pages and row groups"
            )));
        }
        let most = if part.block_rows == 0 { ROWS } else { ROWS.min(part.block_rows) } as u64;
        let rows = (DECODED / size.row.max(1)).clamp(1, most);
        let mut chunks: Vec<_> = ranges.iter().map(|range| range.start).zip(fetched).collect();
        chunks.retain(|(_, bytes)| !bytes.is_empty());
        chunks.sort_by_key(|(start, _)| *start);
        let chunks = Chunks { chunks, size: source.object.size };
        let decoder = source.calmly(|| {
            let decoder = decoder(&part, chunks, selection.as_ref(), rows as usize);
            decoder.map_err(|error| source.fault(&error))
        });
        return decoder.map(Some);
    }
}

/// The columns that are read, by the number of the leaf, and where they lie: of each column all row groups.
fn chunks(source: &Source, part: &Part<'_>) -> Result<Vec<(usize, Range<u64>)>, ObjectError> {
    let of_file = part.metadata.parquet_schema();
    let leaves = (0..of_file.num_columns()).filter(|leaf| part.needed.contains(&of_file.get_column_root_idx(*leaf)));
    let chunk = |leaf: usize, number: usize| {
        let group = part.metadata.metadata().row_group(number);
        // It panics where one of the two is negative.
        let (start, length) = source.calmly(|| Ok(group.column(leaf).byte_range()))?;
        let end = start.checked_add(length).filter(|end| *end <= source.object.size);
        let end = end.ok_or_else(|| source.invalid(format!("a column of row group {number} lies outside of it")))?;
        Ok((leaf, start..end))
    };
    leaves
        .flat_map(|leaf| part.groups.clone().map(move |number| (leaf, number)))
        .map(|(leaf, number)| chunk(leaf, number))
        .collect()
}

/// What is fetched of a column.
struct Piece {
    leaf: usize,
    range: Range<u64>,
    /// How many rows it has if it is one page; none if it is the dictionary.
    rows: Option<u64>,
}

fn whole(chunks: &[(usize, Range<u64>)]) -> Vec<Piece> {
    chunks.iter().map(|(leaf, range)| Piece { leaf: *leaf, range: range.clone(), rows: None }).collect()
}

/// The pages that are wanted, and what lies before the first one.
fn some(chunks: &[(usize, Range<u64>)], selection: &Selection) -> Vec<Piece> {
    let mut pieces = Vec::new();
    for ((leaf, chunk), (_, pages)) in chunks.iter().zip(&selection.columns) {
        let first = pages.first().map_or(chunk.start, |page| page.bytes.start);
        if first > chunk.start {
            pieces.push(Piece { leaf: *leaf, range: chunk.start..first, rows: Some(0) });
        }
        let wanted = pages.iter().filter(|page| selection.wants(&page.rows));
        pieces.extend(wanted.map(|page| {
            let rows = Some(page.rows.end - page.rows.start);
            Piece { leaf: *leaf, range: page.bytes.clone(), rows }
        }));
    }
    pieces
}

/// What reading takes, in bytes.
struct Size {
    taken: u64,
    /// Of a row, at most.
    row: u64,
}

/// None if a page is damaged, or is not what is known of it.
fn size(part: &Part<'_>, pieces: &[Piece], fetched: &[Bytes]) -> Option<Size> {
    let of_file = part.metadata.parquet_schema();
    let mut size = Size { taken: fetched.iter().map(|bytes| bytes.len() as u64).sum(), row: 0 };
    let both: Vec<_> = pieces.iter().zip(fetched).collect();
    for column in both.chunk_by(|one, next| one.0.leaf == next.0.leaf) {
        let mut of = Pages::default();
        for (piece, bytes) in column {
            let found = pages(bytes)?;
            if piece.rows.is_some_and(|rows| (found.count, found.values) != (u64::from(rows > 0), rows)) {
                return None;
            }
            of = of.with(found);
        }
        let leaf = column.first()?.0.leaf;
        let root = part.metadata.schema().field(of_file.get_column_root_idx(leaf));
        let descriptor = of_file.column(leaf);
        let wide = match descriptor.physical_type() {
            Type::FIXED_LEN_BYTE_ARRAY => u64::try_from(descriptor.type_length()).unwrap_or(u64::MAX),
            _ => 0,
        };
        size.taken = size.taken.saturating_add(of.largest).saturating_add(of.dictionary);
        if root.data_type().is_nested() {
            // A row may have all the values that there are.
            size.taken = size.taken.saturating_add(of.all.max(wide.saturating_mul(of.values)));
        } else {
            size.row = size.row.saturating_add(of.value.max(wide));
        }
    }
    Some(size)
}

fn decoder(
    part: &Part<'_>,
    chunks: Chunks,
    selection: Option<&Selection>,
    rows: usize,
) -> parquet::errors::Result<ParquetRecordBatchReader> {
    let (metadata, groups) = match selection {
        Some(selection) => (alone(part, selection)?, 0..1),
        None => (part.metadata.clone(), part.groups.clone()),
    };
    let mask = ProjectionMask::roots(part.metadata.parquet_schema(), part.needed.iter().copied());
    let total = metadata.metadata().row_group(groups.start).num_rows() as usize;
    let mut decoder = ParquetRecordBatchReaderBuilder::new_with_metadata(chunks, metadata)
        .with_batch_size(rows)
        .with_row_groups(groups.collect())
        .with_projection(mask);
    if let Some(selection) = selection {
        let wanted = selection.rows.iter().map(|rows| rows.start as usize..rows.end as usize);
        // The other way to select decodes all pages, and some of them are not there.
        decoder = decoder
            .with_row_selection_policy(RowSelectionPolicy::Selectors)
            .with_row_selection(RowSelection::from_consecutive_ranges(wanted, total));
    }
    decoder.build()
}

/// A file that has this row group only, and knows where its pages lie.
fn alone(part: &Part<'_>, selection: &Selection) -> parquet::errors::Result<ArrowReaderMetadata> {
    let (whole, of_file) = (part.metadata.metadata(), part.metadata.metadata().file_metadata());
    let group = whole.row_group(part.groups.start);
    let mut places = PageIndexBuilder::new(1, group.num_columns());
    for (leaf, pages) in &selection.columns {
        let mut index = OffsetIndexBuilder::new();
        for page in pages {
            index.append_row_count((page.rows.end - page.rows.start) as i64);
            index.append_offset_and_size(page.bytes.start as i64, i32::try_from(page.bytes.end - page.bytes.start)?);
        }
        places.put_offset_index(index.build(), 0, *leaf);
    }
    let created_by = of_file.created_by().map(str::to_owned);
    let (version, schema) = (of_file.version(), of_file.schema_descr_ptr());
    let file = FileMetaData::new(version, group.num_rows(), created_by, None, schema, of_file.column_orders().cloned());
    let file = ParquetMetaDataBuilder::new(file).add_row_group(group.clone());
    typed(&Arc::new(file.set_page_index(Some(Arc::new(places.build()))).build()))
}

/// What was fetched, as the parts of the file that it is.
struct Chunks {
    /// With the places where they begin, in order.
    chunks: Vec<(u64, Bytes)>,
    size: u64,
}

impl Chunks {
    /// The bytes of a piece from there on.
    fn from(&self, start: u64) -> parquet::errors::Result<Bytes> {
        let next = self.chunks.partition_point(|(at, _)| *at <= start);
        let before = next.checked_sub(1).and_then(|place| self.chunks.get(place));
        let found = before.filter(|(at, bytes)| start - at < bytes.len() as u64);
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

    fn get_read(&self, start: u64) -> parquet::errors::Result<Self::T> {
        Ok(self.from(start)?.reader())
    }

    fn get_bytes(&self, start: u64, length: usize) -> parquet::errors::Result<Bytes> {
        let mut bytes = self.from(start)?;
        if length > bytes.len() {
            return Err(ParquetError::EOF(format!("{length} bytes from {start} on are more than a column has")));
        }
        Ok(bytes.split_to(length))
    }
}
