//! The rows of one query, block by block. They come no faster than they are taken: what nobody has asked for stays with the server.

use std::pin::Pin;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{Field, Schema, SchemaRef};
use futures::StreamExt as _;
use tokio_postgres::{Row, RowStream};

use super::block;
use super::error::DatabaseError;
use super::leased::Leased;
use super::typed::Read;
use crate::cpu;
use crate::table::{BLOCK, Column, Encoding, ROWS, encode};

/// The most memory that rows take beside the blocks that were given, in bytes: as they came, as a block, as bytes.
pub const MEMORY: usize = 6 * BLOCK;

/// What a value takes while it waits to be decoded, beside its bytes.
const CELL: usize = 24;

/// Rows under way. Dropped before their end, they are cancelled.
pub struct Rows {
    pub(super) name: String,
    pub(super) columns: Vec<Column>,
    pub(super) reads: Vec<Read>,
    /// The most rows of a block.
    pub(super) block_rows: usize,
    /// None at the end.
    pub(super) source: Option<Source>,
    /// Comes first in the next block.
    pub(super) next: Option<Row>,
    pub(super) fetched: Vec<Row>,
    pub(super) bytes: u64,
}

/// Where rows come from. The stream goes first.
pub(super) struct Source {
    pub(super) stream: Pin<Box<RowStream>>,
    pub(super) leased: Leased,
}

impl Source {
    /// The next row; none at the end.
    pub(super) async fn row(&mut self) -> Result<Option<Row>, super::classify::Fault> {
        match self.stream.next().await {
            Some(came) => self.leased.settled(came).map(Some),
            None => {
                self.leased.busy = false;
                Ok(None)
            }
        }
    }
}

impl Rows {
    /// The columns of its blocks.
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// How many bytes the server has sent.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The next block, never without rows; none at the end. After an error there is nothing more.
    pub async fn next(&mut self) -> Result<Option<RecordBatch>, DatabaseError> {
        if !self.fetch().await? {
            return Ok(None);
        }
        let decoder = self.decoder();
        cpu::run(BLOCK, move || decoder.block()).await.map(Some)
    }

    /// Waits for the rows of the next block. False at the end.
    pub async fn fetch(&mut self) -> Result<bool, DatabaseError> {
        let mut taken = 0;
        while self.fetched.len() < self.block_rows {
            let row = match self.next.take() {
                Some(row) => Some(row),
                None => self.row().await?,
            };
            let Some(row) = row else { break };
            let size = row.raw_size_bytes();
            if size > 2 * BLOCK {
                self.source = None;
                return Err(DatabaseError::TooLarge(format!(
                    "connection `{}`: a row has {size} bytes, and the {} of a block are the most that a guest is given: select less \
                     of it, such as a part of its value",
                    self.name,
                    2 * BLOCK
                )));
            }
            // What they take while they wait counts as well: a row of many small values is several times its bytes.
            taken += size.max(CELL * self.columns.len());
            if taken > BLOCK && !self.fetched.is_empty() {
                self.next = Some(row);
                break;
            }
            self.bytes += size as u64;
            self.fetched.push(row);
        }
        Ok(!self.fetched.is_empty())
    }

    /// What makes a block of the rows that were fetched, on a thread that holds nobody up.
    pub fn decoder(&mut self) -> Decoder {
        Decoder {
            name: self.name.clone(),
            columns: self.columns.clone(),
            reads: self.reads.clone(),
            rows: std::mem::take(&mut self.fetched),
        }
    }

    async fn row(&mut self) -> Result<Option<Row>, DatabaseError> {
        let Some(source) = &mut self.source else { return Ok(None) };
        match source.row().await {
            Ok(Some(row)) => Ok(Some(row)),
            Ok(None) => {
                self.source = None;
                Ok(None)
            }
            Err(fault) => {
                self.source = None;
                self.fetched.clear();
                Err(fault.error)
            }
        }
    }
}

/// Rows that are to be a block.
pub struct Decoder {
    name: String,
    columns: Vec<Column>,
    reads: Vec<Read>,
    rows: Vec<Row>,
}

impl Decoder {
    /// The block.
    pub fn block(self) -> Result<RecordBatch, DatabaseError> {
        let invalid = |why: String| DatabaseError::Invalid(format!("connection `{}`: {why}", self.name));
        let values = self.columns.iter().zip(&self.reads).enumerate().map(|(place, (column, read))| {
            let values = block::column(&self.rows, place, *read);
            values.map_err(|why| invalid(format!("column `{}`: {why}", column.name)))
        });
        let values = values.collect::<Result<Vec<_>, _>>()?;
        RecordBatch::try_new(schema(&self.columns), values).map_err(|error| invalid(error.to_string()))
    }

    /// The block as bytes.
    pub fn encoded(self, encoding: Encoding) -> Result<Vec<u8>, DatabaseError> {
        let (name, columns) = (self.name.clone(), self.columns.clone());
        let block = self.block()?;
        encode(&block, columns.iter(), encoding)
            .map_err(|error| DatabaseError::Invalid(format!("connection `{name}`: {error}")))
    }
}

fn schema(columns: &[Column]) -> SchemaRef {
    let field = |column: &Column| Field::new(&column.name, column.value_type.arrow(), column.nullable);
    Arc::new(Schema::new(columns.iter().map(field).collect::<Vec<_>>()))
}

/// How many rows a block has when this many are asked for, 0 for a good number.
pub(super) fn block_rows(asked: usize) -> usize {
    if asked == 0 { ROWS } else { asked.min(ROWS) }
}
