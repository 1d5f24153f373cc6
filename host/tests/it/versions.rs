//! Versions that come and go under batches: several workers in this process, each with a catalog and a watch of its own, over one
//! queue and one registry.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use gristmill::admission::Admission;
use gristmill::batch::{Identity, Services};
use gristmill::callback::Answer;
use gristmill::catalog::{Catalog, DatasetVersion};
use gristmill::data_catalog::NoCatalog;
use gristmill::database::Connections;
use gristmill::dataset::{Dataset, Variables};
use gristmill::job::{Digest, TaskToken};
use gristmill::ledger::fleet::{Fleet, FleetOfOne};
use gristmill::ledger::sqlite::SqliteLedger;
use gristmill::object::folder::FolderStore;
use gristmill::queue::embedded::EmbeddedQueue;
use gristmill::registry::{self, Attachment, Change, Name, Package, Registry, TrialKind};
use gristmill::rollout::{KnownReleases, Releases, ShadowReport, Shadows, Watch, find_release, try_sample};
use gristmill::runtime::{Runtime, RuntimeConfig};
use gristmill::sink::Stores;
use gristmill::sink::sqlite::SqliteSink;
use gristmill::telemetry::metrics::Metrics;
use gristmill::trust::Policy;
use gristmill::worker::{Activity, Worker};
use serde_json::{Value, json};
use time::OffsetDateTime;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use self::shelf::Shelf;
use crate::guest::Guest;

pub(crate) mod shelf;
mod stages;
mod tampering;

/// Emits one row, whose key is the item's place.
const GOOD: &str = r#"(call $emit «rows» (i32.const 0) «{"id":1}» $out) (i32.const 0)"#;
const FAILS: &str = "(call $reject «Bad» «it is bad»)";
const TRAPS: &str = "(unreachable)";
const ENDLESS: &str = "(loop $again (br $again)) (unreachable)";

/// Far more than anything here takes, also on a machine that does much else: what has not come by then never comes.
const NEVER: Duration = Duration::from_secs(120);

/// What workers share.
struct House {
    folder: tempfile::TempDir,
    shelf: Arc<Shelf>,
    queue: Arc<EmbeddedQueue>,
    callback: Arc<gristmill::callback::local::LocalCallback>,
    fleet: Arc<dyn Fleet>,
    sent: AtomicU64,
}

/// A worker, until it is dropped: then it is gone from one moment to the next, as with kill -9.
struct Running {
    metrics: Arc<Metrics>,
    catalog: Arc<Catalog>,
    _tasks: JoinSet<()>,
    _runtime: Runtime,
}

impl House {
    async fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            shelf: Arc::new(Shelf::new().await),
            queue: Arc::new(EmbeddedQueue::new(Duration::from_secs(2))),
            callback: Arc::default(),
            fleet: Arc::new(FleetOfOne::default()),
            sent: AtomicU64::new(0),
        }
    }

    async fn worker(&self, policy: Policy) -> Running {
        let (mut running, mut watch) = self.worker_that_looks_when_told(policy).await;
        running._tasks.spawn(async move { watch.run(CancellationToken::new()).await });
        running
    }

    async fn worker_that_looks_when_told(&self, policy: Policy) -> (Running, Watch) {
        let runtime = Runtime::new(&RuntimeConfig { slots: 2, cache: None, io: Handle::current() }).unwrap();
        let tables = self.folder.path().join("tables.sqlite");
        let stores = Stores {
            objects: Arc::new(FolderStore::new(self.folder.path().join("s3"))),
            tables: Arc::new(SqliteSink::open(&tables).unwrap()),
            databases: Connections::default(),
        };
        let (admission, metrics) = (Admission::new(2, u64::MAX), Arc::new(Metrics::new().unwrap()));
        let releases = Releases {
            registry: self.shelf.clone(),
            policy,
            variables: Variables::default(),
            runtime: runtime.clone(),
            stores: stores.clone(),
            admission: admission.clone(),
            guests: Handle::current(),
            known: KnownReleases::default(),
        };
        let catalog = Arc::new(Catalog::with(self.fleet.clone()));
        let mut watch = Watch::new(catalog.clone(), Arc::new(releases), metrics.clone(), "a worker");
        let _ = watch.start().await;
        let services = Arc::new(Services {
            data_catalog: Arc::new(NoCatalog),
            catalog: catalog.clone(),
            queue: self.queue.clone(),
            ledger: Arc::new(SqliteLedger::open(self.folder.path()).unwrap()),
            registers: Arc::new(SqliteLedger::open(self.folder.path()).unwrap()),
            callback: self.callback.clone(),
            stores,
            guests: Handle::current(),
            admission,
            lanes: 2,
            identity: Identity::Execution,
            lease: Duration::from_secs(2),
            deliveries: 10,
            metrics: metrics.clone(),
            now: SystemTime::now,
        });
        let mut tasks = JoinSet::new();
        let worker = Worker {
            services,
            pressure: Arc::default(),
            batches: 8,
            drain: Duration::from_secs(5),
            activity: Activity::default(),
        };
        let never = CancellationToken::new();
        let (stop, hurry) = (never.clone(), never);
        tasks.spawn(async move { worker.run(stop, hurry).await.unwrap() });
        (Running { metrics, catalog, _tasks: tasks, _runtime: runtime }, watch)
    }

    /// Sends a batch of one item.
    fn send(&self, run: Option<&str>, change: impl FnOnce(&mut Value)) -> oneshot::Receiver<Answer> {
        let number = self.sent.fetch_add(1, Relaxed);
        let token = format!("token-{number}");
        let mut message = json!({
            "gristmill": 1, "dataset": "d", "task_token": token, "execution": format!("arn:child-{number}"), "state": "Batch",
            "attempt": 0, "input": {"Items": [1]},
        });
        if let Some(run) = run {
            message["run"] = run.into();
        }
        change(&mut message);
        let waiting = self.callback.register(TaskToken::new(token));
        self.queue.send(message.to_string());
        waiting
    }

    /// The release that a batch ran on, or what was said instead.
    async fn release(&self, run: Option<&str>) -> Result<Digest, String> {
        said(self.send(run, |_| ()).await.unwrap())
    }
}

impl Running {
    fn metric(&self, name: &str) -> f64 {
        let text = self.metrics.render();
        let found = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok());
        found.unwrap_or(0.0)
    }

    /// Waits until this worker has done what this head says.
    async fn reaches(&self, head: u64) {
        while self.metric("gristmill_registry_head") < head as f64 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    fn stable(&self) -> Digest {
        self.catalog.get("d").unwrap().ok().unwrap().release.unwrap()
    }
}

/// The one release that a report names.
fn said(answer: Answer) -> Result<Digest, String> {
    match answer {
        Answer::Success { output } => {
            let report: Value = serde_json::from_str(&output).unwrap();
            Ok(report["component"]["release"].as_str().unwrap().parse().unwrap())
        }
        Answer::Failure { error, cause } => Err(format!("{error}: {cause}")),
    }
}

/// All that the load has found so far.
#[derive(Default)]
struct Load {
    failures: Vec<String>,
    by_run: BTreeMap<&'static str, BTreeSet<Digest>>,
    unpinned: BTreeMap<Digest, u64>,
    done: u64,
}

const RUNS: [&str; 5] = ["run-1", "run-2", "run-3", "run-4", "run-5"];

/// Keeps the workers busy until `enough`, with half of the batches belonging to `run`.
async fn load(house: &House, load: &Arc<Mutex<Load>>, run: &'static str, enough: impl AsyncFn() -> bool) {
    let mut waiting = JoinSet::new();
    let mut number = 0_u64;
    loop {
        while waiting.len() < 64 {
            number += 1;
            let run = number.is_multiple_of(2).then_some(run);
            let (answer, load) = (house.send(run, |_| ()), load.clone());
            waiting.spawn(async move {
                let said = said(answer.await.unwrap());
                let mut load = load.lock().unwrap();
                load.done += 1;
                match (said, run) {
                    (Err(failure), _) => load.failures.push(failure),
                    (Ok(release), Some(run)) => _ = load.by_run.entry(run).or_default().insert(release),
                    (Ok(release), None) => *load.unpinned.entry(release).or_default() += 1,
                }
            });
        }
        waiting.join_next().await.unwrap().unwrap();
        if enough().await {
            break;
        }
    }
    waiting.join_all().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn five_thousand_batches_while_versions_come_and_go() {
    let house = House::new().await;
    let shelf = &house.shelf;
    let a = shelf.publish("0.1.0", GOOD, "").await;
    let b = shelf.publish("0.2.0", GOOD, "").await;
    // Broken in a way that only its sample shows.
    let c = shelf.publish("0.3.0", TRAPS, "[sample]\nitems = [1]").await;
    shelf.promote("0.1.0").await;
    let none = Policy::none;
    let mut workers = vec![house.worker(none()).await, house.worker(none()).await, house.worker(none()).await];
    let found = Arc::new(Mutex::new(Load::default()));
    let done = |least: u64| {
        let found = found.clone();
        async move || found.lock().unwrap().done >= least
    };

    load(&house, &found, RUNS[0], done(800)).await;
    // Run 1 began on A and goes on while B comes; run 2 begins somewhere in between.
    let head = shelf.promote("0.2.0").await;
    load(&house, &found, RUNS[0], done(1200)).await;
    load(&house, &found, RUNS[1], async || {
        workers.iter().all(|worker| worker.metric("gristmill_registry_head") >= head as f64)
    })
    .await;
    load(&house, &found, RUNS[1], done(2000)).await;
    assert!(workers.iter().all(|worker| worker.stable() == b));

    // C is refused by everybody, and everybody says so.
    let head = shelf.promote("0.3.0").await;
    load(&house, &found, RUNS[2], async || {
        workers.iter().all(|worker| worker.metric("gristmill_registry_head") >= head as f64)
    })
    .await;
    load(&house, &found, RUNS[2], done(3000)).await;
    assert!(workers.iter().all(|worker| worker.stable() == b));
    assert!(workers.iter().all(|worker| worker.metric(r#"gristmill_versions_refused_total{dataset="d"}"#) == 1.0));
    let refused = |worker: &Running| worker.metrics.status(None).datasets.into_iter().flat_map(|d| d.refused);
    let says_why = |worker: &Running| {
        let refused: Vec<_> = refused(worker).map(|refused| (refused.version, refused.release)).collect();
        refused == [("0.3.0".to_owned(), c.to_string())]
    };
    assert!(workers.iter().all(says_why), "the status page says which");
    let refusals = shelf.attached(&"d".parse().unwrap(), &c, Attachment::Refusal).await.unwrap();
    assert_eq!(refusals.len(), 1, "the same reason is one reason");
    let why = String::from_utf8(refusals[0].to_vec()).unwrap();
    assert!(why.starts_with("d 0.3.0: on item 0 of its own sample: Gristmill.Trap: "), "{why}");
    // A worker that starts now has no version before: it takes the one that was in use before C.
    workers.push(house.worker(none()).await);
    assert_eq!(workers[3].stable(), b);

    // A again, while one worker dies in the middle of reading it, and another is cut off from the registry.
    let dying = shelf.stop_at(&a);
    let head = shelf.promote_again("0.1.0").await;
    load(&house, &found, RUNS[3], async || dying.has_come()).await;
    drop(workers.remove(3));
    dying.go_on();
    shelf.be_away(true);
    load(&house, &found, RUNS[3], done(4000)).await;
    shelf.be_away(false);
    load(&house, &found, RUNS[4], async || {
        workers.iter().all(|worker| worker.metric("gristmill_registry_head") >= head as f64)
    })
    .await;
    load(&house, &found, RUNS[4], done(5000)).await;
    assert!(workers.iter().all(|worker| worker.stable() == a));
    assert!(workers.iter().all(|worker| refused(worker).count() == 0), "nobody wants it any more");

    let found = found.lock().unwrap();
    assert_eq!(found.failures, [""; 0]);
    assert!(found.done >= 5000);
    assert!(found.by_run.values().all(|releases| releases.len() == 1), "{:?}", found.by_run);
    assert_eq!(found.by_run.len(), RUNS.len());
    let used: BTreeSet<Digest> = found.unpinned.keys().copied().collect();
    assert_eq!(used, BTreeSet::from([a, b]), "{:?}", found.unpinned);
    assert!(found.by_run[RUNS[0]].contains(&a) && found.by_run[RUNS[2]].contains(&b), "{:?}", found.by_run);
    assert_eq!(house.queue.dead_letters().len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_stays_with_its_version_and_a_message_may_name_another() {
    let house = House::new().await;
    let a = house.shelf.publish("0.1.0", GOOD, "").await;
    let b = house.shelf.publish("0.2.0", GOOD, "[release]\npin = \"batch\"").await;
    house.shelf.promote("0.1.0").await;
    let worker = house.worker(Policy::none()).await;
    assert_eq!(house.release(Some("run")).await, Ok(a));
    let head = house.shelf.promote("0.2.0").await;
    worker.reaches(head).await;
    assert_eq!(house.release(None).await, Ok(b));
    // The version in use says that a run is nothing to it.
    assert_eq!(house.release(Some("run")).await, Ok(b));
    let asked = |digest: Digest| {
        let answer = house.send(None, |message| message["component"] = digest.to_string().into());
        async move { said(answer.await.unwrap()) }
    };
    assert_eq!(asked(a).await, Ok(a));
    // By the component's own digest too, of which the newest release is meant.
    let component = Digest::of(&Shelf::component("0.1.0", GOOD));
    assert_eq!(asked(component).await, Ok(a));
    let nowhere = asked(Digest::of(b"nowhere")).await.unwrap_err();
    assert!(
        nowhere.starts_with("Gristmill.BadPlugin: ") && nowhere.contains("no version of d in the registry has it"),
        "{nowhere}"
    );
}

/// A worker that has not seen the head under which a run was pinned must not take the run's version for one that was rolled back.
#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_lags_behind_keeps_to_the_version_of_a_run() {
    let house = House::new().await;
    let a = house.shelf.publish("0.1.0", GOOD, "").await;
    let b = house.shelf.publish("0.2.0", GOOD, "").await;
    house.shelf.promote("0.1.0").await;
    let (behind, _watch) = {
        let later = House { queue: Arc::new(EmbeddedQueue::new(Duration::from_secs(2))), ..House::new().await };
        // The same registry and fleet, a queue of its own.
        let later = House { shelf: house.shelf.clone(), fleet: house.fleet.clone(), ..later };
        let worker = later.worker_that_looks_when_told(Policy::none()).await;
        ((later, worker.0), worker.1)
    };
    let head = house.shelf.promote("0.2.0").await;
    let ahead = house.worker(Policy::none()).await;
    ahead.reaches(head).await;
    assert_eq!(house.release(Some("run")).await, Ok(b));
    assert_eq!(behind.1.stable(), a);
    assert_eq!(behind.0.release(Some("run")).await, Ok(b));
    assert_eq!(behind.0.release(None).await, Ok(a));
}

#[tokio::test]
async fn a_component_is_found_however_large_it_is() {
    let shelf = Shelf::new().await;
    let component = Bytes::from(vec![7; 3 << 20]);
    let (name, version) = ("d".parse().unwrap(), "0.1.0".parse().unwrap());
    let large = Package::new(name, version, text("").into(), component.clone(), BTreeMap::new()).unwrap();
    shelf.add(&large).await.unwrap();
    let other = shelf.publish("0.2.0", GOOD, "").await;
    let name = "d".parse().unwrap();
    let found = async |wanted: &Digest| find_release(&shelf, &name, wanted).await;
    assert_eq!(found(&Digest::of(&component)).await, Ok(Some(large.digest())));
    assert_eq!(found(&other).await, Ok(Some(other)));
    // One version that is damaged hides no other.
    shelf.flip_blob(&other);
    assert_eq!(found(&Digest::of(&component)).await, Ok(Some(large.digest())));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_rolled_back_is_no_runs_version_any_more() {
    let house = House::new().await;
    let a = house.shelf.publish("0.1.0", GOOD, "").await;
    let b = house.shelf.publish("0.2.0", GOOD, "").await;
    house.shelf.promote("0.1.0").await;
    house.shelf.promote("0.2.0").await;
    let worker = house.worker(Policy::none()).await;
    assert_eq!(house.release(Some("run")).await, Ok(b));
    let head = house.shelf.change(&Change::RollBack).await;
    worker.reaches(head).await;
    assert_eq!(house.release(Some("run")).await, Ok(a));
    assert_eq!(house.release(Some("another")).await, Ok(a));
}

/// A canary of 50 %: what it did, and what became of it.
async fn canary(process: &str, keys: &str) -> (House, Running, u64) {
    let house = House::new().await;
    let keys = format!("[release.canary]\nmin_items = 20\ntolerated_slowdown_percentage = 100000\n{keys}");
    house.shelf.publish("0.1.0", GOOD, &keys).await;
    house.shelf.publish("0.2.0", process, "").await;
    house.shelf.promote("0.1.0").await;
    let worker = house.worker(Policy::none()).await;
    let head = house.shelf.attempt("0.2.0", TrialKind::Canary, "50%").await;
    worker.reaches(head).await;
    (house, worker, head)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_canary_that_does_well_becomes_the_stable_version() {
    let (house, worker, head) = canary(GOOD, "promote_after = \"0s\"").await;
    let stable = worker.stable();
    let mut releases = HashMap::<Digest, u64>::new();
    for _ in 0..60 {
        *releases.entry(house.release(Some("run")).await.unwrap()).or_default() += 1;
    }
    assert!(releases.len() == 2 && releases.values().all(|count| *count > 10), "{releases:?}");
    worker.reaches(head + 1).await;
    assert_ne!(worker.stable(), stable);
    let head = registry::newest(&*house.shelf).await.unwrap().unwrap();
    assert_eq!((head.change.as_str(), head.by.as_str()), ("the canary of d did well", "a worker"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_canary_that_fails_more_than_the_stable_version_is_rolled_back() {
    let (house, worker, head) = canary(FAILS, "promote_after = \"1h\"").await;
    let stable = worker.stable();
    for _ in 0..60 {
        // Failing batches are the canary's: it is what a canary is for.
        let _ = house.release(None).await;
    }
    worker.reaches(head + 1).await;
    assert_eq!(worker.stable(), stable);
    let head = registry::newest(&*house.shelf).await.unwrap().unwrap();
    assert!(head.change.starts_with("the canary of d was rolled back: 100.00 % of its "), "{}", head.change);
    for _ in 0..20 {
        assert_eq!(house.release(None).await, Ok(stable));
    }
}

/// Its items succeed, and its rows get nowhere: that is no success either.
#[tokio::test(flavor = "multi_thread")]
async fn a_canary_whose_rows_are_refused_is_rolled_back() {
    let house = House::new().await;
    let keys = "[release.canary]\nmin_items = 10\npromote_after = \"0s\"\ntolerated_slowdown_percentage = 100000";
    house.shelf.publish("0.1.0", GOOD, keys).await;
    house.shelf.publish_text("0.2.0", GOOD, &text("").replace("\"rows\"\nkey", "\"others\"\nkey")).await;
    let tables = rusqlite::Connection::open(house.folder.path().join("tables.sqlite")).unwrap();
    tables.execute_batch("CREATE TABLE others (x TEXT PRIMARY KEY)").unwrap();
    house.shelf.promote("0.1.0").await;
    let worker = house.worker(Policy::none()).await;
    let stable = worker.stable();
    let head = house.shelf.attempt("0.2.0", TrialKind::Canary, "50%").await;
    worker.reaches(head).await;
    for _ in 0..60 {
        let _ = house.release(None).await;
    }
    worker.reaches(head + 1).await;
    assert_eq!(worker.stable(), stable);
    let head = registry::newest(&*house.shelf).await.unwrap().unwrap();
    assert!(head.change.contains("was rolled back: 100.00 % of its "), "{}", head.change);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_takes_long_to_open_holds_up_no_other_and_is_in_use_in_the_end() {
    let house = House::new().await;
    let a = house.shelf.publish("0.1.0", GOOD, "").await;
    let b = house.shelf.publish("0.2.0", GOOD, "").await;
    let c = house.shelf.publish("0.3.0", GOOD, "").await;
    house.shelf.promote("0.1.0").await;
    let (worker, mut watch) = house.worker_that_looks_when_told(Policy::none()).await;

    let slow = house.shelf.stop_at(&b);
    house.shelf.promote("0.2.0").await;
    // Abandoned where it waits, as a look that takes too long is.
    tokio::select! {
        step = watch.step() => panic!("it waits for nothing: {step:?}"),
        () = async { while !slow.has_come() { tokio::time::sleep(Duration::from_millis(5)).await } } => {}
    }
    watch.step().await.unwrap();
    assert_eq!((worker.stable(), watch.number()), (a, 2));
    let head = house.shelf.promote("0.3.0").await;
    for _ in 0..20 {
        watch.step().await.unwrap();
    }
    assert_eq!((worker.stable(), watch.number()), (c, head));

    let head = house.shelf.promote_again("0.2.0").await;
    watch.step().await.unwrap();
    assert_eq!((worker.stable(), watch.number()), (c, head));
    slow.go_on();
    for _ in 0..20 {
        watch.step().await.unwrap();
    }
    assert_eq!((worker.stable(), worker.metric("gristmill_registry_head")), (b, head as f64));
}

/// One dataset's sample runs for ever, and another's release cannot be read: what is that to a third one?
#[tokio::test(flavor = "multi_thread")]
async fn a_dataset_that_takes_long_to_open_holds_up_no_other() {
    let house = House::new().await;
    let shelf = &house.shelf;
    // By their names they come before `d`.
    let (hangs, unread): (Name, Name) = ("a".parse().unwrap(), "b".parse().unwrap());
    let endless = shelf.publish_beside(&hangs, ENDLESS, "[sample]\nitems = [1]").await;
    let away = shelf.publish_beside(&unread, GOOD, "").await;
    shelf.publish("0.1.0", GOOD, "").await;
    let b = shelf.publish("0.2.0", GOOD, "[sample]\nitems = [1]").await;
    let c = shelf.publish("0.3.0", GOOD, "").await;
    shelf.promote("0.1.0").await;
    let (worker, mut watch) = house.worker_that_looks_when_told(Policy::none()).await;

    let stop = shelf.stop_at(&away);
    shelf.promote_beside(&hangs, endless).await;
    shelf.promote_beside(&unread, away).await;
    watch.step().await.unwrap();
    assert!(stop.has_come(), "both are being opened");
    shelf.promote("0.2.0").await;
    let start = Instant::now();
    while worker.stable() != b {
        watch.step().await.unwrap();
        assert!(start.elapsed() < NEVER, "it waits for the others");
    }
    let held_up = |name: &Name| worker.catalog.get(name.as_str()).is_none();
    assert!(held_up(&hangs) && held_up(&unread), "it came first");
    // Nor does a batch wait that names a version which is not in use.
    let asked = house.send(None, |message| message["component"] = c.to_string().into());
    assert_eq!(said(timeout(NEVER, asked).await.expect("it waits for the others").unwrap()), Ok(c));
    stop.go_on();
    while held_up(&unread) {
        watch.step().await.unwrap();
        assert!(start.elapsed() < NEVER, "it never came into use");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_wants_one_version_at_once_has_it_opened_once() {
    let house = House::new().await;
    house.shelf.publish("0.1.0", GOOD, "").await;
    let b = house.shelf.publish("0.2.0", GOOD, "").await;
    house.shelf.promote("0.1.0").await;
    let (_worker, _watch) = house.worker_that_looks_when_told(Policy::none()).await;
    let asked: Vec<_> =
        (0..8).map(|_| house.send(None, |message| message["component"] = b.to_string().into())).collect();
    for answer in asked {
        assert_eq!(said(answer.await.unwrap()), Ok(b));
    }
    assert_eq!(house.shelf.reads(&b), 2, "once to find it, once to open it");
    assert_eq!(house.shelf.reads(&Digest::of(&Shelf::component("0.2.0", GOOD))), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_is_not_looked_for_by_every_batch() {
    let house = House::new().await;
    house.shelf.publish("0.1.0", GOOD, "").await;
    house.shelf.promote("0.1.0").await;
    let (_worker, mut watch) = house.worker_that_looks_when_told(Policy::none()).await;
    let before = house.shelf.lists();
    let component = Digest::of(&Shelf::component("0.2.0", GOOD));
    let ask = async || {
        let answer = house.send(None, |message| message["component"] = component.to_string().into()).await;
        said(answer.unwrap())
    };
    for asked in futures::future::join_all((0..8).map(|_| ask())).await {
        assert!(asked.unwrap_err().contains("no version of d in the registry has it"));
    }
    assert_eq!(house.shelf.lists(), before + 1);
    // A new head says that the registry has changed.
    let b = house.shelf.publish("0.2.0", GOOD, "").await;
    house.shelf.promote("0.2.0").await;
    watch.step().await.unwrap();
    assert_eq!(ask().await, Ok(b));
}

/// What one entry is that nobody could have published is of no matter to a batch that names the component of another.
#[tokio::test]
async fn an_entry_that_cannot_be_read_hides_no_version() {
    let shelf = Shelf::new().await;
    let a = shelf.publish("0.1.0", GOOD, "").await;
    shelf.put_folder("names/d/versions/0.2.0");
    let component = Digest::of(&Shelf::component("0.1.0", GOOD));
    assert_eq!(find_release(&shelf, &"d".parse().unwrap(), &component).await, Ok(Some(a)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sample_has_one_time_limit_for_all_its_items() {
    let folder = tempfile::tempdir().unwrap();
    let runtime = Runtime::new(&RuntimeConfig { slots: 2, cache: None, io: Handle::current() }).unwrap();
    let stores = Stores {
        objects: Arc::new(FolderStore::new(folder.path())),
        tables: Arc::new(SqliteSink::open(&folder.path().join("tables.sqlite")).unwrap()),
        databases: Connections::default(),
    };
    let tried = async |process: &str, limit: Duration| {
        let text = text("[sample]\nitems = [1]").replace("map.items", "plugin.timeout = \"10h\"\nmap.items");
        let dataset = Dataset::parse(&text, "dataset.toml".as_ref(), &Variables::default()).unwrap();
        let component = Guest::new(process).component();
        let loaded = DatasetVersion::of(dataset, &text, &component, &runtime, &stores).await.ok().unwrap();
        let admission = Admission::new(1, u64::MAX);
        try_sample(&Arc::new(loaded), &BTreeMap::new(), &admission, &Handle::current(), limit).await
    };
    let late = timeout(NEVER, tried(ENDLESS, Duration::from_millis(50))).await.expect("it has no limit").unwrap_err();
    assert_eq!(
        late.to_string(),
        "on item 0 of its own sample: Gristmill.Timeout: all items of a sample have 50ms together: give it less to do"
    );
    assert_eq!(tried(GOOD, NEVER).await, Ok(()));
}

/// Only the dataset file changes, and with it the version that it gives itself: all that is done with versions works.
#[tokio::test(flavor = "multi_thread")]
async fn a_dataset_file_has_a_version_of_its_own() {
    let house = House::new().await;
    let shelf = &house.shelf;
    let a = shelf.publish("0.1.0", GOOD, "").await;
    let own = |version: &str| text(&format!("[release]\nversion = \"{version}\""));
    let of = async |version: &str, text: &str| {
        let component = Shelf::component("0.1.0", GOOD).into();
        let package = Package::new(
            "d".parse().unwrap(),
            version.parse().unwrap(),
            text.to_owned().into(),
            component,
            BTreeMap::new(),
        );
        let package = package.unwrap();
        shelf.add(&package).await.unwrap();
        package.digest()
    };
    let b = of("0.1.1", &own("0.1.1")).await;
    let other = of("0.2.0", &own("0.3.0")).await;
    shelf.promote("0.1.0").await;
    let worker = house.worker(Policy::none()).await;
    assert_eq!(house.release(Some("run")).await, Ok(a));
    let head = shelf.promote("0.1.1").await;
    worker.reaches(head).await;
    assert_eq!((house.release(None).await, house.release(Some("run")).await), (Ok(b), Ok(a)));
    assert!(worker.metrics.render().contains(r#"gristmill_version{dataset="d",version="0.1.1"} 1"#));
    // What the registry calls it has to be what it calls itself.
    let head = shelf.promote("0.2.0").await;
    worker.reaches(head).await;
    assert_eq!(worker.stable(), b);
    let refusals = shelf.attached(&"d".parse().unwrap(), &other, Attachment::Refusal).await.unwrap();
    assert_eq!(refusals, ["d 0.2.0: its dataset file calls it 0.3.0"]);
    for _ in 0..2 {
        let head = shelf.change(&Change::RollBack).await;
        worker.reaches(head).await;
    }
    assert_eq!(worker.stable(), a);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_swaps_leave_nothing_behind() {
    let house = House::new().await;
    for version in 0..100 {
        house.shelf.publish(&format!("0.{version}.0"), GOOD, "").await;
    }
    house.shelf.promote("0.0.0").await;
    let (worker, mut watch) = house.worker_that_looks_when_told(Policy::none()).await;
    let mut old = Vec::new();
    for version in 1..100 {
        old.push(Arc::downgrade(&worker.catalog.get("d").unwrap().ok().unwrap()));
        let head = house.shelf.promote(&format!("0.{version}.0")).await;
        while worker.metric("gristmill_registry_head") < head as f64 {
            watch.step().await.unwrap();
        }
        assert_eq!(worker.catalog.get("d").unwrap().ok().unwrap().plugin.manifest.version, format!("0.{version}.0"));
    }
    let alive = old.iter().filter(|old| old.strong_count() > 0).count();
    assert!(alive <= 5, "{alive} of 99 old versions are still in memory");
    let series = worker.metrics.render().lines().filter(|line| line.starts_with("gristmill_version{")).count();
    assert_eq!(series, 1);
}

/// A shadow of half of the batches: what it found of 40.
#[tokio::test(flavor = "multi_thread")]
async fn a_shadow_says_what_would_change_and_changes_nothing() {
    let house = House::new().await;
    let a = house.shelf.publish("0.1.0", GOOD, "").await;
    let other = r#"(call $emit «rows» (i32.const 0) «{"id":2}» $out) (i32.const 0)"#;
    let b = house.shelf.publish("0.2.0", other, "").await;
    house.shelf.promote("0.1.0").await;
    let worker = house.worker(Policy::none()).await;
    let stop = CancellationToken::new();
    let shadows = Shadows {
        work: worker.catalog.shadows().unwrap(),
        objects: Arc::new(FolderStore::new(house.folder.path().join("s3"))),
        guests: Handle::current(),
        admission: Admission::new(2, u64::MAX),
        registry: house.shelf.clone(),
        worker: "a worker".into(),
    };
    let shadowing = tokio::spawn(shadows.run(stop.clone()));
    let head = house.shelf.attempt("0.2.0", TrialKind::Shadow, "50%").await;
    worker.reaches(head).await;
    for _ in 0..40 {
        assert_eq!(house.release(None).await, Ok(a));
    }
    let reports = async || house.shelf.attached(&"d".parse().unwrap(), &b, Attachment::Shadow).await.unwrap();
    // While it goes on it reports more and more seldom, and at the end once more.
    while ShadowReport::sum(head, &reports().await).items < 9 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    stop.cancel();
    shadowing.await.unwrap();
    let attached = reports().await;
    let found = ShadowReport::sum(head, &attached);
    assert!((9..36).contains(&found.items) && found.changed == found.items, "{found:?}");
    let rows = found.rows["rows"];
    assert_eq!((rows.added, rows.removed, rows.same), (found.items, found.items, 0));
    assert!(attached.len() < 10, "{} reports", attached.len());
    let tables = rusqlite::Connection::open(house.folder.path().join("tables.sqlite")).unwrap();
    let ids: i64 = tables
        .query_row("SELECT group_concat(id) FROM rows", [], |row| row.get::<_, String>(0))
        .unwrap()
        .parse()
        .unwrap();
    assert_eq!(ids, 1, "the shadow's row is nowhere");
}

/// A dataset of one table around a plugin of this version.
fn text(keys: &str) -> String {
    format!(
        "dataset = \"d\"\nplugin.component = \"d.wasm\"\nmap.items = []\n[[output]]\nname = \"rows\"\ntable = \"rows\"\nkey = [\"id\"]\n{keys}\n"
    )
}

fn package(version: &str, process: &str, keys: &str) -> Package {
    let component = Shelf::component(version, process).into();
    Package::new("d".parse().unwrap(), version.parse().unwrap(), text(keys).into(), component, BTreeMap::new()).unwrap()
}
