//! The status page: what it says of a worker at work, whom it is served to, and how a browser shows it.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use gristmill::job::Digest;
use gristmill::queue::Depth;
use gristmill::telemetry::admin::{self, Readiness};
use gristmill::telemetry::metrics::Metrics;
use gristmill::telemetry::status::{
    BatchFacts, DatasetStatus, Datasets, Example, Failed, Stage, State, TrialStatus, UnderWay, page,
};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::fleet::get;
use crate::guest::Guest;
use crate::house::House;
use crate::laptop::{Laptop, gristmill};
use crate::support::project;

const DRAIN: Duration = Duration::from_secs(25);

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[tokio::test(start_paused = true)]
async fn it_follows_a_batch_from_its_message_to_its_fate() {
    let house = House::new().await;
    house.metrics.board.shows(house.services.catalog.clone());
    let status = || house.metrics.status(None);
    assert_eq!((status().state, status().batches.len()), (State::Idle, 0));
    let answer = house.send("b", &["stations/A.csv", "slow/100/B.csv", "stations/nosuch.csv"]);
    let worker = house.worker(2, DRAIN);
    sleep(seconds(90)).await;

    let now = status();
    assert_eq!(now.state, State::Working);
    let batch = &now.batches[0];
    assert_eq!((batch.dataset.as_str(), batch.batch.as_str(), batch.version.as_str()), ("stations", "b", "0.1.0"));
    assert_eq!((batch.attempt, batch.receives, batch.stage), (0, 1, Stage::Items));
    assert_eq!((batch.items_done, batch.items), (2, 3));
    assert!((85.0..95.0).contains(&batch.age_seconds) && !batch.stuck, "{batch:?}");
    // Renewed every 10 s, for 60 s.
    let lease = batch.lease_left_seconds.unwrap();
    assert!((45.0..=60.0).contains(&lease), "{lease}");
    let broken = now.datasets.iter().find(|dataset| dataset.dataset == "broken").unwrap();
    assert!(broken.version.is_none() && broken.broken.is_some(), "{broken:?}");

    worker.stop.cancel();
    sleep(seconds(1)).await;
    let draining = status();
    assert_eq!((draining.state, draining.batches.len()), (State::Draining, 1));
    let left = draining.drain.unwrap().left_seconds;
    assert!((20.0..25.0).contains(&left), "{left}");
    drop(answer.await);
    worker.stop().await;

    let end = status();
    assert_eq!((end.state, end.batches.len()), (State::Draining, 0));
    let totals = (end.totals.batches_acked, end.totals.items_succeeded, end.totals.items_rejected, end.totals.rows);
    assert_eq!(totals, (1, 2, 1, 2));
    let of_items = end.failures.iter().find(|failure| failure.failed == Failed::Items).unwrap();
    let latest = of_items.latest.as_ref().unwrap();
    assert_eq!((latest.batch.as_str(), latest.item.as_deref()), ("b", Some("stations/nosuch.csv")));
    assert!(!latest.message.is_empty(), "{latest:?}");
    let of_batches = end.failures.iter().find(|failure| failure.failed == Failed::Batches).unwrap();
    assert_eq!((of_batches.code.as_str(), of_batches.count), ("items_rejected", 1));
    for shown in [page(&draining, true), page(&end, true), serde_json::to_string(&draining).unwrap()] {
        assert!(!shown.contains("token-of"), "{shown}");
    }
}

#[tokio::test(start_paused = true)]
async fn it_says_why_a_worker_holds_back_and_when_that_is_over() {
    let house = House::new().await;
    house.callback.is_down.store(true, Relaxed);
    let answer = house.send("b", &["stations/A.csv"]);
    let worker = house.worker(2, DRAIN);
    sleep(seconds(1)).await;
    let held = house.metrics.status(None);
    assert_eq!(held.state, State::HoldingBack);
    assert!(held.pressure.pause_seconds > 0.0 && held.pressure.reason.unwrap().contains("Step Functions is down"));
    house.callback.is_down.store(false, Relaxed);
    answer.await.unwrap();
    house.settled().await;
    sleep(seconds(60)).await;
    let after = house.metrics.status(None);
    assert_eq!((after.state, after.pressure.reason), (State::Idle, None));
    assert_eq!(after.failures[0].code, "callback_unavailable");
    worker.stop().await;
}

#[test]
fn a_local_run_can_be_watched() {
    let laptop = Laptop::with_stations([("A", 1)]);
    let endless = Guest::new("(loop $again (br $again)) (unreachable)").component();
    fs::write(laptop.root().join("endless.wasm"), endless).unwrap();
    let dataset = laptop.write(
        "dataset.toml",
        "dataset = \"endless\"\n[plugin]\ncomponent = \"endless.wasm\"\ntimeout = \"10h\"\n\
         [map]\nitem_reader = { list_objects = \"s3://data/stations/\" }\n\
         [[output]]\nname = \"rows\"\ntable = \"rows\"\nkey = [\"id\"]\n",
    );
    let mut run = laptop.begin(&dataset, &["--watch", "--json"]);
    let mut lines = BufReader::new(run.stderr.take().unwrap()).lines();
    let address = lines.by_ref().map_while(Result::ok).find_map(|line| {
        let address = line.strip_prefix("watch this run at http://")?.strip_suffix('/')?.to_owned();
        Some(address.parse::<SocketAddr>().unwrap())
    });
    let address = address.unwrap();
    assert!(address.ip().is_loopback());
    let status = loop {
        let (code, text) = get(address, "/status").unwrap();
        assert_eq!(code, 200);
        let status: Value = serde_json::from_str(&text).unwrap();
        if status["batches"][0]["stage"] == "items" {
            break status;
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    assert_eq!((&status["state"], &status["process"]["local_run"]), (&json!("working"), &json!(true)));
    assert_eq!(status["datasets"][0]["dataset"], "endless");
    let page = get(address, "/").unwrap().1;
    assert!(page.contains("this run alone") && page.contains(">endless</td>"), "{page}");

    // Somebody who takes the same address is told which it is, and what to do.
    let second = laptop.map(&dataset, &[&format!("--watch={address}")]);
    let expected = format!(
        "error: --watch={address}: another process listens there, perhaps another worker: give each an address"
    );
    assert!(second.code == Some(2) && second.err.starts_with(&expected), "{}", second.err);
    run.kill().unwrap();
    run.wait().unwrap();
}

/// Nobody keeps an answer, nobody else's script runs in it, and it cannot be put into another page.
#[tokio::test(flavor = "multi_thread")]
async fn a_browser_is_told_what_it_may_do_with_it() {
    let address = Shown::new().serve().await;
    let head = |path: &str| {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(format!("GET {path} HTTP/1.0\r\n\r\n").as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer.split_once("\r\n\r\n").unwrap().0.to_lowercase()
    };
    let (page, json) = (head("/"), head("/status"));
    for told in
        ["http/1.0 200", "content-type: text/html; charset=utf-8", "default-src 'none'", "frame-ancestors 'none'"]
    {
        assert!(page.contains(told), "{told}: {page}");
    }
    assert!(json.contains("content-type: application/json"), "{json}");
    for head in [&page, &json] {
        assert!(head.contains("cache-control: no-store") && head.contains("x-content-type-options: nosniff"), "{head}");
    }
}

/// What a browser is shown: every part of the page has something in it. What `shows` knows is different each time it is asked.
struct Shown {
    metrics: Arc<Metrics>,
    _batches: Vec<UnderWay>,
}

/// Counts how often somebody looked.
struct Looked(AtomicU64);

impl Datasets for Looked {
    fn datasets(&self) -> Vec<DatasetStatus> {
        let looked = self.0.fetch_add(1, Relaxed) + 1;
        let trial = TrialStatus { version: "1.5.0".into(), kind: "canary".into(), share: "10%".into() };
        vec![DatasetStatus {
            dataset: "noaa-precipitation".into(),
            version: Some(format!("1.4.{looked}")),
            digest: Some(Digest::of(b"release").to_string()),
            trial: Some(trial),
            ..DatasetStatus::default()
        }]
    }
}

/// What a stranger may have called an object.
const HOSTILE: &str = "\"><img src=x onerror=alert(1)><script>document.title='stolen'</script>.csv";

impl Shown {
    fn new() -> Self {
        let metrics = Arc::new(Metrics::new().unwrap());
        metrics.slots.set(4);
        let board = &metrics.board;
        let batch = |batch: &str, dataset: &str, attempt: u32, done: u64| {
            let facts = BatchFacts {
                dataset: dataset.into(),
                batch: batch.into(),
                version: "1.4.0".into(),
                attempt,
                receives: attempt + 1,
                items: 100,
                patience: seconds(600),
            };
            let under_way = board.batch(facts);
            under_way.running().stage(Stage::Items);
            under_way.running().items_ended(done);
            under_way.running().lease_until(Instant::now() + seconds(600));
            under_way
        };
        let batches = vec![
            batch("000017-b83c4ae7fa93", "noaa-precipitation", 0, 64),
            batch("000018-91ff02c3de55", "noaa-precipitation", 1, 12),
            batch("000003-5d1e77a0c2b4", "iot-anomalies", 0, 97),
        ];
        let missing = Example::now("000016-07aa41c9be02", Some(HOSTILE), "the object has no column `PRCP`");
        board.failed(Failed::Items, "noaa-precipitation", "bad-file", 3, Some(missing));
        let throttled = "dataset iot-anomalies, batch 000002-aa6110f3c1d9: the table answers ThrottlingException";
        let throttled = Example::now("000002-aa6110f3c1d9", None, throttled);
        board.failed(Failed::Batches, "iot-anomalies", "sink_unavailable", 2, Some(throttled));
        board.refused("noaa-precipitation", "1.6.0", Digest::of(b"next"), "no signature of a key that is trusted");
        board.shows(Arc::new(Looked(AtomicU64::new(0))));
        board.follows_a_registry();
        metrics.registry_answers.set(1);
        metrics.registry_head.set(12);
        metrics.ran(seconds(4));
        metrics.depth("batches", Depth { visible: 90, in_flight: 3, delayed: 2 });
        Self { metrics, _batches: batches }
    }

    async fn serve(&self) -> SocketAddr {
        let listener = admin::listen(([127, 0, 0, 1], 0).into()).await.unwrap();
        let (address, readiness) = (listener.local_addr().unwrap(), Readiness::default());
        readiness.ready();
        tokio::spawn(admin::serve(listener, self.metrics.clone(), readiness));
        address
    }
}

/// What `make page-check` looks at with Chromium (`tests/page/look.py`), until it closes our standard input.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "serves a page for make page-check"]
async fn to_be_looked_at() {
    let shown = Shown::new();
    println!("http://{}/", shown.serve().await);
    let closed = tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new()));
    closed.await.unwrap().unwrap();
}

/// The pictures of the document are small, and there.
#[test]
fn its_pictures_are_small() {
    for name in ["status-page-light.png", "status-page-dark.png"] {
        let picture = fs::read(project(&format!("host/docs/pictures/{name}"))).unwrap();
        assert!(picture.starts_with(b"\x89PNG") && picture.len() < 100_000, "{name}: {} bytes", picture.len());
    }
}

/// A worker's port is its own: nobody listens on more than one address unless told to.
#[test]
fn its_address_is_this_machine_s_alone_by_default() {
    let help = gristmill().args(["worker", "--help"]).output().unwrap();
    assert!(String::from_utf8(help.stdout).unwrap().contains("[default: 127.0.0.1:9464]"));
}
