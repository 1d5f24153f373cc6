//! Which columns and rows of which object, and then the blocks that the host gives.

use super::{Block, Type};
use crate::Failure;
use crate::bindings::gristmill::plugin::{objects::Compression, tables as host};

pub use host::{Comparison, CsvOptions, Format, Literal};

/// A table that is about to be read. Without columns all of them are wanted.
pub fn open(uri: &str) -> Open {
    let options = host::ScanOptions {
        format: Format::Auto,
        compression: Compression::Auto,
        columns: None,
        where_: Vec::new(),
        block_rows: 0,
        encoding: host::Encoding::ArrowIpc,
    };
    Open { uri: uri.to_owned(), options }
}

/// What is wanted of a table.
#[must_use]
pub struct Open {
    uri: String,
    options: host::ScanOptions,
}

impl Open {
    /// Wants these columns, of the types that follow from the file.
    pub fn columns<'a>(self, names: impl IntoIterator<Item = &'a str>) -> Self {
        names.into_iter().fold(self, |open, name| open.want(name, None, false))
    }

    /// Wants a column, cast to this type. A value that cannot be cast fails the item.
    pub fn column(self, name: &str, kind: Type) -> Self {
        self.want(name, Some(kind), false)
    }

    /// Wants a column that a file may lack: then all its values are null.
    pub fn optional(self, name: &str, kind: Type) -> Self {
        self.want(name, Some(kind), true)
    }

    /// Wants only rows whose column compares so with the value. Several conditions have to be met together.
    pub fn filter(self, column: &str, comparison: Comparison, value: impl Into<Literal>) -> Self {
        self.condition(column, comparison, Some(value.into()))
    }

    /// Wants only rows whose column is null.
    pub fn is_null(self, column: &str) -> Self {
        self.condition(column, Comparison::IsNull, None)
    }

    /// Wants only rows whose column is not null.
    pub fn is_not_null(self, column: &str) -> Self {
        self.condition(column, Comparison::IsNotNull, None)
    }

    /// Says how the bytes are laid out, where the key does not.
    pub fn format(mut self, format: Format) -> Self {
        self.options.format = format;
        self
    }

    /// The most rows of a block; the host chooses well.
    pub fn block_rows(mut self, rows: u32) -> Self {
        self.options.block_rows = rows;
        self
    }

    /// Opens the object and reads.
    ///
    /// # Errors
    /// `ObjectNotFound`, `ObjectDenied`, ..., and `ObjectInvalid` where it is no such table or lacks a column.
    pub fn blocks(self) -> Result<Blocks, Failure> {
        let scan = host::open(&self.uri, &self.options)?;
        Ok(Blocks { uri: self.uri, scan: Some(scan) })
    }

    fn want(mut self, name: &str, kind: Option<Type>, optional: bool) -> Self {
        let wanted = host::Wanted { name: name.to_owned(), type_: kind.map(Into::into), optional };
        self.options.columns.get_or_insert_default().push(wanted);
        self
    }

    fn condition(mut self, column: &str, comparison: Comparison, value: Option<Literal>) -> Self {
        self.options.where_.push(host::Predicate { column: column.to_owned(), comparison, value });
        self
    }
}

/// The blocks of a table in order. After an error there are no more.
pub struct Blocks {
    uri: String,
    scan: Option<host::Scan>,
}

impl Blocks {
    /// The names and types of the columns, in order; none behind the end.
    pub fn columns(&self) -> Vec<(String, Type)> {
        let columns = self.scan.iter().flat_map(host::Scan::columns);
        columns.map(|column| (column.name, column.type_.into())).collect()
    }
}

impl Iterator for Blocks {
    type Item = Result<Block, Failure>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = self.scan.as_ref()?.next().map_err(Failure::from).and_then(|bytes| {
            let block = bytes.map(Block::new).transpose();
            block.map_err(|failure| {
                Failure::reject(failure.code().to_owned(), format!("{}: {}", self.uri, failure.message()))
            })
        });
        if !matches!(next, Ok(Some(_))) {
            self.scan = None;
        }
        next.transpose()
    }
}

impl From<Type> for host::ValueType {
    fn from(kind: Type) -> Self {
        match kind {
            Type::Boolean => Self::Boolean,
            Type::Int64 => Self::Int64,
            Type::Float64 => Self::Float64,
            Type::Text => Self::Text,
            Type::Binary => Self::Binary,
            Type::Date => Self::Date,
            Type::Timestamp => Self::Timestamp,
            Type::Json => Self::Json,
        }
    }
}

impl From<bool> for Literal {
    fn from(value: bool) -> Self {
        Self::Boolean(value)
    }
}

impl From<i64> for Literal {
    fn from(value: i64) -> Self {
        Self::Int64(value)
    }
}

impl From<f64> for Literal {
    fn from(value: f64) -> Self {
        Self::Float64(value)
    }
}

impl From<&str> for Literal {
    fn from(value: &str) -> Self {
        Self::Text(value.to_owned())
    }
}
