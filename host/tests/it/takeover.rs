//! Batches that change hands, at every place where that can happen: an attempt dies, or sleeps until its lease is over and
//! goes on as if nothing had happened, before and after each call that is seen from outside. Whoever takes the batch over may
//! have another component. In the end everything is as one undisturbed run of one component leaves it.
//!
//! The places are found by counting calls, so a new effect is a new place, here and in the snapshot that names them.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fs;
use std::ops::Range;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use bytes::Bytes;
use gristmill::admission::Admission;
use gristmill::batch::{self, Identity, LEASE, Services};
use gristmill::callback::local::LocalCallback;
use gristmill::callback::{Answer, Callback, CallbackError, Waiting};
use gristmill::catalog::Catalog;
use gristmill::data_catalog::NoCatalog;
use gristmill::database::Connections;
use gristmill::dataset::Variables;
use gristmill::job::{BatchId, Digest, Disposition, TaskToken};
use gristmill::ledger::sqlite::SqliteLedger;
use gristmill::ledger::{Claim, ClaimRequest, Claimed, GiveBack, Ledger, LedgerError, Receipt, Record};
use gristmill::object::folder::FolderStore;
use gristmill::object::{
    Cleanups, ContentType, Location, Metadata, ObjectError, ObjectStore, ObjectWriter, Page, Upload, Uploaded,
};
use gristmill::queue::embedded::EmbeddedQueue;
use gristmill::queue::{Delivery, Queue as _};
use gristmill::runtime::{Runtime, RuntimeConfig};
use gristmill::sink::sqlite::SqliteSink;
use gristmill::sink::{LeaseCheck, OutputSchema, Sink, SinkError, Staging, Stores, TableRows, TableSink};
use gristmill::telemetry::metrics::Metrics;
use insta::assert_snapshot;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::guest::{self, Guest};
use crate::postgres;

/// What the two components emit; both also return a value, which makes a report where there is one.
const ONE: [u64; 2] = [1, 2];
const TWO: [u64; 2] = [2, 3];

/// Where rows go.
const TABLE: &str = "table = \"rows\"\nkey = [\"id\"]";
const OBJECTS: &str = "prefix = \"s3://results/rows/\"\nformat = \"csv\"";
/// The components share one of two folders. The second column has no values.
const FOLDERS: &str = "prefix = \"s3://results/rows/\"\nformat = \"csv\"\npartition_by = [\"id\"]\n\
                       columns = { id = \"int64\", none = \"int64?\" }";
const REPORTS: &str = "reports = \"s3://results/reports/\"";

#[derive(Clone, Copy, PartialEq, Debug)]
enum Misfortune {
    /// The process is no more.
    Dies,
    /// It does nothing until its lease is over and somebody else had the batch; then it goes on.
    Sleeps,
}

#[tokio::test(start_paused = true)]
async fn a_table() {
    let calls = every_place(TABLE, "").await;
    assert_snapshot!(calls, @"claim, put, commit, answer");
}

#[tokio::test(start_paused = true)]
async fn objects() {
    let calls = every_place(OBJECTS, "").await;
    assert_snapshot!(calls, @"claim, upload, write, finish, prepare, complete, commit, answer");
}

#[tokio::test(start_paused = true)]
async fn a_table_and_objects() {
    let calls = every_place(TABLE, REPORTS).await;
    assert_snapshot!(calls, @"claim, upload, write, finish, prepare, complete, put, commit, answer");
}

/// Files are finished side by side: which of them comes first does not matter.
#[tokio::test(start_paused = true)]
async fn objects_in_folders() {
    let calls = every_place(FOLDERS, "").await;
    let mut calls: Vec<_> = calls.split(", ").collect();
    calls.sort_unstable();
    assert_snapshot!(calls.join(", "), @"
    answer, claim, commit, complete, complete, complete, delete, finish, finish, finish, prepare, upload, upload, upload, write, write, write, write, write
    ");
}

/// Tries every place, and returns the calls of an undisturbed run.
async fn every_place(output: &str, map: &str) -> String {
    for heir in [ONE, TWO] {
        for misfortune in [Misfortune::Dies, Misfortune::Sleeps] {
            let mut place = 0;
            while World::new(output, map).unfortunate(place, misfortune, heir).await {
                place += 1;
            }
            assert!(place >= 8, "there were only {place} places");
        }
    }
    let world = World::new(output, map);
    let worker = world.worker(ONE, usize::MAX).await;
    let delivery = world.queue.receive(1).await.unwrap().remove(0);
    assert!(matches!(worker.process(&delivery).await, Disposition::Acked));
    assert_eq!(world.visible(), world.expected(ONE));
    worker.watch.calls.lock().unwrap().join(", ")
}

#[tokio::test(start_paused = true)]
async fn an_upload_that_a_rule_of_the_bucket_removed_is_made_again() {
    let world = World::new(OBJECTS, "");
    let first = world.worker(ONE, 2 * 4 + 1).await;
    let delivery = world.queue.receive(1).await.unwrap().remove(0);
    first.until_stopped(&delivery, Misfortune::Dies).await;
    assert_eq!(first.watch.calls.lock().unwrap()[4], "prepare");
    tokio::time::advance(LEASE).await;
    for file in fs::read_dir(world.root().join("s3/results/.gristmill-uploads")).unwrap() {
        fs::remove_file(file.unwrap().path()).unwrap();
    }
    let second = world.worker(TWO, usize::MAX).await;
    let Disposition::Returned { reason, .. } = second.process(&delivery).await else {
        panic!("it cannot be completed")
    };
    assert!(reason.contains("was removed before it was complete"), "{reason}");
    assert!(matches!(second.process(&delivery).await, Disposition::Acked));
    assert_eq!(world.visible(), world.expected(TWO));
}

#[tokio::test(start_paused = true)]
async fn a_worker_without_the_component_that_began_leaves_the_batch_to_one_that_has_it() {
    let world = World::new(TABLE, "");
    let first = world.worker(ONE, 2).await;
    let delivery = world.queue.receive(1).await.unwrap().remove(0);
    first.until_stopped(&delivery, Misfortune::Dies).await;
    tokio::time::advance(LEASE).await;
    let promoted = world.worker(TWO, usize::MAX).await;
    let Disposition::Returned { reason, .. } = promoted.process(&delivery).await else { panic!("rows would be mixed") };
    assert!(reason.contains("an earlier attempt wrote rows with component sha256:"), "{reason}");
    assert!(world.visible().is_empty());
    // The claim was given back: the other one need not wait.
    let same = world.worker(ONE, usize::MAX).await;
    assert!(matches!(same.process(&delivery).await, Disposition::Acked));
    assert_eq!(world.visible(), world.expected(ONE));
}

/// A drain in the middle of the rows, or a table that does not answer: the rest is recorded, for whoever comes next.
#[tokio::test(start_paused = true)]
async fn an_attempt_that_ends_in_order_in_the_middle_of_its_rows_is_finished_with_any_component() {
    let world = World::new(TABLE, "");
    let first = world.worker(ONE, 3).await;
    let delivery = world.queue.receive(1).await.unwrap().remove(0);
    let stopped = CancellationToken::new();
    let attempt = batch::process(&first.services, &delivery, &stopped);
    let drain = async {
        first.watch.reached.notified().await;
        stopped.cancel();
        first.watch.open();
    };
    let (batch::Settled { disposition, .. }, ()) = tokio::join!(attempt, drain);
    assert!(matches!(disposition, Disposition::Returned { fault: false, .. }), "{disposition:?}");
    assert_eq!(*first.watch.calls.lock().unwrap(), ["claim", "put", "prepare", "release"]);
    let promoted = world.worker(TWO, usize::MAX).await;
    assert!(matches!(promoted.process(&delivery).await, Disposition::Acked));
    assert_eq!(world.visible(), world.expected(ONE));
}

/// The message goes with the batch, and with it the last that knows of its uploads.
#[tokio::test(start_paused = true)]
async fn a_batch_that_nobody_waits_for_leaves_all_of_it_or_nothing() {
    const RECORD: usize = 4;
    let places =
        [(2 * RECORD - 2, None), (2 * RECORD, Some(ONE)), (2 * RECORD + 1, Some(ONE)), (2 * RECORD + 2, Some(ONE))];
    for (place, expected) in places {
        let world = World::new(OBJECTS, "");
        let slow = world.worker(ONE, place).await;
        slow.watch.is_slow.store(true, SeqCst);
        let delivery = world.queue.receive(1).await.unwrap().remove(0);
        let work = slow.process(&delivery);
        let store = async {
            slow.watch.reached.notified().await;
            world.nobody_waits.store(true, SeqCst);
            tokio::time::sleep(LEASE).await;
            slow.watch.open();
        };
        let (disposition, ()) = tokio::join!(work, store);
        assert!(matches!(disposition, Disposition::Acked), "{disposition:?}");
        let calls = slow.watch.calls.lock().unwrap().clone();
        assert_eq!(calls.get(RECORD).map(String::as_str), Some(if expected.is_some() { "prepare" } else { "release" }));
        assert_eq!(world.visible(), expected.map(|rows| world.expected(rows)).unwrap_or_default(), "{calls:?}");
        assert!(world.no_uploads_are_left().await, "{calls:?}");
    }
}

/// Somebody else recorded the batch meanwhile; its uploads are the record's.
#[tokio::test(start_paused = true)]
async fn an_attempt_that_slept_does_not_remove_what_another_one_recorded() {
    let world = World::new(OBJECTS, "");
    let delivery = world.queue.receive(1).await.unwrap().remove(0);
    world.worker(ONE, 1).await.until_stopped(&delivery, Misfortune::Dies).await;
    tokio::time::advance(LEASE).await;
    let sleeper = world.worker(ONE, 1).await;
    let slept = sleeper.until_stopped(&delivery, Misfortune::Sleeps).await.unwrap();
    tokio::time::advance(LEASE).await;
    // Claimed, nothing of others to remove, uploaded, recorded; then it dies too.
    let third = world.worker(ONE, 2 * 5 + 1).await;
    third.until_stopped(&delivery, Misfortune::Dies).await;
    assert_eq!(third.watch.calls.lock().unwrap()[5], "prepare");
    sleeper.watch.open();
    assert!(matches!(slept.await.unwrap(), Disposition::Returned { .. }));
    tokio::time::advance(LEASE).await;
    let heir = world.worker(TWO, usize::MAX).await;
    assert!(matches!(heir.process(&delivery).await, Disposition::Acked));
    assert_eq!(*heir.watch.calls.lock().unwrap(), ["claim", "complete", "commit", "answer"]);
    assert_eq!(world.visible(), world.expected(ONE));
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_ends_before_anything_is_seen_binds_nobody_to_its_component() {
    let world = World::new(TABLE, "");
    let first = world.worker(ONE, 1).await;
    let delivery = world.queue.receive(1).await.unwrap().remove(0);
    let stopped = CancellationToken::new();
    let attempt = batch::process(&first.services, &delivery, &stopped);
    let drain = async {
        first.watch.reached.notified().await;
        first.watch.open();
        stopped.cancel();
    };
    let (batch::Settled { disposition, .. }, ()) = tokio::join!(attempt, drain);
    assert!(matches!(disposition, Disposition::Returned { fault: false, .. }), "{disposition:?}");
    let promoted = world.worker(TWO, usize::MAX).await;
    assert!(matches!(promoted.process(&delivery).await, Disposition::Acked));
    assert_eq!(world.visible(), world.expected(TWO));
}

/// Where rows come from a database, they may be others at the next attempt. Who has recorded what is ready has decided which are seen;
/// before that, nobody has seen any.
#[tokio::test]
async fn what_the_first_complete_attempt_read_of_a_database_is_what_is_seen() {
    let admin = postgres::shared().database("takeover", "CREATE TABLE numbers (id int)").await;
    let folder = tempfile::tempdir().unwrap();
    let file = postgres::shared().file(folder.path(), "takeover", "");
    let mut calls = Vec::new();
    for output in [TABLE, OBJECTS] {
        for place in 0.. {
            let has = async |rows: [u64; 2]| {
                let rows = format!("TRUNCATE numbers; INSERT INTO numbers VALUES ({}), ({})", rows[0], rows[1]);
                admin.batch_execute(&rows).await.unwrap();
            };
            let world = World::asking(output, Connections::load(&file, None).unwrap());
            has(ONE).await;
            let first = world.worker(ONE, place).await;
            let delivery = world.queue.receive(1).await.unwrap().remove(0);
            let stopped = first.until_stopped(&delivery, Misfortune::Dies).await.is_some();
            let called = first.watch.calls.lock().unwrap().clone();
            if !stopped {
                assert_eq!(world.visible(), world.expected(ONE));
                calls.push(called.join(", "));
                break;
            }
            has(TWO).await;
            tokio::time::pause();
            tokio::time::advance(LEASE + Duration::from_secs(1)).await;
            tokio::time::resume();
            let second = world.worker(ONE, usize::MAX).await;
            assert!(matches!(second.process(&delivery).await, Disposition::Acked), "{output} {place}");
            let is_recorded = called.iter().position(|call| call == "prepare").is_some_and(|call| place > 2 * call);
            let seen = if is_recorded { ONE } else { TWO };
            assert_eq!(world.visible(), world.expected(seen), "{output}, died at {place}: {called:?}");
        }
    }
    assert_snapshot!(calls.join("\n"), @"
    claim, prepare, put, commit, answer
    claim, upload, write, finish, prepare, complete, commit, answer
    ");
}

/// Everything that is left when workers come and go.
struct World {
    folder: TempDir,
    queue: Arc<EmbeddedQueue>,
    callback: Arc<LocalCallback>,
    ledger: Arc<SqliteLedger>,
    objects: FolderStore,
    tables: Arc<SqliteSink>,
    answers: Arc<Mutex<Vec<Value>>>,
    nobody_waits: Arc<AtomicBool>,
    databases: Connections,
    runtime: Runtime,
    has_table: bool,
    has_objects: bool,
    has_folders: bool,
    has_report: bool,
}

thread_local! {
    static START: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// The workers' wall clock goes with tokio's.
fn now() -> SystemTime {
    let start = START.get().unwrap_or_else(|| {
        START.set(Some(Instant::now()));
        Instant::now()
    });
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000) + start.elapsed()
}

impl World {
    /// Its only item asks a database.
    fn asking(output: &str, databases: Connections) -> Self {
        let statement = "select id from numbers order by id";
        let columns = "columns = { id = \"int64\" }";
        let world = Self::of(
            &format!("{output}\n{columns}"),
            "",
            json!(statement),
            &|_| guest::asks(false),
            "[grants]\nsql = [\"shop\"]",
        );
        Self { databases, has_table: output == TABLE, has_objects: output == OBJECTS, ..world }
    }

    fn new(output: &str, map: &str) -> Self {
        let emits = |rows: [u64; 2]| {
            let lines: String = rows.iter().map(|id| format!("{{\"id\":{id}}}\n")).collect();
            let value = format!("(call $text «\"of {}\"»)", rows[0]);
            let process = format!("(call $emit «rows» (i32.const 0) «{lines}» $out) {value}");
            Guest::new(&process).component()
        };
        Self::of(output, map, json!(1), &emits, "")
    }

    /// With two components, by what they emit.
    fn of(output: &str, map: &str, item: Value, component: &dyn Fn([u64; 2]) -> Vec<u8>, grants: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for rows in [ONE, TWO] {
            let datasets = folder.path().join(format!("datasets-{}", rows[0]));
            fs::create_dir(&datasets).unwrap();
            fs::write(datasets.join("rows.wasm"), component(rows)).unwrap();
            let text = format!(
                "dataset = \"rows\"\n[plugin]\ncomponent = \"rows.wasm\"\n{grants}\n[map]\nitems = [1]\n{map}\n\
                 [[output]]\nname = \"rows\"\n{output}\n"
            );
            fs::write(datasets.join("rows.toml"), text).unwrap();
        }
        let cache = Some(concat!(env!("CARGO_TARGET_TMPDIR"), "/components").into());
        let world = Self {
            queue: Arc::new(EmbeddedQueue::new(Duration::from_secs(3600))),
            callback: Arc::default(),
            ledger: Arc::new(SqliteLedger::open(folder.path()).unwrap()),
            objects: FolderStore::new(folder.path().join("s3")),
            tables: Arc::new(SqliteSink::open(&folder.path().join("tables.sqlite")).unwrap()),
            answers: Arc::default(),
            nobody_waits: Arc::default(),
            databases: Connections::default(),
            runtime: Runtime::new(&RuntimeConfig { slots: 2, cache, io: Handle::current() }).unwrap(),
            has_table: output == TABLE,
            has_objects: output == OBJECTS,
            has_folders: output == FOLDERS,
            has_report: map == REPORTS,
            folder,
        };
        let message = json!({
            "gristmill": 1, "dataset": "rows", "task_token": "token", "attempt": 0, "state": "Batch",
            "execution": "arn:aws:states:us-east-1:000000000000:execution:map/rows:b", "input": {"Items": [item]},
        });
        world.queue.send(message.to_string());
        world
    }

    fn root(&self) -> &Path {
        self.folder.path()
    }

    /// A worker with one of the components that stops at a place.
    async fn worker(&self, rows: [u64; 2], stop_at: usize) -> Worker {
        let watch = Arc::new(Watch { stop_at, ..Watch::default() });
        let objects = Arc::new(Watched { inner: Arc::new(self.objects.clone()), watch: watch.clone() });
        let tables = Arc::new(Watched { inner: self.tables.clone(), watch: watch.clone() });
        let stores = Stores { objects, tables, databases: self.databases.clone() };
        let datasets = self.root().join(format!("datasets-{}", rows[0]));
        let (catalog, complaints) =
            Catalog::load(&datasets, &Variables::default(), &self.runtime, &stores).await.unwrap();
        assert!(complaints.is_empty() && catalog.broken().is_empty(), "{complaints:?}");
        let callback = Answers {
            inner: self.callback.clone(),
            given: self.answers.clone(),
            nobody_waits: self.nobody_waits.clone(),
        };
        let services = Services {
            data_catalog: Arc::new(NoCatalog),
            registers: self.ledger.clone(),
            catalog: Arc::new(catalog),
            queue: self.queue.clone(),
            ledger: Arc::new(Watched { inner: self.ledger.clone(), watch: watch.clone() }),
            callback: Arc::new(Watched { inner: Arc::new(callback), watch: watch.clone() }),
            stores,
            guests: Handle::current(),
            admission: Admission::new(2, u64::MAX),
            lanes: 2,
            identity: Identity::Execution,
            lease: LEASE,
            deliveries: 100,
            metrics: Arc::new(Metrics::new().unwrap()),
            now,
        };
        Worker { services: Arc::new(services), watch }
    }

    /// Something happens to the first worker at this place, and another one takes over. False when there is no such place.
    async fn unfortunate(&self, place: usize, misfortune: Misfortune, heir: [u64; 2]) -> bool {
        let first = self.worker(ONE, place).await;
        let delivery = self.queue.receive(1).await.unwrap().remove(0);
        let Some(sleeper) = first.until_stopped(&delivery, misfortune).await else { return false };
        tokio::time::advance(LEASE + Duration::from_secs(1)).await;
        let story = format!("{misfortune:?} at {place}: {:?}, heir {heir:?}", first.watch.calls.lock().unwrap());

        let second = self.worker(heir, usize::MAX).await;
        let mut settled = matches!(second.process(&delivery).await, Disposition::Acked);
        if misfortune == Misfortune::Sleeps {
            first.watch.open();
            let woken = sleeper.await.unwrap();
            assert!(matches!(woken, Disposition::Acked | Disposition::Returned { .. }), "{story}: {woken:?}");
        }
        // What is not settled comes back; somebody has the component that began.
        for rows in [heir, ONE] {
            if !settled {
                tokio::time::advance(LEASE + Duration::from_secs(1)).await;
                settled = matches!(self.worker(rows, usize::MAX).await.process(&delivery).await, Disposition::Acked);
            }
        }
        assert!(settled, "{story}");

        let visible = self.visible();
        assert!(visible == self.expected(ONE) || visible == self.expected(heir), "{story}: {visible:?}");
        assert!(self.no_uploads_are_left().await, "{story}: an upload is left behind");
        let answers = self.answers.lock().unwrap().clone();
        assert!(!answers.is_empty() && answers.iter().all(|answer| *answer == answers[0]), "{story}: {answers:?}");
        // Nobody would do it again.
        let third = self.worker(TWO, usize::MAX).await;
        assert!(matches!(third.process(&delivery).await, Disposition::Acked), "{story}");
        assert_eq!(*third.watch.calls.lock().unwrap(), ["claim", "answer"], "{story}");
        assert_eq!(self.visible(), visible, "{story}");
        true
    }

    /// An attempt that finds that it lost the batch cleans up behind itself, soon.
    async fn no_uploads_are_left(&self) -> bool {
        let uploads = self.root().join("s3/results/.gristmill-uploads");
        for _ in 0..10_000 {
            if fs::read_dir(&uploads).map_or(0, Iterator::count) == 0 {
                return true;
            }
            tokio::task::spawn_blocking(std::thread::yield_now).await.unwrap();
        }
        false
    }

    /// The table's rows and the objects, by name.
    fn visible(&self) -> BTreeMap<String, String> {
        let mut visible = BTreeMap::new();
        let tables = rusqlite::Connection::open(self.root().join("tables.sqlite")).unwrap();
        if let Ok(mut query) = tables.prepare("SELECT id FROM rows ORDER BY id") {
            let rows: Vec<u32> = query.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
            if !rows.is_empty() {
                visible.insert("table".into(), format!("{rows:?}"));
            }
        }
        let results = self.root().join("s3/results");
        let mut folders = vec![results.join("rows"), results.join("reports")];
        while let Some(folder) = folders.pop() {
            for file in fs::read_dir(folder).into_iter().flatten().map(Result::unwrap) {
                let name = file.path().strip_prefix(&results).unwrap().to_string_lossy().into_owned();
                if file.file_type().unwrap().is_dir() {
                    folders.push(file.path());
                } else if !name.contains("/_gristmill/") {
                    let text = fs::read_to_string(file.path()).unwrap();
                    visible.insert(name.clone(), if name.starts_with("reports") { told(&text) } else { text });
                }
            }
        }
        visible
    }

    fn expected(&self, rows: [u64; 2]) -> BTreeMap<String, String> {
        let execution = "arn:aws:states:us-east-1:000000000000:execution:map/rows:b".into();
        let name = BatchId { execution, state: "Batch".into() }.object_name();
        let [first, second] = rows;
        let mut expected = BTreeMap::new();
        if self.has_table {
            expected.insert("table".to_owned(), format!("{rows:?}"));
        }
        if self.has_objects {
            expected.insert(format!("rows/{name}.csv"), format!("id\n{first}\n{second}\n"));
        }
        if self.has_folders {
            expected.extend(rows.map(|id| (format!("rows/id={id}/{name}.csv"), "none\n\"\"\n".to_owned())));
        }
        if self.has_report {
            let rows = Digest::of(format!("{{\"id\":{first}}}\n{{\"id\":{second}}}\n").as_bytes());
            expected.insert(format!("reports/{name}.jsonl"), format!("rows {rows}, \"of {first}\""));
        }
        expected
    }
}

/// What a report says of the rows, and what it says that the item returned.
fn told(report: &str) -> String {
    let lines: Vec<Value> = report.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 2, "{report}");
    let written = &lines[0]["batch"]["outputs"][0];
    format!("rows {}, {}", written["digest"].as_str().unwrap(), lines[1]["result"])
}

struct Worker {
    services: Arc<Services>,
    watch: Arc<Watch>,
}

impl Worker {
    async fn process(&self, delivery: &Delivery) -> Disposition {
        batch::process(&self.services, delivery, &CancellationToken::new()).await.disposition
    }

    /// Works until the place at which it stops. None when it came to its end before.
    async fn until_stopped(
        &self,
        delivery: &Delivery,
        misfortune: Misfortune,
    ) -> Option<tokio::task::JoinHandle<Disposition>> {
        let (services, delivery) = (self.services.clone(), delivery.clone());
        let mut work =
            tokio::spawn(
                async move { batch::process(&services, &delivery, &CancellationToken::new()).await.disposition },
            );
        tokio::select! {
            _ = &mut work => return None,
            () = self.watch.reached.notified() => {}
        }
        if misfortune == Misfortune::Dies {
            work.abort();
            while !work.is_finished() {
                tokio::task::yield_now().await;
            }
        }
        Some(work)
    }
}

/// Counts calls, and stops the worker at one of them: places `2 n` and `2 n + 1` are before and after call `n`.
#[derive(Default)]
struct Watch {
    stop_at: usize,
    /// At its place only the work stands still, as behind a store that does not answer. Renewals go on.
    is_slow: AtomicBool,
    calls: Mutex<Vec<String>>,
    stopped: AtomicBool,
    opened: AtomicBool,
    reached: Notify,
    resume: Notify,
}

impl Watch {
    /// A call that is seen from outside.
    async fn effect<T>(&self, name: &str, call: impl Future<Output = T>) -> T {
        let number = {
            let mut calls = self.calls.lock().unwrap();
            calls.push(name.into());
            calls.len() - 1
        };
        self.place(2 * number).await;
        let result = call.await;
        self.place(2 * number + 1).await;
        result
    }

    async fn place(&self, place: usize) {
        if place == self.stop_at {
            self.stopped.store(!self.is_slow.load(SeqCst), SeqCst);
            self.reached.notify_one();
            if self.is_slow.load(SeqCst) {
                self.resume.notified().await;
            }
        }
        self.awake().await;
    }

    /// A process that stands still does nothing at all.
    async fn awake(&self) {
        while self.stopped.load(SeqCst) && !self.opened.load(SeqCst) {
            self.resume.notified().await;
        }
    }

    fn open(&self) {
        self.opened.store(true, SeqCst);
        self.resume.notify_waiters();
        self.resume.notify_one();
    }
}

struct Watched<T: ?Sized> {
    inner: Arc<T>,
    watch: Arc<Watch>,
}

#[async_trait]
impl Ledger for Watched<SqliteLedger> {
    async fn claim(&self, request: &ClaimRequest) -> Result<Claim, LedgerError> {
        self.watch.effect("claim", self.inner.claim(request)).await
    }

    async fn renew(&self, claimed: &Claimed, now: SystemTime, lease: Duration) -> Result<(), LedgerError> {
        self.watch.awake().await;
        self.inner.renew(claimed, now, lease).await
    }

    async fn prepare(&self, claimed: &Claimed, record: &Record) -> Result<(), LedgerError> {
        self.watch.effect("prepare", self.inner.prepare(claimed, record)).await
    }

    async fn commit(&self, claimed: &Claimed, receipt: &Receipt) -> Result<(), LedgerError> {
        self.watch.effect("commit", self.inner.commit(claimed, receipt)).await
    }

    async fn release(&self, claimed: &Claimed, state: GiveBack) -> Result<(), LedgerError> {
        self.watch.effect("release", self.inner.release(claimed, state)).await
    }
}

#[async_trait]
impl Sink for Watched<SqliteSink> {
    async fn stage(&self, batch: &BatchId, schema: &Arc<OutputSchema>) -> Result<Box<dyn Staging>, SinkError> {
        self.inner.stage(batch, schema).await
    }
}

#[async_trait]
impl TableSink for Watched<SqliteSink> {
    async fn put(&self, rows: &TableRows, lease: &LeaseCheck) -> Result<(), SinkError> {
        self.watch.effect("put", self.inner.put(rows, lease)).await
    }
}

#[async_trait]
impl ObjectStore for Watched<FolderStore> {
    async fn open(&self, at: &Location, first: u64) -> Result<(Metadata, Bytes), ObjectError> {
        self.inner.open(at, first).await
    }

    async fn read(&self, at: &Location, etag: &str, range: Range<u64>) -> Result<Bytes, ObjectError> {
        self.inner.read(at, etag, range).await
    }

    async fn list(&self, prefix: &Location, next: Option<&str>) -> Result<Page, ObjectError> {
        self.inner.list(prefix, next).await
    }
}

#[async_trait]
impl ObjectWriter for Watched<FolderStore> {
    fn written(&self) -> &dyn ObjectStore {
        self.inner.written()
    }

    async fn upload(&self, at: &Location, holds: ContentType) -> Result<Box<dyn Upload>, ObjectError> {
        let upload = self.watch.effect("upload", self.inner.upload(at, holds)).await?;
        Ok(Box::new(WatchedUpload { inner: upload, watch: self.watch.clone() }))
    }

    async fn complete(&self, upload: &Uploaded) -> Result<(), ObjectError> {
        self.watch.effect("complete", self.inner.complete(upload)).await
    }

    async fn abort(&self, upload: &Uploaded) -> Result<(), ObjectError> {
        self.watch.effect("abort", self.inner.abort(upload)).await
    }

    async fn abort_uploads(&self, at: &Location) -> Result<usize, ObjectError> {
        self.watch.effect("abort uploads", self.inner.abort_uploads(at)).await
    }

    async fn abort_uploads_named(&self, prefix: &Location, name: &str) -> Result<usize, ObjectError> {
        self.watch.effect("abort uploads", self.inner.abort_uploads_named(prefix, name)).await
    }

    async fn delete(&self, at: &Location) -> Result<(), ObjectError> {
        self.watch.effect("delete", self.inner.delete(at)).await
    }

    fn cleanups(&self) -> &Cleanups {
        self.inner.cleanups()
    }
}

struct WatchedUpload {
    inner: Box<dyn Upload>,
    watch: Arc<Watch>,
}

#[async_trait]
impl Upload for WatchedUpload {
    async fn write(&mut self, bytes: Bytes) -> Result<(), ObjectError> {
        self.watch.effect("write", self.inner.write(bytes)).await
    }

    async fn finish(self: Box<Self>) -> Result<Uploaded, ObjectError> {
        self.watch.effect("finish", self.inner.finish()).await
    }

    async fn abort(self: Box<Self>) -> Result<(), ObjectError> {
        self.watch.effect("abort", self.inner.abort()).await
    }
}

/// Keeps what was answered, without what a later answer may say otherwise.
struct Answers {
    inner: Arc<LocalCallback>,
    given: Arc<Mutex<Vec<Value>>>,
    nobody_waits: Arc<AtomicBool>,
}

#[async_trait]
impl Callback for Answers {
    async fn answer(&self, token: &TaskToken, answer: &Answer) -> Result<Waiting, CallbackError> {
        let Answer::Success { output } = answer else { panic!("{answer:?}") };
        let mut output: Value = serde_json::from_str(output).unwrap();
        output["replayed"] = Value::Null;
        self.given.lock().unwrap().push(output);
        self.inner.answer(token, answer).await
    }

    async fn heartbeat(&self, _: &TaskToken) -> Result<Waiting, CallbackError> {
        Ok(if self.nobody_waits.load(SeqCst) { Waiting::No } else { Waiting::Yes })
    }
}

#[async_trait]
impl Callback for Watched<Answers> {
    async fn answer(&self, token: &TaskToken, answer: &Answer) -> Result<Waiting, CallbackError> {
        self.watch.effect("answer", self.inner.answer(token, answer)).await
    }

    async fn heartbeat(&self, token: &TaskToken) -> Result<Waiting, CallbackError> {
        self.watch.awake().await;
        self.inner.heartbeat(token).await
    }
}
