//! A worker in this process, with nothing of a cloud: an embedded queue, a folder, SQLite, and eyes on all of them. Under
//! tokio's paused clock a batch of an hour takes no time.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use bytes::Bytes;
use gristmill::admission::Admission;
use gristmill::batch::{Identity, LEASE, Services};
use gristmill::callback::local::LocalCallback;
use gristmill::callback::{Answer, Callback, CallbackError, Waiting};
use gristmill::catalog::Catalog;
use gristmill::data_catalog::NoCatalog;
use gristmill::database::Connections;
use gristmill::dataset::Variables;
use gristmill::job::TaskToken;
use gristmill::ledger::Ledger;
use gristmill::ledger::sqlite::SqliteLedger;
use gristmill::object::folder::FolderStore;
use gristmill::object::{
    Cleanups, ContentType, Location, Metadata, ObjectError, ObjectStore, ObjectWriter, Page, Upload, Uploaded,
};
use gristmill::queue::embedded::EmbeddedQueue;
use gristmill::queue::{Delivery, Depth, Queue, QueueError, Receipt};
use gristmill::registry::Registry;
use gristmill::rollout::{KnownReleases, Releases};
use gristmill::runtime::{Runtime, RuntimeConfig};
use gristmill::sink::sqlite::SqliteSink;
use gristmill::sink::{Stores, TableSink};
use gristmill::telemetry::metrics::Metrics;
use gristmill::trust::Policy;
use gristmill::worker::{Activity, Worker};
use serde_json::{Value, json};
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::guest::Guest;
use crate::laptop::station;
use crate::support::plugin;

/// How long the queue hides a message.
pub(crate) const VISIBILITY: Duration = Duration::from_secs(30);

pub(crate) struct House {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) queue: Arc<WatchedQueue>,
    pub(crate) callback: Arc<WatchedCallback>,
    pub(crate) objects: Arc<Objects>,
    pub(crate) ledger: Arc<dyn Ledger>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) services: Arc<Services>,
    log: Log,
    runtime: Runtime,
    _logging: tracing::subscriber::DefaultGuard,
}

/// What may be otherwise than in most tests.
pub(crate) struct Setup {
    /// Further keys of `[plugin]` of `stations`.
    pub(crate) plugin: &'static str,
    /// Whether there is a dataset `neighbour`, which is as `stations` is by default.
    pub(crate) neighbour: bool,
    /// How many bytes items may take together.
    pub(crate) memory: u64,
    /// Further keys of `[map]`.
    pub(crate) map: &'static str,
    /// How long a received message is hidden.
    pub(crate) visibility: Duration,
    /// How long a claim lasts.
    pub(crate) lease: Duration,
    /// Where rows go, if not to SQLite.
    pub(crate) tables: Option<Arc<dyn TableSink>>,
    /// The ledger, if not SQLite.
    pub(crate) ledger: Option<Arc<dyn Ledger>>,
    pub(crate) deliveries: u32,
    /// One more dataset, `guest`: the body of its plugin's `process`, as `guest.rs` has it, and keys of `[plugin]`.
    pub(crate) guest: Option<(&'static str, &'static str)>,
    /// How many columns its rows have beside `id`: numbers that may be null.
    pub(crate) columns: usize,
    /// Whether there is a dataset `shop`, whose stage `land` reads a table of a database that is away.
    pub(crate) shop: bool,
    /// Where guests run, if not here.
    pub(crate) guests: Option<Handle>,
    /// The time that the worker sees.
    pub(crate) now: fn() -> SystemTime,
}

impl House {
    pub(crate) async fn new() -> Self {
        Self::with(|_| ()).await
    }

    /// The dataset `stations`, one that never ends, and one that is broken. The stations A to E are there to be read.
    pub(crate) async fn with(change: impl FnOnce(&mut Setup)) -> Self {
        let mut setup = Setup {
            plugin: "",
            neighbour: false,
            memory: u64::MAX,
            map: "",
            visibility: VISIBILITY,
            lease: LEASE,
            tables: None,
            ledger: None,
            deliveries: 3,
            guest: None,
            shop: false,
            columns: 0,
            guests: None,
            now: SystemTime::now,
        };
        change(&mut setup);
        let log = Log::default();
        let writer = log.clone();
        let subscriber =
            tracing_subscriber::fmt().json().flatten_event(true).with_writer(move || writer.clone()).finish();
        let logging = tracing::subscriber::set_default(subscriber);

        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("s3/data/stations");
        std::fs::create_dir_all(&data).unwrap();
        for (id, highest) in [("A", 10), ("B", 20), ("C", 30), ("D", 40), ("E", 50)] {
            std::fs::write(data.join(format!("{id}.csv")), station(id, highest)).unwrap();
        }
        let dataset = |name: &str, component: PathBuf, keys: &str, output: &str| {
            let text = format!(
                "dataset = \"{name}\"\n[plugin]\ncomponent = {component:?}\n{keys}\n\
                 [grants]\nread = [\"s3://data/\"]\n\
                 [map]\nitem_reader = {{ list_objects = \"s3://data/stations/\" }}\n\
                 batch_input = {{ Bucket = \"data\" }}\n{}\n\
                 [[output]]\n{output}\n",
                setup.map
            );
            std::fs::create_dir_all(folder.path().join("datasets")).unwrap();
            std::fs::write(folder.path().join(format!("datasets/{name}.toml")), text).unwrap();
        };
        let stations = "name = \"stations\"\ntable = \"stations\"\nkey = [\"pk\"]";
        const LONG: &str = "timeout = \"10h\"";
        dataset("stations", plugin("noaa-precipitation"), &format!("{LONG}\n{}", setup.plugin), stations);
        dataset("broken", folder.path().join("nosuch.wasm"), LONG, stations);
        if setup.neighbour {
            dataset("neighbour", plugin("noaa-precipitation"), LONG, stations);
        }
        let endless = folder.path().join("endless.wasm");
        std::fs::write(&endless, Guest::new("(loop $again (br $again)) (unreachable)").component()).unwrap();
        let rows = "name = \"rows\"\ntable = \"rows\"\nkey = [\"id\"]";
        dataset("endless", endless, LONG, rows);
        if let Some((process, keys)) = setup.guest {
            let guest = folder.path().join("guest.wasm");
            std::fs::write(&guest, Guest::new(process).component()).unwrap();
            let more: String = (0..setup.columns).map(|n| format!(", c{n} = \"int64?\"")).collect();
            dataset("guest", guest, keys, &format!("{rows}\ncolumns = {{ id = \"int64\"{more} }}"));
        }

        let mut databases = Connections::default();
        if setup.shop {
            let text = format!(
                "dataset = \"shop\"\n[plugin]\ncomponent = {:?}\n[grants]\nsql = [\"shop\"]\n\
                 [[stage]]\nname = \"land\"\nmap.item_reader = {{ table = \"orders\", connection = \"shop\" }}\n\
                 [[stage.output]]\nname = \"stations\"\nprefix = \"s3://data/orders/\"\nformat = \"parquet\"\n",
                plugin("noaa-precipitation")
            );
            std::fs::write(folder.path().join("datasets/shop.toml"), text).unwrap();
            let file = folder.path().join("connections.toml");
            std::fs::write(&file, "[shop]\nurl = \"postgresql://reader@127.0.0.1:1/shop\"\ntls = \"off\"\n").unwrap();
            databases = Connections::load(&file, None).unwrap();
        }

        let cache = Some(concat!(env!("CARGO_TARGET_TMPDIR"), "/components").into());
        let runtime = Runtime::new(&RuntimeConfig { slots: 4, cache, io: Handle::current() }).unwrap();
        let objects = Arc::new(Objects::in_folder(folder.path().join("s3")));
        let tables = match setup.tables {
            Some(tables) => tables,
            None => Arc::new(SqliteSink::open(&folder.path().join("tables.sqlite")).unwrap()),
        };
        let stores = Stores { objects: objects.clone(), tables, databases };
        let (datasets, variables) = (folder.path().join("datasets"), Variables::default());
        let (catalog, complaints) = Catalog::load(&datasets, &variables, &runtime, &stores).await.unwrap();
        assert!(complaints.is_empty(), "{complaints:?}");
        assert_eq!(catalog.broken().into_iter().map(|(name, _)| name).collect::<Vec<_>>(), ["broken"]);
        let ledger = match setup.ledger {
            Some(ledger) => ledger,
            None => Arc::new(SqliteLedger::open(folder.path()).unwrap()),
        };
        let registers = Arc::new(SqliteLedger::open(folder.path()).unwrap());
        let queue = Arc::new(WatchedQueue::new(setup.visibility));
        let callback = Arc::new(WatchedCallback::default());
        let metrics = Arc::new(Metrics::new().unwrap());
        let services = Arc::new(Services {
            data_catalog: Arc::new(NoCatalog),
            catalog: Arc::new(catalog),
            queue: queue.clone(),
            ledger: ledger.clone(),
            registers,
            callback: callback.clone(),
            stores,
            guests: setup.guests.unwrap_or_else(Handle::current),
            admission: Admission::new(4, setup.memory),
            lanes: 4,
            identity: Identity::Execution,
            lease: setup.lease,
            deliveries: setup.deliveries,
            metrics: metrics.clone(),
            now: setup.now,
        });
        Self { folder, queue, callback, objects, ledger, metrics, services, log, runtime, _logging: logging }
    }

    /// Lets the house open versions of this registry.
    pub(crate) fn follow(&self, registry: Arc<dyn Registry>) {
        self.services.catalog.attach(Arc::new(Releases {
            registry,
            policy: Policy::none(),
            variables: Variables::default(),
            runtime: self.runtime.clone(),
            stores: self.services.stores.clone(),
            admission: self.services.admission.clone(),
            guests: self.services.guests.clone(),
            known: KnownReleases::default(),
        }));
    }

    /// Starts a worker with so many permits.
    pub(crate) fn worker(&self, batches: usize, drain: Duration) -> Running {
        let (stop, hurry) = (CancellationToken::new(), CancellationToken::new());
        let worker = Worker {
            services: self.services.clone(),
            pressure: Arc::default(),
            batches,
            drain,
            activity: Activity::default(),
        };
        Running { task: tokio::spawn(worker.run(stop.clone(), hurry.clone())), stop, hurry }
    }

    /// Sends a batch of objects, and waits for its answer.
    pub(crate) fn send(&self, batch: &str, keys: &[&str]) -> oneshot::Receiver<Answer> {
        let waiting = self.waiting(batch);
        self.queue.inner.send(message(batch, keys).to_string());
        waiting
    }

    /// Waits for the answer to a batch.
    pub(crate) fn waiting(&self, batch: &str) -> oneshot::Receiver<Answer> {
        self.callback.inner.register(TaskToken::new(token(batch)))
    }

    /// Waits until the worker has nothing to do: the queue holds nothing but what lies among the dead letters.
    pub(crate) async fn settled(&self) {
        loop {
            let counts = self.queue.inner.counts();
            if counts.visible + counts.in_flight == 0 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// The stations that have a row.
    pub(crate) fn rows(&self) -> Vec<String> {
        let tables = rusqlite::Connection::open(self.folder.path().join("tables.sqlite")).unwrap();
        let Ok(mut query) = tables.prepare("SELECT pk FROM stations ORDER BY pk") else { return Vec::new() };
        query.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    }

    /// Everything that was logged; no token is in it.
    pub(crate) fn log(&self) -> Vec<Value> {
        let text = String::from_utf8(self.log.0.lock().unwrap().clone()).unwrap();
        assert!(!text.contains("token-of"), "{text}");
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The lines about batches, without what differs from run to run.
    pub(crate) fn lines(&self) -> Vec<BTreeMap<String, Value>> {
        let lines = self.log().into_iter().filter(|line| line["message"] == "batch");
        let unsteady = ["timestamp", "target", "message", "millis", "digest", "version", "hidden_millis"];
        let steady = |line: Value| {
            let fields = line.as_object().unwrap().clone().into_iter();
            fields.filter(|(name, _)| !unsteady.contains(&name.as_str())).collect()
        };
        lines.map(steady).collect()
    }

    /// The value of a metric, with its labels.
    pub(crate) fn metric(&self, name: &str) -> f64 {
        let text = self.metrics.render();
        let found = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok());
        found.unwrap_or_else(|| panic!("there is no {name} in\n{text}"))
    }
}

/// A worker that runs.
pub(crate) struct Running {
    pub(crate) stop: CancellationToken,
    pub(crate) hurry: CancellationToken,
    task: JoinHandle<Result<(), QueueError>>,
}

impl Running {
    /// Stops it, and says how long that took.
    pub(crate) async fn stop(self) -> Duration {
        let start = Instant::now();
        self.stop.cancel();
        self.task.await.unwrap().unwrap();
        start.elapsed()
    }
}

pub(crate) fn token(batch: &str) -> String {
    format!("token-of-{batch}")
}

pub(crate) fn message(batch: &str, keys: &[&str]) -> Value {
    let items: Vec<Value> = keys.iter().map(|key| json!({"Key": key})).collect();
    json!({
        "gristmill": 1, "dataset": "stations", "task_token": token(batch), "attempt": 0, "state": "Batch",
        "execution": format!("arn:aws:states:us-east-1:000000000000:execution:map/stations:{batch}"),
        "input": {"BatchInput": {"Bucket": "data"}, "Items": items},
    })
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A queue that remembers how it was treated.
pub(crate) struct WatchedQueue {
    pub(crate) inner: EmbeddedQueue,
    /// How many messages each delete named.
    pub(crate) deletes: Mutex<Vec<usize>>,
    /// When messages were hidden, and for how long.
    pub(crate) hidden: Mutex<Vec<(Instant, Duration)>>,
    /// Deletes nothing, and says so.
    pub(crate) keeps_everything: AtomicBool,
    pub(crate) has_no_dead_letters: AtomicBool,
    /// Does not say how many messages it has.
    pub(crate) refuses_depth: AtomicBool,
    /// How often it was asked for that.
    pub(crate) depths: AtomicUsize,
}

impl WatchedQueue {
    fn new(visibility: Duration) -> Self {
        Self {
            inner: EmbeddedQueue::new(visibility),
            deletes: Mutex::default(),
            hidden: Mutex::default(),
            keeps_everything: AtomicBool::new(false),
            has_no_dead_letters: AtomicBool::new(false),
            refuses_depth: AtomicBool::new(false),
            depths: AtomicUsize::new(0),
        }
    }
}

#[async_trait]
impl Queue for WatchedQueue {
    async fn receive(&self, max: usize) -> Result<Vec<Delivery>, QueueError> {
        self.inner.receive(max).await
    }

    async fn delete(&self, receipts: &[Receipt]) -> Result<Vec<(Receipt, String)>, QueueError> {
        self.deletes.lock().unwrap().push(receipts.len());
        if self.keeps_everything.load(Relaxed) {
            return Ok(receipts.iter().map(|receipt| (receipt.clone(), "InternalError".into())).collect());
        }
        self.inner.delete(receipts).await
    }

    async fn change_visibility(&self, receipts: &[(Receipt, Duration)]) -> Result<Vec<(Receipt, String)>, QueueError> {
        self.hidden.lock().unwrap().extend(receipts.iter().map(|(_, hidden)| (Instant::now(), *hidden)));
        self.inner.change_visibility(receipts).await
    }

    async fn dead_letter(&self, delivery: &Delivery, reason: &str) -> Result<(), QueueError> {
        if self.has_no_dead_letters.load(Relaxed) {
            return Err(QueueError::Refused("the queue has no dead-letter queue".into()));
        }
        self.inner.dead_letter(delivery, reason).await
    }

    async fn depth(&self) -> Result<Depth, QueueError> {
        self.depths.fetch_add(1, Relaxed);
        match self.refuses_depth.load(Relaxed) {
            true => Err(QueueError::Refused("no permission".into())),
            false => self.inner.depth().await,
        }
    }

    fn visibility_timeout(&self) -> Duration {
        self.inner.visibility_timeout()
    }
}

/// Step Functions, as one would have it in a test.
#[derive(Default)]
pub(crate) struct WatchedCallback {
    pub(crate) inner: LocalCallback,
    pub(crate) beats: Mutex<Vec<Instant>>,
    /// Every answer that was given, heard or not, with its token.
    pub(crate) answers: Mutex<Vec<(String, Answer)>>,
    /// Heartbeats get no answer.
    pub(crate) hangs: AtomicBool,
    /// Answers do not get through.
    pub(crate) is_down: AtomicBool,
}

#[async_trait]
impl Callback for WatchedCallback {
    async fn answer(&self, token: &TaskToken, answer: &Answer) -> Result<Waiting, CallbackError> {
        if self.is_down.load(Relaxed) {
            return Err(CallbackError("Step Functions is down".into()));
        }
        self.answers.lock().unwrap().push((token.reveal().into(), answer.clone()));
        self.inner.answer(token, answer).await
    }

    async fn heartbeat(&self, token: &TaskToken) -> Result<Waiting, CallbackError> {
        self.beats.lock().unwrap().push(Instant::now());
        if self.hangs.load(Relaxed) {
            std::future::pending::<()>().await;
        }
        self.inner.heartbeat(token).await
    }
}

/// A folder in which the keys `slow/SECONDS/...` take their time.
pub(crate) struct Objects {
    folder: FolderStore,
    pub(crate) is_down: AtomicBool,
    /// What whoever opens an object meets.
    pub(crate) refuses_reads: Mutex<Option<ObjectError>>,
    /// What whoever writes one meets.
    pub(crate) refuses_writes: Mutex<Option<ObjectError>>,
    /// What whoever makes one visible meets.
    pub(crate) refuses_completions: Mutex<Option<ObjectError>>,
}

impl Objects {
    fn in_folder(folder: PathBuf) -> Self {
        Self {
            folder: FolderStore::new(folder),
            is_down: AtomicBool::new(false),
            refuses_reads: Mutex::default(),
            refuses_writes: Mutex::default(),
            refuses_completions: Mutex::default(),
        }
    }
}

#[async_trait]
impl ObjectStore for Objects {
    async fn open(&self, at: &Location, first: u64) -> Result<(Metadata, Bytes), ObjectError> {
        if self.is_down.load(Relaxed) {
            return Err(ObjectError::Unavailable(format!("{at}: the store is down")));
        }
        if let Some(error) = self.refuses_reads.lock().unwrap().clone() {
            return Err(error);
        }
        let Some((seconds, rest)) = at.key.strip_prefix("slow/").and_then(|rest| rest.split_once('/')) else {
            return self.folder.open(at, first).await;
        };
        tokio::time::sleep(Duration::from_secs(seconds.parse().unwrap())).await;
        self.folder.open(&at.with_key(format!("stations/{rest}")), first).await
    }

    async fn read(&self, at: &Location, etag: &str, range: Range<u64>) -> Result<Bytes, ObjectError> {
        self.folder.read(at, etag, range).await
    }

    async fn list(&self, prefix: &Location, next: Option<&str>) -> Result<Page, ObjectError> {
        self.folder.list(prefix, next).await
    }
}

#[async_trait]
impl ObjectWriter for Objects {
    fn written(&self) -> &dyn ObjectStore {
        self.folder.written()
    }

    async fn upload(&self, at: &Location, holds: ContentType) -> Result<Box<dyn Upload>, ObjectError> {
        if let Some(error) = self.refuses_writes.lock().unwrap().clone() {
            return Err(error);
        }
        self.folder.upload(at, holds).await
    }

    async fn complete(&self, upload: &Uploaded) -> Result<(), ObjectError> {
        if let Some(error) = self.refuses_completions.lock().unwrap().clone() {
            return Err(error);
        }
        self.folder.complete(upload).await
    }

    async fn abort(&self, upload: &Uploaded) -> Result<(), ObjectError> {
        self.folder.abort(upload).await
    }

    async fn abort_uploads(&self, at: &Location) -> Result<usize, ObjectError> {
        self.folder.abort_uploads(at).await
    }

    async fn abort_uploads_named(&self, prefix: &Location, name: &str) -> Result<usize, ObjectError> {
        self.folder.abort_uploads_named(prefix, name).await
    }

    async fn delete(&self, at: &Location) -> Result<(), ObjectError> {
        self.folder.delete(at).await
    }

    fn cleanups(&self) -> &Cleanups {
        self.folder.cleanups()
    }
}
