//! A Parquet file, block by block. Whoever polls it decodes: it belongs on a thread that holds nobody up.

use std::any::Any;
use std::collections::VecDeque;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use arrow::array::{Array as _, BooleanArray, RecordBatch, RecordBatchOptions};
use arrow::compute::{and, filter_record_batch};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use arrow::error::ArrowError;
use futures::{FutureExt as _, StreamExt as _};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use parquet::arrow::async_reader::{ParquetRecordBatchStream, ParquetRecordBatchStreamBuilder};
use parquet::basic::Type;
use parquet::errors::ParquetError;
use parquet::file::metadata::{ParquetMetaData, RowGroupMetaData};

use super::cast::{natural, words};
use super::footer::footer;
use super::plan::Plan;
use super::prune::may_meet;
use super::request::{Column, Request};
use super::source::{Source, fault};
use crate::object::{Location, Metadata, ObjectError, ObjectStore};

const DEFAULT_ROWS: usize = 16 << 10;
/// The most bytes of a block.
const BLOCK: usize = 8 << 20;

/// A table that is being read.
pub struct Scan {
    object: Metadata,
    plan: Plan,
    needed: Vec<usize>,
    schema: SchemaRef,
    rows: ParquetRecordBatchStream<Source>,
    ready: VecDeque<RecordBatch>,
    over: bool,
}

impl Scan {
    /// Opens the table in an object.
    pub async fn open(store: Arc<dyn ObjectStore>, at: &Location, request: &Request) -> Result<Self, ObjectError> {
        let (object, _) = store.open(at, 0).await?;
        let opened = AssertUnwindSafe(Self::start(store, &object, request)).catch_unwind().await;
        opened.unwrap_or_else(|panic| Err(panicked(&object, &*panic)))
    }

    async fn start(store: Arc<dyn ObjectStore>, object: &Metadata, request: &Request) -> Result<Self, ObjectError> {
        let footer = footer(&*store, object, request.memory).await?;
        let metadata = typed(&footer).map_err(|error| fault(object, error))?;
        let invalid = |why: String| ObjectError::Invalid(format!("{}: {why}", object.location));
        let plan = Plan::new(request, &object.location.key, metadata.schema()).map_err(invalid)?;
        let needed = plan.of_file();
        refuse_nested_int96(&metadata, &needed).map_err(invalid)?;
        let groups = groups(&plan, &metadata, &needed, request.memory, object)?;
        let fields = plan.columns.iter().map(|planned| {
            let Column { name, value_type, nullable } = &planned.column;
            Field::new(name, value_type.arrow(), *nullable)
        });
        let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        let mask = ProjectionMask::roots(metadata.parquet_schema(), needed.iter().copied());
        let source = Source { store, object: object.clone(), footer, memory: request.memory };
        let rows = ParquetRecordBatchStreamBuilder::new_with_metadata(source, metadata)
            .with_batch_size(if request.block_rows == 0 { DEFAULT_ROWS } else { request.block_rows.min(DEFAULT_ROWS) })
            .with_row_groups(groups)
            .with_projection(mask)
            .build()
            .map_err(|error| fault(object, error))?;
        Ok(Self { object: object.clone(), plan, needed, schema, rows, ready: VecDeque::new(), over: false })
    }

    /// The columns of its blocks.
    pub fn columns(&self) -> impl Iterator<Item = &Column> {
        self.plan.columns.iter().map(|planned| &planned.column)
    }

    /// The next block, never without rows; none at the end, and after an error.
    pub async fn next(&mut self) -> Result<Option<RecordBatch>, ObjectError> {
        loop {
            if let Some(block) = self.ready.pop_front() {
                return Ok(Some(block));
            }
            if self.over {
                return Ok(None);
            }
            let more = AssertUnwindSafe(self.more()).catch_unwind().await;
            let more = more.unwrap_or_else(|panic| Err(panicked(&self.object, &*panic)));
            self.over = !matches!(more, Ok(true));
            more?;
        }
    }

    /// Decodes some rows; false at the end.
    async fn more(&mut self) -> Result<bool, ObjectError> {
        let Some(rows) = self.rows.next().await else { return Ok(false) };
        let rows = rows.map_err(|error| fault(&self.object, error))?;
        let block = self
            .block(&rows)
            .map_err(|error| ObjectError::Invalid(format!("{}: {}", self.object.location, words(error))))?;
        self.cut(block)?;
        Ok(true)
    }

    fn block(&self, rows: &RecordBatch) -> Result<RecordBatch, ArrowError> {
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

    /// Halves a block until each part has few enough bytes.
    fn cut(&mut self, block: RecordBatch) -> Result<(), ObjectError> {
        let mut parts = vec![block];
        while let Some(part) = parts.pop() {
            let rows = part.num_rows();
            let sizes = part.columns().iter().map(|values| values.to_data().get_slice_memory_size());
            let bytes: usize = sizes.sum::<Result<_, _>>().unwrap_or(usize::MAX);
            match (rows, bytes) {
                (0, _) => {}
                (_, ..=BLOCK) => self.ready.push_back(part),
                (1, _) => {
                    let at = &self.object.location;
                    return Err(ObjectError::TooLarge(format!(
                        "{at}: a row has {bytes} bytes; a block at most {BLOCK}"
                    )));
                }
                _ => {
                    parts.push(part.slice(rows / 2, rows - rows / 2));
                    parts.push(part.slice(0, rows / 2));
                }
            }
        }
        Ok(())
    }
}

/// The types that the file's own schema says, without what a writer of Arrow left beside it. INT96 would be nanoseconds, which end
/// in 2262 and wrap around silently.
fn typed(footer: &Arc<ParquetMetaData>) -> Result<ArrowReaderMetadata, ParquetError> {
    let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
    let plain = ArrowReaderMetadata::try_new(footer.clone(), options.clone())?;
    let of_file = plain.parquet_schema();
    let int96 = |root: usize| {
        let leaves = of_file.columns().iter().enumerate();
        leaves
            .filter(|(leaf, _)| of_file.get_column_root_idx(*leaf) == root)
            .any(|(_, leaf)| leaf.physical_type() == Type::INT96)
    };
    let micros = DataType::Timestamp(TimeUnit::Microsecond, None);
    let fields = plain.schema().fields().iter().enumerate().map(|(root, field)| match field.data_type() {
        DataType::Timestamp(..) if int96(root) => Arc::new(field.as_ref().clone().with_data_type(micros.clone())),
        _ => field.clone(),
    });
    let hinted = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    if hinted == *plain.schema() {
        return Ok(plain);
    }
    ArrowReaderMetadata::try_new(footer.clone(), options.with_schema(hinted))
}

fn refuse_nested_int96(metadata: &ArrowReaderMetadata, needed: &[usize]) -> Result<(), String> {
    let of_file = metadata.parquet_schema();
    for (leaf, column) in of_file.columns().iter().enumerate() {
        let root = of_file.get_column_root_idx(leaf);
        if column.physical_type() == Type::INT96 && needed.contains(&root) {
            let field = metadata.schema().field(root);
            if field.data_type().is_nested() {
                return Err(format!(
                    "column `{}` has INT96 inside of nested values, which is not supported",
                    field.name()
                ));
            }
        }
    }
    Ok(())
}

/// The row groups that may have rows, none of them larger than what there is room for.
fn groups(
    plan: &Plan,
    metadata: &ArrowReaderMetadata,
    needed: &[usize],
    memory: u64,
    object: &Metadata,
) -> Result<Vec<usize>, ObjectError> {
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
    let mut kept = Vec::new();
    for (number, group) in metadata.metadata().row_groups().iter().enumerate().filter(|(_, group)| may(group)) {
        let columns = group.columns().iter().enumerate();
        let read = columns.filter(|(leaf, _)| needed.contains(&of_file.get_column_root_idx(*leaf)));
        let size = |bytes: i64| u64::try_from(bytes).unwrap_or(u64::MAX);
        let bytes = read.fold(0_u64, |sum, (_, column)| {
            sum.saturating_add(size(column.compressed_size())).saturating_add(size(column.uncompressed_size()))
        });
        if bytes > memory {
            return Err(ObjectError::TooLarge(format!(
                "{}: the columns that are read of row group {number} have {bytes} bytes, stored and unpacked; there is room for {memory}: \
                 read fewer columns, or write smaller row groups",
                object.location
            )));
        }
        kept.push(number);
    }
    Ok(kept)
}

/// Decoders panic on some damaged files.
fn panicked(object: &Metadata, panic: &(dyn Any + Send)) -> ObjectError {
    let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    ObjectError::Invalid(format!("{} cannot be read as Parquet: {}", object.location, text.unwrap_or("it is damaged")))
}
