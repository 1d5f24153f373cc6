//! The rows of Parquet files, as JSON objects: of one, or of all that a query of Athena wrote.

use std::sync::Arc;

use serde_json::value::RawValue;
use tokio::runtime::Handle;

use super::csv;
use super::format::{Emit, Stop};
use super::items::ReadError;
use super::object;
use crate::object::{Compression, Location, ObjectStore};
use crate::table::{Encoding, Format, Request, Scan};

/// How much memory reading one file may take, in bytes.
const MEMORY: u64 = 256 << 20;

/// Reads the rows of the files that Athena's manifest names, one file after the other.
pub(super) fn of_manifest(
    runtime: &Handle,
    store: &Arc<dyn ObjectStore>,
    manifest: &Location,
    emit: &mut Emit<'_>,
) -> Result<(), Option<ReadError>> {
    let mut files = Vec::new();
    let mut keep = |item: super::Item| {
        files.push(item.value);
        Ok(())
    };
    let read = object::open(runtime, store.clone(), manifest)
        .and_then(|mut input| csv::read(&mut input, Some(vec!["uri".into()]), '\t', &mut keep));
    read.map_err(|stop| ReadError::of(stop, manifest))?;
    for file in files {
        let at = file_of(&file).map_err(|reason| ReadError::Format { at: manifest.clone(), reason })?;
        of_file(runtime, store, &at, emit)?;
    }
    Ok(())
}

/// Reads the rows of one file.
pub(super) fn of_file(
    runtime: &Handle,
    store: &Arc<dyn ObjectStore>,
    at: &Location,
    emit: &mut Emit<'_>,
) -> Result<(), Option<ReadError>> {
    let mut scan = runtime.block_on(Scan::open(runtime, store.clone(), at, &request())).map_err(ReadError::from)?;
    while runtime.block_on(scan.fetch()).map_err(ReadError::from)? {
        while let Some(block) = scan.decode().map_err(ReadError::from)? {
            let lines = scan.encode(&block, Encoding::JsonLines).map_err(ReadError::from)?;
            for line in lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
                let item = text(line).and_then(RawValue::from_string);
                let item = item.map_err(|error| ReadError::Format { at: at.clone(), reason: error.to_string() })?;
                emit(item.into()).map_err(|stop: Stop| ReadError::of(stop, at))?;
            }
        }
    }
    Ok(())
}

/// All columns of a Parquet file.
pub(super) fn request() -> Request {
    Request {
        format: Format::Parquet,
        compression: Compression::None,
        columns: None,
        // Step Functions reads the file, and not its path.
        key_columns: false,
        conditions: Vec::new(),
        block_rows: 0,
        memory: MEMORY,
    }
}

fn text(line: &[u8]) -> serde_json::Result<String> {
    String::from_utf8(line.to_vec()).map_err(serde::de::Error::custom)
}

/// The file of a manifest's row, `{"uri": "s3://..."}`.
fn file_of(row: &RawValue) -> Result<Location, String> {
    #[derive(serde::Deserialize)]
    struct Row {
        uri: String,
    }
    let Row { uri } = serde_json::from_str(row.get()).map_err(|error| format!("{row} names no file: {error}"))?;
    uri.parse().map_err(|error| format!("it names what is no file: {error}"))
}
