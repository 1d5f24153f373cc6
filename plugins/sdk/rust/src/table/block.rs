//! Rows of a table as columns that lie where the host put them.

use super::layout::{self, Column, Type};
use super::values::{Bits, Bytes, Fixed, Texts, Values};
use crate::Failure;

/// Some rows of a table. Columns are looked at in place; only [`Block::text`] walks over its column once.
pub struct Block {
    bytes: Vec<u8>,
    rows: usize,
    columns: Vec<Column>,
}

impl Block {
    /// A block of one Arrow IPC stream: what the host gives, or what a test has made.
    ///
    /// # Errors
    /// `TableInvalid` where the bytes are no block as `wit/tables.wit` has them.
    pub fn new(bytes: Vec<u8>) -> Result<Self, Failure> {
        let (rows, columns) = layout::read(&bytes).map_err(|why| invalid(format!("a block cannot be read: {why}")))?;
        Ok(Self { bytes, rows, columns })
    }

    /// The number of rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The names and types of the columns, in order.
    pub fn columns(&self) -> impl Iterator<Item = (&str, Type)> {
        self.columns.iter().map(|column| (column.name.as_str(), column.kind))
    }

    /// A column of numbers.
    ///
    /// # Errors
    /// As with all columns: `NoSuchColumn`, and `ColumnType` where it is of another type.
    pub fn f64(&self, name: &str) -> Result<Values<'_, f64>, Failure> {
        self.fixed(name, Type::Float64)
    }

    /// A column of integers.
    ///
    /// # Errors
    /// As with [`Block::f64`].
    pub fn i64(&self, name: &str) -> Result<Values<'_, i64>, Failure> {
        self.fixed(name, Type::Int64)
    }

    /// A column of days since 1970-01-01.
    ///
    /// # Errors
    /// As with [`Block::f64`].
    pub fn date(&self, name: &str) -> Result<Values<'_, i32>, Failure> {
        self.fixed(name, Type::Date)
    }

    /// A column of instants, in microseconds since 1970-01-01T00:00:00Z.
    ///
    /// # Errors
    /// As with [`Block::f64`].
    pub fn timestamp(&self, name: &str) -> Result<Values<'_, i64>, Failure> {
        self.fixed(name, Type::Timestamp)
    }

    /// A column of true and false.
    ///
    /// # Errors
    /// As with [`Block::f64`].
    pub fn bool(&self, name: &str) -> Result<Bits<'_>, Failure> {
        let column = self.column(name, Type::Boolean)?;
        Ok(Bits::new(self.rows, self.validity(column), &self.bytes[column.values.clone()]))
    }

    /// A column of texts, or of JSON texts. UTF-8 is checked once for all of it.
    ///
    /// # Errors
    /// As with [`Block::f64`], and `TableInvalid` where it is not UTF-8.
    pub fn text(&self, name: &str) -> Result<Texts<'_>, Failure> {
        let column = self.column(name, Type::Text)?;
        Texts::new(self.pieces(column)).ok_or_else(|| invalid(format!("column {name}: a text is damaged")))
    }

    /// A column of bytes.
    ///
    /// # Errors
    /// As with [`Block::f64`].
    pub fn binary(&self, name: &str) -> Result<Bytes<'_>, Failure> {
        Ok(self.pieces(self.column(name, Type::Binary)?))
    }

    /// The Arrow IPC stream itself.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    fn fixed<T: Fixed>(&self, name: &str, kind: Type) -> Result<Values<'_, T>, Failure> {
        let column = self.column(name, kind)?;
        Ok(Values::new(self.rows, self.validity(column), &self.bytes[column.values.clone()]))
    }

    fn pieces(&self, column: &Column) -> Bytes<'_> {
        let (offsets, values) = (&self.bytes[column.offsets.clone()], &self.bytes[column.values.clone()]);
        Bytes::new(self.rows, self.validity(column), offsets, values)
    }

    fn validity(&self, column: &Column) -> Option<&[u8]> {
        column.validity.clone().map(|place| &self.bytes[place])
    }

    fn column(&self, name: &str, kind: Type) -> Result<&Column, Failure> {
        let column = self.columns.iter().find(|column| column.name == name).ok_or_else(|| {
            let there: Vec<_> = self.columns().map(|(name, _)| name).collect();
            Failure::reject("NoSuchColumn", format!("there is no column {name}, only {}", there.join(", ")))
        })?;
        if column.kind == kind {
            return Ok(column);
        }
        let found = column.kind;
        Err(Failure::reject("ColumnType", format!("column {name} is of type {found:?}, not {kind:?}")))
    }
}

fn invalid(message: String) -> Failure {
    Failure::reject("TableInvalid", message)
}
