//! What a catalog knows of a table, without its partitions: the same for all of them, so that they change it by the same rules.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::dataset::{ColumnType, Format};

/// What a table is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Definition {
    /// Where its files lie: `s3://bucket/prefix/`.
    pub location: String,
    /// How its files are read.
    pub storage: Storage,
    /// The columns in its files.
    pub columns: Vec<Column>,
    /// The columns in its paths.
    pub partition_keys: Vec<Column>,
    /// How readers find partitions that nobody registers: Athena's table properties. Without any, partitions are registered.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub projection: BTreeMap<String, String>,
}

/// A column, as Hive has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Column {
    /// Its name, as the files have it. Hive knows lower case only, and finds the columns of files without regard to case.
    pub name: String,
    /// Its type's name in Hive's language.
    #[serde(rename = "type")]
    pub kind: String,
}

/// How the files of a table are read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Storage {
    /// Apache Parquet, by the names of columns.
    Parquet,
    /// A JSON object per line, by the names of columns.
    JsonLines,
    /// CSV with a header, by the places of columns.
    Csv,
    /// Something that is not ours: what reads it.
    Other(String),
}

impl Column {
    /// A column.
    pub fn new(name: impl Into<String>, kind: impl Into<String>) -> Self {
        Self { name: name.into(), kind: kind.into() }
    }

    /// Its name as Hive has it.
    pub fn hive_name(&self) -> String {
        self.name.to_lowercase()
    }
}

impl Storage {
    /// How files of this format are read.
    pub fn of(format: Format) -> Self {
        match format {
            Format::Parquet(_) => Self::Parquet,
            Format::JsonLines(_) => Self::JsonLines,
            Format::Csv(_) => Self::Csv,
        }
    }

    /// Hive's type for a column of this type. What is nested is JSON as text everywhere. Days and instants have a type of their
    /// own in Parquet only: in texts they are ISO 8601, which the readers of texts do not take for a `timestamp`. And what reads
    /// CSV takes an empty field of a `bigint` for an error, and not for a null: so in CSV everything is text.
    pub fn hive(&self, kind: ColumnType) -> &'static str {
        let is_parquet = *self == Self::Parquet;
        match kind {
            _ if *self == Self::Csv => "string",
            ColumnType::Boolean => "boolean",
            ColumnType::Int64 => "bigint",
            ColumnType::Float64 => "double",
            ColumnType::Date if is_parquet => "date",
            ColumnType::Timestamp if is_parquet => "timestamp",
            ColumnType::Text | ColumnType::Json | ColumnType::Date | ColumnType::Timestamp => "string",
        }
    }

    /// For people.
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Parquet => "Parquet",
            Self::JsonLines => "JSON lines",
            Self::Csv => "CSV",
            Self::Other(reader) => reader,
        }
    }
}
