//! Everything goes wrong at once: a real Distributed Map over several workers, of which one after the other is killed, behind
//! proxies that fail, throttle, delay, break connections and deliver twice. No row may be lost, and none be there twice.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::emulator::Emulator;
use crate::laptop::gristmill;
use crate::proxy::Proxy;
use crate::rig::{Rig, copier, upload};
use crate::victim::Victim;
use crate::weather::{Exposed, Plan, Weather};

pub(crate) const DATA: &str = "chaos-data";
/// Batches at once in each worker.
const SLOTS: usize = 2;
/// A run may take so much longer per batch, and so long at the end, before it counts as stuck.
const PATIENCE_PER_BATCH: Duration = Duration::from_millis(500);
const PATIENCE: Duration = Duration::from_secs(120);

/// What the rows are: those of every object.
pub(crate) struct Data {
    pub(crate) objects: Vec<(String, String)>,
    rows: BTreeMap<String, i64>,
}

impl Data {
    pub(crate) fn new(plan: Plan) -> Self {
        let mut dice = fastrand::Rng::with_seed(plan.seed);
        let (mut objects, mut rows, mut items) = (Vec::new(), BTreeMap::new(), Vec::new());
        for item in 0..plan.batches * plan.items_per_batch {
            let mut lines = String::new();
            for row in 0..dice.u32(1..4) {
                let (pk, n) = (format!("{item:06}-{row}"), dice.i64(..));
                lines += &format!("{}\n", json!({"pk": pk, "n": n}));
                rows.insert(pk, n);
            }
            let key = format!("in/{item:06}");
            items.push(format!("s3://{DATA}/{key}"));
            objects.push((key, lines));
        }
        objects.push(("items.json".into(), json!(items).to_string()));
        Self { objects, rows }
    }
}

/// What came of a run.
pub(crate) struct Outcome {
    plan: Plan,
    took: Duration,
    pub(crate) weather: Arc<Weather>,
    /// Batches that a worker found prepared by another one and carried on, and those that it found done.
    rolled_forward: usize,
    replayed: usize,
    dead_letters: u64,
    unfinished_uploads: usize,
    /// Rows that are missing in the table or in the objects; objects and reports that are.
    lost: usize,
    /// Rows that are there again or should not be; objects and reports beyond one per batch.
    doubled: usize,
    /// What is in the objects, without their names: those follow from the executions, which are others in every run.
    contents: Vec<Bytes>,
}

impl Plan {
    /// Runs the map once, in good weather or in bad.
    pub(crate) async fn run(self, endpoint: &str, data: &Data, is_calm: bool) -> Outcome {
        let rig = Rig::new(endpoint, if is_calm { "chaos-calm" } else { "chaos-storm" }).await;
        let map = format!(
            "max_items_per_batch = {}\nmax_concurrency = {}\nheartbeat = \"20s\"",
            self.items_per_batch,
            self.workers * SLOTS * 4
        );
        let datasets =
            rig.dataset("datasets", &copier(&["rows", "lines"]), DATA, &map, Some("format = \"json_lines\""));
        let asl = gristmill().arg("asl").arg(datasets.join("dataset.toml")).args(["--queue-url", &rig.queue]).output();
        let machine = serde_json::from_slice(&asl.unwrap().stdout).unwrap();
        let weather = Arc::new(Weather::new(self, is_calm));

        let start = Instant::now();
        let fleet = Fleet::start(self, &rig, &weather).await;
        let execution = rig.start(&machine).await;
        let patience = PATIENCE + PATIENCE_PER_BATCH * u32::try_from(self.batches).unwrap();
        let answer = loop {
            if let Some(answer) = rig.answer(&execution).await {
                break answer;
            }
            assert!(start.elapsed() < patience, "the map is still running after {patience:?}");
            sleep(Duration::from_millis(100)).await;
        };
        let took = start.elapsed();
        assert!(answer.is_ok(), "{answer:?}");
        // What was delivered twice may still be in the queue.
        weather.calm_down();
        rig.settled(&execution).await;
        let logs = fleet.end().await;
        self.outcome(&rig, data, weather, took, &logs).await
    }

    async fn outcome(self, rig: &Rig, data: &Data, weather: Arc<Weather>, took: Duration, logs: &[String]) -> Outcome {
        let log: Vec<_> = logs.iter().flat_map(|log| rig.batches(log)).collect();
        let count = |what: &str| log.iter().filter(|line| line[what] == true).count();
        let objects = rig.objects().await;
        let under =
            |prefix| objects.iter().filter(move |(key, _)| key.starts_with(prefix)).map(|(_, bytes)| bytes.clone());
        let mut contents: Vec<Bytes> = under("lines/").collect();
        contents.sort();
        let rows = contents.iter().flat_map(|object| serde_json::Deserializer::from_slice(object).into_iter());
        let rows = rows.map(|row: Result<Value, _>| row.unwrap());
        let rows = rows.map(|row| (row["pk"].as_str().unwrap().into(), row["n"].as_i64().unwrap()));
        let batches = usize::try_from(self.batches).unwrap();
        let differences = [
            difference(&data.rows, rig.rows().await),
            difference(&data.rows, rows),
            (batches.saturating_sub(contents.len()), contents.len().saturating_sub(batches)),
            (batches.saturating_sub(under("reports/").count()), under("reports/").count().saturating_sub(batches)),
        ];
        Outcome {
            plan: self,
            took,
            weather,
            rolled_forward: count("rolled_forward"),
            replayed: count("replayed"),
            dead_letters: rig.dead_letters().await,
            unfinished_uploads: rig.unfinished_uploads().await.len(),
            lost: differences.iter().map(|(lost, _)| lost).sum(),
            doubled: differences.iter().map(|(_, doubled)| doubled).sum(),
            contents,
        }
    }
}

/// How many of the expected rows are missing, and how many are there that should not be: again, or at all. A row with
/// another value is both.
fn difference(expected: &BTreeMap<String, i64>, found: impl IntoIterator<Item = (String, i64)>) -> (usize, usize) {
    let (mut missing, mut doubled) = (expected.clone(), 0);
    for (pk, n) in found {
        if missing.get(&pk) == Some(&n) {
            missing.remove(&pk);
        } else {
            doubled += 1;
        }
    }
    (missing.len(), doubled)
}

#[test]
fn what_is_lost_or_doubled_is_seen() {
    let row = |pk: &str, n| (pk.to_owned(), n);
    let expected = BTreeMap::from([row("a", 1), row("b", 2)]);
    for (found, seen) in [
        (vec![row("a", 1), row("b", 2)], (0, 0)),
        (vec![row("b", 2)], (1, 0)),
        (vec![row("a", 1), row("b", 2), row("a", 1)], (0, 1)),
        (vec![row("a", 1), row("b", 3)], (1, 1)),
        (vec![row("a", 1), row("b", 2), row("c", 3)], (0, 1)),
    ] {
        assert_eq!(difference(&expected, found), seen);
    }
}

impl Outcome {
    pub(crate) fn assert_nothing_lost_and_nothing_doubled(&self) {
        assert_eq!((self.lost, self.doubled), (0, 0), "lost, doubled: {self}");
        // An upload of which nobody learned, because the answer to its beginning was lost, is in nobody's record.
        assert!(self.unfinished_uploads as u64 <= self.weather.met("unknown uploads"), "{self}");
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Plan { batches, items_per_batch, workers, seed, .. } = self.plan;
        writeln!(
            f,
            "{batches} batches of {items_per_batch}, {workers} workers, seed {seed}: {:.1} s",
            self.took.as_secs_f64()
        )?;
        let met = |what| self.weather.met(what);
        let mut line = |name: &str, value: u64| writeln!(f, "  {name:<45} {value:>6}");
        line("workers killed with kill -9", met("killed"))?;
        line("calls that failed (500)", met("failed"))?;
        line("calls that were throttled", met("throttled"))?;
        line("calls that were delayed", met("delayed"))?;
        line("connections reset before a call's effect", met("reset before"))?;
        line("connections reset after it", met("reset after"))?;
        line("messages delivered twice", met("duplicated"))?;
        line("messages received for a second or further time", met("redelivered"))?;
        line("batches found prepared and rolled forward", self.rolled_forward as u64)?;
        line("batches found done and answered again", self.replayed as u64)?;
        line("messages set aside", self.dead_letters)?;
        line("unfinished uploads", self.unfinished_uploads as u64)?;
        line("lost", self.lost as u64)?;
        line("doubled", self.doubled as u64)
    }
}

/// Workers, each behind a proxy, each started again when it has died.
struct Fleet {
    keepers: JoinSet<Vec<String>>,
    stop: Arc<AtomicBool>,
}

impl Fleet {
    async fn start(plan: Plan, rig: &Rig, weather: &Arc<Weather>) -> Self {
        let (mut keepers, stop) = (JoinSet::new(), Arc::new(AtomicBool::new(false)));
        for number in 0..plan.workers {
            let worker = Victim::default();
            let exposed = Exposed { weather: weather.clone(), worker: worker.clone() };
            let proxy = Proxy::before(&rig.endpoint, Arc::new(exposed)).await;
            let (stop, launch) = (stop.clone(), rig.launcher());
            keepers.spawn(async move {
                let mut logs = Vec::new();
                while !stop.load(Relaxed) {
                    if !worker.runs() {
                        let log = format!("worker-{number}-{}", logs.len());
                        worker.is(launch.worker(&proxy.endpoint, "datasets", &log, SLOTS));
                        logs.push(log);
                    }
                    sleep(Duration::from_millis(10)).await;
                }
                worker.end().await;
                logs
            });
        }
        Self { keepers, stop }
    }

    /// Ends the workers in order, and says where their logs are.
    async fn end(self) -> Vec<String> {
        self.stop.store(true, Relaxed);
        self.keepers.join_all().await.into_iter().flatten().collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn kills_and_faults_lose_nothing_and_double_nothing() {
    let plan = Plan { batches: 100, items_per_batch: 2, workers: 3, kills: 10, faults: 0.02, seed: 1 };
    let (emulator, data) = (Emulator::aws(), Data::new(plan));
    upload(&emulator.config(), DATA, data.objects.clone()).await;
    let outcome = plan.run(&emulator.endpoint, &data, false).await;
    println!("{outcome}");
    outcome.assert_nothing_lost_and_nothing_doubled();
    assert!(outcome.weather.met("killed") >= plan.kills && outcome.weather.met("redelivered") > 0, "{outcome}");
}

/// `make chaos`: the same at length, beside an undisturbed run.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes: `make chaos`"]
async fn at_length() {
    let number = |name: &str, default: u64| {
        std::env::var(name)
            .map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name}={text}: not a number")))
    };
    let plan = Plan {
        batches: number("CHAOS_BATCHES", 2_100),
        items_per_batch: 2,
        workers: usize::try_from(number("CHAOS_WORKERS", 4)).unwrap(),
        kills: number("CHAOS_KILLS", 200),
        faults: f64::from(u32::try_from(number("CHAOS_FAULTS", 2)).unwrap()) / 100.0,
        seed: number("CHAOS_SEED", 1),
    };
    let (emulator, data) = (Emulator::aws(), Data::new(plan));
    upload(&emulator.config(), DATA, data.objects.clone()).await;
    let calm = plan.run(&emulator.endpoint, &data, true).await;
    println!("undisturbed: {:.1} s", calm.took.as_secs_f64());
    calm.assert_nothing_lost_and_nothing_doubled();
    let storm = plan.run(&emulator.endpoint, &data, false).await;
    println!(
        "disturbed: {storm}  {:<45} {:>6.2}",
        "times the undisturbed run's time",
        storm.took.div_duration_f64(calm.took)
    );
    storm.assert_nothing_lost_and_nothing_doubled();
    assert!(storm.contents == calm.contents, "the objects are others than those of the undisturbed run");
    assert!(storm.weather.met("killed") >= plan.kills, "{storm}");
}
