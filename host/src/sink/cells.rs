//! The values of a record batch, one at a time, for whoever writes rows instead of columns.

use arrow::array::{
    Array, ArrayRef, BooleanArray, Date32Array, Float64Array, Int64Array, RecordBatch, StringArray,
    TimestampMicrosecondArray,
};

use super::error::SinkError;
use super::schema::OutputSchema;
use super::values;
use crate::dataset::ColumnType;

/// One value of one row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Cell<'a> {
    Null,
    Boolean(bool),
    Int64(i64),
    Float64(f64),
    Text(&'a str),
    /// Days since 1970-01-01.
    Date(i32),
    /// Microseconds since 1970.
    Timestamp(i64),
    /// One JSON value on one line.
    Json(&'a str),
}

/// The columns of a record batch, in the schema's order.
pub(super) struct Cells<'a> {
    columns: Vec<Values<'a>>,
    rows: usize,
}

enum Values<'a> {
    Boolean(&'a BooleanArray),
    Int64(&'a Int64Array),
    Float64(&'a Float64Array),
    Text(&'a StringArray),
    Date(&'a Date32Array),
    Timestamp(&'a TimestampMicrosecondArray),
    Json(&'a StringArray),
}

impl<'a> Cells<'a> {
    /// Looks at rows that have the output's Arrow schema.
    pub(super) fn of(schema: &OutputSchema, rows: &'a RecordBatch) -> Result<Self, SinkError> {
        let columns: Option<Vec<_>> =
            schema.columns.iter().zip(rows.columns()).map(|(column, array)| Values::of(column.kind, array)).collect();
        match columns {
            Some(columns) if columns.len() == schema.columns.len() => Ok(Self { columns, rows: rows.num_rows() }),
            _ => Err(SinkError::Refused(format!(
                "output `{}`: the rows are of another schema: {}",
                schema.name,
                rows.schema()
            ))),
        }
    }

    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    /// The value of a row and a column that exist.
    pub(super) fn get(&self, row: usize, column: usize) -> Cell<'a> {
        self.columns[column].get(row)
    }

    /// A row's values in the columns' order.
    pub(super) fn row(&self, row: usize) -> impl Iterator<Item = Cell<'a>> + '_ {
        self.columns.iter().map(move |column| column.get(row))
    }
}

impl<'a> Values<'a> {
    fn of(kind: ColumnType, array: &'a ArrayRef) -> Option<Self> {
        let array = array.as_any();
        match kind {
            ColumnType::Boolean => array.downcast_ref().map(Self::Boolean),
            ColumnType::Int64 => array.downcast_ref().map(Self::Int64),
            ColumnType::Float64 => array.downcast_ref().map(Self::Float64),
            ColumnType::Text => array.downcast_ref().map(Self::Text),
            ColumnType::Date => array.downcast_ref().map(Self::Date),
            ColumnType::Timestamp => array.downcast_ref().map(Self::Timestamp),
            ColumnType::Json => array.downcast_ref().map(Self::Json),
        }
    }

    fn get(&self, row: usize) -> Cell<'a> {
        fn cell<'a, A: Array>(array: &'a A, row: usize, value: impl Fn(&'a A) -> Cell<'a>) -> Cell<'a> {
            if array.is_null(row) { Cell::Null } else { value(array) }
        }
        match *self {
            Self::Boolean(array) => cell(array, row, |array| Cell::Boolean(array.value(row))),
            Self::Int64(array) => cell(array, row, |array| Cell::Int64(array.value(row))),
            Self::Float64(array) => cell(array, row, |array| Cell::Float64(array.value(row))),
            Self::Text(array) => cell(array, row, |array| Cell::Text(array.value(row))),
            Self::Date(array) => cell(array, row, |array| Cell::Date(array.value(row))),
            Self::Timestamp(array) => cell(array, row, |array| Cell::Timestamp(array.value(row))),
            Self::Json(array) => cell(array, row, |array| Cell::Json(array.value(row))),
        }
    }
}

/// A day as text. Decoding has refused what cannot be written, so the fallback is for arrays made otherwise.
pub(super) fn date(days: i32) -> String {
    values::format_date(days).unwrap_or_else(|| format!("{days} days since 1970-01-01"))
}

/// An instant as text; see [`date`].
pub(super) fn timestamp(micros: i64) -> String {
    values::format_timestamp(micros).unwrap_or_else(|| format!("{micros} us since 1970-01-01"))
}
