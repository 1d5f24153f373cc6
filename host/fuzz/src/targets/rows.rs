//! A block of rows as a guest emits it.

use std::sync::LazyLock;

use arrow::array::RecordBatch;
use arrow::ipc::writer::StreamWriter;
use gristmill::dataset::{Column, Target};
use gristmill::sink::OutputSchema;
use gristmill::sink::keys::KeySet;
use gristmill::sink::rows::{MAX_DECODED_BYTES, Rows, decode};

use super::manifest::KINDS;
use super::short;

/// A column of every type, named like it; only `text` must have a value.
static SCHEMA: LazyLock<OutputSchema> = LazyLock::new(|| {
    let column = |kind: gristmill::dataset::ColumnType| Column {
        name: kind.name().into(),
        nullable: kind.name() != "text",
        kind,
    };
    let target = Target::Table { table: "t".into(), key: vec!["text".into()] };
    OutputSchema::new("daily", KINDS.map(column).into(), target).unwrap()
});

/// `json` or `arrow`, and after the line's end the block. Rows that were taken have the output's schema, and are taken
/// again as what they have become.
pub fn rows(data: &[u8]) -> bool {
    let block = match super::first_line(data) {
        Some(("json", block)) => Rows::JsonLines(block),
        Some(("arrow", block)) => Rows::ArrowIpc(block),
        _ => return false,
    };
    let batch = match decode(&SCHEMA, block) {
        Ok(batch) => batch,
        Err(bad) => {
            short(&bad);
            return false;
        }
    };
    assert_eq!(batch.schema(), SCHEMA.arrow);
    assert!(batch.num_rows() * KINDS.len() * 8 <= MAX_DECODED_BYTES);
    if let Err(bad) = KeySet::default().check(&SCHEMA, std::slice::from_ref(&batch)) {
        short(&bad);
    }
    let again = decode(&SCHEMA, Rows::ArrowIpc(&written(&batch))).expect("what was taken is taken again");
    assert_eq!(again, batch);
    true
}

fn written(batch: &RecordBatch) -> Vec<u8> {
    let mut writer = StreamWriter::try_new(Vec::new(), &batch.schema()).unwrap();
    writer.write(batch).unwrap();
    writer.into_inner().unwrap()
}
