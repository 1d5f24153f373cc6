//! An inventory's files in Parquet: their rows as those in CSV would be.
//!
//! The columns are those of CSV in other words (`is_latest` is `IsLatest`), and a key stands there as S3 has it.

use std::sync::Arc;

use serde_json::{Map, Value};
use tokio::runtime::Handle;

use super::super::csv;
use super::super::format::{Emit, Stop};
use super::super::items::ReadError;
use super::super::rows;
use super::copy::OneObject;
use super::left_out::LeftOut;
use crate::object::{Location, ObjectStore};
use crate::table::{Column, Encoding, Scan, ValueType};

/// Reads the rows of one file.
pub(super) fn read(
    runtime: &Handle,
    file: OneObject,
    at: &Location,
    left_out: &mut LeftOut,
    emit: &mut Emit<'_>,
) -> Result<(), Option<ReadError>> {
    let store: Arc<dyn ObjectStore> = Arc::new(file);
    let mut scan = runtime.block_on(Scan::open(runtime, store, at, &rows::request())).map_err(ReadError::from)?;
    let columns: Vec<Column> = scan.columns().cloned().collect();
    let wrong = |reason: String| ReadError::Format { at: at.clone(), reason };
    if !columns.iter().any(|column| column.name == "key") {
        let why = "it has no column `key`, as every inventory has; take the file that S3 wrote";
        return Err(Some(wrong(why.into())));
    }
    let names: Vec<String> = columns.iter().map(|column| name(&column.name)).collect();
    let keys = csv::keys(&names).map_err(wrong)?;
    let mut row = 0;
    while runtime.block_on(scan.fetch()).map_err(ReadError::from)? {
        while let Some(block) = scan.decode().map_err(ReadError::from)? {
            let lines = scan.encode(&block, Encoding::JsonLines).map_err(ReadError::from)?;
            for line in lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
                row += 1;
                let values: Map<String, Value> =
                    serde_json::from_slice(line).map_err(|error| wrong(format!("row {row}: {error}")))?;
                let fields = columns.iter().map(|column| text(column, values.get(&column.name)));
                let item = csv::object(&keys, fields, row).map_err(|stop| ReadError::of(stop, at))?;
                left_out.or_emit(item, emit).map_err(|stop: Stop| ReadError::of(stop, at))?;
            }
        }
    }
    Ok(())
}

/// The name of a column in an inventory in CSV: `e_tag` is `ETag` there.
fn name(column: &str) -> String {
    let words = column.split('_').map(|word| {
        let mut rest = word.chars();
        rest.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(rest).collect::<String>()
    });
    words.collect()
}

/// A value as an inventory in CSV has it: nothing is an empty text, and an instant has milliseconds.
fn text(column: &Column, value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) if column.value_type == ValueType::Timestamp && !text.contains('.') => {
            text.replace('Z', ".000Z")
        }
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_have_the_names_of_csv() {
        for (column, expected) in [
            ("bucket", "Bucket"),
            ("version_id", "VersionId"),
            ("e_tag", "ETag"),
            ("is_delete_marker", "IsDeleteMarker"),
            ("object_lock_retain_until_date", "ObjectLockRetainUntilDate"),
            ("intelligent_tiering_access_tier", "IntelligentTieringAccessTier"),
        ] {
            assert_eq!(name(column), expected);
        }
    }
}
