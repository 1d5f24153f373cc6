//! Tables in a file, as other connections see them.

use std::sync::Arc;

use rusqlite::Connection;

use super::super::tests::{all_types, batch_id, rows, table};
use super::super::{Effect, LeaseCheck, OutputSchema, Prepared, Sink as _, SinkError, TableSink as _, Written};
use super::{SqliteSink, file, open_sqlite};
use crate::dataset::{Column, ColumnType, Target};

fn schema(columns: Vec<Column>, key: &[&str]) -> Arc<OutputSchema> {
    Arc::new(OutputSchema::new("stations", columns, table(key)).unwrap())
}

async fn put(sink: &SqliteSink, schema: &Arc<OutputSchema>, lines: &str) -> Result<Written, SinkError> {
    let mut staged = sink.stage(&batch_id("a"), schema).await?;
    staged.write(rows(schema, lines)).await?;
    let Prepared { written, effects } = staged.prepare().await?;
    let [Effect::Put(rows)] = &effects[..] else { panic!("{effects:?}") };
    sink.put(rows, &LeaseCheck::new(|| true)).await.map(|()| written)
}

fn refused(result: Result<Written, SinkError>) -> String {
    match result {
        Err(SinkError::Refused(why)) => why,
        other => panic!("not refused: {other:?}"),
    }
}

#[tokio::test]
async fn a_table_has_a_column_per_attribute_and_the_key() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("deep/tables.sqlite");
    let sink = SqliteSink::open(&path).unwrap();
    let schema = schema(all_types(), &["id", "day"]);
    let written = put(&sink, &schema, r#"{"id":"a","day":"2024-01-31","flag":true}"#).await.unwrap();
    assert_eq!((written.rows, written.place.as_str()), (1, "table:noaa-precipitation"));
    let json = r#"{"id":"a","flag":true,"count":null,"mean":null,"day":"2024-01-31","at":null,"extra":null}"#;
    assert_eq!(written.bytes, json.len() as u64 + 1);
    let sql: String = Connection::open(&path)
        .unwrap()
        .query_row("SELECT sql FROM sqlite_schema WHERE name = 'noaa-precipitation'", [], |row| row.get(0))
        .unwrap();
    let (head, rest) = sql.split_once("/* gristmill ").unwrap();
    assert_eq!(
        format!("{head}{}", &rest[16 + " */ ".len()..]),
        "CREATE TABLE \"noaa-precipitation\" (\"id\" TEXT, \"flag\" INTEGER, \"count\" INTEGER, \"mean\" REAL, \
         \"day\" TEXT, \"at\" TEXT, \"extra\" TEXT, PRIMARY KEY (\"id\", \"day\")) WITHOUT ROWID"
    );
}

#[tokio::test]
async fn names_with_quotes_are_names() {
    let folder = tempfile::tempdir().unwrap();
    let sink = SqliteSink::open(&folder.path().join("tables.sqlite")).unwrap();
    let mut columns = all_types();
    columns[1].name = "a\"b; --".into();
    let put = put(&sink, &schema(columns, &["id"]), r#"{"id":"a","a\"b; --":true}"#).await;
    assert_eq!(put.unwrap().rows, 1);
}

#[tokio::test]
async fn a_table_that_lacks_columns_gets_them_and_a_row_replaces_the_whole_row() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tables.sqlite");
    let few = schema(all_types().into_iter().take(3).collect(), &["id"]);
    put(&SqliteSink::open(&path).unwrap(), &few, r#"{"id":"a","count":1}"#).await.unwrap();
    let sink = SqliteSink::open(&path).unwrap();
    let all = schema(all_types(), &["id"]);
    put(&sink, &all, "{\"id\":\"a\",\"mean\":2}\n{\"id\":\"b\",\"count\":3}").await.unwrap();
    let read = || -> Vec<(String, Option<i64>, Option<f64>)> {
        let connection = Connection::open(&path).unwrap();
        let mut statement =
            connection.prepare("SELECT id, count, mean FROM \"noaa-precipitation\" ORDER BY id").unwrap();
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).unwrap();
        rows.collect::<Result<_, _>>().unwrap()
    };
    assert_eq!(read(), [("a".into(), None, Some(2.0)), ("b".into(), Some(3), None)]);
    // Fewer columns again: the others become null, as PutItem leaves them out.
    put(&sink, &few, r#"{"id":"a","count":4}"#).await.unwrap();
    assert_eq!(read()[0], ("a".into(), Some(4), None));
}

#[tokio::test]
async fn a_table_with_another_key_or_type_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tables.sqlite");
    let sink = SqliteSink::open(&path).unwrap();
    put(&sink, &schema(all_types(), &["id"]), r#"{"id":"a"}"#).await.unwrap();
    let why = refused(put(&sink, &schema(all_types(), &["day"]), r#"{"id":"a","day":"2024-01-31"}"#).await);
    assert_eq!(
        why,
        format!(
            "table `noaa-precipitation` in `{}` has the key `id`, the output's key is `day`: change the dataset file, \
             or rename or drop the table",
            path.display()
        )
    );
    let mut columns = all_types();
    columns[1].kind = ColumnType::Text;
    let why = refused(put(&sink, &schema(columns, &["id"]), r#"{"id":"a"}"#).await);
    assert!(why.contains("has column `flag` of type INTEGER, the output's is TEXT"), "{why}");
}

#[tokio::test]
async fn names_that_differ_by_case_alone_are_refused_and_no_row_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tables.sqlite");
    let sink = SqliteSink::open(&path).unwrap();
    let named = |name: &str, columns| {
        let target = Target::Table { table: name.into(), key: vec!["id".into()] };
        Arc::new(OutputSchema::new("events", columns, target).unwrap())
    };
    put(&sink, &named("Events", all_types()), r#"{"id":"a"}"#).await.unwrap();
    let why = refused(put(&sink, &named("events", all_types()), r#"{"id":"a"}"#).await);
    assert!(why.contains("has a table `Events`, and SQLite takes `events` for the same"), "{why}");
    let mut columns = all_types();
    columns[1].name = "FLAG".into();
    let why = refused(put(&sink, &named("Events", columns), r#"{"id":"a"}"#).await);
    assert!(why.contains("has column `flag`, the output's is `FLAG`"), "{why}");
    let more = (0..1_999).map(|n| Column { name: format!("c{n}"), kind: ColumnType::Text, nullable: true });
    let columns = all_types().into_iter().take(1).chain(more).collect();
    let why = refused(put(&sink, &named("Events", columns), r#"{"id":"a"}"#).await);
    assert!(why.contains("would have more than 2000 columns"), "{why}");
}

#[tokio::test]
async fn a_full_disk_is_said_and_nothing_of_the_batch_stays() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tables.sqlite");
    let sink = SqliteSink::open(&path).unwrap();
    let schema = schema(all_types(), &["id"]);
    put(&sink, &schema, r#"{"id":"a"}"#).await.unwrap();
    // SQLite answers a limit on its pages as it answers a disk without room.
    sink.0.connection().pragma_update(None, "max_page_count", 8).unwrap();
    let lines: String = (0..1_000).map(|n| format!("{{\"id\":\"b{n}{}\"}}\n", "x".repeat(100))).collect();
    let error = put(&sink, &schema, &lines).await.unwrap_err();
    assert_eq!(error, SinkError::Refused(file::disk_full(&path)));
    let count: u32 =
        sink.0.connection().query_row("SELECT count(*) FROM \"noaa-precipitation\"", [], |row| row.get(0)).unwrap();
    assert_eq!(count, 1);
}

#[tokio::test]
async fn a_table_is_told_from_a_later_one_of_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tables.sqlite");
    let sink = SqliteSink::open(&path).unwrap();
    let few = schema(all_types().into_iter().take(2).collect(), &["id"]);
    let mark = async |sink: &SqliteSink| sink.mark("noaa-precipitation").await.unwrap();
    assert_eq!(mark(&sink).await, None, "there is no such table");
    put(&sink, &few, r#"{"id":"a"}"#).await.unwrap();
    let first = mark(&sink).await;
    assert!(first.is_some());
    // More rows, more columns, another connection: the same table.
    put(&sink, &schema(all_types(), &["id"]), r#"{"id":"b","mean":1}"#).await.unwrap();
    let other = SqliteSink::open(&path).unwrap();
    assert_eq!((mark(&sink).await, mark(&other).await), (first.clone(), first.clone()));
    let by_hand = |sql: &str| Connection::open(&path).unwrap().execute_batch(sql).unwrap();
    by_hand("DELETE FROM \"noaa-precipitation\"");
    assert_eq!(mark(&sink).await, None, "it was emptied");
    by_hand("DROP TABLE \"noaa-precipitation\"");
    let again = SqliteSink::open(&path).unwrap();
    put(&again, &few, r#"{"id":"a"}"#).await.unwrap();
    let second = mark(&again).await;
    assert!(second.is_some() && second != first, "{second:?}");
    by_hand(
        "DROP TABLE \"noaa-precipitation\"; CREATE TABLE \"noaa-precipitation\" (id TEXT PRIMARY KEY);
             INSERT INTO \"noaa-precipitation\" VALUES ('a')",
    );
    let theirs = mark(&again).await;
    assert!(theirs.is_some() && theirs != first && theirs != second, "one of the user's own");
}

#[test]
fn a_file_that_is_no_database_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tables.sqlite");
    std::fs::write(&path, "not a database, however long this sentence goes on and on".repeat(100)).unwrap();
    let error = open_sqlite(&path).map(|_| ()).unwrap_err();
    assert!(matches!(&error, SinkError::Refused(why) if why.contains("tables.sqlite")), "{error}");
}
