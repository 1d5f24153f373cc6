//! One record, its fields where they were read.

use super::error::{Error, ErrorKind, excerpt};
use super::{bytes, scan};

/// A column, looked up once in the header with [`super::Reader::column`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Column(pub(super) usize);

/// One record of a CSV object. It borrows from the reader, which makes it free.
#[derive(Clone, Copy)]
pub struct Record<'r> {
    pub(super) bytes: &'r [u8],
    pub(super) layout: Layout<'r>,
    pub(super) columns: &'r [String],
    pub(super) place: Place<'r>,
}

/// How to find a field in the bytes of a record.
#[derive(Clone, Copy)]
pub(super) enum Layout<'r> {
    /// The record has fewer than 64 bytes; a bit per delimiter.
    Mask(u64),
    /// The end of each field, and the number of bytes between one field and the next.
    Ends(&'r [usize], usize),
}

/// Where a record starts. The line is counted only when somebody wants to know it.
#[derive(Clone, Copy)]
pub(super) struct Place<'r> {
    pub(super) object: &'r str,
    /// The number of line ends before `prefix`.
    pub(super) lines: u64,
    pub(super) prefix: &'r [u8],
}

impl Place<'_> {
    pub(super) fn line(&self) -> u64 {
        self.lines + line_ends(self.prefix) + 1
    }
}

pub(super) fn line_ends(bytes: &[u8]) -> u64 {
    memchr::memchr_iter(b'\n', bytes).count() as u64
}

impl<'r> Record<'r> {
    /// The field's bytes, unquoted.
    #[inline]
    #[must_use]
    pub fn bytes(&self, column: Column) -> &'r [u8] {
        let (start, end) = match self.layout {
            Layout::Mask(delimiters) => scan::field(delimiters, column.0, self.bytes.len()),
            Layout::Ends(ends, gap) => {
                let start = column.0.checked_sub(1).and_then(|before| ends.get(before));
                let end = ends.get(column.0).copied().unwrap_or_default();
                (start.map_or(0, |start| start + gap), end)
            }
        };
        self.bytes.get(start..end).unwrap_or_default()
    }

    /// The field as text.
    ///
    /// # Errors
    /// [`ErrorKind::NotUtf8`].
    #[inline]
    pub fn text(&self, column: Column) -> Result<&'r str, Error> {
        std::str::from_utf8(self.bytes(column)).map_err(|_| {
            let column = self.name(column).to_owned();
            self.error(ErrorKind::NotUtf8 { column })
        })
    }

    /// Whether the field is exactly `value`.
    #[inline]
    #[must_use]
    pub fn is(&self, column: Column, value: impl AsRef<[u8]>) -> bool {
        bytes::equal(self.bytes(column), value.as_ref())
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
        let record = *self;
        (0..self.length()).map(move |index| record.bytes(Column(index)))
    }

    /// The line on which the record starts, from 1.
    #[must_use]
    pub fn line(&self) -> u64 {
        self.place.line()
    }

    /// An error that names this record's object and line and the field's value, for authors who parse fields themselves;
    /// `expected` completes "which is not ...".
    #[cold]
    #[must_use]
    pub fn bad_value(&self, column: Column, expected: &str) -> Error {
        self.error(ErrorKind::BadValue {
            column: self.name(column).to_owned(),
            value: excerpt(self.bytes(column)),
            expected: expected.to_owned(),
        })
    }

    fn name(&self, column: Column) -> &str {
        self.columns.get(column.0).map_or("field", String::as_str)
    }

    /// The number of fields.
    fn length(&self) -> usize {
        match self.layout {
            Layout::Mask(delimiters) => delimiters.count_ones() as usize + 1,
            Layout::Ends(ends, _) => ends.len(),
        }
    }

    pub(super) fn check_length(&self) -> Result<(), Error> {
        let (expected, found) = (self.columns.len(), self.length());
        if expected == found {
            return Ok(());
        }
        Err(self.error(ErrorKind::FieldCount { expected, found }))
    }

    #[cold]
    pub(super) fn error(&self, kind: ErrorKind) -> Error {
        Error::new(self.place.object, Some(self.line()), kind)
    }
}
