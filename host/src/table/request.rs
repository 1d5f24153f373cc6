//! What is asked of a table, in the words of `wit/tables.wit`.

use arrow::datatypes::{DataType, TimeUnit};

use crate::object::Compression;

/// The type of a column in a block. Everything else that a file has is cast to one of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueType {
    /// Boolean.
    Boolean,
    /// Int64.
    Int64,
    /// Float64.
    Float64,
    /// Utf8.
    Text,
    /// Binary.
    Binary,
    /// Date32.
    Date,
    /// Timestamp in microseconds, UTC.
    Timestamp,
    /// Utf8 with a JSON text.
    Json,
}

impl ValueType {
    /// The type in Arrow.
    pub fn arrow(self) -> DataType {
        match self {
            Self::Boolean => DataType::Boolean,
            Self::Int64 => DataType::Int64,
            Self::Float64 => DataType::Float64,
            Self::Text | Self::Json => DataType::Utf8,
            Self::Binary => DataType::Binary,
            Self::Date => DataType::Date32,
            Self::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        }
    }
}

/// One column of a scan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Its type in every block.
    pub value_type: ValueType,
    /// Whether it may have nulls.
    pub nullable: bool,
}

/// A column that is wanted.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// Its name in the file, or in the key (`name=value/`).
    pub name: String,
    /// The type that it is cast to; none for the one that follows from the file.
    pub value_type: Option<ValueType>,
    /// Whether a file may lack it: then its values are null.
    pub optional: bool,
}

/// How a column is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// `=`
    Equal,
    /// `!=`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
    /// No value.
    IsNull,
    /// Any value.
    IsNotNull,
}

/// What a column is compared with.
#[derive(Clone, Debug)]
pub enum Literal {
    /// A truth value.
    Boolean(bool),
    /// A whole number.
    Int64(i64),
    /// A number.
    Float64(f64),
    /// A text, a date or an instant.
    Text(String),
}

/// A condition on one column. A null meets none but `IsNull`, and NaN none but `NotEqual`.
#[derive(Clone, Debug)]
pub struct Predicate {
    /// The column's name.
    pub column: String,
    /// How it is compared.
    pub comparison: Comparison,
    /// What with; none for `IsNull` and `IsNotNull`.
    pub value: Option<Literal>,
}

/// The type that follows from that of a file's column.
pub(super) type Natural = fn(&DataType) -> ValueType;

/// How the bytes of a table are laid out.
#[derive(Clone, Debug)]
pub enum Format {
    /// By the object's first bytes and the key's ending.
    Auto,
    /// Apache Parquet.
    Parquet,
    /// Delimited text.
    Csv(CsvOptions),
    /// One JSON object a line.
    JsonLines,
}

/// How delimited text is laid out.
#[derive(Clone, Debug)]
pub struct CsvOptions {
    /// Whether the first row has the names of the columns.
    pub header: bool,
    /// The names of the columns; with a header too, these count.
    pub names: Vec<String>,
    /// What stands between fields.
    pub delimiter: char,
}

/// What is asked of one table.
#[derive(Clone, Debug)]
pub struct Request {
    /// How the table is laid out.
    pub format: Format,
    /// How text is compressed.
    pub compression: Compression,
    /// The columns, in this order; none for all, those of the key at the end.
    pub columns: Option<Vec<Wanted>>,
    /// Whether the key has columns too (`name=value/`).
    pub key_columns: bool,
    /// Rows have to meet all of them.
    pub conditions: Vec<Predicate>,
    /// The most rows of a block; 0 for a good number.
    pub block_rows: usize,
    /// How much memory reading may take, in bytes.
    pub memory: u64,
}
