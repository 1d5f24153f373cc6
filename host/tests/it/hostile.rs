//! A guest cannot hurt the host or its neighbours. Every case runs beside a neighbour that does honest work on the same
//! runtime and on the same threads, and beside a heartbeat on the I/O runtime: both must go on.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests")]

mod components;
mod determinism;
mod host_calls;
mod objects;
mod resources;

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant, SystemTime};

use arrow::array::RecordBatch;
use bytes::Bytes;
use gristmill::dataset::{Column, ColumnType, Format, Grants, InstanceLife, Layout, Target, TextCompression};
use gristmill::job::Item;
use gristmill::object::{Location, Metadata, ObjectError, ObjectStore, Page};
use gristmill::runtime::{
    BatchContext, GuestMetrics, GuestRows, ItemFault, ItemRun, Lane, Limits, Plugin, PluginError, RowDecoder,
    RowsRefused, Runtime, RuntimeConfig,
};
use gristmill::sink::{OutputSchema, rows};

use crate::guest::Guest;

const MIB: u64 = 1 << 20;

/// One host for all cases: what one breaks, another one notices.
static HOUSE: LazyLock<House> = LazyLock::new(House::build);

struct House {
    runtime: Runtime,
    io: tokio::runtime::Runtime,
    guests: tokio::runtime::Runtime,
    /// A heartbeat on the I/O runtime, and one on a thread of its own that says how often one could have come.
    beats: [Arc<AtomicU64>; 2],
    neighbour: Arc<Plugin>,
}

const BEAT: Duration = Duration::from_millis(5);

impl House {
    fn build() -> Self {
        let log = tracing_subscriber::fmt().with_max_level(tracing::Level::INFO).with_ansi(false).with_writer(|| Log);
        log.try_init().expect("nobody else listens to the log");
        let threads =
            |count| tokio::runtime::Builder::new_multi_thread().worker_threads(count).enable_all().build().unwrap();
        let (io, guests) = (threads(1), threads(2));
        let config = RuntimeConfig { slots: 8, cache: None, io: io.handle().clone() };
        let runtime = Runtime::new(&config).unwrap();
        let beats: [Arc<AtomicU64>; 2] = Default::default();
        let [beat, possible] = beats.clone();
        io.spawn(async move {
            let mut interval = tokio::time::interval(BEAT);
            interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            loop {
                interval.tick().await;
                beat.fetch_add(1, Ordering::Relaxed);
            }
        });
        std::thread::spawn(move || {
            loop {
                std::thread::sleep(BEAT);
                possible.fetch_add(1, Ordering::Relaxed);
            }
        });
        let honest = Guest::new(
            r#"(call $emit «rows» (i32.const 0) «{"id":1}» $out) (if (i32.load8_u $out) (then (unreachable)))
               (call $number (i64.const 7))"#,
        );
        let neighbour = Arc::new(io.block_on(runtime.open(&honest.component())).unwrap());
        Self { runtime, io, guests, beats, neighbour }
    }

    fn beats(&self) -> [u64; 2] {
        self.beats.each_ref().map(|beats| beats.load(Ordering::Relaxed))
    }

    fn open(&self, bytes: &[u8]) -> Result<Plugin, PluginError> {
        self.io.block_on(self.runtime.open(bytes))
    }
}

/// A hostile guest and what it is up against.
struct Case {
    plugin: Arc<Plugin>,
    limits: Limits,
    started: SystemTime,
    grants: Vec<&'static str>,
    objects: Arc<Objects>,
    rows: Arc<Rows>,
    metrics: Arc<Numbers>,
}

impl Case {
    fn of(guest: &Guest<'_>) -> Self {
        let plugin = HOUSE.open(&guest.component()).unwrap_or_else(|error| panic!("{error}"));
        Self {
            plugin: Arc::new(plugin),
            limits: LIMITS,
            started: SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000),
            grants: vec!["s3://b/dir/"],
            objects: Arc::default(),
            rows: Arc::new(Rows::new()),
            metrics: Arc::default(),
        }
    }

    /// The same with other limits.
    fn limits(mut self, change: impl FnOnce(&mut Limits)) -> Self {
        change(&mut self.limits);
        self
    }

    fn object(mut self, key: &str, bytes: impl Into<Bytes>) -> Self {
        Arc::get_mut(&mut self.objects).unwrap().held.insert(key.into(), bytes.into());
        self
    }

    fn context(&self) -> Arc<BatchContext> {
        Arc::new(BatchContext {
            dataset: "hostile".into(),
            batch: "batch".into(),
            batch_input: "null".into(),
            settings: "{}".into(),
            started: self.started,
            limits: self.limits,
            grants: Grants {
                read: self.grants.iter().map(|grant| grant.parse().unwrap()).collect(),
                ..Grants::default()
            },
            objects: self.objects.clone(),
            databases: Arc::default(),
            rows: self.rows.clone(),
            metrics: self.metrics.clone(),
        })
    }

    fn run(&self) -> ItemRun {
        self.run_all(&["{}"]).remove(0)
    }

    fn run_all(&self, items: &[&str]) -> Vec<ItemRun> {
        let _others = QUIET.read().unwrap_or_else(PoisonError::into_inner);
        self.run_beside_a_neighbour(items)
    }

    /// How the item ended, and how much resident memory the process had more than before, at most.
    fn peak(&self) -> (ItemRun, u64) {
        let _alone = QUIET.write().unwrap_or_else(PoisonError::into_inner);
        let (before, stop) = (resident(), Arc::new(AtomicBool::new(false)));
        let sampler = std::thread::spawn({
            let stop = stop.clone();
            move || {
                let mut peak = before;
                while !stop.load(Ordering::Relaxed) {
                    peak = peak.max(resident());
                    std::thread::sleep(Duration::from_millis(1));
                }
                peak - before
            }
        });
        let run = self.run_beside_a_neighbour(&["{}"]).remove(0);
        stop.store(true, Ordering::Relaxed);
        (run, sampler.join().unwrap())
    }

    /// Runs items on one lane.
    fn run_beside_a_neighbour(&self, items: &[&str]) -> Vec<ItemRun> {
        let house = &*HOUSE;
        let items: Vec<Item> = (0..).zip(items).map(|(index, body)| Item { index, body: (*body).into() }).collect();
        let mut lane = Lane::new(self.plugin.clone(), self.context());
        let done = Arc::new(AtomicBool::new(false));
        let neighbour = house.guests.spawn(neighbour(done.clone()));
        let before = house.beats();
        let hostile = house.guests.spawn(async move {
            let mut runs = Vec::new();
            for item in &items {
                runs.push(lane.run(item).await);
            }
            runs
        });
        let runs = house.io.block_on(hostile).expect("the host panicked");
        let after = house.beats();
        done.store(true, Ordering::Relaxed);
        house.io.block_on(neighbour).expect("the neighbour was hurt");
        // A busy runtime on a loaded machine is far behind a thread that only sleeps; a runtime that is blocked stands still.
        let [beats, possible] = [0, 1].map(|n| after[n] - before[n]);
        assert!(beats >= possible / 40, "{beats} heartbeats where {possible} were possible");
        runs
    }

    /// The failure of the only item.
    fn fault(&self) -> ItemFault {
        fault_of(self.run())
    }
}

const LIMITS: Limits = Limits {
    memory: 16 * MIB,
    timeout: Duration::from_secs(60),
    max_output: MIB,
    max_log: 16 << 10,
    instance: InstanceLife::Item,
};

/// What the guest fails with.
#[track_caller]
fn fails(guest: &Guest<'_>, code: &str, message: &str) {
    fails_with(&Case::of(guest), code, message);
}

#[track_caller]
fn fails_with(case: &Case, code: &str, message: &str) {
    failed(case.run(), code, message);
}

#[track_caller]
fn failed(run: ItemRun, code: &str, message: &str) {
    let fault = fault_of(run);
    assert_eq!(fault.code, code, "{}", fault.message);
    assert!(fault.message.contains(message), "{}", fault.message);
    assert!(fault.message.len() <= 4096);
}

fn fault_of(run: ItemRun) -> ItemFault {
    assert!(run.rows.is_empty(), "a failed item has no rows");
    run.result.expect_err("the item should have failed")
}

/// Held for writing where memory is measured: nobody else of this subject runs then.
static QUIET: RwLock<()> = RwLock::new(());

/// The process's resident memory in bytes.
#[cfg(target_os = "linux")]
fn resident() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4096
}

/// Measured on Linux only; elsewhere the same guests run and their faults are looked at.
#[cfg(not(target_os = "linux"))]
fn resident() -> u64 {
    0
}

/// Honest items, one after the other, until the case is over; one more after that.
async fn neighbour(done: Arc<AtomicBool>) {
    let rows = Arc::new(Rows::new());
    let context = Arc::new(BatchContext {
        dataset: "neighbour".into(),
        batch: "batch".into(),
        batch_input: "null".into(),
        settings: "{}".into(),
        started: SystemTime::UNIX_EPOCH,
        limits: LIMITS,
        grants: Grants::default(),
        objects: Arc::new(Objects::default()),
        databases: Arc::default(),
        rows,
        metrics: Arc::new(Numbers::default()),
    });
    let mut lane = Lane::new(HOUSE.neighbour.clone(), context);
    loop {
        let last = done.load(Ordering::Relaxed);
        let run = lane.run(&Item { index: 0, body: "{}".into() }).await;
        assert_eq!(run.result, Ok(Some("7".into())));
        assert_eq!(run.rows.len(), 1);
        if last {
            return;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// Everything that was logged with this word in it.
fn logged(word: &str) -> String {
    let all = LOG.lock().unwrap();
    String::from_utf8_lossy(&all).lines().filter(|line| line.contains(word)).collect()
}

static LOG: Mutex<Vec<u8>> = Mutex::new(Vec::new());

struct Log;

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        LOG.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Objects in memory, and how often they were asked for.
#[derive(Default)]
struct Objects {
    held: BTreeMap<String, Bytes>,
    /// Objects of any size: the same bytes again and again.
    repeated: BTreeMap<String, (Bytes, u64)>,
    opened: AtomicUsize,
}

impl Objects {
    fn bytes(&self, at: &Location, range: Range<u64>) -> Result<Bytes, ObjectError> {
        let cut = |size: u64| range.start.min(size)..range.end.min(size);
        let bytes = match (self.held.get(&at.key), self.repeated.get(&at.key)) {
            (Some(bytes), _) => {
                let range = cut(bytes.len() as u64);
                bytes.slice(range.start as usize..range.end as usize)
            }
            (None, Some((bytes, size))) => {
                let (range, period) = (cut(*size), bytes.len() as u64);
                let (first, length) = ((range.start % period) as usize, (range.end - range.start) as usize);
                let periods = bytes.repeat((first + length).div_ceil(bytes.len()));
                Bytes::from(periods).slice(first..first + length)
            }
            (None, None) => return Err(ObjectError::NotFound(format!("there is no {at}"))),
        };
        Ok(bytes)
    }
}

#[async_trait::async_trait]
impl ObjectStore for Objects {
    async fn open(&self, at: &Location, first: u64) -> Result<(Metadata, Bytes), ObjectError> {
        self.opened.fetch_add(1, Ordering::Relaxed);
        let bytes = self.bytes(at, 0..first)?;
        let size = self.held.get(&at.key).map_or_else(|| self.repeated[&at.key].1, |bytes| bytes.len() as u64);
        Ok((Metadata { location: at.clone(), size, etag: "\"1\"".into(), last_modified: None }, bytes))
    }

    async fn read(&self, at: &Location, _etag: &str, range: Range<u64>) -> Result<Bytes, ObjectError> {
        tokio::task::yield_now().await;
        self.bytes(at, range)
    }

    async fn list(&self, _prefix: &Location, _next: Option<&str>) -> Result<Page, ObjectError> {
        Ok(Page::default())
    }
}

/// One output, `rows`, with one column, `id`.
struct Rows {
    schema: OutputSchema,
    decoded: AtomicU64,
}

impl Rows {
    fn new() -> Self {
        Self::wide(1)
    }

    /// With more columns, which may be left out.
    fn wide(columns: usize) -> Self {
        let name = |n: usize| if n == 0 { "id".to_owned() } else { format!("c{n}") };
        let columns =
            (0..columns).map(|n| Column { name: name(n), kind: ColumnType::Int64, nullable: n > 0 || columns > 1 });
        let prefix = "s3://out/rows/".parse().unwrap();
        let target =
            Target::Objects { prefix, format: Format::JsonLines(TextCompression::None), layout: Layout::default() };
        Self { schema: OutputSchema::new("rows", columns.collect(), target).unwrap(), decoded: AtomicU64::new(0) }
    }
}

impl RowDecoder for Rows {
    fn decode(&self, output: &str, rows: GuestRows<'_>) -> Result<(usize, RecordBatch), RowsRefused> {
        if output != "rows" {
            return Err(RowsRefused::NoSuchOutput(format!("there is no output `{output}`; the dataset has rows")));
        }
        let rows = match rows {
            GuestRows::JsonLines(bytes) => rows::Rows::JsonLines(bytes),
            GuestRows::ArrowIpc(bytes) => rows::Rows::ArrowIpc(bytes),
        };
        let (rows::Rows::JsonLines(bytes) | rows::Rows::ArrowIpc(bytes)) = rows;
        self.decoded.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        let decoded = rows::decode(&self.schema, rows).map_err(|bad| RowsRefused::Invalid(bad.to_string()))?;
        Ok((0, decoded))
    }
}

/// What a guest counted.
#[derive(Default)]
struct Numbers(Mutex<Vec<(String, f64)>>);

impl GuestMetrics for Numbers {
    fn count(&self, name: &str, value: u64) {
        self.0.lock().unwrap().push((name.into(), value as f64));
    }

    fn observe(&self, name: &str, value: f64) {
        self.0.lock().unwrap().push((name.into(), value));
    }
}
