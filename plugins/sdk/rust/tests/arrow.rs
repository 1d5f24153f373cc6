//! Record batches from blocks and back, held against our own reader:
//! `cargo test -p gristmill-plugin --features arrow --test arrow`.

#![allow(clippy::unwrap_used, reason = "a test that finds what it did not expect should stop there")]

use std::sync::Arc;

use arrow_array::{
    Array, ArrayRef, BooleanArray, Date32Array, Float64Array, Int64Array, RecordBatch, StringArray,
    TimestampMicrosecondArray,
};
use gristmill_plugin::table::{Block, Columns, arrow};
use proptest::prelude::*;

type Row = (Option<bool>, Option<i64>, Option<f64>, Option<String>, Option<i32>);

fn batch(rows: &[Row]) -> RecordBatch {
    let instants: TimestampMicrosecondArray = rows.iter().map(|row| row.1).collect();
    let columns: [(&str, ArrayRef); 6] = [
        ("bool", Arc::new(rows.iter().map(|row| row.0).collect::<BooleanArray>())),
        ("int", Arc::new(rows.iter().map(|row| row.1).collect::<Int64Array>())),
        ("float", Arc::new(rows.iter().map(|row| row.2).collect::<Float64Array>())),
        ("text", Arc::new(rows.iter().map(|row| row.3.as_deref()).collect::<StringArray>())),
        ("day", Arc::new(rows.iter().map(|row| row.4).collect::<Date32Array>())),
        ("instant", Arc::new(instants.with_timezone("UTC"))),
    ];
    RecordBatch::try_from_iter_with_nullable(columns.map(|(name, array)| (name, array, true))).unwrap()
}

proptest! {
    #[test]
    fn blocks_become_batches_and_batches_blocks(
        rows in proptest::collection::vec(
            (any::<Option<bool>>(), any::<Option<i64>>(), any::<Option<f64>>(), proptest::option::of(".{0,9}"), any::<Option<i32>>()),
            0..40,
        ),
    ) {
        let ours = Columns::to("o")
            .bool("bool", rows.iter().map(|row| row.0))
            .i64("int", rows.iter().map(|row| row.1))
            .f64("float", rows.iter().map(|row| row.2))
            .text("text", rows.iter().map(|row| row.3.as_deref()))
            .date("day", rows.iter().map(|row| row.4))
            .timestamp("instant", rows.iter().map(|row| row.1));
        let theirs = Block::new(ours.block().unwrap()).unwrap().into_arrow().unwrap();
        prop_assert_eq!(&theirs, &batch(&rows));
        let again = Block::new(arrow::stream(&theirs).unwrap()).unwrap();
        prop_assert_eq!(again.rows(), rows.len());
        prop_assert!(again.bool("bool").unwrap().iter().eq(rows.iter().map(|row| row.0)));
        prop_assert!(again.i64("int").unwrap().iter().eq(rows.iter().map(|row| row.1)));
        prop_assert!(again.f64("float").unwrap().iter().eq(rows.iter().map(|row| row.2)));
        prop_assert!(again.text("text").unwrap().iter().eq(rows.iter().map(|row| row.3.as_deref())));
        prop_assert!(again.date("day").unwrap().iter().eq(rows.iter().map(|row| row.4)));
        prop_assert!(again.timestamp("instant").unwrap().iter().eq(rows.iter().map(|row| row.1)));
    }
}

#[test]
fn columns_stay_where_they_lie() {
    let block = Columns::to("o").i64("int", [1, 2]).block().unwrap();
    let place = block.as_ptr_range();
    let batch = Block::new(block).unwrap().into_arrow().unwrap();
    let values = batch.column(0).to_data().buffers()[0].as_ptr();
    assert!(place.contains(&values));
}
