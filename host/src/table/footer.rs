//! The end of a Parquet file, which says where everything else is.

use std::sync::Arc;

use bytes::Bytes;
use parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader};

use super::source::{fault, read};
use crate::object::{Metadata, ObjectError, ObjectStore};

/// How much of the object's end is fetched first. Most footers are in it.
const FIRST: u64 = 64 << 10;
/// The longest footer.
const LONGEST: u64 = 64 << 20;
/// The length and the magic number behind a footer.
const TAIL: u64 = 8;
const MAGIC: &[u8] = b"PAR1";

/// Reads the footer, in one request for most files.
pub(super) async fn footer(
    store: &dyn ObjectStore,
    object: &Metadata,
    memory: u64,
) -> Result<Arc<ParquetMetaData>, ObjectError> {
    let (at, size) = (&object.location, object.size);
    let invalid = |why: &str| ObjectError::Invalid(format!("{at} is no Parquet file: {why}"));
    if size < TAIL + MAGIC.len() as u64 {
        return Err(invalid(&format!("it has {size} bytes")));
    }
    let mut end = read(store, object, size - size.min(FIRST)..size).await?;
    let tail = end.split_off(end.len() - TAIL as usize);
    match &tail[4..] {
        MAGIC => {}
        b"PARE" => return Err(invalid("it is encrypted, which is not supported: write it without encryption")),
        _ => return Err(invalid("it does not end in `PAR1`; it is of another format, or cut off")),
    }
    let length = u64::from(u32::from_le_bytes([tail[0], tail[1], tail[2], tail[3]]));
    if length > LONGEST.min(memory) {
        let most = LONGEST.min(memory);
        return Err(ObjectError::TooLarge(format!("{at}: its footer has {length} bytes; at most {most}")));
    }
    let Some(start) = (size - TAIL).checked_sub(length).filter(|start| *start >= MAGIC.len() as u64) else {
        return Err(invalid(&format!("its footer of {length} bytes is longer than the file of {size}")));
    };
    let bytes: Bytes = match end.len().checked_sub(length as usize) {
        Some(from) => end.slice(from..),
        None => read(store, object, start..size - TAIL).await?,
    };
    let decoded = ParquetMetaDataReader::decode_metadata(&bytes);
    decoded.map(Arc::new).map_err(|error| fault(object, error))
}
