//! What a new plugin reads.

use clap::ValueEnum;

/// What a new plugin reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum From {
    /// CSV objects.
    Csv,
    /// Parquet objects, which the host decodes.
    Parquet,
    /// Objects of JSON lines, which the host decodes.
    Json,
    /// CSV objects, as a Lambda function's handler read them: a port, line by line (Python).
    Lambda,
}

impl From {
    /// How its objects' keys end.
    pub(super) fn ending(self) -> &'static str {
        match self {
            Self::Csv | Self::Lambda => "csv",
            Self::Parquet => "parquet",
            Self::Json => "jsonl",
        }
    }

    /// What its objects are called in a sentence.
    pub(super) fn kind(self) -> &'static str {
        match self {
            Self::Csv | Self::Lambda => "CSV",
            Self::Parquet => "Parquet",
            Self::Json => "JSON lines",
        }
    }
}
