//! Columns of texts that grow row by row.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions, StringBuilder};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};

use super::super::cut::{BLOCK, ROWS};

/// A schema of texts with these names.
pub(super) fn texts<'a>(names: impl IntoIterator<Item = &'a String>) -> SchemaRef {
    let fields = names.into_iter().map(|name| Field::new(name, DataType::Utf8, true));
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

/// The columns of a block that is being filled.
pub(super) struct Columns {
    schema: SchemaRef,
    builders: Vec<StringBuilder>,
    rows: usize,
    bytes: usize,
    most: usize,
}

impl Columns {
    pub(super) fn new(schema: SchemaRef, block_rows: usize) -> Self {
        let builders = schema.fields().iter().map(|_| StringBuilder::new()).collect();
        let most = if block_rows == 0 { ROWS } else { ROWS.min(block_rows) };
        Self { schema, builders, rows: 0, bytes: 0, most }
    }

    /// The next value of a column. Each has one for every row.
    pub(super) fn push(&mut self, column: usize, value: Option<&str>) {
        self.bytes += value.map_or(0, str::len) + 5;
        self.builders[column].append_option(value);
    }

    pub(super) fn row(&mut self) {
        self.rows += 1;
    }

    pub(super) fn is_full(&self) -> bool {
        self.rows >= self.most || self.bytes >= BLOCK
    }

    /// The rows, if there are enough of them or no more will come.
    pub(super) fn rows(&mut self, is_over: bool) -> Result<Option<RecordBatch>, String> {
        if !(self.is_full() || is_over && self.rows > 0) {
            return Ok(None);
        }
        let count = RecordBatchOptions::new().with_row_count(Some(std::mem::take(&mut self.rows)));
        self.bytes = 0;
        let values = self.builders.iter_mut().map(|builder| Arc::new(builder.finish()) as ArrayRef).collect();
        let rows = RecordBatch::try_new_with_options(self.schema.clone(), values, &count);
        rows.map(Some).map_err(|error| error.to_string())
    }
}
