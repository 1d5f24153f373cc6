//! What every [`Sink`] has to do, as a suite that runs against objects of each format and against the places of tables.

// A failed check is what this is for.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use arrow::array::RecordBatch;
use serde_json::{Value, json};

use super::record::{Step, streams};
use super::rows::{Rows, decode};
use super::{LeaseCheck, OutputSchema, Prepared, RowsDigest, Sink, SinkError, Staging, Stores, Written};
use crate::dataset::{Column, ColumnType, Target};
use crate::job::BatchId;

/// A sink, and a way to see what it has made visible.
pub trait Subject: Sync {
    /// The sink.
    fn sink(&self) -> &dyn Sink;
    /// Where effects are carried out.
    fn stores(&self) -> Stores;
    /// Where the output of the suite goes.
    fn target(&self) -> Target;
    /// All visible rows, each an object with every column, in the order in which the place keeps them.
    fn visible(&self) -> Vec<Value>;
    /// What is visible of one batch's output that has no rows.
    fn nothing(&self) -> bool {
        self.visible().is_empty()
    }
}

/// What every sink must do. The rows are in the order of their keys, which is how tables keep them.
pub async fn suite(subject: &dyn Subject) {
    let schema = Arc::new(OutputSchema::new("daily", all_types(), subject.target()).unwrap());
    let first = r#"{"id":"a","flag":false,"count":-9007199254740993,"mean":0.1,"day":"2024-02-29"}"#;
    let second = concat!(
        r#"{"id":"b","at":"2024-01-31T12:00:00.5Z","extra":{"z":[1,null,"é"],"a":true}}"#,
        "\n",
        r#"{"id":"c","mean":-1e100,"extra":"text"}"#
    );
    let row = |given: Value| {
        let mut row = json!({"flag":null,"count":null,"mean":null,"day":null,"at":null,"extra":null});
        row.as_object_mut().unwrap().extend(given.as_object().unwrap().clone());
        row
    };
    let expected = vec![
        row(json!({"id":"a","flag":false,"count":-9_007_199_254_740_993_i64,"mean":0.1,"day":"2024-02-29"})),
        row(json!({"id":"b","at":"2024-01-31T12:00:00.500000Z","extra":{"z":[1,null,"é"],"a":true}})),
        row(json!({"id":"c","mean":-1e100,"extra":"text"})),
    ];

    // What is staged and dropped, or given up, or not committed yet, is not visible.
    let id = batch_id("a");
    let mut staged = subject.sink().stage(&id, &schema).await.unwrap();
    staged.write(rows(&schema, first)).await.unwrap();
    drop(staged);
    let mut staged = subject.sink().stage(&id, &schema).await.unwrap();
    staged.write(rows(&schema, first)).await.unwrap();
    staged.abort().await.unwrap();
    let mut staged = subject.sink().stage(&id, &schema).await.unwrap();
    staged.write(rows(&schema, first)).await.unwrap();
    staged.write(rows(&schema, "")).await.unwrap();
    staged.write(rows(&schema, second)).await.unwrap();
    assert!(subject.nothing());

    // What is prepared is not visible, nor is what an attempt would write that lost the batch.
    let stores = subject.stores();
    let Prepared { written: once, effects } = staged.prepare().await.unwrap();
    for effect in &effects {
        let lost = effect.apply(&*stores.objects, &*stores.tables, &LeaseCheck::new(|| false)).await;
        assert_eq!(lost, Err(SinkError::Lost));
    }
    assert!(subject.nothing());

    // The effect shows all rows, in order, with every value as it was; as often as it is carried out.
    for _ in 0..2 {
        for effect in &effects {
            effect.apply(&*stores.objects, &*stores.tables, &LeaseCheck::new(|| true)).await.unwrap();
        }
        assert_eq!(subject.visible(), expected);
    }
    assert_eq!((once.output.as_str(), once.rows), ("daily", 3));
    assert!(once.bytes > 0);
    // Whatever the sink, the same rows have the same digest.
    let mut digest = RowsDigest::new(&schema);
    digest.add(&schema, &rows(&schema, &format!("{first}\n{second}"))).unwrap();
    assert_eq!(once.digest, Some(digest.finish()));

    // The same batch again, cut differently, changes nothing.
    let mut staged = subject.sink().stage(&id, &schema).await.unwrap();
    staged.write(rows(&schema, &format!("{first}\n{second}"))).await.unwrap();
    assert_eq!(commit(&stores, staged).await.unwrap(), once);
    assert_eq!(subject.visible(), expected);

    // An output without rows commits, and adds nothing.
    let other = subject.sink().stage(&batch_id("b"), &schema).await.unwrap();
    let nothing = commit(&stores, other).await.unwrap();
    assert_eq!((nothing.rows, nothing.bytes), (0, 0));
    assert_eq!(subject.visible(), expected);
}

/// Prepares what was staged, and carries it out as a process would that has only the record.
pub async fn commit(stores: &Stores, staged: Box<dyn Staging>) -> Result<Written, SinkError> {
    let Prepared { written, effects } = staged.prepare().await?;
    let rows: Vec<u8> = streams(&effects).flat_map(Result::unwrap).collect();
    let mut rows = rows.as_slice();
    for effect in &effects {
        let step = serde_json::to_string(&Step::from(effect)).unwrap();
        let effect = serde_json::from_str::<Step>(&step).unwrap().with_rows(&mut rows).unwrap();
        effect.apply(&*stores.objects, &*stores.tables, &LeaseCheck::new(|| true)).await?;
    }
    Ok(written)
}

/// A column of every type; only `id` must have a value.
pub fn all_types() -> Vec<Column> {
    [
        ("id", ColumnType::Text),
        ("flag", ColumnType::Boolean),
        ("count", ColumnType::Int64),
        ("mean", ColumnType::Float64),
        ("day", ColumnType::Date),
        ("at", ColumnType::Timestamp),
        ("extra", ColumnType::Json),
    ]
    .map(|(name, kind)| Column { name: name.into(), kind, nullable: name != "id" })
    .into()
}

/// Rows, given as lines of JSON.
pub fn rows(schema: &OutputSchema, lines: &str) -> RecordBatch {
    decode(schema, Rows::JsonLines(lines.as_bytes())).unwrap()
}

/// The id of a batch whose child execution has this name.
pub fn batch_id(name: &str) -> BatchId {
    let execution = format!("arn:aws:states:eu-central-1:123456789012:execution:noaa/map:{name}");
    BatchId { execution, state: "Work".into() }
}
