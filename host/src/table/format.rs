//! Which format a table has.

use super::request::{CsvOptions, Format};
use super::source::Source;
use crate::object::ObjectError;

/// The format of a table.
pub(super) enum Layout {
    Parquet,
    Csv(CsvOptions),
    JsonLines,
}

/// What was asked for; or what the first bytes or the key's ending say.
pub(super) fn layout(asked: &Format, key: &str, source: &Source) -> Result<Layout, ObjectError> {
    let name = key.rsplit('/').next().unwrap_or_default();
    let plain = [".gz", ".zst", ".bz2"].iter().find_map(|ending| name.strip_suffix(ending)).unwrap_or(name);
    let csv = |delimiter| Layout::Csv(CsvOptions { header: true, names: Vec::new(), delimiter });
    match (asked, plain.rsplit_once('.').map_or("", |(_, ending)| ending)) {
        (Format::Parquet, _) => Ok(Layout::Parquet),
        (Format::Csv(options), _) => Ok(Layout::Csv(options.clone())),
        (Format::JsonLines, _) => Ok(Layout::JsonLines),
        (Format::Auto, _) if source.first().starts_with(b"PAR1") || source.first().starts_with(b"PARE") => {
            Ok(Layout::Parquet)
        }
        (Format::Auto, "parquet" | "pq") => Ok(Layout::Parquet),
        (Format::Auto, "csv") => Ok(csv(',')),
        (Format::Auto, "tsv") => Ok(csv('\t')),
        (Format::Auto, "jsonl" | "ndjson" | "json") => Ok(Layout::JsonLines),
        (Format::Auto, _) => Err(source.invalid(
            "neither its first bytes nor its key's ending say whether it is Parquet, CSV or JSON lines: say the format",
        )),
    }
}
