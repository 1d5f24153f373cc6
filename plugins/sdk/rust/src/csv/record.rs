//! One record, its fields where they were read.

use super::bytes;
use super::error::{Error, ErrorKind, excerpt};
use super::scanner::Scanner;

/// A column, looked up once in the header with [`super::Reader::column`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Column(pub(super) usize);

/// One record of a CSV object. It borrows from the reader, which makes it free.
#[derive(Clone, Copy)]
pub struct Record<'r>(pub(super) &'r Scanner);

impl<'r> Record<'r> {
    /// The field's bytes, unquoted.
    #[inline]
    #[must_use]
    pub fn bytes(&self, column: Column) -> &'r [u8] {
        self.0.field(column.0)
    }

    /// Whether the field is exactly `value`.
    #[inline]
    #[must_use]
    pub fn is(&self, column: Column, value: impl AsRef<[u8]>) -> bool {
        bytes::equal(self.bytes(column), value.as_ref())
    }

    /// The field as text.
    ///
    /// # Errors
    /// [`ErrorKind::NotUtf8`].
    pub fn text(&self, column: Column) -> Result<&'r str, Error> {
        std::str::from_utf8(self.bytes(column)).map_err(|_| {
            let column = self.name(column).to_owned();
            self.0.error(ErrorKind::NotUtf8 { column })
        })
    }

    /// The field as a whole number: decimal digits with an optional sign, without spaces.
    ///
    /// # Errors
    /// [`ErrorKind::BadValue`].
    #[inline]
    pub fn int64(&self, column: Column) -> Result<i64, Error> {
        bytes::int64(self.bytes(column)).ok_or_else(|| self.bad_value(column, "a whole number"))
    }

    /// The field as a finite number.
    ///
    /// # Errors
    /// [`ErrorKind::BadValue`].
    pub fn float64(&self, column: Column) -> Result<f64, Error> {
        let text = std::str::from_utf8(self.bytes(column)).unwrap_or_default();
        match text.parse() {
            Ok(number) if f64::is_finite(number) => Ok(number),
            _ => Err(self.bad_value(column, "a number")),
        }
    }

    /// All fields in order, unquoted.
    pub fn fields(&self) -> impl Iterator<Item = &'r [u8]> + use<'r> {
        let scanner = self.0;
        (0..scanner.fields()).map(|index| scanner.field(index))
    }

    /// The line on which the record starts, from 1.
    #[must_use]
    pub fn line(&self) -> u64 {
        self.0.line()
    }

    /// An error that names this record's object and line and the field's value, for authors who parse fields themselves;
    /// `expected` completes "which is not ...".
    #[cold]
    #[must_use]
    pub fn bad_value(&self, column: Column, expected: &str) -> Error {
        self.0.error(ErrorKind::BadValue {
            column: self.name(column).to_owned(),
            value: excerpt(self.bytes(column)),
            expected: expected.to_owned(),
        })
    }

    fn name(&self, column: Column) -> &str {
        self.0.columns.get(column.0).map_or("field", String::as_str)
    }
}
