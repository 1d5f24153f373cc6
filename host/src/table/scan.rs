//! A Parquet file, block by block.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use arrow::array::{BooleanArray, RecordBatch, RecordBatchOptions};
use arrow::compute::{and, filter_record_batch};
use arrow::datatypes::{Field, Schema, SchemaRef};
use arrow::error::ArrowError;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ParquetRecordBatchReader};
use parquet::basic::Encoding;
use parquet::file::metadata::{ColumnChunkMetaData, RowGroupMetaData};

use super::cast::{natural, words};
use super::cut::{BLOCK, bytes, halves};
use super::encode::{Encoding as Handed, encode};
use super::footer::footer;
use super::group;
use super::pages::BESIDE;
use super::plan::Plan;
use super::prune::may_meet;
use super::request::{Column, Request};
use super::source::Source;
use super::types::{refuse_nested_int96, typed};
use crate::object::{Location, ObjectError, ObjectStore};

/// So many blocks are in memory at once: as decoded, as asked for, as bytes (which JSON has more of), and those on their way.
const BLOCKS: u64 = 6;

/// A table that is being read. What is fetched belongs on a runtime for I/O, and what is decoded on a thread that holds nobody up:
/// so there are two functions, called in turn.
pub struct Scan {
    source: Source,
    metadata: ArrowReaderMetadata,
    plan: Plan,
    needed: Vec<usize>,
    schema: SchemaRef,
    block_rows: usize,
    /// The row groups that are to be read.
    groups: VecDeque<usize>,
    rows: Option<ParquetRecordBatchReader>,
    /// Decoded rows that are to be made into blocks.
    decoded: Vec<RecordBatch>,
    memory: u64,
    /// What of it is not for a row group's bytes and pages.
    beside: u64,
}

impl Scan {
    /// Opens the table in an object.
    pub async fn open(store: Arc<dyn ObjectStore>, at: &Location, request: &Request) -> Result<Self, ObjectError> {
        let mut source = Source::open(store, at).await?;
        let footer = footer(&mut source).await?;
        let metadata = source.calmly(|| typed(&footer).map_err(|error| source.fault(&error)))?;
        let plan = Plan::new(request, &source.object.location.key, metadata.schema());
        let plan = plan.map_err(|why| source.invalid(why))?;
        let needed = plan.of_file();
        refuse_nested_int96(&metadata, &needed).map_err(|why| source.invalid(why))?;
        let (groups, memory, beside) = groups(&plan, &metadata, &needed, request.memory, &source)?;
        let fields = plan.columns.iter().map(|planned| {
            let Column { name, value_type, nullable } = &planned.column;
            Field::new(name, value_type.arrow(), *nullable)
        });
        let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        let (rows, decoded, block_rows) = (None, Vec::new(), request.block_rows);
        Ok(Self { source, metadata, plan, needed, schema, block_rows, groups, rows, decoded, memory, beside })
    }

    /// The columns of its blocks.
    pub fn columns(&self) -> impl Iterator<Item = &Column> {
        self.plan.columns.iter().map(|planned| &planned.column)
    }

    /// The most memory that it takes, in bytes, beside the blocks that it has given.
    pub fn memory(&self) -> u64 {
        self.memory
    }

    /// How many bytes of the object were fetched.
    pub fn fetched(&self) -> u64 {
        self.source.fetched
    }

    /// Fetches what is to be decoded next, if that is needed. False at the end.
    pub async fn fetch(&mut self) -> Result<bool, ObjectError> {
        if self.rows.is_some() || !self.decoded.is_empty() {
            return Ok(true);
        }
        let Some(number) = self.groups.pop_front() else { return Ok(false) };
        let part = group::Part { metadata: &self.metadata, number, needed: &self.needed, block_rows: self.block_rows };
        self.rows = Some(group::open(&mut self.source, part, self.memory - self.beside).await?);
        Ok(true)
    }

    /// Decodes a block of what was fetched, never without rows. None if more has to be fetched.
    pub fn decode(&mut self) -> Result<Option<RecordBatch>, ObjectError> {
        // The decoder is not used again after it panicked.
        let decoded = catch_unwind(AssertUnwindSafe(|| self.block()));
        decoded.unwrap_or_else(|panic| Err(self.source.panicked(&*panic)))
    }

    /// A block as bytes.
    pub fn encode(&self, block: &RecordBatch, encoding: Handed) -> Result<Vec<u8>, ObjectError> {
        encode(block, self.columns(), encoding).map_err(|error| self.source.invalid(words(error)))
    }

    fn block(&mut self) -> Result<Option<RecordBatch>, ObjectError> {
        loop {
            if let Some(rows) = self.decoded.pop() {
                if bytes(&rows) > BLOCK
                    && let Some([first, second]) = halves(&rows)
                {
                    self.decoded.extend([second, first]);
                    continue;
                }
                match self.asked(&rows) {
                    Ok(block) if block.num_rows() == 0 => continue,
                    Ok(block) if fits(&block) => return Ok(Some(block)),
                    Ok(_) | Err(ArrowError::MemoryError(_)) => {}
                    Err(error) => return Err(self.source.invalid(words(error))),
                }
                let parts = halves(&rows);
                let [first, second] = parts.ok_or_else(|| {
                    self.source.too_large(format!("a row has more than the {} bytes that a block may have", 2 * BLOCK))
                })?;
                self.decoded.extend([second, first]);
                continue;
            }
            let Some(rows) = self.rows.as_mut().and_then(Iterator::next) else {
                self.rows = None;
                return Ok(None);
            };
            self.decoded.push(rows.map_err(|error| self.source.fault(&error.into()))?);
        }
    }

    /// The columns that are asked for, of the rows that meet the conditions.
    fn asked(&self, rows: &RecordBatch) -> Result<RecordBatch, ArrowError> {
        let mut meets: Option<BooleanArray> = None;
        for (planned, condition) in &self.plan.conditions {
            let mask = condition.mask(&planned.values(rows, &self.needed)?)?;
            meets = Some(match meets {
                Some(before) => and(&before, &mask)?,
                None => mask,
            });
        }
        let kept = meets.map(|mask| filter_record_batch(rows, &mask)).transpose()?;
        let rows = kept.as_ref().unwrap_or(rows);
        let values = self.plan.columns.iter().map(|planned| planned.values(rows, &self.needed));
        let count = RecordBatchOptions::new().with_row_count(Some(rows.num_rows()));
        RecordBatch::try_new_with_options(self.schema.clone(), values.collect::<Result<_, _>>()?, &count)
    }
}

/// Whether the decoder sets something aside for many values, and not for those of a block only.
fn decoded_together(field: &Field, column: &ColumnChunkMetaData) -> bool {
    let delta = |encoding| matches!(encoding, Encoding::DELTA_BYTE_ARRAY | Encoding::DELTA_LENGTH_BYTE_ARRAY);
    field.data_type().is_nested() || column.encodings().any(delta)
}

fn fits(block: &RecordBatch) -> bool {
    let most = if block.num_rows() == 1 { 2 * BLOCK } else { BLOCK };
    bytes(block) <= most
}

/// The row groups that may have rows, none of them larger than what there is room for; and what reading them takes.
fn groups(
    plan: &Plan,
    metadata: &ArrowReaderMetadata,
    needed: &[usize],
    room: u64,
    source: &Source,
) -> Result<(VecDeque<usize>, u64, u64), ObjectError> {
    let of_file = metadata.parquet_schema();
    let may = |group: &RowGroupMetaData| {
        plan.conditions.iter().all(|(planned, condition)| {
            let Some(root) = planned.index() else { return true };
            let file_type = metadata.schema().field(root).data_type();
            if file_type.is_nested() || natural(file_type) != planned.column.value_type {
                return true;
            }
            let leaf = (0..of_file.num_columns()).find(|leaf| of_file.get_column_root_idx(*leaf) == root);
            leaf.is_none_or(|leaf| may_meet(condition, file_type, group.column(leaf).statistics()))
        })
    };
    let size = |bytes: i64| u64::try_from(bytes).unwrap_or(u64::MAX);
    let beside = (metadata.metadata().memory_size() as u64).saturating_add(BLOCKS * BLOCK as u64);
    let (mut kept, mut most) = (VecDeque::new(), beside);
    for (number, group) in metadata.metadata().row_groups().iter().enumerate().filter(|(_, group)| may(group)) {
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
