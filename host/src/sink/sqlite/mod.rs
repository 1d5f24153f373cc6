//! Tables in one SQLite file, for `--local`: the stand-in for DynamoDB that people can look at with their own tools.
//!
//! A row replaces the row with its key whole, as DynamoDB's PutItem does.

mod file;
mod table;

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arrow::array::RecordBatch;
use async_trait::async_trait;
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, TransactionBehavior};

pub use self::file::{open_sqlite, sqlite_error};
use self::table::{Table, quoted};
use super::cells::{self, Cell};
use super::{Ours, OutputSchema, Prepared, Sink, SinkError, Staging, TableRows, TableSink};
use crate::dataset::Target;
use crate::job::BatchId;

/// Takes rows for [`Target::Table`].
pub struct SqliteSink(Arc<Database>);

struct Database {
    path: PathBuf,
    /// One connection: SQLite has one writer at a time anyway, and a lock of our own is cheaper to wait for than its.
    connection: Mutex<Connection>,
    /// The tables that were made or checked, by the statement that makes them.
    ready: Mutex<HashSet<String>>,
}

impl SqliteSink {
    /// Opens or creates the file.
    pub fn open(path: &Path) -> Result<Self, SinkError> {
        let connection = open_sqlite(path)?;
        Ok(Self(Arc::new(Database {
            path: path.to_owned(),
            connection: Mutex::new(connection),
            ready: Mutex::default(),
        })))
    }
}

impl SqliteSink {
    /// The names of a table's columns and its first rows by key, as text for people.
    pub fn first_rows(&self, table: &str, most: usize) -> rusqlite::Result<(Vec<String>, Vec<Vec<String>>)> {
        let connection = lock(&self.0.connection);
        let mut statement = connection.prepare(&format!("SELECT * FROM {} LIMIT {most}", quoted(table)))?;
        let names: Vec<String> = statement.column_names().map(str::to_owned).collect();
        let row = |row: &rusqlite::Row<'_>| {
            (0..names.len()).map(|column| row.get_ref(column).map(shown)).collect::<rusqlite::Result<Vec<_>>>()
        };
        let rows = statement.query_map([], row)?.collect::<rusqlite::Result<_>>()?;
        drop(statement);
        Ok((names, rows))
    }
}

fn shown(value: rusqlite::types::ValueRef<'_>) -> String {
    match value {
        ValueRef::Null => String::new(),
        ValueRef::Integer(number) => number.to_string(),
        ValueRef::Real(number) => number.to_string(),
        ValueRef::Text(text) | ValueRef::Blob(text) => String::from_utf8_lossy(text).into_owned(),
    }
}

#[async_trait]
impl Sink for SqliteSink {
    async fn stage(&self, _: &BatchId, schema: &Arc<OutputSchema>) -> Result<Box<dyn Staging>, SinkError> {
        let Target::Table { table, key } = &schema.target else {
            return Err(SinkError::Refused(format!("output `{}` goes to objects, not to a table", schema.name)));
        };
        let table = Table::new(table, key, schema);
        if !lock(&self.0.ready).contains(&table.create) {
            let (database, table) = (Arc::clone(&self.0), table.clone());
            blocking(move || database.prepare(&table)).await?;
        }
        Ok(Box::new(Staged(TableRows { schema: Arc::clone(schema), blocks: Vec::new() })))
    }
}

#[async_trait]
impl TableSink for SqliteSink {
    async fn put(&self, rows: &TableRows, ours: &Ours) -> Result<(), SinkError> {
        if rows.is_empty() {
            return Ok(());
        }
        let Target::Table { table, key } = &rows.schema.target else { return Ok(()) };
        let (database, table, rows) = (Arc::clone(&self.0), Table::new(table, key, &rows.schema), rows.clone());
        ours.still()?;
        blocking(move || database.write(&table, &rows)).await
    }

    async fn mark(&self, table: &str) -> Result<Option<String>, SinkError> {
        let (database, table) = (Arc::clone(&self.0), table.to_owned());
        blocking(move || {
            let failed = |error| sqlite_error(&database.path, &format!("look at table `{table}`"), &error);
            Table::mark(&lock(&database.connection), &table).map_err(failed)
        })
        .await
    }
}

/// Rows wait in memory, where the items have put them already, so that a transaction never spans a batch's run.
struct Staged(TableRows);

#[async_trait]
impl Staging for Staged {
    async fn write(&mut self, rows: RecordBatch) -> Result<(), SinkError> {
        self.0.blocks.push(rows);
        Ok(())
    }

    async fn prepare(self: Box<Self>) -> Result<Prepared, SinkError> {
        self.0.prepare().await
    }

    async fn abort(self: Box<Self>) -> Result<(), SinkError> {
        Ok(())
    }
}

impl Database {
    /// Makes the table, or gives one that exists the columns that it lacks.
    fn prepare(&self, table: &Table) -> Result<(), SinkError> {
        let tried = format!("make table `{}`", table.name);
        let failed = |error| sqlite_error(&self.path, &tried, &error);
        let mut connection = lock(&self.connection);
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
        let called = Table::called(&transaction, &table.name).map_err(failed)?;
        if let Some(called) = called.filter(|called| *called != table.name) {
            return Err(SinkError::Refused(format!(
                "`{}` has a table `{called}`, and SQLite takes `{}` for the same: rename one of them in its dataset file, or give \
                 each a folder of its own",
                self.path.display(),
                table.name
            )));
        }
        let existing = Table::existing(&transaction, &table.name).map_err(failed)?;
        if existing.is_empty() {
            transaction.execute(&table.marked(), []).map_err(failed)?;
        } else {
            for statement in table.differences(&existing, &self.path)? {
                transaction.execute(&statement, []).map_err(failed)?;
            }
        }
        transaction.commit().map_err(failed)?;
        lock(&self.ready).insert(table.create.clone());
        Ok(())
    }

    /// Writes all rows or none.
    fn write(&self, table: &Table, rows: &TableRows) -> Result<(), SinkError> {
        let tried = format!("write to table `{}`", table.name);
        let failed = |error| sqlite_error(&self.path, &tried, &error);
        let blocks = rows.cells()?;
        let mut connection = lock(&self.connection);
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
        {
            let mut insert = transaction.prepare_cached(&table.insert).map_err(failed)?;
            for (cells, row) in blocks.iter().flat_map(|cells| (0..cells.rows()).map(move |row| (cells, row))) {
                insert.execute(rusqlite::params_from_iter(cells.row(row))).map_err(failed)?;
            }
        }
        transaction.commit().map_err(failed)
    }
}

impl rusqlite::ToSql for Cell<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match *self {
            Cell::Null => ToSqlOutput::Borrowed(ValueRef::Null),
            Cell::Boolean(value) => i64::from(value).into(),
            Cell::Int64(value) => value.into(),
            Cell::Float64(value) => value.into(),
            Cell::Text(text) | Cell::Json(text) => text.into(),
            Cell::Date(days) => cells::date(days).into(),
            Cell::Timestamp(micros) => cells::timestamp(micros).into(),
        })
    }
}

/// A thread that panicked in between has rolled its transaction back: the connection is still good.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, SinkError> + Send + 'static,
) -> Result<T, SinkError> {
    let stopped = |error| SinkError::Unavailable(format!("writing rows was stopped: {error}"));
    tokio::task::spawn_blocking(work).await.map_err(stopped)?
}

#[cfg(test)]
mod tests {
    use super::super::Effect;
    use super::super::Written;
    use super::super::tests::{all_types, batch_id, rows, table};
    use super::*;
    use crate::dataset::{Column, ColumnType};

    fn schema(columns: Vec<Column>, key: &[&str]) -> Arc<OutputSchema> {
        Arc::new(OutputSchema::new("stations", columns, table(key)).unwrap())
    }

    async fn put(sink: &SqliteSink, schema: &Arc<OutputSchema>, lines: &str) -> Result<Written, SinkError> {
        let mut staged = sink.stage(&batch_id("a"), schema).await?;
        staged.write(rows(schema, lines)).await?;
        let Prepared { written, effect } = staged.prepare().await?;
        let Effect::Put(rows) = effect else { panic!("{effect:?}") };
        sink.put(&rows, &Ours::while_it_is(|| true)).await.map(|()| written)
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
        lock(&sink.0.connection).pragma_update(None, "max_page_count", 8).unwrap();
        let lines: String = (0..1_000).map(|n| format!("{{\"id\":\"b{n}{}\"}}\n", "x".repeat(100))).collect();
        let error = put(&sink, &schema, &lines).await.unwrap_err();
        assert_eq!(error, SinkError::Refused(file::disk_full(&path)));
        let count: u32 = lock(&sink.0.connection)
            .query_row("SELECT count(*) FROM \"noaa-precipitation\"", [], |row| row.get(0))
            .unwrap();
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
}
