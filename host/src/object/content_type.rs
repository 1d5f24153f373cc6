//! What an object says it holds.

/// The media type of an object, which Amazon S3 gives to whoever reads it. A folder keeps none.
///
/// A compressed text is named by its compression. There is never a `Content-Encoding`: clients would undo it unasked, and what
/// is called `.csv.gz` would be no gzip any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum ContentType {
    Json,
    JsonLines,
    Csv,
    Parquet,
    Gzip,
    Zstd,
}

impl ContentType {
    /// As HTTP has it. IANA has registered all but that of JSON lines, which everybody uses.
    pub fn name(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::JsonLines => "application/x-ndjson",
            Self::Csv => "text/csv; charset=utf-8",
            Self::Parquet => "application/vnd.apache.parquet",
            Self::Gzip => "application/gzip",
            Self::Zstd => "application/zstd",
        }
    }
}
