//! Columns on their way to an output: many rows at once, without JSON.

use super::column::Column;
use super::{Type, encode};
use crate::Failure;
use crate::bindings::gristmill::plugin::output as host;

/// Columns of one length, which are rows of an output.
///
/// ```no_run
/// use gristmill_plugin::table::Columns;
///
/// # fn main() -> Result<(), gristmill_plugin::Failure> {
/// Columns::to("hot")
///     .text("deviceid", ["a", "b"])
///     .f64("temperature", [Some(35.5), None])
///     .emit()
/// # }
/// ```
#[must_use]
pub struct Columns {
    output: &'static str,
    columns: Vec<Column>,
}

impl Columns {
    /// Columns for this output.
    pub fn to(output: &'static str) -> Self {
        Self { output, columns: Vec::new() }
    }

    /// A column of texts, or of JSON texts where the output has those. A null is `None`, as in all columns.
    pub fn text<'a>(self, name: &str, values: impl IntoIterator<Item = impl Into<Option<&'a str>>>) -> Self {
        self.with(name, Type::Text, values, |column, value: &str| column.text(value.as_bytes()))
    }

    /// A column of numbers, which have to be finite.
    pub fn f64(self, name: &str, values: impl IntoIterator<Item = impl Into<Option<f64>>>) -> Self {
        self.with(name, Type::Float64, values, |column, value: f64| column.fixed(&value.to_le_bytes()))
    }

    /// A column of integers.
    pub fn i64(self, name: &str, values: impl IntoIterator<Item = impl Into<Option<i64>>>) -> Self {
        self.with(name, Type::Int64, values, |column, value: i64| column.fixed(&value.to_le_bytes()))
    }

    /// A column of days since 1970-01-01.
    pub fn date(self, name: &str, values: impl IntoIterator<Item = impl Into<Option<i32>>>) -> Self {
        self.with(name, Type::Date, values, |column, value: i32| column.fixed(&value.to_le_bytes()))
    }

    /// A column of instants, in microseconds since 1970-01-01T00:00:00Z.
    pub fn timestamp(self, name: &str, values: impl IntoIterator<Item = impl Into<Option<i64>>>) -> Self {
        self.with(name, Type::Timestamp, values, |column, value: i64| column.fixed(&value.to_le_bytes()))
    }

    /// A column of true and false.
    pub fn bool(self, name: &str, values: impl IntoIterator<Item = impl Into<Option<bool>>>) -> Self {
        self.with(name, Type::Boolean, values, Column::bool)
    }

    /// Hands them over.
    ///
    /// # Errors
    /// `OutputInvalid` where the columns are not of one length or the host refuses them, `NoSuchOutput`, `OutputTooLarge`.
    pub fn emit(self) -> Result<(), Failure> {
        let block = self.block()?;
        Ok(host::emit(self.output, &host::Rows::ArrowIpc(block))?)
    }

    /// The block that is handed over, an Arrow IPC stream.
    ///
    /// # Errors
    /// `OutputInvalid` as with [`Columns::emit`].
    pub fn block(&self) -> Result<Vec<u8>, Failure> {
        let rows = self.columns.first().map_or(0, |column| column.rows);
        if let Some(other) = self.columns.iter().find(|column| column.rows != rows) {
            let (output, first, other, many) = (self.output, &self.columns[0].name, &other.name, other.rows);
            let why = format!("columns of {output}: {first} has {rows} rows, {other} has {many}");
            return Err(Failure::reject("OutputInvalid", why));
        }
        if let Some(large) = self.columns.iter().find(|column| i32::try_from(column.values.len()).is_err()) {
            let why = format!("column {} of {} has more than 2 GiB: emit fewer rows at once", large.name, self.output);
            return Err(Failure::reject("OutputInvalid", why));
        }
        Ok(encode::block(rows, &self.columns))
    }

    fn with<T>(
        mut self,
        name: &str,
        kind: Type,
        values: impl IntoIterator<Item = impl Into<Option<T>>>,
        push: impl Fn(&mut Column, T),
    ) -> Self {
        let mut column = Column::new(name, kind);
        for value in values {
            match value.into() {
                Some(value) => push(&mut column, value),
                None => column.null(),
            }
        }
        self.columns.push(column);
        self
    }
}
