//! The fate of every message: what the waiting state is told, what becomes of the message, what is counted, and the one line
//! that is logged.

mod table;

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use gristmill::callback::Answer;
use gristmill::job::{BatchId, Digest, MAX_MESSAGE_BYTES};
use gristmill::ledger::{Claim, ClaimRequest, Claimed, GiveBack, Ledger, LedgerError, Receipt, Record};
use gristmill::sink::{LeaseCheck, OutputSchema, Sink, SinkError, Staging, TableRows, TableSink};
use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::house::{House, message, token};

const DRAIN: Duration = Duration::from_secs(25);

/// A message with one thing changed.
fn with(change: impl FnOnce(&mut Value)) -> String {
    let mut message = message("b", &["stations/A.csv"]);
    change(&mut message);
    message.to_string()
}

fn without(key: &str) -> String {
    with(|message| _ = message.as_object_mut().unwrap().remove(key))
}

/// The error's name and cause.
fn failure(answer: Answer) -> (String, String) {
    match answer {
        Answer::Failure { error, cause } => (error, cause),
        Answer::Success { output } => panic!("{output}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_that_is_no_batch_is_answered_if_it_has_a_token_and_set_aside() {
    let house = House::new().await;
    let digest = format!("sha256:{}", "0".repeat(64));
    let messages = [
        ("no JSON", "{".to_owned()),
        ("no JSON at all", "\u{0}".into()),
        ("an event of S3", json!({"Event": "s3:TestEvent"}).to_string()),
        ("no token", without("task_token")),
        ("an empty token", with(|message| message["task_token"] = "".into())),
        ("another version", with(|message| message["gristmill"] = 2.into())),
        ("no version", without("gristmill")),
        ("no dataset", without("dataset")),
        ("an unknown dataset", with(|message| message["dataset"] = "nosuch".into())),
        ("a broken dataset", with(|message| message["dataset"] = "broken".into())),
        ("another component", with(|message| message["component"] = digest.into())),
        ("no digest", with(|message| message["component"] = "latest".into())),
        ("no execution", with(|message| message["execution"] = "".into())),
        ("no input", without("input")),
        ("no items", with(|message| message["input"]["Items"] = json!([]))),
        ("items of another type", with(|message| message["input"]["Items"] = "all".into())),
        ("an attempt of another type", with(|message| message["attempt"] = (-1).into())),
        ("too large", with(|message| message["input"]["Items"] = json!([" ".repeat(MAX_MESSAGE_BYTES)]))),
    ];
    let worker = house.worker(1, DRAIN);
    let mut said = String::new();
    for (number, (what, message)) in messages.iter().enumerate() {
        let mut told = house.waiting("b");
        house.queue.inner.send(message.clone());
        house.settled().await;
        let told = told.try_recv().map(failure);
        let dead = house.queue.inner.dead_letters();
        assert_eq!((dead.len(), &dead[number].body), (number + 1, message), "{what}");
        let lines = house.lines();
        assert_eq!((lines.len(), &lines[number]["fate"]), (number + 1, &json!("parked")), "{what}");
        assert_eq!(lines[number]["level"], "ERROR");
        assert_eq!(lines[number]["reason"], *dead[number].reason);
        if let Ok((error, cause)) = &told {
            assert_eq!((cause, &lines[number]["answer"]), (&dead[number].reason, &json!(error)), "{what}");
        }
        let told = told.map_or("nobody".into(), |(error, _)| error);
        let component = house.services.catalog.get("stations").unwrap().unwrap().plugin.digest.to_string();
        let reason = dead[number].reason.replace(&component, "sha256:OURS").replace(&"0".repeat(64), "OTHER");
        let reason = reason.replace(house.folder.path().to_str().unwrap(), "FOLDER");
        said += &format!("{what} → {told}: {reason}\n");
    }
    worker.stop().await;
    // By dataset where it is one of this worker's: a stranger's names are no labels.
    let parked = |dataset| house.metric(&format!("gristmill_batches_total{{dataset=\"{dataset}\",fate=\"parked\"}}"));
    assert_eq!((parked("broken"), parked("stations"), parked("")), (1.0, 1.0, messages.len() as f64 - 2.0));
    assert_eq!(house.rows(), [""; 0]);
    assert_snapshot!(said, @r#"
no JSON → nobody: message 1: the message is not JSON: EOF while parsing an object at line 1 column 1
no JSON at all → nobody: message 2: the message is not JSON: expected value at line 1 column 1
an event of S3 → nobody: message 3: the message is not a batch: missing field `gristmill` at line 1 column 24
no token → nobody: message 4: `task_token` of the message is empty
an empty token → nobody: message 5: `task_token` of the message is empty
another version → Gristmill.BadMessage: message 6: the message is of version 2, this worker reads version 1: generate the state machine again with `gristmill asl`
no version → Gristmill.BadMessage: message 7: the message is not a batch: missing field `gristmill` at line 1 column 229
no dataset → Gristmill.BadMessage: message 8: the message is not a batch: missing field `dataset` at line 1 column 222
an unknown dataset → Gristmill.BadMessage: dataset nosuch, batch b: this worker has no such dataset (it has broken, endless, stations): put its file into the folder of `--datasets`, or promote it in the registry
a broken dataset → Gristmill.BadPlugin: dataset broken, batch b: FOLDER/datasets/broken.toml:3:1: plugin.component: the component FOLDER/nosuch.wasm cannot be read: No such file or directory (os error 2)
    help: build the plugin, or correct the key
another component → Gristmill.BadPlugin: dataset stations, batch b: the message asks for component sha256:OTHER, this worker has sha256:OURS
no digest → Gristmill.BadMessage: message 12: the message is not a batch: `latest` is not a digest: expected `sha256:` and 64 hexadecimal digits at line 1 column 33
no execution → Gristmill.BadMessage: message 13: `execution` of the message is empty
no input → Gristmill.BadMessage: message 14: the message is not a batch: missing field `input` at line 1 column 167
no items → Gristmill.BadMessage: message 15: the batch has no items: `input.Items` is empty
items of another type → Gristmill.BadMessage: message 16: the message is not a batch: invalid type: string "all", expected a sequence at line 1 column 178
an attempt of another type → Gristmill.BadMessage: message 17: the message is not a batch: invalid value: integer `-1`, expected u32 at line 1 column 13
too large → Gristmill.BadMessage: message 18: the message has 1048797 bytes; SQS carries at most 1048576
"#);
}

#[tokio::test(start_paused = true)]
async fn a_message_that_cannot_be_set_aside_stays_and_says_so_now_and_then() {
    let house = House::new().await;
    house.queue.has_no_dead_letters.store(true, Relaxed);
    house.queue.inner.send("{");
    let worker = house.worker(1, DRAIN);
    tokio::time::sleep(Duration::from_secs(3600)).await;
    worker.stop().await;
    let lines = house.lines();
    assert!((12..30).contains(&lines.len()), "{}", lines.len());
    assert!(lines.iter().all(|line| line["fate"] == "returned"));
    assert!(
        lines[0]["reason"]
            .as_str()
            .unwrap()
            .ends_with("not set aside: the queue refused: the queue has no dead-letter queue")
    );
    assert_eq!(house.queue.inner.counts().in_flight, 1);
}

#[tokio::test(start_paused = true)]
async fn a_dataset_that_is_broken_hurts_no_other() {
    let house = House::new().await;
    let good = house.send("good", &["stations/A.csv"]);
    let broken = house.waiting("broken");
    let mut body = message("broken", &["stations/B.csv"]);
    body["dataset"] = "broken".into();
    house.queue.inner.send(body.to_string());
    let worker = house.worker(4, DRAIN);
    let (error, cause) = failure(broken.await.unwrap());
    assert_eq!(error, "Gristmill.BadPlugin");
    assert!(cause.contains("nosuch.wasm cannot be read") && cause.contains("dataset broken, batch broken"), "{cause}");
    assert!(matches!(good.await.unwrap(), Answer::Success { .. }));
    worker.stop().await;
    assert_eq!(house.rows(), ["A"]);
}

/// A message of more than Step Functions would send, and of less than SQS refuses, is a message like others.
#[tokio::test(start_paused = true)]
async fn a_large_message_has_an_answer_of_bounded_size() {
    let house =
        House::with(|setup| setup.map = "tolerated_rejected_percentage = 100\nreports = \"s3://data/reports/\"").await;
    let keys: Vec<String> = (0..9_000).map(|n| format!("{}/{n}.csv", "é".repeat(20))).collect();
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    assert!((400_000..MAX_MESSAGE_BYTES).contains(&message("b", &keys).to_string().len()));
    let answer = house.send("b", &keys);
    let worker = house.worker(1, DRAIN);
    let Answer::Success { output } = answer.await.unwrap() else { panic!("it is tolerated") };
    worker.stop().await;
    let output: Value = serde_json::from_str(&output).unwrap();
    assert_eq!((&output["items"]["rejected"], &output["failures"]["first"][9]["index"]), (&json!(9_000), &json!(9)));
    let report = output["report"].as_str().unwrap().strip_prefix("s3://").unwrap();
    let report = std::fs::read_to_string(house.folder.path().join("s3").join(report)).unwrap();
    assert_eq!(report.lines().count(), 1 + 9_000);
    let last: Value = serde_json::from_str(report.lines().last().unwrap()).unwrap();
    assert_eq!((&last["index"], &last["failure"]["code"]), (&json!(8_999), &json!("ObjectNotFound")));
}

#[tokio::test(start_paused = true)]
async fn the_answer_says_what_was_done_and_the_report_the_rest() {
    let house = House::with(|setup| setup.map = "reports = \"s3://data/reports/\"").await;
    let answer = house.send("b", &["stations/A.csv", "stations/B.csv"]);
    let worker = house.worker(1, DRAIN);
    let Answer::Success { output } = answer.await.unwrap() else { panic!("it failed") };
    house.settled().await;
    worker.stop().await;
    let mut output: Value = serde_json::from_str(&output).unwrap();
    let report = output["report"].as_str().unwrap().strip_prefix("s3://").unwrap().to_owned();
    output["component"]["digest"] = "sha256:DIGEST".into();
    let rows = Digest::of(
        b"{\"pk\":\"A\",\"PRCP\":10,\"DATE\":\"2020-01-02\"}\n{\"pk\":\"B\",\"PRCP\":20,\"DATE\":\"2020-01-02\"}\n",
    );
    assert_eq!(output["outputs"][0]["digest"], json!(rows));
    output["outputs"][0]["digest"] = "sha256:ROWS".into();
    output["bytes_read"] = json!(output["bytes_read"].as_u64().unwrap() > 100);
    assert_snapshot!(serde_json::to_string_pretty(&output).unwrap(), @r#"
{
  "bytes_read": true,
  "component": {
    "digest": "sha256:DIGEST",
    "name": "noaa-precipitation",
    "version": "0.1.0"
  },
  "dataset": "stations",
  "failures": {
    "by_code": {},
    "first": []
  },
  "items": {
    "rejected": 0,
    "succeeded": 2,
    "total": 2
  },
  "outputs": [
    {
      "bytes": 82,
      "digest": "sha256:ROWS",
      "output": "stations",
      "place": "table:stations",
      "rows": 2
    }
  ],
  "replayed": false,
  "report": "s3://data/reports/b-f03194e0f9f2.jsonl"
}
"#);
    let report = std::fs::read_to_string(house.folder.path().join("s3").join(report)).unwrap();
    let (first, report) = report.split_once('\n').unwrap();
    let mut first: Value = serde_json::from_str(first).unwrap();
    first["batch"]["outputs"][0]["digest"] = "sha256:ROWS".into();
    first["batch"]["component"]["digest"] = "sha256:DIGEST".into();
    assert!(first["batch"]["started"].take().as_str().unwrap().ends_with('Z'));
    assert_snapshot!(first.to_string(), @r#"{"batch":{"component":{"digest":"sha256:DIGEST","name":"noaa-precipitation","version":"0.1.0"},"items":{"rejected":0,"succeeded":2,"total":2},"message":{"attempt":0,"dataset":"stations","execution":"arn:aws:states:us-east-1:000000000000:execution:map/stations:b","gristmill":1,"input":{"BatchInput":{"Bucket":"data"},"Items":[{"Key":"stations/A.csv"},{"Key":"stations/B.csv"}]},"state":"Batch"},"outputs":[{"bytes":82,"digest":"sha256:ROWS","output":"stations","place":"table:stations","rows":2}],"started":null}}"#);
    assert_snapshot!(report, @r#"
{"index":0,"result":{"rows":6,"prcp_rows":3,"flagged_skipped":0,"missing_skipped":0}}
{"index":1,"result":{"rows":6,"prcp_rows":3,"flagged_skipped":0,"missing_skipped":0}}
"#);
    let mut lines = house.lines();
    lines[0].remove("bytes").unwrap();
    assert_snapshot!(serde_json::to_string(&lines).unwrap(), @r#"
[{"answer":"success","attempt":0,"batch":"b","dataset":"stations","fate":"acked","heard":true,"items":2,"level":"INFO","receives":1,"rejected":0,"replayed":false,"rolled_forward":false,"rows":2}]
"#);
    let seen = |metric: &str| house.metric(metric);
    assert_eq!(seen("gristmill_items_total{dataset=\"stations\",outcome=\"succeeded\"}"), 2.0);
    assert_eq!(seen("gristmill_rows_total{dataset=\"stations\",output=\"stations\"}"), 2.0);
    assert_eq!(seen("gristmill_batch_duration_seconds_count{dataset=\"stations\"}"), 1.0);
}

/// Step Functions lists them, whatever they are.
#[tokio::test(start_paused = true)]
async fn what_marks_a_folder_is_passed_over() {
    let house = House::new().await;
    let mut body = message("b", &[]);
    body["input"]["Items"] = json!([
        {"Etag": "\"e\"", "Key": "stations/", "Size": 0, "StorageClass": "STANDARD"},
        {"Etag": "\"e\"", "Key": "stations/A.csv", "Size": 1, "StorageClass": "STANDARD"},
    ]);
    let answer = house.waiting("b");
    house.queue.inner.send(body.to_string());
    let worker = house.worker(1, DRAIN);
    let Answer::Success { output } = answer.await.unwrap() else { panic!("it failed") };
    house.settled().await;
    worker.stop().await;
    let report: Value = serde_json::from_str(&output).unwrap();
    assert_eq!(report["items"], json!({"total": 2, "succeeded": 2, "rejected": 0}));
    assert_eq!(house.rows(), ["A"]);
}

#[tokio::test(start_paused = true)]
async fn a_key_that_names_nothing_is_its_items_fault() {
    let house = House::with(|setup| setup.map = "tolerated_rejected_percentage = 90").await;
    let answer = house.send("b", &["stations/A.csv", " ", "stations/../B.csv", "stations/B.csv\0", &"k".repeat(1_100)]);
    let worker = house.worker(1, DRAIN);
    let Answer::Success { output } = answer.await.unwrap() else { panic!("it failed") };
    house.settled().await;
    worker.stop().await;
    let report: Value = serde_json::from_str(&output).unwrap();
    assert_eq!(report["failures"]["by_code"], json!({"ObjectInvalid": 4}));
    assert_eq!((house.rows(), house.lines().len()), (vec!["A".to_owned()], 1), "once is enough");
}

#[tokio::test(start_paused = true)]
async fn rejected_items_fail_the_batch_and_are_in_the_cause() {
    let house = House::new().await;
    let answer = house.send("b", &["stations/A.csv", "nosuch.csv"]);
    let worker = house.worker(1, DRAIN);
    let (error, cause) = failure(answer.await.unwrap());
    house.settled().await;
    worker.stop().await;
    let cause: Value = serde_json::from_str(&cause).unwrap();
    assert_eq!(
        (error.as_str(), &cause["items"]),
        ("Gristmill.ItemsRejected", &json!({"total": 2, "succeeded": 1, "rejected": 1}))
    );
    assert_eq!(cause["failures"]["first"][0]["item"], "nosuch.csv");
    assert_eq!(house.rows(), ["A"], "the good ones count");
    let line = &house.lines()[0];
    assert_eq!(
        (&line["fate"], &line["answer"], &line["rejected"], &line["rows"]),
        (&json!("acked"), &json!(error), &json!(1), &json!(1))
    );
    assert_eq!(house.metric("gristmill_item_failures_total{code=\"ObjectNotFound\",dataset=\"stations\"}"), 1.0);
    // Asked for again, it is worked on again.
    std::fs::write(house.folder.path().join("s3/data/nosuch.csv"), crate::laptop::station("N", 7)).unwrap();
    let answer = house.send("b", &["stations/A.csv", "nosuch.csv"]);
    let worker = house.worker(1, DRAIN);
    assert!(matches!(answer.await.unwrap(), Answer::Success { .. }));
    worker.stop().await;
    assert_eq!(house.rows(), ["A", "N"]);
}

#[tokio::test(start_paused = true)]
async fn a_batch_whose_objects_cannot_be_had_comes_again_until_they_can() {
    let house = House::new().await;
    house.objects.is_down.store(true, Relaxed);
    let answer = house.send("b", &["stations/A.csv"]);
    let worker = house.worker(1, DRAIN);
    while house.lines().is_empty() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    house.objects.is_down.store(false, Relaxed);
    assert!(matches!(answer.await.unwrap(), Answer::Success { .. }));
    house.settled().await;
    worker.stop().await;
    let lines = house.lines();
    let fates: Vec<_> = lines.iter().map(|line| line["fate"].as_str().unwrap()).collect();
    assert_eq!(fates, ["returned", "acked"]);
    assert_snapshot!(lines[0]["reason"].as_str().unwrap(), @"dataset stations, batch b: what the items read could not be had: s3://data/stations/A.csv: the store is down");
    assert_eq!(house.rows(), ["A"]);
}

#[tokio::test(start_paused = true)]
async fn a_worker_whose_services_are_away_takes_few_messages_and_recovers() {
    let house = House::with(|setup| setup.deliveries = 100).await;
    house.objects.is_down.store(true, Relaxed);
    let answers: Vec<_> = (0..20).map(|n| house.send(&format!("b{n}"), &["stations/A.csv"])).collect();
    let worker = house.worker(4, DRAIN);
    tokio::time::sleep(Duration::from_secs(120)).await;
    let tried = house.lines().len();
    assert!((8..30).contains(&tried), "at full speed it would be hundreds: {tried}");
    assert!(house.metric("gristmill_pressure_seconds") >= 8.0);
    house.objects.is_down.store(false, Relaxed);
    for answer in answers {
        assert!(matches!(answer.await.unwrap(), Answer::Success { .. }), "no batch fails because of it");
    }
    house.settled().await;
    worker.stop().await;
    assert_eq!(house.metric("gristmill_pressure_seconds"), 0.0);
    let edges = house.log().into_iter().filter(|line| line["message"].as_str().unwrap().starts_with("services "));
    assert_eq!(edges.count(), 2);
}

/// A store of tables that takes nothing.
struct NoTables(SinkError);

#[async_trait]
impl Sink for NoTables {
    async fn stage(&self, _: &BatchId, _: &Arc<OutputSchema>) -> Result<Box<dyn Staging>, SinkError> {
        Err(self.0.clone())
    }
}

#[async_trait]
impl TableSink for NoTables {
    async fn put(&self, _: &TableRows, _: &LeaseCheck) -> Result<(), SinkError> {
        Err(self.0.clone())
    }
}

#[tokio::test(start_paused = true)]
async fn a_fault_of_the_host_returns_the_message_and_the_last_delivery_tells() {
    let tables = Arc::new(NoTables(SinkError::Unavailable("the tables are down".into())));
    let house = House::with(|setup| setup.tables = Some(tables)).await;
    let mut answer = house.send("b", &["stations/A.csv"]);
    let worker = house.worker(1, DRAIN);
    house.settled().await;
    worker.stop().await;
    let hidden: Vec<_> = house.queue.hidden.lock().unwrap().iter().map(|(_, hidden)| hidden.as_secs_f64()).collect();
    assert_eq!(hidden.len(), 2);
    assert!((1.0..=2.0).contains(&hidden[0]) && (2.0..=4.0).contains(&hidden[1]), "{hidden:?}");
    let (error, cause) = failure(answer.try_recv().unwrap());
    assert_eq!((&*error, &*cause), ("Gristmill.HostFault", "dataset stations, batch b: the tables are down"));
    assert_eq!(house.queue.inner.dead_letters()[0].reason, cause);
    let lines = house.lines();
    let fates: Vec<_> =
        lines.iter().map(|line| (line["fate"].as_str().unwrap(), line.contains_key("answer"))).collect();
    assert_eq!(fates, [("returned", false), ("returned", false), ("parked", true)]);
    assert_eq!(house.metric("gristmill_batches_total{dataset=\"stations\",fate=\"returned\"}"), 2.0);
    assert_eq!(house.metric("gristmill_batches_total{dataset=\"stations\",fate=\"parked\"}"), 1.0);
}

#[tokio::test(start_paused = true)]
async fn a_table_that_refuses_is_told_at_once() {
    let tables = Arc::new(NoTables(SinkError::Refused("there is no table `stations`".into())));
    let house = House::with(|setup| setup.tables = Some(tables)).await;
    let answer = house.send("b", &["stations/A.csv"]);
    let worker = house.worker(1, DRAIN);
    // Step Functions tries it no second time: one dead letter for the batch.
    assert_eq!(failure(answer.await.unwrap()).0, "Gristmill.OutputRefused");
    house.settled().await;
    worker.stop().await;
    assert_eq!((house.lines().len(), house.queue.inner.dead_letters().len()), (1, 1));
    assert_eq!(house.metric("gristmill_batches_total{dataset=\"stations\",fate=\"parked\"}"), 1.0);
}

/// A part of the host that fails as nobody expects.
struct Panics;

#[async_trait]
impl Sink for Panics {
    async fn stage(&self, _: &BatchId, _: &Arc<OutputSchema>) -> Result<Box<dyn Staging>, SinkError> {
        panic!("on the way")
    }
}

#[async_trait]
impl TableSink for Panics {
    async fn put(&self, _: &TableRows, _: &LeaseCheck) -> Result<(), SinkError> {
        panic!("on the way")
    }
}

#[async_trait]
impl Ledger for Panics {
    async fn claim(&self, _: &ClaimRequest) -> Result<Claim, LedgerError> {
        panic!("before the way")
    }

    async fn renew(&self, _: &Claimed, _: SystemTime, _: Duration) -> Result<(), LedgerError> {
        Ok(())
    }

    async fn commit(&self, _: &Claimed, _: &Receipt) -> Result<(), LedgerError> {
        Ok(())
    }

    async fn prepare(&self, _: &Claimed, _: &Record) -> Result<(), LedgerError> {
        Ok(())
    }

    async fn release(&self, _: &Claimed, _: GiveBack) -> Result<(), LedgerError> {
        Ok(())
    }
}

/// Each delivery is a line, the claim is given back, and in the end somebody is told.
#[tokio::test(start_paused = true)]
async fn a_panic_costs_its_delivery_and_is_said() {
    for (what, place) in [("on the way", true), ("before the way", false)] {
        let house = House::with(|setup| match place {
            true => setup.tables = Some(Arc::new(Panics)),
            false => setup.ledger = Some(Arc::new(Panics)),
        })
        .await;
        let start = tokio::time::Instant::now();
        let answer = house.send("b", &["stations/A.csv"]);
        let worker = house.worker(1, DRAIN);
        let (error, cause) = failure(answer.await.unwrap());
        assert!(start.elapsed() < gristmill::batch::LEASE, "it waited for its own claim");
        assert_eq!((&*error, cause.contains(what)), ("Gristmill.HostFault", true), "{cause}");
        house.settled().await;
        worker.stop().await;
        let fates: Vec<_> = house.lines().iter().map(|line| line["fate"].as_str().unwrap().to_owned()).collect();
        assert_eq!(fates, ["returned", "returned", "parked"], "{what}");
        assert_eq!(house.metric("gristmill_faults_total{kind=\"panicked\"}"), 3.0);
    }
}

/// A ledger that is out of reach, for this reason.
struct NoLedger(LedgerError);

fn nobody() -> LedgerError {
    LedgerError::Unavailable("nobody there".into())
}

#[async_trait]
impl Ledger for NoLedger {
    async fn claim(&self, _: &ClaimRequest) -> Result<Claim, LedgerError> {
        Err(self.0.clone())
    }

    async fn renew(&self, _: &Claimed, _: SystemTime, _: Duration) -> Result<(), LedgerError> {
        Err(self.0.clone())
    }

    async fn commit(&self, _: &Claimed, _: &Receipt) -> Result<(), LedgerError> {
        Err(self.0.clone())
    }

    async fn prepare(&self, _: &Claimed, _: &Record) -> Result<(), LedgerError> {
        Err(self.0.clone())
    }

    async fn release(&self, _: &Claimed, _: GiveBack) -> Result<(), LedgerError> {
        Err(self.0.clone())
    }
}

#[tokio::test(start_paused = true)]
async fn without_its_ledger_nothing_is_worked_on() {
    let house = House::with(|setup| setup.ledger = Some(Arc::new(NoLedger(nobody())))).await;
    let answer = house.send("b", &["stations/A.csv"]);
    let worker = house.worker(1, DRAIN);
    let (error, cause) = failure(answer.await.unwrap());
    worker.stop().await;
    assert_eq!(error, "Gristmill.HostFault");
    assert!(cause.ends_with("the ledger did not answer: nobody there"), "{cause}");
    assert_eq!(house.rows(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_does_not_get_through_is_given_by_the_next_delivery() {
    let house = House::new().await;
    house.callback.is_down.store(true, Relaxed);
    let answer = house.send("b", &["stations/A.csv"]);
    let worker = house.worker(1, DRAIN);
    tokio::time::sleep(Duration::from_millis(500)).await;
    house.callback.is_down.store(false, Relaxed);
    let Answer::Success { output } = answer.await.unwrap() else { panic!("it failed") };
    assert_eq!(serde_json::from_str::<Value>(&output).unwrap()["replayed"], true);
    house.settled().await;
    worker.stop().await;
    let fates: Vec<_> = house.lines().iter().map(|line| line["fate"].clone()).collect();
    assert_eq!(fates, ["returned", "acked"]);
}

#[tokio::test(start_paused = true)]
async fn poison_is_not_set_aside_before_the_waiting_state_knows() {
    let house = House::new().await;
    house.callback.is_down.store(true, Relaxed);
    let answer = house.waiting("b");
    house.queue.inner.send(with(|message| message["dataset"] = "nosuch".into()));
    let worker = house.worker(1, DRAIN);
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(house.queue.inner.dead_letters().is_empty());
    house.callback.is_down.store(false, Relaxed);
    assert_eq!(failure(answer.await.unwrap()).0, "Gristmill.BadMessage");
    house.settled().await;
    assert_eq!(house.queue.inner.dead_letters().len(), 1);
    worker.stop().await;
    // Where nobody can ever be told, the last delivery ends it.
    house.callback.is_down.store(true, Relaxed);
    let _waits = house.send("c", &["stations/A.csv"]);
    let worker = house.worker(1, DRAIN);
    house.settled().await;
    worker.stop().await;
    let dead = house.queue.inner.dead_letters();
    assert!(dead[1].reason.contains("the callback did not go through"), "{dead:?}");
    assert!(dead[1].body.contains(&token("c")));
    assert_eq!(house.rows(), ["A"], "what is committed stays");
}
