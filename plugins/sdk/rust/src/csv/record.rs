//! One record, its fields where they were read.

use super::bytes;
use super::error::{Error, ErrorKind, excerpt};
use super::scanner::{Found, Scanner};

/// A column, looked up once in the header with [`super::Reader::column`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Column(pub(super) usize);

/// One record of a CSV object. It borrows from the reader, which makes it free.
#[derive(Clone, Copy)]
pub struct Record<'r> {
    scanner: &'r Scanner,
    found: Found,
}

impl<'r> Record<'r> {
    #[inline(always)]
    pub(super) fn new(scanner: &'r Scanner, found: Found) -> Self {
        Self { scanner, found }
    }

    /// The field's bytes, unquoted.
    #[inline(always)]
    #[must_use]
    pub fn bytes(self, column: Column) -> &'r [u8] {
        match self.scanner.place(self.found, column.0) {
            Some((from, to)) => self.scanner.chunk.get(from..to).unwrap_or_default(),
            None => self.scanner.difficult_field(column.0),
        }
    }

    /// Whether the field is exactly `value`.
    #[inline]
    #[must_use]
    pub fn is(self, column: Column, value: impl AsRef<[u8]>) -> bool {
        bytes::equal(self.bytes(column), value.as_ref())
    }

    /// The field as text.
    ///
    /// # Errors
    /// [`ErrorKind::NotUtf8`].
    pub fn text(self, column: Column) -> Result<&'r str, Error> {
        std::str::from_utf8(self.bytes(column)).map_err(|_| {
            let column = self.name(column).to_owned();
            self.error(ErrorKind::NotUtf8 { column })
        })
    }

    /// The field as a whole number: decimal digits with an optional sign, without spaces.
    ///
    /// # Errors
    /// [`ErrorKind::BadValue`].
    #[inline]
    pub fn int64(self, column: Column) -> Result<i64, Error> {
        let quick = || {
            let (from, to) = self.scanner.place(self.found, column.0)?;
            let word = self.scanner.chunk.get(from..)?.first_chunk()?;
            bytes::small_int(*word, to - from)
        };
        match quick().or_else(|| bytes::int64(self.bytes(column))) {
            Some(number) => Ok(number),
            None => Err(self.bad_value(column, "a whole number")),
        }
    }

    /// The field as a finite number.
    ///
    /// # Errors
    /// [`ErrorKind::BadValue`].
    pub fn float64(self, column: Column) -> Result<f64, Error> {
        let text = std::str::from_utf8(self.bytes(column)).unwrap_or_default();
        match text.parse() {
            Ok(number) if f64::is_finite(number) => Ok(number),
            _ => Err(self.bad_value(column, "a number")),
        }
    }

    /// All fields in order, unquoted.
    pub fn fields(self) -> impl Iterator<Item = &'r [u8]> + use<'r> {
        // A record with more or fewer fields than the header is an error and never handed out.
        (0..self.scanner.columns.len()).map(move |index| self.bytes(Column(index)))
    }

    /// The line on which the record starts, from 1.
    #[must_use]
    pub fn line(self) -> u64 {
        self.scanner.line(self.found)
    }

    /// An error that names this record's object and line and the field's value, for authors who parse fields themselves;
    /// `expected` completes "which is not ...".
    #[cold]
    #[must_use]
    pub fn bad_value(self, column: Column, expected: &str) -> Error {
        self.error(ErrorKind::BadValue {
            column: self.name(column).to_owned(),
            value: excerpt(self.bytes(column)),
            expected: expected.to_owned(),
        })
    }

    fn name(self, column: Column) -> &'r str {
        self.scanner.columns.get(column.0).map_or("field", String::as_str)
    }

    #[cold]
    fn error(self, kind: ErrorKind) -> Error {
        Error::new(&self.scanner.object, Some(self.line()), kind)
    }
}
