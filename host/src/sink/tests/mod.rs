//! The sinks in memory and in files keep the contract.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use arrow::array::RecordBatch;
use async_trait::async_trait;
use bytes::Bytes;
use serde_json::{Value, json};

use super::compress::decompress;
pub(super) use super::contract::{Subject, all_types, batch_id, commit, rows, suite};
use super::objects::ObjectsSink;
use super::sqlite::SqliteSink;
use super::{LeaseCheck, OutputSchema, Sink, SinkError, Staging, Stores, TableRows, TableSink, Written, cells};
use crate::database::Connections;
use crate::dataset::{Column, ColumnType, Format, Layout, PageCompression, Target, TextCompression};
use crate::job::BatchId;
use crate::object::{
    Cleanups, ContentType, Location, Metadata, ObjectError, ObjectStore, ObjectWriter, Page, Upload, Uploaded,
};

mod layouts;

pub(super) const JSON_LINES: Format = Format::JsonLines(TextCompression::None);
pub(super) const CSV: Format = Format::Csv(TextCompression::None);
pub(super) const PARQUET: Format = Format::Parquet(PageCompression::Zstd);

/// Every format with every compression.
pub(super) const FORMATS: [Format; 10] = [
    JSON_LINES,
    Format::JsonLines(TextCompression::Gzip),
    Format::JsonLines(TextCompression::Zstd),
    CSV,
    Format::Csv(TextCompression::Gzip),
    Format::Csv(TextCompression::Zstd),
    PARQUET,
    Format::Parquet(PageCompression::Snappy),
    Format::Parquet(PageCompression::Gzip),
    Format::Parquet(PageCompression::None),
];

pub(super) fn table(key: &[&str]) -> Target {
    Target::Table { table: "noaa-precipitation".into(), key: key.iter().map(|name| (*name).into()).collect() }
}

pub(super) fn objects(format: Format) -> Target {
    laid_out(format, Layout::default())
}

pub(super) fn laid_out(format: Format, layout: Layout) -> Target {
    Target::Objects { prefix: "s3://results/daily/".parse().unwrap(), format, layout }
}

/// Uploads by their ids.
type Staged = BTreeMap<String, (Location, Vec<u8>)>;

/// Objects in memory, and what was uploaded and is no object yet.
#[derive(Clone, Default)]
struct MemoryStore {
    objects: Arc<Mutex<BTreeMap<Location, Vec<u8>>>>,
    uploads: Arc<Mutex<Staged>>,
    full: bool,
    /// How many more uploads can be finished, where not all can.
    room: Option<Arc<Mutex<usize>>>,
    cleanups: Cleanups,
}

struct MemoryUpload {
    store: MemoryStore,
    at: Location,
    bytes: Vec<u8>,
}

#[async_trait]
impl ObjectStore for MemoryStore {
    /// Sinks read the lists of objects alone, which are small.
    async fn open(&self, at: &Location, _: u64) -> Result<(Metadata, Bytes), ObjectError> {
        let objects = self.objects.lock().unwrap();
        let bytes = objects.get(at).ok_or_else(|| ObjectError::NotFound(format!("there is no object {at}")))?;
        let (size, etag) = (bytes.len() as u64, "\"e\"".to_owned());
        Ok((Metadata { location: at.clone(), size, etag, last_modified: None }, bytes.clone().into()))
    }

    async fn read(&self, at: &Location, _: &str, _: std::ops::Range<u64>) -> Result<Bytes, ObjectError> {
        Err(ObjectError::Denied(format!("{at}: sinks read nothing")))
    }

    async fn list(&self, at: &Location, _: Option<&str>) -> Result<Page, ObjectError> {
        Err(ObjectError::Denied(format!("{at}: sinks list nothing")))
    }
}

#[async_trait]
impl ObjectWriter for MemoryStore {
    fn written(&self) -> &dyn ObjectStore {
        self
    }

    async fn upload(&self, at: &Location, _: ContentType) -> Result<Box<dyn Upload>, ObjectError> {
        Ok(Box::new(MemoryUpload { store: self.clone(), at: at.clone(), bytes: Vec::new() }))
    }

    async fn complete(&self, upload: &Uploaded) -> Result<(), ObjectError> {
        let Some((_, bytes)) = self.uploads.lock().unwrap().get(&upload.id).cloned() else {
            return Err(ObjectError::Gone(format!("{}: its upload was removed", upload.at)));
        };
        self.objects.lock().unwrap().insert(upload.at.clone(), bytes);
        Ok(())
    }

    async fn abort(&self, upload: &Uploaded) -> Result<(), ObjectError> {
        self.uploads.lock().unwrap().remove(&upload.id);
        Ok(())
    }

    async fn abort_uploads(&self, _: &Location) -> Result<usize, ObjectError> {
        Ok(0)
    }

    async fn abort_uploads_named(&self, prefix: &Location, name: &str) -> Result<usize, ObjectError> {
        let mut uploads = self.uploads.lock().unwrap();
        let before = uploads.len();
        uploads.retain(|_, (at, _)| !(prefix.contains(at) && at.name() == name));
        Ok(before - uploads.len())
    }

    async fn delete(&self, at: &Location) -> Result<(), ObjectError> {
        self.objects.lock().unwrap().remove(at);
        Ok(())
    }

    fn cleanups(&self) -> &Cleanups {
        &self.cleanups
    }
}

#[async_trait]
impl Upload for MemoryUpload {
    async fn write(&mut self, bytes: Bytes) -> Result<(), ObjectError> {
        if self.store.full {
            return Err(ObjectError::Unavailable(format!("{}: the disk is full", self.at)));
        }
        self.bytes.extend_from_slice(&bytes);
        Ok(())
    }

    async fn finish(self: Box<Self>) -> Result<Uploaded, ObjectError> {
        if let Some(room) = &self.store.room {
            let mut room = room.lock().unwrap();
            *room = room.checked_sub(1).ok_or(ObjectError::Unavailable(format!("{}: no answer", self.at)))?;
        }
        let (id, size) = (format!("{}", fastrand::u64(..)), self.bytes.len() as u64);
        self.store.uploads.lock().unwrap().insert(id.clone(), (self.at.clone(), self.bytes));
        Ok(Uploaded { at: self.at, id, parts: Vec::new(), mark: String::new(), size })
    }

    async fn abort(self: Box<Self>) -> Result<(), ObjectError> {
        Ok(())
    }
}

/// A place that takes nothing.
pub(super) struct Nowhere;

#[async_trait]
impl Sink for Nowhere {
    async fn stage(&self, _: &BatchId, _: &Arc<OutputSchema>) -> Result<Box<dyn Staging>, SinkError> {
        Err(SinkError::Refused("there are no tables".into()))
    }
}

#[async_trait]
impl TableSink for Nowhere {
    async fn put(&self, _: &TableRows, _: &LeaseCheck) -> Result<(), SinkError> {
        Err(SinkError::Refused("there are no tables".into()))
    }
}

/// Stores with these tables.
pub(super) fn with_tables(tables: Arc<dyn TableSink>) -> Stores {
    Stores { objects: Arc::new(MemoryStore::default()), tables, databases: Connections::default() }
}

struct Objects {
    store: MemoryStore,
    sink: ObjectsSink,
    format: Format,
    layout: Layout,
}

impl Objects {
    fn new(format: Format) -> Self {
        Self::laid_out(format, Layout::default())
    }

    fn laid_out(format: Format, layout: Layout) -> Self {
        let store = MemoryStore::default();
        Self { sink: ObjectsSink::new(Arc::new(store.clone())), store, format, layout }
    }

    fn schema(&self) -> Arc<OutputSchema> {
        Arc::new(OutputSchema::new("daily", all_types(), self.target()).unwrap())
    }

    /// The keys of all objects, below the prefix and without the batch's own name.
    fn keys(&self, id: &BatchId) -> Vec<String> {
        let objects = self.store.objects.lock().unwrap();
        let keys = objects.keys().map(|at| at.key.strip_prefix("daily/").unwrap().to_owned());
        let keys =
            keys.filter_map(|key| key.contains(&id.object_name()).then(|| key.replace(&id.object_name(), "NAME")));
        let mut keys: Vec<_> = keys.collect();
        keys.sort_unstable();
        keys
    }

    async fn commit(&self, id: &BatchId, lines: &str) -> Written {
        let schema = self.schema();
        let mut staged = self.sink.stage(id, &schema).await.unwrap();
        staged.write(rows(&schema, lines)).await.unwrap();
        commit(&self.stores(), staged).await.unwrap()
    }

    fn read(&self, bytes: Vec<u8>) -> Vec<Value> {
        match self.format {
            Format::JsonLines(compression) => {
                let bytes = decompress(compression, &bytes);
                std::str::from_utf8(&bytes).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
            }
            Format::Csv(compression) => {
                let bytes = decompress(compression, &bytes);
                let mut reader = csv::Reader::from_reader(bytes.as_slice());
                let header = reader.headers().unwrap().clone();
                let value = |name: &str, field: &str| match name {
                    _ if field.is_empty() => Value::Null,
                    "id" | "day" | "at" => field.into(),
                    _ => serde_json::from_str(field).unwrap(),
                };
                let row = |row: csv::StringRecord| {
                    header.iter().zip(&row).map(|(name, field)| (name.to_owned(), value(name, field))).collect()
                };
                reader.records().map(|record| Value::Object(row(record.unwrap()))).collect()
            }
            Format::Parquet(_) => {
                let columns = all_types().into_iter().filter(|column| !self.layout.leaves_out(&column.name)).collect();
                let schema = OutputSchema::new("daily", columns, objects(self.format)).unwrap();
                let bytes = Bytes::from(bytes);
                let reader = parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(bytes).unwrap();
                assert_eq!(reader.schema(), &schema.arrow);
                let batches = reader.build().unwrap().map(Result::unwrap);
                batches.flat_map(|batch| values(&schema, &batch)).collect()
            }
        }
    }
}

/// A record batch's rows as JSON.
pub(super) fn values(schema: &OutputSchema, batch: &RecordBatch) -> Vec<Value> {
    use cells::Cell;
    let cells = cells::Cells::of(schema, batch).unwrap();
    let value = |cell: Cell<'_>| match cell {
        Cell::Null => Value::Null,
        Cell::Boolean(value) => value.into(),
        Cell::Int64(value) => value.into(),
        Cell::Float64(value) => value.into(),
        Cell::Text(text) => text.into(),
        Cell::Date(days) => cells::date(days).into(),
        Cell::Timestamp(micros) => cells::timestamp(micros).into(),
        Cell::Json(text) => serde_json::from_str(text).unwrap(),
    };
    let row = |row| schema.columns.iter().map(|column| column.name.clone()).zip(cells.row(row).map(value)).collect();
    (0..cells.rows()).map(|at| Value::Object(row(at))).collect()
}

impl Subject for Objects {
    fn sink(&self) -> &dyn Sink {
        &self.sink
    }

    fn stores(&self) -> Stores {
        Stores { objects: Arc::new(self.store.clone()), tables: Arc::new(Nowhere), databases: Connections::default() }
    }

    fn target(&self) -> Target {
        laid_out(self.format, self.layout.clone())
    }

    /// With what stands in the paths, as a reader of Hive's tables has them.
    fn visible(&self) -> Vec<Value> {
        let objects = self.store.objects.lock().unwrap().clone();
        let objects = objects.into_iter().filter(|(at, _)| !at.key.contains("/_gristmill/"));
        let mut rows = Vec::new();
        for (at, bytes) in objects {
            let folders = at.key.split('/').filter_map(|part| part.split_once('='));
            let folders: Vec<_> = folders.filter(|(name, _)| self.layout.leaves_out(name)).collect();
            rows.extend(self.read(bytes).into_iter().map(|mut row| {
                for (name, value) in &folders {
                    let value = match *value {
                        "__HIVE_DEFAULT_PARTITION__" => Value::Null,
                        text => serde_json::from_str(text).unwrap_or(text.into()),
                    };
                    row[name] = value;
                }
                row
            }));
        }
        if !self.layout.partition_by.is_empty() {
            rows.sort_by_key(|row| row["id"].to_string());
        }
        rows
    }

    fn nothing(&self) -> bool {
        self.store.objects.lock().unwrap().is_empty()
    }
}

#[tokio::test]
async fn objects_of_every_format_keep_the_contract() {
    for format in FORMATS {
        suite(&Objects::new(format)).await;
    }
}

struct Sqlite {
    folder: tempfile::TempDir,
    sink: Arc<SqliteSink>,
}

impl Subject for Sqlite {
    fn sink(&self) -> &dyn Sink {
        &*self.sink
    }

    fn stores(&self) -> Stores {
        with_tables(self.sink.clone())
    }

    fn target(&self) -> Target {
        table(&["id"])
    }

    /// Read over a connection of its own: what another process would see.
    fn visible(&self) -> Vec<Value> {
        let connection = rusqlite::Connection::open(self.folder.path().join("tables.sqlite")).unwrap();
        let mut statement = connection.prepare("SELECT * FROM \"noaa-precipitation\"").unwrap();
        let columns = all_types();
        let rows = statement.query_map([], |row| {
            let value = |(index, column): (usize, &Column)| {
                let value = match row.get_unwrap(index) {
                    rusqlite::types::Value::Null => Value::Null,
                    rusqlite::types::Value::Integer(value) if column.kind == ColumnType::Boolean => (value == 1).into(),
                    rusqlite::types::Value::Integer(value) => value.into(),
                    rusqlite::types::Value::Real(value) => value.into(),
                    rusqlite::types::Value::Text(text) if column.kind == ColumnType::Json => {
                        serde_json::from_str(&text).unwrap()
                    }
                    rusqlite::types::Value::Text(text) => text.into(),
                    rusqlite::types::Value::Blob(_) => panic!("a blob in {}", column.name),
                };
                (column.name.clone(), value)
            };
            Ok(Value::Object(columns.iter().enumerate().map(value).collect()))
        });
        rows.unwrap().map(Result::unwrap).collect()
    }
}

#[tokio::test]
async fn sqlite_keeps_the_contract() {
    let folder = tempfile::tempdir().unwrap();
    let sink = Arc::new(SqliteSink::open(&folder.path().join("tables.sqlite")).unwrap());
    suite(&Sqlite { folder, sink }).await;
}

#[tokio::test]
async fn a_batch_without_rows_removes_the_object_that_it_had() {
    let subject = Objects::new(JSON_LINES);
    let schema = Arc::new(OutputSchema::new("daily", all_types(), subject.target()).unwrap());
    let id = batch_id("a");
    for (lines, objects) in [("{\"id\":\"a\"}", 1), ("", 0), ("", 0)] {
        let mut staged = subject.sink.stage(&id, &schema).await.unwrap();
        staged.write(rows(&schema, lines)).await.unwrap();
        let written = commit(&subject.stores(), staged).await.unwrap();
        assert_eq!(written.place, format!("s3://results/daily/{}.jsonl", id.object_name()));
        assert_eq!(subject.store.objects.lock().unwrap().len(), objects);
    }
}

#[tokio::test]
async fn large_batches_reach_the_object_whole() {
    for format in FORMATS {
        let subject = Objects::new(format);
        let schema = Arc::new(OutputSchema::new("daily", all_types(), subject.target()).unwrap());
        let mut staged = subject.sink.stage(&batch_id("a"), &schema).await.unwrap();
        for block in 0..25 {
            let lines: String =
                (0..1_000).map(|row| format!("{{\"id\":\"{block}-{row}\",\"count\":{row}}}\n")).collect();
            staged.write(rows(&schema, &lines)).await.unwrap();
        }
        assert_eq!(commit(&subject.stores(), staged).await.unwrap().rows, 25_000);
        let visible = subject.visible();
        assert_eq!(visible.len(), 25_000, "{format:?}");
        assert_eq!((&visible[24_999]["id"], &visible[24_999]["count"]), (&json!("24-999"), &json!(999)), "{format:?}");
    }
}

#[tokio::test]
async fn a_store_without_room_is_worth_another_attempt() {
    let store = MemoryStore { full: true, ..MemoryStore::default() };
    let sink = ObjectsSink::new(Arc::new(store));
    let schema = Arc::new(OutputSchema::new("daily", all_types(), objects(CSV)).unwrap());
    let mut staged = sink.stage(&batch_id("a"), &schema).await.unwrap();
    staged.write(rows(&schema, "{\"id\":\"a\"}")).await.unwrap();
    let error = staged.prepare().await.unwrap_err();
    assert!(matches!(&error, SinkError::Unavailable(why) if why.ends_with(".csv: the disk is full")), "{error}");
}

#[tokio::test]
async fn an_output_goes_only_to_a_sink_of_its_kind() {
    let to_table = Arc::new(OutputSchema::new("daily", all_types(), table(&["id"])).unwrap());
    let sink = ObjectsSink::new(Arc::new(MemoryStore::default()));
    assert!(matches!(sink.stage(&batch_id("a"), &to_table).await.map(|_| ()), Err(SinkError::Refused(_))));
}
