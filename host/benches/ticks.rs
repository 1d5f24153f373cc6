//! How late a timer is on the runtime that renews leases and answers `/healthz`, while 250 MiB of rows go through the pipeline:
//! `make bench-ticks`. Prints one line per output. Nothing is asserted.

#![allow(clippy::unwrap_used, missing_docs)]

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use gristmill::admission::Admission;
use gristmill::batch::{Identity, LEASE, Services};
use gristmill::callback::Answer;
use gristmill::callback::local::LocalCallback;
use gristmill::catalog::Catalog;
use gristmill::data_catalog::NoCatalog;
use gristmill::database::Connections;
use gristmill::dataset::Variables;
use gristmill::job::TaskToken;
use gristmill::ledger::sqlite::SqliteLedger;
use gristmill::object::folder::FolderStore;
use gristmill::queue::embedded::EmbeddedQueue;
use gristmill::runtime::{Runtime, RuntimeConfig};
use gristmill::sink::Stores;
use gristmill::sink::sqlite::SqliteSink;
use gristmill::telemetry::metrics::Metrics;
use gristmill::worker::{Activity, Worker};
use serde_json::{Value, json};
use tokio::runtime::{Builder, Handle};
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

#[allow(dead_code)]
#[path = "../tests/it/guest.rs"]
mod guest;

const TICK: Duration = Duration::from_millis(10);
const BATCHES: usize = 2;
/// Items of 15 MiB.
const ITEMS: usize = 8;

fn main() {
    let io = Builder::new_multi_thread().worker_threads(1).thread_name("io").enable_all().build().unwrap();
    let guests = Builder::new_multi_thread().worker_threads(1).thread_name("guest").enable_all().build().unwrap();
    for (kind, place) in [
        ("table", "table = \"rows\"\nkey = [\"id\"]"),
        ("json_lines", "prefix = \"s3://data/rows/\"\nformat = \"json_lines\""),
        ("parquet", "prefix = \"s3://data/rows/\"\nformat = \"parquet\""),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let (seconds, longest) =
            io.block_on(io.spawn(run(folder.path().to_owned(), place, guests.handle().clone()))).unwrap();
        let rows = BATCHES * ITEMS * 15;
        println!(
            "longest gap of a 10 ms tick, rows to {kind} | target at most 50 ms | measured {:.0} ms ({}) | {rows} MiB of rows in {seconds:.1} s, {} cores",
            longest.as_secs_f64() * 1e3,
            if longest <= Duration::from_millis(50) { "met" } else { "missed" },
            std::thread::available_parallelism().map_or(1, usize::from),
        );
    }
    guests.shutdown_background();
}

/// How long the batches took, and the longest gap meanwhile.
async fn run(folder: std::path::PathBuf, place: &'static str, guests: Handle) -> (f64, Duration) {
    let (services, queue, callback) = services(&folder, place, guests).await;
    let end = CancellationToken::new();
    let ticking = tokio::spawn(longest_gap(end.clone()));
    let start = Instant::now();
    let mut answers = Vec::new();
    for batch in 0..BATCHES {
        let token = format!("token-{batch}");
        answers.push(callback.register(TaskToken::new(token.clone())));
        let items: Vec<Value> = (0..ITEMS).map(Value::from).collect();
        let message = json!({
            "gristmill": 1, "dataset": "heavy", "task_token": token, "attempt": 0, "state": "Batch",
            "execution": format!("bench:{batch}"), "input": {"Items": items},
        });
        queue.send(message.to_string());
    }
    let stop = CancellationToken::new();
    let worker =
        Worker { services, pressure: Arc::default(), batches: 2, drain: Duration::ZERO, activity: Activity::default() };
    let worker = tokio::spawn(worker.run(stop.clone(), CancellationToken::new()));
    for answer in answers {
        match answer.await.unwrap() {
            Answer::Success { .. } => {}
            Answer::Failure { error, cause } => panic!("{error}: {cause}"),
        }
    }
    let seconds = start.elapsed().as_secs_f64();
    end.cancel();
    let longest = ticking.await.unwrap();
    stop.cancel();
    queue.close();
    worker.await.unwrap().unwrap();
    (seconds, longest)
}

async fn longest_gap(end: CancellationToken) -> Duration {
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut longest, mut before) = (Duration::ZERO, Instant::now());
    while !end.is_cancelled() {
        ticks.tick().await;
        longest = longest.max(before.elapsed());
        before = Instant::now();
    }
    longest
}

async fn services(
    folder: &Path,
    place: &str,
    guests: Handle,
) -> (Arc<Services>, Arc<EmbeddedQueue>, Arc<LocalCallback>) {
    let datasets = folder.join("datasets");
    fs::create_dir_all(&datasets).unwrap();
    fs::create_dir_all(folder.join("s3/data")).unwrap();
    fs::write(datasets.join("heavy.wasm"), guest::heavy(15, 128, &["rows"])).unwrap();
    let text = format!(
        "dataset = \"heavy\"\n[plugin]\ncomponent = \"heavy.wasm\"\ntimeout = \"10m\"\n\
         [map]\nitem_reader = {{ json_lines = \"s3://data/items.jsonl\" }}\n\
         [[output]]\nname = \"rows\"\n{place}\ncolumns = {{ id = \"int64\", text = \"text\" }}\n"
    );
    fs::write(datasets.join("heavy.toml"), text).unwrap();
    let runtime = Runtime::new(&RuntimeConfig { slots: 1, cache: None, io: Handle::current() }).unwrap();
    let stores = Stores {
        objects: Arc::new(FolderStore::new(folder.join("s3"))),
        tables: Arc::new(SqliteSink::open(&folder.join("tables.sqlite")).unwrap()),
        databases: Connections::default(),
    };
    let (catalog, complaints) = Catalog::load(&datasets, &Variables::default(), &runtime, &stores).await.unwrap();
    assert!(complaints.is_empty() && catalog.broken().is_empty(), "{complaints:?} {:?}", catalog.broken());
    let (queue, callback) = (Arc::new(EmbeddedQueue::new(Duration::from_secs(60))), Arc::new(LocalCallback::new()));
    let services = Services {
        data_catalog: Arc::new(NoCatalog),
        registers: Arc::new(SqliteLedger::open(folder).unwrap()),
        catalog: Arc::new(catalog),
        queue: queue.clone(),
        ledger: Arc::new(SqliteLedger::open(folder).unwrap()),
        callback: callback.clone(),
        stores,
        guests,
        admission: Admission::new(1, u64::MAX),
        lanes: 1,
        identity: Identity::Execution,
        lease: LEASE,
        deliveries: 1,
        metrics: Arc::new(Metrics::new().unwrap()),
        now: SystemTime::now,
    };
    (Arc::new(services), queue, callback)
}
