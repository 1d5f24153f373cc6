//! Blocks that Arrow's own writer made, read by ours; and bytes that nobody made on purpose.

#![allow(clippy::unwrap_used, reason = "a test that finds what it did not expect should stop there")]

use std::sync::Arc;

use arrow_array::{
    ArrayRef, BinaryArray, BooleanArray, Date32Array, Float64Array, Int32Array, Int64Array, RecordBatch, StringArray,
    TimestampMicrosecondArray,
};
use arrow_ipc::reader::StreamReader;
use arrow_ipc::writer::StreamWriter;
use gristmill_plugin::json;
use gristmill_plugin::table::{Block, Columnar, Columns, Date, Timestamp};
use proptest::prelude::*;
use serde::Serialize;

type Row = (Option<bool>, Option<i64>, Option<f64>, Option<String>, Option<Vec<u8>>, Option<i32>, Option<i64>);

fn rows() -> impl Strategy<Value = Vec<Row>> {
    let text = proptest::option::of(".{0,9}");
    let bytes = proptest::option::of(proptest::collection::vec(any::<u8>(), 0..9));
    let row = (any::<Option<bool>>(), any::<Option<i64>>(), any::<Option<f64>>(), text, bytes, any::<Option<i32>>());
    let row = (row, any::<Option<i64>>()).prop_map(|((a, b, c, d, e, f), g)| (a, b, c, d, e, f, g));
    proptest::collection::vec(row, 0..40)
}

#[derive(Serialize)]
struct Struct<'a> {
    bool: Option<bool>,
    int: Option<i64>,
    float: Option<f64>,
    text: Option<&'a str>,
    day: Option<Date>,
    #[serde(flatten)]
    others: Others,
}

#[derive(Serialize)]
struct Others {
    instant: Option<Timestamp>,
    list: (Option<i64>, Nested),
}

#[derive(Serialize)]
struct Nested {
    day: Option<Date>,
}

impl<'a> Struct<'a> {
    fn of(row: &'a Row) -> Self {
        // Within a structure all is JSON.
        let list = (row.1, Nested { day: row.5.map(|day| Date(day % 1_000_000)) });
        let others = Others { instant: row.6.map(Timestamp), list };
        Self { bool: row.0, int: row.1, float: row.2, text: row.3.as_deref(), day: row.5.map(Date), others }
    }
}

fn batch(rows: &[Row]) -> RecordBatch {
    let instants: TimestampMicrosecondArray = rows.iter().map(|row| row.6).collect();
    let columns: [(&str, ArrayRef); 7] = [
        ("bool", Arc::new(rows.iter().map(|row| row.0).collect::<BooleanArray>())),
        ("int", Arc::new(rows.iter().map(|row| row.1).collect::<Int64Array>())),
        ("float", Arc::new(rows.iter().map(|row| row.2).collect::<Float64Array>())),
        ("text", Arc::new(rows.iter().map(|row| row.3.as_deref()).collect::<StringArray>())),
        ("bytes", Arc::new(rows.iter().map(|row| row.4.as_deref()).collect::<BinaryArray>())),
        ("day", Arc::new(rows.iter().map(|row| row.5).collect::<Date32Array>())),
        ("instant", Arc::new(instants.with_timezone("UTC"))),
    ];
    RecordBatch::try_from_iter_with_nullable(columns.map(|(name, array)| (name, array, true))).unwrap()
}

fn stream(batch: &RecordBatch) -> Vec<u8> {
    let mut writer = StreamWriter::try_new(Vec::new(), &batch.schema()).unwrap();
    writer.write(batch).unwrap();
    writer.into_inner().unwrap()
}

/// Looks at everything that a block has.
fn read(bytes: Vec<u8>) -> Result<Vec<Row>, gristmill_plugin::Failure> {
    let block = Block::new(bytes)?;
    let (bools, ints, floats) = (block.bool("bool")?, block.i64("int")?, block.f64("float")?);
    let (texts, binaries) = (block.text("text")?, block.binary("bytes")?);
    let (days, instants) = (block.date("day")?, block.timestamp("instant")?);
    let row = |at| {
        let (text, bytes) = (texts.get(at).map(str::to_owned), binaries.get(at).map(<[u8]>::to_vec));
        (bools.get(at), ints.get(at), floats.get(at), text, bytes, days.get(at), instants.get(at))
    };
    // Damaged bytes may claim any number of rows that fit in them.
    Ok((0..block.rows()).map(row).collect())
}

proptest! {
    #[test]
    fn what_arrow_writes_is_read_back(rows in rows(), skipped in 0usize..9) {
        let whole = batch(&rows);
        prop_assert_eq!(&read(stream(&whole)).unwrap(), &rows);
        // A slice begins within a byte of its bitmaps and beyond the first of its texts.
        let skipped = skipped.min(rows.len());
        let rest = whole.slice(skipped, rows.len() - skipped);
        prop_assert_eq!(&read(stream(&rest)).unwrap()[..], &rows[skipped..]);
    }

    #[test]
    fn columns_are_what_arrow_and_we_ourselves_read(rows in rows()) {
        let columns = Columns::to("o")
            .bool("bool", rows.iter().map(|row| row.0))
            .i64("int", rows.iter().map(|row| row.1))
            .f64("float", rows.iter().map(|row| row.2))
            .text("text", rows.iter().map(|row| row.3.as_deref()))
            .date("day", rows.iter().map(|row| row.5))
            .timestamp("instant", rows.iter().map(|row| row.6));
        let block = columns.block().unwrap();
        let mut reader = StreamReader::try_new(block.as_slice(), None).unwrap();
        let read = reader.next().unwrap().unwrap();
        prop_assert!(reader.next().is_none());
        let expected = batch(&rows).project(&[0, 1, 2, 3, 5, 6]).unwrap();
        prop_assert_eq!(read, expected);
        let ours = Block::new(block).unwrap();
        prop_assert_eq!(ours.rows(), rows.len());
        prop_assert!(ours.text("text").unwrap().iter().eq(rows.iter().map(|row| row.3.as_deref())));
        prop_assert!(ours.bool("bool").unwrap().iter().eq(rows.iter().map(|row| row.0)));
    }

    #[test]
    fn rows_become_the_columns_that_arrow_reads(rows in rows(), bad in proptest::option::of(any::<prop::sample::Index>())) {
        let rows: Vec<_> = rows.into_iter().map(|row| (row.0, row.1, row.2.filter(|float| float.is_finite()), row.3, row.4, row.5, row.6)).collect();
        let mut columnar = Columnar::to("o");
        for (at, row) in rows.iter().enumerate() {
            // A row that is refused in its middle leaves nothing.
            if bad.is_some_and(|bad| bad.index(rows.len()) == at) {
                let refused = columnar.emit(&json!({ "int": 1, "list": [row.1], "text": {"a": row.3}, "bool": u64::MAX }));
                prop_assert!(refused.is_err());
            }
            columnar.emit(&Struct::of(row)).unwrap();
        }
        let expected = batch(&rows);
        let block = columnar.take_block();
        let mut reader = StreamReader::try_new(block.as_slice(), None).unwrap();
        let read = reader.next().unwrap().unwrap();
        prop_assert_eq!(read.num_rows(), rows.len());
        // A column that never had a value is not there, and null to the host.
        for field in expected.schema().fields().iter().filter(|field| field.name() != "bytes") {
            let expected = expected.column_by_name(field.name()).unwrap();
            match read.column_by_name(field.name()) {
                Some(column) => prop_assert_eq!(column, expected),
                None => prop_assert_eq!(expected.null_count(), rows.len()),
            }
        }
        let lists = rows.iter().map(|row| Some(json!([row.1, {"day": row.5.map(|day| Date(day % 1_000_000))}]).to_string()));
        if let Some(column) = read.column_by_name("list") {
            let lists: ArrayRef = Arc::new(lists.collect::<StringArray>());
            prop_assert_eq!(column, &lists);
        }
        prop_assert_eq!(Block::new(columnar.take_block()).unwrap().rows(), 0);
    }

    #[test]
    fn damaged_bytes_are_an_error_or_values_but_no_panic(
        rows in rows(),
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        kept in any::<prop::sample::Index>(),
    ) {
        let mut bytes = stream(&batch(&rows));
        let _ = read(bytes[..kept.index(bytes.len())].to_vec());
        for (at, byte) in damage {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let _ = read(bytes);
    }
}

#[test]
fn every_cut_before_the_end_of_the_batch_is_an_error() {
    let rows = vec![(Some(true), Some(1), Some(0.5), Some("é".to_owned()), Some(vec![0xff]), Some(-1), None); 3];
    let bytes = stream(&batch(&rows));
    // The end of the stream, eight bytes, is of no importance.
    for length in 0..bytes.len() - 8 {
        assert_eq!(read(bytes[..length].to_vec()).unwrap_err().code(), "TableInvalid", "{length} bytes");
    }
}

#[test]
fn a_column_that_is_not_there_or_is_another_says_so() {
    let block = Block::new(stream(&batch(&[]))).unwrap();
    let missing = block.f64("temperature").err().unwrap();
    assert_eq!(
        missing.to_string(),
        "NoSuchColumn: there is no column temperature, only bool, int, float, text, bytes, day, instant"
    );
    let other = block.f64("int").err().unwrap();
    assert_eq!(other.to_string(), "ColumnType: column int is of type Int64, not Float64");
}

#[test]
fn a_type_that_blocks_do_not_have_is_refused() {
    let small: ArrayRef = Arc::new(Int32Array::from(vec![1]));
    let bytes = stream(&RecordBatch::try_from_iter([("small", small)]).unwrap());
    let failure = Block::new(bytes).err().unwrap();
    assert_eq!(
        failure.to_string(),
        "TableInvalid: a block cannot be read: a column is of a type that blocks do not have"
    );
}

#[test]
fn columns_of_different_lengths_are_refused() {
    let columns = Columns::to("hot").text("deviceid", ["a", "b"]).f64("temperature", [1.0]);
    let failure = columns.block().unwrap_err();
    assert_eq!(failure.to_string(), "OutputInvalid: columns of hot: deviceid has 2 rows, temperature has 1");
    assert!(Columns::to("hot").block().is_ok());
}

#[test]
fn a_row_that_does_not_fit_says_why_and_leaves_nothing() {
    let mut rows = Columnar::to("hot");
    rows.emit(&json!({ "deviceid": "a", "temperature": 1.5 })).unwrap();
    let mut refused = |row| rows.emit(&row).unwrap_err().to_string();
    assert_eq!(
        refused(json!({ "deviceid": "b", "temperature": "warm" })),
        "OutputInvalid: a row of hot: temperature is Text here, and was Float64 in a row before"
    );
    assert_eq!(
        refused(json!({ "deviceid": "b", "new": u64::MAX })),
        "OutputInvalid: a row of hot: 18446744073709551615 is more than an integer of 64 bits with a sign has"
    );
    assert_eq!(refused(json!(["b", 1.5])), "OutputInvalid: a row of hot: it is no struct and no map");
    assert_eq!(refused(json!("b")), "OutputInvalid: a row of hot: it is no struct and no map");
    assert_eq!(refused(json!(null)), "OutputInvalid: a row of hot: it is no struct and no map");
    rows.emit(&json!({ "temperature": null, "metrics": { "a": [1] } })).unwrap();
    let block = Block::new(rows.take_block()).unwrap();
    assert!(block.text("deviceid").unwrap().iter().eq([Some("a"), None]));
    assert!(block.f64("temperature").unwrap().iter().eq([Some(1.5), None]));
    assert!(block.text("metrics").unwrap().iter().eq([None, Some(r#"{"a":[1]}"#)]));
}
