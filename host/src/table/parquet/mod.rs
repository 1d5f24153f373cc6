//! Parquet: the footer says what there is, row groups and pages that cannot have what is asked for are left out, and the others are
//! fetched and decoded one row group after the other, small ones together.

mod footer;
mod group;
mod index;
mod pages;
mod part;
mod prune;
mod select;
mod thrift;
mod types;

use std::collections::VecDeque;
use std::ops::Range;

use arrow::array::RecordBatch;
use arrow::datatypes::Field;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ParquetRecordBatchReader};
use parquet::basic::Encoding;
use parquet::file::metadata::ColumnChunkMetaData;

use self::footer::footer;
use self::pages::BESIDE;
use self::part::Part;
use self::prune::Prunable;
use self::types::{refuse_nested_int96, typed};
use super::cut::{BLOCK, BLOCKS, ROWS};
use super::plan::Plan;
use super::request::Request;
use super::source::{IN_VAIN, Source};
use crate::object::ObjectError;

/// What the end of a file says.
pub(super) async fn open(source: &mut Source) -> Result<ArrowReaderMetadata, ObjectError> {
    let footer = footer(source).await?;
    source.calmly(|| typed(&footer).map_err(|error| source.fault(&error)))
}

/// The rows of a file.
pub(super) struct Rows {
    source: Source,
    metadata: ArrowReaderMetadata,
    needed: Vec<usize>,
    block_rows: usize,
    /// By which parts of it may be left out.
    conditions: Vec<Prunable>,
    /// The row groups that are to be read, those that are read together as one.
    parts: VecDeque<Range<usize>>,
    decoder: Option<ParquetRecordBatchReader>,
    /// What a row group's bytes and pages may take.
    room: u64,
    /// The most memory that reading takes.
    pub(super) memory: u64,
}

impl Rows {
    pub(super) fn new(
        source: Source,
        metadata: ArrowReaderMetadata,
        plan: &Plan,
        request: &Request,
    ) -> Result<Self, ObjectError> {
        let needed = plan.of_file();
        refuse_nested_int96(&metadata, &needed).map_err(|why| source.invalid(why))?;
        let conditions = Prunable::all(plan, &metadata);
        let (parts, memory, beside) = parts(&conditions, &metadata, &needed, request.memory, &source)?;
        let (block_rows, room) = (request.block_rows, memory - beside);
        Ok(Self { source, metadata, needed, block_rows, conditions, parts, decoder: None, room, memory })
    }

    pub(super) fn source(&self) -> &Source {
        &self.source
    }

    /// Fetches row groups, if all of those before are decoded. False at the end.
    pub(super) async fn fetch(&mut self) -> Result<bool, ObjectError> {
        while self.decoder.is_none() {
            let Some(groups) = self.parts.pop_front() else { return Ok(false) };
            let Self { metadata, needed, block_rows, .. } = self;
            let part = Part { metadata, groups, needed, block_rows: *block_rows };
            self.decoder = group::open(&mut self.source, part, &self.conditions, self.room).await?;
        }
        Ok(true)
    }

    /// Some rows of what was fetched.
    pub(super) fn decode(&mut self) -> Result<Option<RecordBatch>, ObjectError> {
        let next = self.decoder.as_mut().and_then(Iterator::next);
        if next.is_none() {
            self.decoder = None;
        }
        next.transpose().map_err(|error| self.source.fault(&error.into()))
    }
}

/// Whether the decoder sets something aside for many values, and not for those of a block only.
fn decoded_together(field: &Field, column: &ColumnChunkMetaData) -> bool {
    let delta = |encoding| matches!(encoding, Encoding::DELTA_BYTE_ARRAY | Encoding::DELTA_LENGTH_BYTE_ARRAY);
    field.data_type().is_nested() || column.encodings().any(delta)
}

/// What a row group has of the columns that are read, or row groups together.
#[derive(Clone, Copy)]
struct Extent {
    rows: u64,
    stored: u64,
    /// What may be unpacked of it at once.
    unpacked: u64,
}

impl Extent {
    fn of(metadata: &ArrowReaderMetadata, number: usize, needed: &[usize]) -> Self {
        let of_file = metadata.parquet_schema();
        let size = |bytes: i64| u64::try_from(bytes).unwrap_or(u64::MAX);
        let group = metadata.metadata().row_group(number);
        let mut extent = Self { rows: size(group.num_rows()), stored: 0, unpacked: 0 };
        let columns = group.columns().iter().enumerate();
        for (leaf, column) in columns.filter(|(leaf, _)| needed.contains(&of_file.get_column_root_idx(*leaf))) {
            extent.stored = extent.stored.saturating_add(size(column.compressed_size()));
            extent.unpacked = extent.unpacked.saturating_add(size(column.uncompressed_size()));
            if decoded_together(metadata.schema().field(of_file.get_column_root_idx(leaf)), column) {
                extent.unpacked = extent.unpacked.saturating_add(size(column.num_values()).saturating_mul(BESIDE));
            }
        }
        extent
    }

    fn with(self, other: Self) -> Self {
        Self {
            rows: self.rows.saturating_add(other.rows),
            stored: self.stored.saturating_add(other.stored),
            unpacked: self.unpacked.saturating_add(other.unpacked),
        }
    }

    fn taken(self) -> u64 {
        self.stored.saturating_add(self.unpacked)
    }

    /// Whether it is no more than a block: every fetch and every block costs the guest a call, and the host two changes of threads.
    fn is_a_block(self) -> bool {
        self.rows <= ROWS as u64 && self.taken() <= BLOCK as u64
    }
}

/// The row groups that may have rows, none of them larger than what there is room for, and small ones together; and what reading them
/// takes.
fn parts(
    conditions: &[Prunable],
    metadata: &ArrowReaderMetadata,
    needed: &[usize],
    room: u64,
    source: &Source,
) -> Result<(VecDeque<Range<usize>>, u64, u64), ObjectError> {
    let footer = metadata.metadata().memory_size() as u64;
    // By its pages, a row group is read as a file of its own.
    let pruning = if conditions.is_empty() { 0 } else { footer.saturating_add(select::MEMORY) };
    let beside = footer.saturating_add(pruning).saturating_add(BLOCKS + IN_VAIN);
    let (mut kept, mut most) = (VecDeque::<(Range<usize>, Extent)>::new(), beside);
    let groups = metadata.metadata().row_groups().iter().enumerate();
    for (number, _) in groups.filter(|(_, group)| conditions.iter().all(|condition| condition.in_group(group))) {
        let extent = Extent::of(metadata, number, needed);
        let (stored, needs) = (extent.stored, beside.saturating_add(extent.stored));
        if needs > room {
            return Err(source.too_large(format!(
                "the columns that are read of row group {number} have {stored} bytes, and reading them takes {needs} bytes of memory; \
                 there are {room}: read fewer columns, or write smaller row groups"
            )));
        }
        let joined = kept.back().map(|(_, before)| before.with(extent)).filter(|joined| {
            // Pages are selected in one row group.
            conditions.is_empty() && joined.is_a_block() && beside.saturating_add(joined.taken()) <= room
        });
        let extent = joined.unwrap_or(extent);
        match kept.back_mut() {
            Some((part, before)) if joined.is_some() => (part.end, *before) = (number + 1, extent),
            _ => kept.push_back((number..number + 1, extent)),
        }
        // At once, a page of each column is unpacked; how large these are is only known when they are there.
        most = most.max(beside.saturating_add(extent.taken()).min(room));
    }
    Ok((kept.into_iter().map(|(part, _)| part).collect(), most, beside))
}
