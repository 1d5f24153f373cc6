//! A batch's rows as requests of a few items each, and what DynamoDB would refuse of them.

use arrow::array::RecordBatch;
use futures::{Stream, stream};

use super::super::cells::Cells;
use super::super::error::SinkError;
use super::super::keys;
use super::super::pieces::memory;
use super::super::schema::OutputSchema;
use super::super::table_rows::TableRows;
use super::item::{self, Item};
use crate::cpu::{self, PIECE_BYTES};

/// The most items of one BatchWriteItem (its API reference). 25 of the largest items are below its 16 MB.
pub(super) const ITEMS_PER_REQUEST: usize = 25;

/// The items of all rows, in groups of one request each. A group is made when it is asked for.
pub(super) fn requests(rows: TableRows) -> impl Stream<Item = Result<Vec<Item>, SinkError>> + Send {
    stream::try_unfold(Rest { rows, block: 0, row: 0 }, |rest| cpu::run(rest.next_bytes(), move || rest.next()))
}

/// Rows that are not items yet. They become items one request at a time, because items take many times the memory.
struct Rest {
    rows: TableRows,
    block: usize,
    row: usize,
}

impl Rest {
    /// About how many bytes of rows the next request takes.
    fn next_bytes(&self) -> usize {
        self.rows.blocks.get(self.block).map_or(0, |block| (row_bytes(block) * ITEMS_PER_REQUEST).min(PIECE_BYTES))
    }

    /// The items of one request, and the rest.
    fn next(mut self) -> Result<Option<(Vec<Item>, Self)>, SinkError> {
        let (mut items, mut bytes) = (Vec::new(), 0);
        let schema = self.rows.schema.clone();
        let refused = |why| SinkError::Refused(format!("output `{}`: {why}", schema.name));
        while let Some(block) = self.rows.blocks.get(self.block).cloned() {
            let cells = Cells::of(&schema, &block)?;
            while self.row < cells.rows() {
                if items.len() == ITEMS_PER_REQUEST || bytes >= PIECE_BYTES {
                    return Ok(Some((items, self)));
                }
                items.push(convert(&schema, &cells, self.row).map_err(refused)?);
                bytes += row_bytes(&block);
                self.row += 1;
            }
            (self.block, self.row) = (self.block + 1, 0);
        }
        Ok(if items.is_empty() { None } else { Some((items, self)) })
    }
}

/// What a row takes on average, in bytes.
fn row_bytes(block: &RecordBatch) -> usize {
    memory(block).div_ceil(block.num_rows().max(1))
}

/// What DynamoDB would refuse of these rows. Local tables refuse the same, so that a dataset that runs locally also runs in the
/// cloud.
pub(in super::super) fn check(schema: &OutputSchema, rows: &RecordBatch) -> Result<(), String> {
    let cells = Cells::of(schema, rows).map_err(|error| error.to_string())?;
    (0..cells.rows()).try_for_each(|row| convert(schema, &cells, row).map(|_| ()))
}

/// Makes a row's item, or says which row cannot be one.
fn convert(schema: &OutputSchema, cells: &Cells<'_>, row: usize) -> Result<Item, String> {
    item::item(schema, cells, row).map_err(|why| {
        let key = keys::describe(schema, cells, row);
        format!("DynamoDB cannot take the row with {key}: {why}")
    })
}
