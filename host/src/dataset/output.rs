//! `[[output]]`: where rows go, and what columns they have.

use serde::{Deserialize, Serialize};

use super::{Column, Layout, Prefix};
use crate::object::ContentType;

/// `[[output]]`
#[derive(Clone, Debug, PartialEq)]
pub struct OutputSpec {
    /// The name in the plugin's manifest.
    pub name: String,
    /// Where the rows go.
    pub target: Target,
    /// The columns, when the dataset file gives them: they replace the manifest's.
    pub columns: Option<Vec<Column>>,
    /// What the objects of a run are to those of earlier runs, where the run is concluded: in stages.
    pub runs: Option<Runs>,
    /// Under which name a data catalog knows the table that the objects are, where the run is concluded: in stages.
    pub catalog: Option<CatalogName>,
}

/// The name of a table in a data catalog.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CatalogName {
    /// The database, which has to be there.
    pub database: String,
    /// The table, which is made.
    pub table: String,
}

/// What the objects of a run are to those of earlier runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Runs {
    /// They lie beside them.
    Append,
    /// They take the place of all of them.
    Replace,
    /// They take the place of those in the same partitions.
    ReplacePartitions,
}

impl OutputSpec {
    /// What its objects are to those of earlier runs: unless it is said, no row is there twice because a run was repeated.
    pub fn runs(&self) -> Runs {
        let has_partitions = matches!(&self.target, Target::Objects { layout, .. } if !layout.partition_by.is_empty());
        self.runs.unwrap_or(if has_partitions { Runs::ReplacePartitions } else { Runs::Replace })
    }
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
    /// Objects under a prefix: one per batch, or as the layout says.
    Objects {
        /// The prefix, which ends with `/`: `s3://bucket/some/where/`.
        prefix: Prefix,
        /// How rows are written.
        format: Format,
        /// How they are laid out.
        layout: Layout,
    },
}

/// How rows are written to objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// One JSON object per line.
    JsonLines(TextCompression),
    /// RFC 4180 with a header.
    Csv(TextCompression),
    /// Apache Parquet.
    Parquet(PageCompression),
}

/// How a text is compressed, as a whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum TextCompression {
    #[default]
    None,
    Gzip,
    Zstd,
}

/// How the pages within a Parquet object are compressed, one by one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum PageCompression {
    #[default]
    Zstd,
    Snappy,
    Gzip,
    None,
}

impl Target {
    /// Whether what a batch writes here would have the name of what it writes there.
    pub(in crate::dataset) fn is_same_place(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Objects { prefix, format, .. }, Self::Objects { prefix: theirs, format: other, .. }) => {
                prefix == theirs && format.extension() == other.extension()
                    || within(prefix, theirs)
                    || within(theirs, prefix)
            }
            _ => self == other,
        }
    }
}

/// Whether a prefix lies where another one may have the folders of its rows.
fn within(inner: &Prefix, outer: &Prefix) -> bool {
    let (inner, outer) = (inner.to_string(), outer.to_string());
    let first = inner.strip_prefix(&outer).and_then(|rest| rest.split('/').next());
    first.is_some_and(|folder| folder.contains('=') || folder == "_gristmill")
}

impl Format {
    /// The ending of an object's key. Readers find in it how a text is compressed; a Parquet object says it inside.
    pub fn extension(self) -> &'static str {
        match self {
            Self::JsonLines(TextCompression::None) => "jsonl",
            Self::JsonLines(TextCompression::Gzip) => "jsonl.gz",
            Self::JsonLines(TextCompression::Zstd) => "jsonl.zst",
            Self::Csv(TextCompression::None) => "csv",
            Self::Csv(TextCompression::Gzip) => "csv.gz",
            Self::Csv(TextCompression::Zstd) => "csv.zst",
            Self::Parquet(_) => "parquet",
        }
    }

    /// What an object holds for whoever does not look into it.
    pub fn content_type(self) -> ContentType {
        match self {
            Self::JsonLines(TextCompression::None) => ContentType::JsonLines,
            Self::Csv(TextCompression::None) => ContentType::Csv,
            Self::JsonLines(TextCompression::Gzip) | Self::Csv(TextCompression::Gzip) => ContentType::Gzip,
            Self::JsonLines(TextCompression::Zstd) | Self::Csv(TextCompression::Zstd) => ContentType::Zstd,
            Self::Parquet(_) => ContentType::Parquet,
        }
    }
}
