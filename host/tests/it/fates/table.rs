//! `host/docs/fates.md` is true: each entry of its lists names a scenario, which brings about what the entry says; and each kind
//! of fault has an entry.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use gristmill::callback::Answer;
use gristmill::job::{Digest, MAX_MESSAGE_BYTES};
use gristmill::ledger::{Claim, ClaimRequest, Claimed, GiveBack, Ledger, LedgerError, Receipt, Record};
use gristmill::object::ObjectError;
use gristmill::queue::Queue as _;
use gristmill::sink::SinkError;
use serde_json::{Value, json};
use tokio::time::sleep;

use super::{DRAIN, NoLedger, NoTables, Panics, nobody, with, without};
use crate::house::{House, Setup, VISIBILITY, message};
use crate::support::project;
use crate::versions::shelf::Shelf;
use crate::worker::{a_day_later, id};

/// What a scenario leaves behind.
struct Seen {
    house: House,
    /// The line of the delivery that the row is about.
    line: BTreeMap<String, Value>,
}

type Scenario = (&'static str, fn() -> Pin<Box<dyn Future<Output = Seen>>>);

macro_rules! scenarios {
    ($($name:ident),* $(,)?) => { &[$((stringify!($name), || Box::pin($name()))),*] };
}

const SCENARIOS: &[Scenario] = scenarios![
    malformed,
    too_large,
    bad_place,
    unknown_dataset,
    broken_dataset,
    other_component,
    version_unavailable,
    not_parked,
    rejected_within_tolerance,
    rejected_beyond_tolerance,
    guest_rejects,
    guest_retries,
    trap,
    timeout,
    memory_limit,
    output_limit,
    bad_output,
    bad_key,
    object_missing,
    object_denied,
    object_changed,
    objects_unavailable,
    objects_silent,
    crowded,
    already_committed,
    rolled_forward,
    claim_held,
    claim_lost,
    begun_by_other,
    record_unreadable,
    ledger_unavailable,
    ledger_refused,
    source_unavailable,
    sink_unavailable,
    sink_refused,
    staged_gone,
    report_unavailable,
    report_refused,
    callback_unavailable,
    token_gone,
    token_gone_meanwhile,
    waited_too_long,
    visibility_lost,
    twelve_hours,
    stopped,
    no_room,
    panicked,
    last_delivery,
    last_delivery_untold,
];

#[tokio::test(start_paused = true)]
async fn the_table_of_fates_is_true() {
    let rows = rows();
    let keys: Vec<&str> = rows.iter().map(|row| row.key.as_str()).collect();
    let names: Vec<&str> = SCENARIOS.iter().map(|(name, _)| *name).collect();
    assert_eq!(keys, names, "each row has a scenario, each scenario a row, in the same order");
    for (row, (_, scenario)) in rows.iter().zip(SCENARIOS) {
        let Seen { house, line } = scenario().await;
        let told = house.callback.answers.lock().unwrap().iter().rev().find_map(|(_, answer)| match answer {
            Answer::Failure { error, .. } => Some(error.clone()),
            Answer::Success { .. } => None,
        });
        assert_eq!((line["fate"].as_str(), &told), (Some(&*row.fate), &row.error), "{}: {line:?}", row.key);
        assert!(house.metric(&row.metric) >= 1.0, "{}: {} did not go up", row.key, row.metric);
    }
}

/// The kinds are read from the source, because outside of the pipeline they are labels only.
#[test]
fn every_kind_of_fault_has_a_row() {
    let source = std::fs::read_to_string(project("host/src/batch/kind.rs")).unwrap();
    let labels = source.lines().filter_map(|line| line.trim().strip_prefix("Self::")?.split('"').nth(1));
    let kinds: BTreeSet<_> = labels.map(|label| format!("gristmill_faults_total{{kind=\"{label}\"}}")).collect();
    assert!(kinds.len() > 15, "{kinds:?}");
    let counted: BTreeSet<_> =
        rows().into_iter().map(|row| row.metric).filter(|metric| metric.starts_with("gristmill_faults_")).collect();
    assert_eq!(kinds, counted);
}

struct Row {
    key: String,
    fate: String,
    error: Option<String>,
    metric: String,
}

/// An entry is a point of a list: "- `key`: **fate**, `error`, `metric`." and a text.
fn rows() -> Vec<Row> {
    let text = std::fs::read_to_string(project("host/docs/fates.md")).unwrap();
    let row = |entry: &str| {
        let (head, _) = entry.split_once("}`.").unwrap_or_else(|| panic!("no metric: {entry}"));
        let (key, rest) = head.split_once("`: **").unwrap_or_else(|| panic!("no fate: {entry}"));
        let (fate, rest) = rest.split_once("**").unwrap();
        let (error, metric) = rest.split_once("`gristmill_").unwrap_or_else(|| panic!("no metric: {entry}"));
        let error = error.split('`').nth(1).map(ToOwned::to_owned);
        Row { key: key.into(), fate: fate.into(), error, metric: format!("gristmill_{metric}}}") }
    };
    text.split("\n- `").skip(1).map(row).collect()
}

/// Sends a message to a house, and waits until that was delivered so often.
async fn deliver(house: House, body: String, deliveries: usize) -> Seen {
    let _waits = house.waiting("b");
    house.queue.inner.send(body);
    let worker = house.worker(1, DRAIN);
    let line = line(&house, deliveries).await;
    worker.stop().await;
    Seen { house, line }
}

async fn line(house: &House, number: usize) -> BTreeMap<String, Value> {
    loop {
        if let Some(line) = house.lines().get(number - 1) {
            return line.clone();
        }
        sleep(Duration::from_millis(500)).await;
    }
}

/// A batch of good items, in a house with one thing changed.
async fn good(change: impl FnOnce(&mut Setup)) -> Seen {
    deliver(House::with(change).await, message("b", &["stations/A.csv"]).to_string(), 1).await
}

/// A message in a house where all is well.
async fn said(body: String) -> Seen {
    deliver(House::new().await, body, 1).await
}

/// A batch of two items of a plugin.
async fn guest(process: &'static str, keys: &'static str) -> Seen {
    let mut body = message("b", &["1", "2"]);
    body["dataset"] = "guest".into();
    deliver(House::with(|setup| setup.guest = Some((process, keys))).await, body.to_string(), 1).await
}

async fn malformed() -> Seen {
    said(without("dataset")).await
}

async fn too_large() -> Seen {
    said(with(|message| message["input"]["Items"] = json!([" ".repeat(MAX_MESSAGE_BYTES)]))).await
}

async fn bad_place() -> Seen {
    let house = House::with(|setup| setup.map = "reports = \"s3://data/reports/{$.day}/\"").await;
    let mut body = message("b", &["stations/A.csv"]);
    body["values"] = json!({"input.day": "../elsewhere"});
    deliver(house, body.to_string(), 1).await
}

async fn unknown_dataset() -> Seen {
    said(with(|message| message["dataset"] = "nosuch".into())).await
}

async fn broken_dataset() -> Seen {
    said(with(|message| message["dataset"] = "broken".into())).await
}

async fn other_component() -> Seen {
    said(with(|message| message["component"] = format!("sha256:{}", "0".repeat(64)).into())).await
}

async fn version_unavailable() -> Seen {
    let house = House::new().await;
    let shelf = Shelf::new().await;
    shelf.be_away(true);
    house.follow(Arc::new(shelf));
    let body = with(|message| message["component"] = Digest::of(b"wherever it is").to_string().into());
    deliver(house, body, 1).await
}

async fn not_parked() -> Seen {
    let house = House::new().await;
    house.queue.has_no_dead_letters.store(true, Relaxed);
    deliver(house, without("dataset"), 1).await
}

async fn rejected_within_tolerance() -> Seen {
    let house = House::with(|setup| setup.map = "tolerated_rejected_percentage = 50").await;
    deliver(house, message("b", &["stations/A.csv", "nosuch.csv"]).to_string(), 1).await
}

async fn rejected_beyond_tolerance() -> Seen {
    let house = House::with(|setup| setup.map = "tolerated_rejected_percentage = 49").await;
    deliver(house, message("b", &["stations/A.csv", "nosuch.csv"]).to_string(), 1).await
}

async fn guest_rejects() -> Seen {
    guest("(call $reject «Bad» «it is bad»)", "").await
}

async fn guest_retries() -> Seen {
    guest("(call $retry «NotReady» «not yet»)", "").await
}

async fn trap() -> Seen {
    guest("(unreachable)", "").await
}

async fn timeout() -> Seen {
    guest("(loop $l (br $l)) (unreachable)", "timeout = \"50ms\"").await
}

async fn memory_limit() -> Seen {
    let eats = "(loop $l (br_if $l (i32.ne (memory.grow (i32.const 1)) (i32.const -1)))) (unreachable)";
    guest(eats, "memory = \"1 MiB\"").await
}

async fn output_limit() -> Seen {
    let emits = r#"(loop $l (call $emit «rows» (i32.const 0) «{"id":1}» $out) (br_if $l (i32.eqz (i32.load8_u $out))))
                   (i32.const 0)"#;
    guest(emits, "max_output = \"1 KiB\"").await
}

async fn bad_output() -> Seen {
    guest(r#"(call $emit «rows» (i32.const 0) «{"id":"text"}» $out) (i32.const 0)"#, "").await
}

async fn bad_key() -> Seen {
    guest(r#"(call $emit «rows» (i32.const 0) «{"id":1}» $out) (i32.const 0)"#, "").await
}

async fn object_missing() -> Seen {
    said(message("b", &["nosuch.csv"]).to_string()).await
}

async fn object_denied() -> Seen {
    said(with(|message| message["input"]["BatchInput"] = json!({"Bucket": "other"}))).await
}

async fn object_changed() -> Seen {
    let house = House::new().await;
    *house.objects.refuses_reads.lock().unwrap() = Some(ObjectError::Changed("it was changed".into()));
    deliver(house, message("b", &["stations/A.csv"]).to_string(), 1).await
}

async fn objects_unavailable() -> Seen {
    let house = House::new().await;
    house.objects.is_down.store(true, Relaxed);
    deliver(house, message("b", &["stations/A.csv"]).to_string(), 1).await
}

async fn objects_silent() -> Seen {
    // Longer than the ten hours that an item has.
    said(message("b", &["slow/100000/A.csv"]).to_string()).await
}

async fn already_committed() -> Seen {
    let house = House::new().await;
    house.queue.keeps_everything.store(true, Relaxed);
    let _first = house.send("b", &["stations/A.csv"]);
    let worker = house.worker(1, DRAIN);
    line(&house, 1).await;
    let _again = house.waiting("b");
    let line = line(&house, 2).await;
    worker.stop().await;
    Seen { house, line }
}

/// Somebody else's claim on the batch, for an hour.
async fn claimed_by_another(house: &House, now: SystemTime) {
    let other = ClaimRequest {
        id: id("b"),
        fingerprint: Digest::of(b"other"),
        component: Digest::of(b"other"),
        now,
        lease: Duration::from_secs(3600),
    };
    assert!(matches!(house.ledger.claim(&other).await.unwrap(), Claim::Taken(_)));
}

async fn claim_held() -> Seen {
    let house = House::new().await;
    claimed_by_another(&house, SystemTime::now()).await;
    deliver(house, message("b", &["stations/A.csv"]).to_string(), 1).await
}

async fn claim_lost() -> Seen {
    let house = House::new().await;
    let _waits = house.send("b", &["slow/3600/A.csv"]);
    let worker = house.worker(1, DRAIN);
    sleep(Duration::from_secs(5)).await;
    claimed_by_another(&house, SystemTime::now() + Duration::from_secs(3600)).await;
    let line = line(&house, 1).await;
    worker.stop().await;
    Seen { house, line }
}

async fn crowded() -> Seen {
    let house = House::with(|setup| setup.plugin = "max_batches = 1").await;
    let _waits = (house.send("b", &["slow/100/A.csv"]), house.send("c", &["slow/100/B.csv"]));
    let worker = house.worker(2, DRAIN);
    let line = line(&house, 1).await;
    worker.stop().await;
    Seen { house, line }
}

/// A house in which a batch was recorded, and could not be made visible.
async fn recorded(error: ObjectError) -> House {
    let house = House::with(|setup| setup.map = "reports = \"s3://data/reports/\"").await;
    *house.objects.refuses_completions.lock().unwrap() = Some(error);
    house
}

async fn rolled_forward() -> Seen {
    let house = recorded(ObjectError::Unavailable("slow down".into())).await;
    let _waits = house.send("b", &["stations/A.csv"]);
    let worker = house.worker(1, DRAIN);
    line(&house, 1).await;
    *house.objects.refuses_completions.lock().unwrap() = None;
    let line = line(&house, 2).await;
    worker.stop().await;
    Seen { house, line }
}

async fn staged_gone() -> Seen {
    let house = recorded(ObjectError::Gone("a rule of the bucket removed it".into())).await;
    deliver(house, message("b", &["stations/A.csv"]).to_string(), 1).await
}

/// A ledger that every claim finds in this state.
struct Found(fn(Claimed) -> Claim);

#[async_trait]
impl Ledger for Found {
    async fn claim(&self, request: &ClaimRequest) -> Result<Claim, LedgerError> {
        let component = Digest::of(b"another");
        let claimed = Claimed { id: request.id.clone(), fence: 2, component, resumed: true, started: request.now };
        Ok(self.0(claimed))
    }

    async fn renew(&self, _: &Claimed, _: SystemTime, _: Duration) -> Result<(), LedgerError> {
        Ok(())
    }

    async fn prepare(&self, _: &Claimed, _: &Record) -> Result<(), LedgerError> {
        Ok(())
    }

    async fn commit(&self, _: &Claimed, _: &Receipt) -> Result<(), LedgerError> {
        Ok(())
    }

    async fn release(&self, _: &Claimed, _: GiveBack) -> Result<(), LedgerError> {
        Ok(())
    }
}

async fn begun_by_other() -> Seen {
    good(|setup| setup.ledger = Some(Arc::new(Found(Claim::Taken)))).await
}

async fn record_unreadable() -> Seen {
    let unreadable = |claimed| Claim::Prepared(claimed, Record::from(b"{".to_vec()));
    good(|setup| setup.ledger = Some(Arc::new(Found(unreadable)))).await
}

async fn ledger_unavailable() -> Seen {
    good(|setup| setup.ledger = Some(Arc::new(NoLedger(nobody())))).await
}

async fn ledger_refused() -> Seen {
    good(|setup| setup.ledger = Some(Arc::new(NoLedger(LedgerError::Refused("no such table".into()))))).await
}

async fn source_unavailable() -> Seen {
    let house = House::with(|setup| setup.shop = true).await;
    let plan = with(|message| {
        message["dataset"] = "shop.land".into();
        message["input"]["Items"] = json!([]);
        message["plan"] = json!({"run": "arn:run"});
    });
    deliver(house, plan, 1).await
}

async fn sink_unavailable() -> Seen {
    good(|setup| setup.tables = Some(Arc::new(NoTables(SinkError::Unavailable("throttled".into()))))).await
}

async fn sink_refused() -> Seen {
    good(|setup| setup.tables = Some(Arc::new(NoTables(SinkError::Refused("no such table".into()))))).await
}

async fn report(error: ObjectError) -> Seen {
    let house = House::with(|setup| setup.map = "reports = \"s3://data/reports/\"").await;
    *house.objects.refuses_writes.lock().unwrap() = Some(error);
    deliver(house, message("b", &["stations/A.csv"]).to_string(), 1).await
}

async fn report_unavailable() -> Seen {
    report(ObjectError::Unavailable("slow down".into())).await
}

async fn report_refused() -> Seen {
    report(ObjectError::Denied("no permission".into())).await
}

async fn callback_unavailable() -> Seen {
    let house = House::new().await;
    house.callback.is_down.store(true, Relaxed);
    deliver(house, message("b", &["stations/A.csv"]).to_string(), 1).await
}

async fn unheard(key: &str) -> Seen {
    let house = House::new().await;
    drop(house.send("b", &[key]));
    let worker = house.worker(1, DRAIN);
    let line = line(&house, 1).await;
    worker.stop().await;
    Seen { house, line }
}

async fn token_gone() -> Seen {
    unheard("stations/A.csv").await
}

async fn token_gone_meanwhile() -> Seen {
    unheard("slow/3600/A.csv").await
}

async fn waited_too_long() -> Seen {
    let house = House::with(|setup| setup.now = a_day_later).await;
    drop(house.send("b", &["slow/3600/A.csv"]));
    let worker = house.worker(1, DRAIN);
    let line = line(&house, 1).await;
    worker.stop().await;
    Seen { house, line }
}

async fn visibility_lost() -> Seen {
    let house = House::new().await;
    let _waits = house.send("b", &["slow/3600/A.csv"]);
    // Somebody else's receive, which the worker overtakes; then its own receipt is no good any more.
    let other = house.queue.inner.receive(1).await.unwrap().remove(0);
    house.queue.inner.change_visibility(&[(other.receipt, Duration::ZERO)]).await.unwrap();
    let worker = house.worker(1, DRAIN);
    sleep(VISIBILITY / 6).await;
    assert!(house.queue.inner.delete(&[gristmill::queue::Receipt("1-2".into())]).await.unwrap().is_empty());
    let line = line(&house, 1).await;
    worker.stop().await;
    Seen { house, line }
}

async fn twelve_hours() -> Seen {
    // Five items for four lanes, nine hours each.
    said(message("b", &["slow/32400/A.csv"; 5]).to_string()).await
}

async fn stopped() -> Seen {
    let house = House::new().await;
    let _waits = house.send("b", &["slow/3600/A.csv"]);
    let worker = house.worker(1, Duration::ZERO);
    sleep(Duration::from_secs(1)).await;
    worker.stop().await;
    let line = line(&house, 1).await;
    Seen { house, line }
}

/// One item fits, and with the rows of the first there is no second.
async fn no_room() -> Seen {
    let rows: String = (0..400).map(|id| format!("{{\"id\":{id}}}\n")).collect();
    let emits = format!("(call $emit «rows» (i32.const 0) «{rows}» $out) (i32.const 0)");
    let house = House::with(|setup| {
        setup.memory = 144 << 20;
        setup.guest = Some((emits.leak(), "memory = \"8 MiB\"\nmax_output = \"4 MiB\""));
        setup.columns = 1_900;
    });
    let mut body = message("b", &["1", "2"]);
    body["dataset"] = "guest".into();
    deliver(house.await, body.to_string(), 1).await
}

async fn panicked() -> Seen {
    good(|setup| setup.tables = Some(Arc::new(Panics))).await
}

async fn last_delivery() -> Seen {
    let tables = NoTables(SinkError::Unavailable("throttled".into()));
    let house = House::with(|setup| setup.tables = Some(Arc::new(tables))).await;
    deliver(house, message("b", &["stations/A.csv"]).to_string(), 3).await
}

async fn last_delivery_untold() -> Seen {
    let house = House::new().await;
    house.callback.is_down.store(true, Relaxed);
    deliver(house, message("b", &["stations/A.csv"]).to_string(), 3).await
}
