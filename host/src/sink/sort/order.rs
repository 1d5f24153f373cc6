//! By what rows are sorted.

use arrow::array::{ArrayRef, RecordBatch};
use arrow::compute::SortOptions;
use arrow::datatypes::SchemaRef;
use arrow::row::{RowConverter, Rows, SortField};

use crate::sink::error::SinkError;

/// The columns that rows are sorted by.
#[derive(Clone)]
pub(in crate::sink) struct Order(Vec<(usize, SortOptions)>);

impl Order {
    /// By these columns, the first of them first.
    pub(in crate::sink) fn new(columns: Vec<(usize, SortOptions)>) -> Self {
        Self(columns)
    }

    pub(super) fn converter(&self, schema: &SchemaRef) -> Result<RowConverter, SinkError> {
        let field = |(column, options): &(usize, SortOptions)| {
            SortField::new_with_options(schema.field(*column).data_type().clone(), *options)
        };
        RowConverter::new(self.0.iter().map(field).collect()).map_err(unsorted)
    }

    /// The rows' keys as bytes whose order is that of the rows.
    pub(super) fn keys(&self, converter: &RowConverter, rows: &RecordBatch) -> Result<Rows, SinkError> {
        let columns: Vec<ArrayRef> = self.0.iter().map(|(column, _)| rows.column(*column).clone()).collect();
        converter.convert_columns(&columns).map_err(unsorted)
    }
}

pub(in crate::sink) fn unsorted(error: arrow::error::ArrowError) -> SinkError {
    SinkError::Refused(format!("the rows cannot be sorted: {error}"))
}
