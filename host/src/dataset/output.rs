//! `[[output]]`: where rows go, and what columns they have.

use serde::{Deserialize, Serialize};

use super::Prefix;

/// `[[output]]`
#[derive(Clone, Debug, PartialEq)]
pub struct OutputSpec {
    /// The name in the plugin's manifest.
    pub name: String,
    /// Where the rows go.
    pub target: Target,
    /// The columns, when the dataset file gives them: they replace the manifest's.
    pub columns: Option<Vec<Column>>,
}

/// Where an output's rows go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// A table: DynamoDB, or SQLite under `--local`.
    Table {
        /// Its name.
        table: String,
        /// One or two columns: the partition key and the sort key.
        key: Vec<String>,
    },
    /// One object per batch under a prefix.
    Objects {
        /// The prefix, which ends with `/`: `s3://bucket/some/where/`.
        prefix: Prefix,
        /// How rows are written.
        format: Format,
    },
}

/// How rows are written to objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// One JSON object per line, `.jsonl`.
    JsonLines,
    /// RFC 4180 with a header, `.csv`.
    Csv,
    /// Apache Parquet, zstd, `.parquet`.
    Parquet,
}

/// One column: as the manifest or the dataset file gives it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Its type.
    pub kind: ColumnType,
    /// Whether null is a value.
    pub nullable: bool,
}

/// The contract's `column-type`, which documents what each becomes in every format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the contract documents them")]
pub enum ColumnType {
    Boolean,
    Int64,
    Float64,
    Text,
    Date,
    Timestamp,
    Json,
}
