//! Parquet: the footer says what there is, row groups and pages that cannot have what is asked for are left out, and the others are
//! fetched and decoded one row group after the other.

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
use super::cut::BLOCKS;
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
    /// The row groups that are to be read.
    groups: VecDeque<usize>,
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
        let (groups, memory, beside) = groups(&conditions, &metadata, &needed, request.memory, &source)?;
        let (block_rows, room) = (request.block_rows, memory - beside);
        Ok(Self { source, metadata, needed, block_rows, conditions, groups, decoder: None, room, memory })
    }

    pub(super) fn source(&self) -> &Source {
        &self.source
    }

    /// Fetches a row group, if all of the one before is decoded. False at the end.
    pub(super) async fn fetch(&mut self) -> Result<bool, ObjectError> {
        while self.decoder.is_none() {
            let Some(number) = self.groups.pop_front() else { return Ok(false) };
            let Self { metadata, needed, block_rows, .. } = self;
            let part = Part { metadata, number, needed, block_rows: *block_rows };
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

/// The row groups that may have rows, none of them larger than what there is room for; and what reading them takes.
fn groups(
    conditions: &[Prunable],
    metadata: &ArrowReaderMetadata,
    needed: &[usize],
    room: u64,
    source: &Source,
) -> Result<(VecDeque<usize>, u64, u64), ObjectError> {
    let of_file = metadata.parquet_schema();
    let size = |bytes: i64| u64::try_from(bytes).unwrap_or(u64::MAX);
    let footer = metadata.metadata().memory_size() as u64;
    // By its pages, a row group is read as a file of its own.
    let pruning = if conditions.is_empty() { 0 } else { footer.saturating_add(select::MEMORY) };
    let beside = footer.saturating_add(pruning).saturating_add(BLOCKS + IN_VAIN);
    let (mut kept, mut most) = (VecDeque::new(), beside);
    let groups = metadata.metadata().row_groups().iter().enumerate();
    for (number, group) in groups.filter(|(_, group)| conditions.iter().all(|condition| condition.in_group(group))) {
        let (mut stored, mut unpacked) = (0_u64, 0_u64);
        let columns = group.columns().iter().enumerate();
        for (leaf, column) in columns.filter(|(leaf, _)| needed.contains(&of_file.get_column_root_idx(*leaf))) {
            stored = stored.saturating_add(size(column.compressed_size()));
            unpacked = unpacked.saturating_add(size(column.uncompressed_size()));
            if decoded_together(metadata.schema().field(of_file.get_column_root_idx(leaf)), column) {
                unpacked = unpacked.saturating_add(size(column.num_values()).saturating_mul(BESIDE));
            }
        }
        let needs = beside.saturating_add(stored);
        if needs > room {
            return Err(source.too_large(format!(
                "the columns that are read of row group {number} have {stored} bytes, and reading them takes {needs} bytes of memory; \
                 there are {room}: read fewer columns, or write smaller row groups"
            )));
        }
        // At once, a page of each column is unpacked; how large these are is only known when they are there.
        most = most.max(needs.saturating_add(unpacked).min(room));
        kept.push_back(number);
    }
    Ok((kept, most, beside))
}
