//! The end of a Parquet file, which says where everything else is.

use std::sync::Arc;

use bytes::Bytes;
use parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader};

use super::super::source::Source;
use crate::object::ObjectError;

/// How much of the object's end is fetched first. Most footers are in it.
const FIRST: u64 = 64 << 10;
/// The longest footer. In memory it takes many times as much.
const LONGEST: u64 = 8 << 20;
/// The length and the magic number behind a footer.
const TAIL: u64 = 8;
const MAGIC: &[u8] = b"PAR1";

/// Reads the footer, in one request for most files.
pub(super) async fn footer(source: &mut Source) -> Result<Arc<ParquetMetaData>, ObjectError> {
    let size = source.object.size;
    let is_none = |source: &Source, why: &str| {
        ObjectError::Invalid(format!("{} is no Parquet file: {why}", source.object.location))
    };
    if size < TAIL + MAGIC.len() as u64 {
        return Err(is_none(source, &format!("it has {size} bytes")));
    }
    let mut end = source.read(size - size.min(FIRST)..size).await?;
    let tail = end.split_off(end.len() - TAIL as usize);
    match &tail[4..] {
        MAGIC => {}
        b"PARE" => return Err(is_none(source, "it is encrypted, which is not supported: write it without encryption")),
        _ => return Err(is_none(source, "it does not end in `PAR1`; it is of another format, or cut off")),
    }
    let length = u64::from(u32::from_le_bytes([tail[0], tail[1], tail[2], tail[3]]));
    let Some(start) = (size - TAIL).checked_sub(length).filter(|start| *start >= MAGIC.len() as u64) else {
        return Err(is_none(source, &format!("its footer of {length} bytes is longer than the file of {size}")));
    };
    if length > LONGEST {
        return Err(source.too_large(format!("its footer has {length} bytes; at most {LONGEST}")));
    }
    let bytes: Bytes = match end.len().checked_sub(length as usize) {
        Some(from) => end.slice(from..),
        None => source.read(start..size - TAIL).await?,
    };
    source.calmly(|| {
        let decoded = ParquetMetaDataReader::decode_metadata(&bytes);
        decoded.map(Arc::new).map_err(|error| source.fault(&error))
    })
}
