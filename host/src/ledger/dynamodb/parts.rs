//! Records of what is prepared: in the batch's own entry, or in parts that are entries of their own.

use std::time::SystemTime;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _, stream};

use super::super::{Claimed, LedgerError, PART, Record};
use super::entry::{Attributes, bytes, expires, foreign, signed, unavailable};
use crate::aws::ServiceError;
use crate::job::BatchId;

/// A larger record is cut into parts, each an item of its own. An item has at most 400 KB (Amazon DynamoDB, "Constraints").
const _: () = assert!(PART <= 390 * 1024);

/// How many parts of a record are read at once.
const PARTS_AT_ONCE: usize = 16;

/// The record that the entry holds, or whose parts it names. None where nothing is prepared.
pub(super) async fn find(
    client: &Client,
    table: &str,
    id: &BatchId,
    entry: &Attributes,
) -> Result<Option<Record>, LedgerError> {
    if let Some(bytes) = entry.get("prepared") {
        let bytes = bytes.as_b().map_err(|_| foreign("prepared", "bytes"))?;
        return Ok(Some(Record::from(bytes.as_ref().to_vec())));
    }
    if !entry.contains_key("prepared_parts") {
        return Ok(None);
    }
    let fence = signed(entry, "prepared_fence")?;
    // Reading the parts of a large record one after the other would take longer than a claim may.
    let numbers = stream::iter(0..signed(entry, "prepared_parts")?);
    let reads = numbers.map(|number| get(client, table, key(id, fence, number)));
    let parts: Vec<_> = reads.buffered(PARTS_AT_ONCE).map_ok(Bytes::from).try_collect().await?;
    Ok(Some(parts.into_iter().collect()))
}

async fn get(client: &Client, table: &str, key: String) -> Result<Vec<u8>, LedgerError> {
    let request = client.get_item().table_name(table).key("pk", AttributeValue::S(key));
    let found = request.consistent_read(true).send().await.map_err(|error| unavailable(ServiceError::new(&error)))?;
    match found.item.unwrap_or_default().remove("bytes") {
        Some(AttributeValue::B(bytes)) => Ok(bytes.into_inner()),
        _ => Err(foreign("bytes", "a part of what was prepared")),
    }
}

/// Writes the part of this number of a claim's record.
pub(super) async fn put(
    client: &Client,
    table: &str,
    claimed: &Claimed,
    number: i64,
    part: &[u8],
) -> Result<(), LedgerError> {
    let key = key(&claimed.id, claimed.fence.cast_signed(), number);
    let put = client.put_item().table_name(table).item("pk", AttributeValue::S(key));
    let put = put.item("bytes", bytes(part)).item("expires", expires(SystemTime::now()));
    put.send().await.map(|_| ()).map_err(|error| unavailable(ServiceError::new(&error)))
}

fn key(id: &BatchId, fence: i64, number: i64) -> String {
    format!("{}#{fence}#{number}", id.key())
}
