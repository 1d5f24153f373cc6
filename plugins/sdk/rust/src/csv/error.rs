//! What can be wrong with a CSV object, each with the place where it was found.

use crate::Failure;

/// Why a CSV object could not be read. Its text names the object and the line.
#[derive(Debug, thiserror::Error)]
#[error("{}", self.sentence())]
pub struct Error(Box<Place>);

#[derive(Debug)]
struct Place {
    object: String,
    line: Option<u64>,
    kind: ErrorKind,
}

/// The kinds of [`Error`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ErrorKind {
    /// Not even a header.
    #[error("is empty, there is no header")]
    Empty,
    /// By its first bytes it is something else: compressed, in UTF-16, Parquet, a page of HTML, ...
    #[error("is no CSV; by its first bytes it is {kind}")]
    NotCsv {
        /// What it is, and what to do about it.
        kind: &'static str,
    },
    /// A column that the plugin needs is not in the header.
    #[error("has no column {column:?} in its header, which is {header:?}")]
    NoSuchColumn {
        /// The name that was asked for.
        column: String,
        /// The first line as it was read, cut short.
        header: String,
    },
    /// Two columns of the header have the same name.
    #[error("has the column {column:?} twice in its header, which is {header:?}")]
    DoubledColumn {
        /// The name.
        column: String,
        /// The first line as it was read, cut short.
        header: String,
    },
    /// A record with fewer or more fields than the header.
    #[error("has {found} fields where the header has {expected}")]
    FieldCount {
        /// The number of columns in the header.
        expected: usize,
        /// The number of fields in the record.
        found: usize,
    },
    /// A record longer than [`super::Options::record_limit`]: usually a quote that is never closed, or no CSV at all.
    #[error("starts a record of more than {limit} bytes; is there a quote that is never closed?")]
    RecordTooLong {
        /// The limit in bytes.
        limit: usize,
    },
    /// A quoted field that the object ends in: its quote has swallowed records.
    #[error("starts a quote that is never closed")]
    OpenQuote,
    /// A record with more fields than any table has.
    #[error("has more than {limit} fields")]
    TooManyFields {
        /// The limit.
        limit: usize,
    },
    /// A text field that is not UTF-8.
    #[error("has a {column} that is not UTF-8")]
    NotUtf8 {
        /// The column's name.
        column: String,
    },
    /// A field that is not what its column should hold.
    #[error("has {value:?} as {column}, which is not {expected}")]
    BadValue {
        /// The column's name.
        column: String,
        /// The field as it was read, cut short.
        value: String,
        /// What it should have been, as in `a whole number`.
        expected: String,
    },
    /// The bytes could not be had.
    #[error("{0}")]
    Read(Failure),
}

impl Error {
    pub(super) fn new(object: &str, line: Option<u64>, kind: ErrorKind) -> Self {
        let object = object.to_owned();
        Self(Box::new(Place { object, line, kind }))
    }

    /// What is wrong.
    #[must_use]
    pub fn kind(&self) -> &ErrorKind {
        &self.0.kind
    }

    /// The line on which the record starts, from 1, where there is one.
    #[must_use]
    pub fn line(&self) -> Option<u64> {
        self.0.line
    }

    fn sentence(&self) -> String {
        let Place { object, line, kind } = &*self.0;
        match (kind, line) {
            (ErrorKind::Read(failure), _) => failure.message().to_owned(),
            (_, Some(line)) => format!("{object}: line {line} {kind}"),
            (_, None) => format!("{object} {kind}"),
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let code = match error.kind() {
            ErrorKind::Empty => "EmptyObject",
            ErrorKind::NotCsv { .. } => "NotCsv",
            ErrorKind::NoSuchColumn { .. } | ErrorKind::DoubledColumn { .. } => "BadHeader",
            ErrorKind::FieldCount { .. } | ErrorKind::OpenQuote | ErrorKind::TooManyFields { .. } => "BadRecord",
            ErrorKind::RecordTooLong { .. } => "RecordTooLong",
            ErrorKind::NotUtf8 { .. } => "NotUtf8",
            ErrorKind::BadValue { .. } => "BadValue",
            ErrorKind::Read(failure) => return failure.clone(),
        };
        Self::reject(code, error.to_string())
    }
}

/// At most the first 80 characters, for a message.
pub(super) fn excerpt(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(320)]);
    match text.char_indices().nth(80) {
        Some((cut, _)) => format!("{}...", &text[..cut]),
        None => text.into_owned(),
    }
}
