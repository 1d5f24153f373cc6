//! A block as bytes: the profile of Arrow IPC, or JSON lines.

use arrow::array::{Array as _, AsArray as _, RecordBatch, StringArray};
use arrow::error::ArrowError;
use arrow::ipc::writer::StreamWriter;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use super::cast::json_texts;
use super::cut::bytes;
use super::request::{Column, ValueType};

/// About what a stream has beside its values, and for each of its columns.
const BESIDE: usize = 512;

/// How blocks are handed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// A self-contained Arrow IPC stream of one batch.
    ArrowIpc,
    /// One JSON object per line, nulls written out.
    JsonLines,
}

pub(crate) fn encode<'a>(
    block: &RecordBatch,
    columns: impl Iterator<Item = &'a Column>,
    encoding: Encoding,
) -> Result<Vec<u8>, ArrowError> {
    match encoding {
        Encoding::ArrowIpc => arrow_ipc(block),
        Encoding::JsonLines => json_lines(block, columns),
    }
}

fn arrow_ipc(block: &RecordBatch) -> Result<Vec<u8>, ArrowError> {
    // With the metadata of both messages, so that the bytes are not moved as they grow.
    let room = bytes(block).saturating_add(BESIDE).saturating_add(block.num_columns().saturating_mul(BESIDE));
    let mut writer = StreamWriter::try_new(Vec::with_capacity(room), &block.schema())?;
    writer.write(block)?;
    writer.into_inner()
}

fn json_lines<'a>(block: &RecordBatch, columns: impl Iterator<Item = &'a Column>) -> Result<Vec<u8>, ArrowError> {
    let mut named = Vec::with_capacity(block.num_columns());
    for (column, values) in columns.zip(block.columns()) {
        let name = serde_json::to_string(&column.name).map_err(|error| ArrowError::JsonError(error.to_string()))?;
        let texts = match column.value_type {
            ValueType::Json => values.as_string::<i32>().clone(),
            ValueType::Binary => {
                let text = |bytes: Option<&[u8]>| bytes.map(|bytes| format!("\"{}\"", BASE64_STANDARD.encode(bytes)));
                values.as_binary::<i32>().iter().map(text).collect::<StringArray>()
            }
            _ => json_texts(values)?,
        };
        named.push((name, texts));
    }
    let mut lines = Vec::new();
    for row in 0..block.num_rows() {
        for (place, (name, texts)) in named.iter().enumerate() {
            lines.push(if place == 0 { b'{' } else { b',' });
            lines.extend_from_slice(name.as_bytes());
            lines.push(b':');
            // A JSON text of a file may have line breaks, between its tokens only.
            let text = if texts.is_null(row) { "null" } else { texts.value(row) };
            lines.extend(text.bytes().map(|byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { byte }));
        }
        lines.extend_from_slice(if named.is_empty() { b"{}\n" } else { b"}\n" });
    }
    Ok(lines)
}
