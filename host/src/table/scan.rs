//! A table, block by block, whatever its format is.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use arrow::array::{BooleanArray, RecordBatch, RecordBatchOptions};
use arrow::compute::{and, filter_record_batch};
use arrow::datatypes::{Field, Schema, SchemaRef};
use arrow::error::ArrowError;
use tokio::runtime::Handle;

use super::cast::{natural, words};
use super::cut::{BLOCK, bytes, halves};
use super::encode::{Encoding, encode};
use super::format::{Layout, layout};
use super::plan::Plan;
use super::request::{Column, Request, ValueType};
use super::source::Source;
use super::text::{self, Text};
use super::{parquet, request};
use crate::object::{Location, ObjectError, ObjectStore};

/// A table that is being read. What is fetched belongs on a runtime for I/O, and what is decoded on a thread that holds nobody up:
/// so there are two functions, called in turn.
pub struct Scan {
    plan: Plan,
    needed: Vec<usize>,
    schema: SchemaRef,
    rows: Rows,
    /// Decoded rows that are to be made into blocks.
    decoded: Vec<RecordBatch>,
}

/// Where rows come from: the file's own columns, those that the plan needs.
enum Rows {
    Parquet(parquet::Rows),
    Text(text::Rows),
}

impl Scan {
    /// Opens the table in an object.
    pub async fn open(
        io: &Handle,
        store: Arc<dyn ObjectStore>,
        at: &Location,
        request: &Request,
    ) -> Result<Self, ObjectError> {
        let mut source = Source::open(store, at).await?;
        let key = source.object.location.key.clone();
        let planned = |schema: &Schema, natural: request::Natural| Plan::new(request, &key, schema, natural);
        let (plan, rows) = match layout(&request.format, &key, &source)? {
            Layout::Parquet => {
                let metadata = parquet::open(&mut source).await?;
                let plan = planned(metadata.schema(), natural).map_err(|why| source.invalid(why))?;
                let rows = parquet::Rows::new(source, metadata, &plan, request)?;
                (plan, Rows::Parquet(rows))
            }
            Layout::Csv(options) => {
                let mut text = Text::open(io, source, request)?;
                let header = text::csv_header(&mut text, &options).await?;
                let plan = planned(&header.schema, |_| ValueType::Text).map_err(|why| text.source.invalid(why))?;
                let rows = text::Rows::csv(text, header, &plan, request.block_rows);
                (plan, Rows::Text(rows))
            }
            Layout::JsonLines => {
                let mut text = Text::open(io, source, request)?;
                let names = text::json_names(&mut text, request).await?;
                let mut plan = planned(&names.schema, |_| ValueType::Json).map_err(|why| text.source.invalid(why))?;
                if request.columns.is_some() {
                    // The names are those that were asked for: what the lines have is not known before they are read.
                    plan.hidden.clear();
                }
                let rows = text::Rows::json_lines(text, names, &plan, request.block_rows);
                (plan, Rows::Text(rows))
            }
        };
        let fields = plan.columns.iter().map(|planned| {
            let Column { name, value_type, nullable } = &planned.column;
            Field::new(name, value_type.arrow(), *nullable)
        });
        let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        Ok(Self { needed: plan.of_file(), plan, schema, rows, decoded: Vec::new() })
    }

    /// The columns of its blocks.
    pub fn columns(&self) -> impl Iterator<Item = &Column> {
        self.plan.columns.iter().map(|planned| &planned.column)
    }

    /// The columns that are read from the key although the file has them, too: its values are not looked at.
    pub fn hidden(&self) -> &[String] {
        &self.plan.hidden
    }

    /// The most memory that it takes, in bytes, beside the blocks that it has given.
    pub fn memory(&self) -> u64 {
        match &self.rows {
            Rows::Parquet(rows) => rows.memory,
            Rows::Text(rows) => rows.memory,
        }
    }

    /// How many bytes of the object were fetched; of text, how many there were when it was unpacked.
    pub fn fetched(&self) -> u64 {
        self.source().fetched
    }

    /// Fetches what is to be decoded next, if that is needed. False at the end.
    pub async fn fetch(&mut self) -> Result<bool, ObjectError> {
        if !self.decoded.is_empty() {
            return Ok(true);
        }
        match &mut self.rows {
            Rows::Parquet(rows) => rows.fetch().await,
            Rows::Text(rows) => rows.fetch().await,
        }
    }

    /// Decodes a block of what was fetched, never without rows. None if more has to be fetched.
    pub fn decode(&mut self) -> Result<Option<RecordBatch>, ObjectError> {
        // The decoder is not used again after it panicked.
        let decoded = catch_unwind(AssertUnwindSafe(|| self.block()));
        decoded.unwrap_or_else(|panic| Err(self.source().panicked(&*panic)))
    }

    fn source(&self) -> &Source {
        match &self.rows {
            Rows::Parquet(rows) => rows.source(),
            Rows::Text(rows) => rows.source(),
        }
    }

    /// A block as bytes.
    pub fn encode(&self, block: &RecordBatch, encoding: Encoding) -> Result<Vec<u8>, ObjectError> {
        encode(block, self.columns(), encoding).map_err(|error| self.source().invalid(words(error)))
    }

    fn block(&mut self) -> Result<Option<RecordBatch>, ObjectError> {
        loop {
            if let Some(rows) = self.decoded.pop() {
                if let Some(block) = self.asked_or_cut(rows)? {
                    return Ok(Some(block));
                }
                continue;
            }
            let rows = match &mut self.rows {
                Rows::Parquet(rows) => rows.decode()?,
                Rows::Text(rows) => rows.decode()?,
            };
            let Some(rows) = rows else { return Ok(None) };
            self.decoded.push(rows);
        }
    }

    /// A block of the rows; or none of them meets the conditions; or they are too large, and are cut in halves.
    fn asked_or_cut(&mut self, rows: RecordBatch) -> Result<Option<RecordBatch>, ObjectError> {
        if bytes(&rows) <= BLOCK || rows.num_rows() == 1 {
            match self.asked(&rows) {
                Ok(block) if block.num_rows() == 0 => return Ok(None),
                Ok(block) if fits(&block) => return Ok(Some(block)),
                Ok(_) | Err(ArrowError::MemoryError(_)) => {}
                Err(error) => return Err(self.source().invalid(words(error))),
            }
        }
        let [first, second] = halves(&rows).ok_or_else(|| {
            self.source().too_large(format!("a row has more than the {} bytes that a block may have", 2 * BLOCK))
        })?;
        self.decoded.extend([second, first]);
        Ok(None)
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

fn fits(block: &RecordBatch) -> bool {
    let most = if block.num_rows() == 1 { 2 * BLOCK } else { BLOCK };
    bytes(block) <= most
}
