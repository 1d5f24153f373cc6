//! Outputs with a layout: what lies where, what a second run makes of it, and what a failure leaves.

use std::sync::{Arc, Mutex};

use bytes::Bytes;

use super::*;
use crate::sink::{Effect, Prepared};

fn layout(partition_by: &[&str], sort_by: &[&str]) -> Layout {
    Layout {
        partition_by: partition_by.iter().map(|text| text.parse().unwrap()).collect(),
        sort_by: sort_by.iter().map(|text| text.parse().unwrap()).collect(),
        ..Layout::default()
    }
}

#[tokio::test]
async fn objects_in_every_layout_keep_the_contract() {
    let in_files = Layout { file_size: Some(1), ..Layout::default() };
    for format in [JSON_LINES, CSV, PARQUET] {
        for layout in [
            layout(&["flag"], &[]),
            layout(&["year(at)", "id"], &["count desc"]),
            layout(&[], &["id"]),
            in_files.clone(),
        ] {
            suite(&Objects::laid_out(format, layout)).await;
        }
    }
}

#[tokio::test]
async fn rows_lie_in_the_folders_of_their_values() {
    let subject = Objects::laid_out(JSON_LINES, layout(&["flag", "year(at)"], &["count"]));
    let id = batch_id("a");
    let lines = [
        r#"{"id":"a","flag":true,"count":3,"at":"2024-05-05T00:00:00Z"}"#,
        r#"{"id":"b","flag":true,"count":1,"at":"2024-12-31T23:59:59Z"}"#,
        r#"{"id":"c","count":2,"at":"2025-01-01T00:00:00Z"}"#,
    ];
    let written = subject.commit(&id, &lines.join("\n")).await;
    assert_eq!((written.place.as_str(), written.files, written.rows), ("s3://results/daily/", Some(2), 3));
    assert_eq!(
        subject.keys(&id),
        [
            "_gristmill/_NAME.daily.json",
            "flag=__HIVE_DEFAULT_PARTITION__/year=2025/NAME.jsonl",
            "flag=true/year=2024/NAME.jsonl"
        ]
    );
    let objects = subject.store.objects.lock().unwrap();
    let (_, last) = objects.last_key_value().unwrap();
    // What stands in the path is not in the file, but for what was taken from it.
    let first = String::from_utf8_lossy(last);
    assert!(
        first.starts_with(r#"{"id":"b","count":1,"mean":null"#) && first.contains("2024-12-31T23:59:59"),
        "{first}"
    );
}

#[tokio::test]
async fn a_batch_that_runs_again_replaces_its_own_files_and_no_others() {
    let subject = Objects::laid_out(CSV, layout(&["id"], &[]));
    let (one, other) = (batch_id("a"), batch_id("b"));
    subject.commit(&one, "{\"id\":\"x\"}\n{\"id\":\"y\"}").await;
    subject.commit(&other, "{\"id\":\"x\"}").await;
    let written = subject.commit(&one, "{\"id\":\"y\"}\n{\"id\":\"z\"}").await;
    assert_eq!(written.files, Some(2));
    assert_eq!(subject.keys(&one), ["_gristmill/_NAME.daily.json", "id=y/NAME.csv", "id=z/NAME.csv"]);
    // Nothing is forgotten: what was there once may be there again, by an attempt that is late.
    subject.commit(&one, "").await;
    assert_eq!(subject.keys(&one), ["_gristmill/_NAME.daily.json"]);
    subject.commit(&one, "{\"id\":\"x\"}").await;
    assert_eq!(subject.keys(&one), ["_gristmill/_NAME.daily.json", "id=x/NAME.csv"]);
    assert_eq!(subject.keys(&other), ["_gristmill/_NAME.daily.json", "id=x/NAME.csv"]);
}

#[tokio::test]
async fn another_layout_leaves_nothing_of_the_one_before() {
    let store = MemoryStore::default();
    let lines = "{\"id\":\"x\"}\n{\"id\":\"y\"}";
    let in_files = Layout { file_size: Some(1), ..Layout::default() };
    for (layout, keys) in [
        (Layout::default(), &["NAME.csv"][..]),
        (layout(&["id"], &[]), &["_gristmill/_NAME.daily.json", "id=x/NAME.csv", "id=y/NAME.csv"]),
        (in_files, &["NAME.csv", "_gristmill/_NAME.daily.json"]),
        (layout(&["flag"], &[]), &["_gristmill/_NAME.daily.json", "flag=__HIVE_DEFAULT_PARTITION__/NAME.csv"]),
        (layout(&[], &["id"]), &["NAME.csv", "_gristmill/_NAME.daily.json"]),
    ] {
        let subject =
            Objects { store: store.clone(), sink: ObjectsSink::new(Arc::new(store.clone())), format: CSV, layout };
        let id = batch_id("a");
        subject.commit(&id, lines).await;
        assert_eq!(subject.keys(&id), keys);
        assert_eq!(subject.visible().len(), 2);
    }
}

#[tokio::test]
async fn the_list_of_objects_comes_before_them() {
    let subject = Objects::laid_out(CSV, layout(&["id"], &[]));
    let schema = subject.schema();
    let mut staged = subject.sink.stage(&batch_id("a"), &schema).await.unwrap();
    staged.write(rows(&schema, "{\"id\":\"x\"}\n{\"id\":\"y\"}")).await.unwrap();
    let Prepared { effects, .. } = staged.prepare().await.unwrap();
    assert_eq!(effects.iter().map(Effect::turn).collect::<Vec<_>>(), [0, 1, 1, 1]);
}

#[tokio::test]
async fn a_large_folder_has_several_files() {
    let lines: String = (0..30_000).map(|n| format!("{{\"id\":\"{n:06}\",\"count\":{n}}}\n")).collect();
    for format in [JSON_LINES, PARQUET] {
        let layout = Layout { file_size: Some(100_000), row_group_size: Some(50_000), ..layout(&[], &["count desc"]) };
        let subject = Objects::laid_out(format, layout);
        let id = batch_id("a");
        let written = subject.commit(&id, &lines).await;
        let files = written.files.unwrap();
        assert!((2..30).contains(&files), "{files}");
        let keys = subject.keys(&id);
        assert!(keys[0].starts_with("NAME.") && keys[0].matches('.').count() == 2, "{keys:?}");
        assert_eq!(keys.len() as u64, files + 1);
        let mut counts: Vec<_> = subject.visible().iter().map(|row| row["count"].as_i64().unwrap()).collect();
        counts.sort_unstable();
        assert!(counts.into_iter().eq(0..30_000));
    }
}

#[tokio::test]
async fn parquet_files_say_how_they_are_sorted() {
    use parquet::file::reader::{FileReader as _, SerializedFileReader};
    let subject = Objects::laid_out(PARQUET, layout(&["flag"], &["at desc", "id"]));
    subject.commit(&batch_id("a"), r#"{"id":"a","flag":true}"#).await;
    let objects = subject.store.objects.lock().unwrap().clone();
    let (_, bytes) = objects.into_iter().find(|(at, _)| at.key.ends_with(".parquet")).unwrap();
    let reader = SerializedFileReader::new(Bytes::from(bytes)).unwrap();
    let sorting = reader.metadata().row_group(0).sorting_columns().unwrap();
    // `flag` is no column of the file.
    let name = |column: i32| reader.metadata().file_metadata().schema().get_fields()[column as usize].name().to_owned();
    let said: Vec<_> = sorting.iter().map(|by| (name(by.column_idx), by.descending, by.nulls_first)).collect();
    assert_eq!(said, [("at".into(), true, false), ("id".into(), false, true)]);
}

#[tokio::test]
async fn what_was_uploaded_before_a_failure_is_removed() {
    let store = MemoryStore { room: Some(Arc::new(Mutex::new(3))), ..MemoryStore::default() };
    let sink = ObjectsSink::new(Arc::new(store.clone()));
    let target = laid_out(CSV, layout(&["id"], &[]));
    let schema = Arc::new(OutputSchema::new("daily", all_types(), target).unwrap());
    let mut staged = sink.stage(&batch_id("a"), &schema).await.unwrap();
    let lines: String = (0..9).map(|n| format!("{{\"id\":\"{n}\"}}\n")).collect();
    staged.write(rows(&schema, &lines)).await.unwrap();
    assert!(matches!(staged.prepare().await, Err(SinkError::Unavailable(_))));
    store.cleanups.done(std::time::Duration::from_secs(60)).await;
    assert!(store.uploads.lock().unwrap().is_empty());
}

#[tokio::test]
async fn what_an_earlier_attempt_staged_is_removed_wherever_it_lies() {
    let subject = Objects::laid_out(CSV, layout(&["id"], &[]));
    let (schema, id) = (subject.schema(), batch_id("a"));
    let stage = async |id: &BatchId| {
        let mut staged = subject.sink.stage(id, &schema).await.unwrap();
        staged.write(rows(&schema, "{\"id\":\"x\"}\n{\"id\":\"y\"}")).await.unwrap();
        staged.prepare().await.unwrap().effects
    };
    let (ours, theirs) = (stage(&id).await, stage(&batch_id("b")).await);
    subject.sink.remove_staged(&id, &schema).await.unwrap();
    let stores = subject.stores();
    let apply =
        async |effects: &[Effect]| effects[1].apply(&*stores.objects, &*stores.tables, &LeaseCheck::new(|| true)).await;
    assert!(matches!(apply(&ours).await, Err(SinkError::Gone(_))));
    assert_eq!(apply(&theirs).await, Ok(()));
}

/// The case that the list of objects is for: an attempt that could show a part of its files only.
#[tokio::test]
async fn what_a_record_has_shown_before_it_was_given_up_goes_with_the_next_run() {
    let subject = Objects::laid_out(CSV, layout(&["id"], &[]));
    let (schema, id, stores) = (subject.schema(), batch_id("a"), subject.stores());
    let mut staged = subject.sink.stage(&id, &schema).await.unwrap();
    staged.write(rows(&schema, "{\"id\":\"x\"}\n{\"id\":\"y\"}")).await.unwrap();
    let Prepared { effects, .. } = staged.prepare().await.unwrap();
    let apply =
        async |effect: &Effect| effect.apply(&*stores.objects, &*stores.tables, &LeaseCheck::new(|| true)).await;
    // The list, and the first file; then a rule of the bucket takes the other upload away.
    apply(&effects[0]).await.unwrap();
    apply(&effects[1]).await.unwrap();
    stores.objects.abort(effects[2].upload().unwrap()).await.unwrap();
    assert!(matches!(apply(&effects[2]).await, Err(SinkError::Gone(_))));
    assert_eq!(subject.keys(&id), ["_gristmill/_NAME.daily.json", "id=x/NAME.csv"]);
    subject.commit(&id, "{\"id\":\"z\"}").await;
    assert_eq!(subject.keys(&id), ["_gristmill/_NAME.daily.json", "id=z/NAME.csv"]);
}
