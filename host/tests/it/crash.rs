//! A worker dies at every boundary between two effects, and the next one leaves what an undisturbed run leaves. What the
//! boundaries are is recorded from real runs: a new effect changes a snapshot, and is crashed around from then on.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt as _, stream};
use gristmill::job::BatchId;
use insta::assert_snapshot;
use serde_json::{Value, json};
use tokio::sync::{Barrier, OnceCell};
use tokio::time::timeout;

use crate::boundary::{Point, Recorder, Side, Trap, brings_messages};
use crate::emulator;
use crate::guest::Guest;
use crate::proxy::{Answer, Call, Policy, Proxy, Service};
use crate::rig::{LEASE, PATIENCE, Rig, copier, put, upload};
use crate::victim::Victim;

/// How many rigs are worked on at once: what they wait for is a lease, mostly. With more of them, workers on a busy machine
/// spend their leases on starting.
const AT_ONCE: usize = 6;

/// A batch, and where its rows go.
#[derive(Clone, Copy)]
struct Case {
    name: &'static str,
    dataset: &'static str,
    /// How objects are written, if there are any beside the table.
    lines: Option<&'static str>,
    items: &'static [&'static str],
}

const PARQUET: &str = "format = \"parquet\"";
const CSV: &str = "format = \"csv\"";
const DIVIDED: &str = "format = \"csv\"\npartition_by = [\"pk\"]";

const BOTH: Case = Case { name: "both", dataset: "copies", lines: Some(PARQUET), items: &["a", "b"] };
const TABLE: Case = Case { name: "table", lines: None, ..BOTH };
const REJECTED: Case = Case { name: "rejected", lines: Some(CSV), items: &["a", "nosuch", "b"], ..BOTH };
const FOLDERS: Case = Case { name: "folders", lines: Some(DIVIDED), ..BOTH };
const EMPTY: Case = Case { name: "empty", items: &["nosuch"], ..BOTH };
const NOT_READY: Case = Case { name: "not-ready", items: &["a", "empty"], ..BOTH };
/// No items, but what two batches of a stage have answered.
const CONCLUSION: Case = Case { name: "conclusion", dataset: "copies.cut", lines: Some(DIVIDED), items: &[] };
const POISON: Case = Case { name: "poison", dataset: "nosuch", ..BOTH };

/// A rig with the case's batch in its queue.
struct Scene {
    rig: Rig,
    execution: String,
}

/// What a batch leaves behind, without the rig's name.
#[derive(Debug, PartialEq)]
struct Remains {
    answer: Result<Value, String>,
    rows: BTreeMap<String, i64>,
    objects: BTreeMap<String, Bytes>,
    unfinished_uploads: Vec<String>,
    /// Among the dead letters. A message that is set aside is so at least once: nobody can do that and delete it in one step.
    is_set_aside: bool,
}

/// The bucket that all rigs read.
const DATA: &str = "crash-data";

/// Makes it, once.
async fn data(rig: &Rig) {
    static MADE: OnceCell<()> = OnceCell::const_new();
    let line = |pk: &str, n: u32| json!({"pk": pk, "n": n}).to_string() + "\n";
    let objects = [("a", line("a1", 1) + &line("a2", 2)), ("b", line("b1", 3)), ("empty", String::new())];
    let objects = objects.map(|(key, lines)| (key.to_owned(), lines));
    MADE.get_or_init(|| upload(&rig.config, DATA, objects)).await;
}

impl Case {
    /// Sends the case's batch so many times, with the same token.
    async fn scene(&self, name: &str, times: usize) -> Scene {
        self.scene_with_lease(name, times, LEASE).await
    }

    async fn scene_with_lease(&self, name: &str, times: usize, lease: Duration) -> Scene {
        let rig = Rig::with_lease(emulator::shared(), &format!("crash-{}-{name}", self.name), lease).await;
        data(&rig).await;
        let outputs = if self.lines.is_some() { &["rows", "lines"][..] } else { &["rows"] };
        let folder = rig.dataset("datasets", &copier(outputs), DATA, "", self.lines);
        let items: Vec<_> = self.items.iter().map(|key| format!("s3://{DATA}/{key}")).collect();
        // One name for the batch in all rigs, so that its objects have the same names.
        let mut message = json!({
            "gristmill": 1, "dataset": self.dataset, "task_token.$": "$$.Task.Token", "attempt": 0, "state": "Batch",
            "execution": "arn:aws:states:us-east-1:000000000000:execution:crash:batch", "input": {"Items": items},
        });
        if self.items.is_empty() {
            message["conclude"] = conclusion(&rig, &folder).await;
        }
        let state = json!({
            "Type": "Task", "Resource": "arn:aws:states:::sqs:sendMessage.waitForTaskToken", "HeartbeatSeconds": 60,
            "Parameters": {"QueueUrl": rig.queue, "MessageBody": message}, "End": true,
        });
        let execution = rig.start(&json!({"StartAt": "Batch", "States": {"Batch": state}})).await;
        while rig.messages().await == 0 {
            tokio::task::yield_now().await;
        }
        let scene = Scene { rig, execution };
        if times > 1 {
            scene.send_again(times - 1).await;
        }
        scene
    }

    /// The effects of a worker that nobody disturbs, and what it leaves. Nor does a slow machine: its lease would lapse, and
    /// the batch would be begun twice.
    async fn undisturbed(&self) -> (Vec<String>, Remains) {
        let scene = self.scene_with_lease("calm", 1, PATIENCE).await;
        let recorder = Arc::new(Recorder::new(&scene.rig));
        let proxy = Proxy::before(&scene.rig.endpoint, recorder.clone()).await;
        let worker = Victim::default();
        worker.is(scene.rig.worker(&proxy.endpoint, "datasets", "log"));
        scene.rig.settled(&scene.execution).await;
        worker.end().await;
        (recorder.effects(), scene.remains().await)
    }
}

impl Scene {
    /// Sends the message's body again, as it is.
    async fn send_again(&self, times: usize) {
        let sqs = aws_sdk_sqs::Client::new(&self.rig.config);
        let received = sqs.receive_message().queue_url(&self.rig.queue).visibility_timeout(0).send().await.unwrap();
        let body = received.messages()[0].body().unwrap();
        for _ in 0..times {
            sqs.send_message().queue_url(&self.rig.queue).message_body(body).send().await.unwrap();
        }
    }

    /// An object without the time and the names that are in it.
    fn steady(&self, key: String, bytes: Bytes) -> (String, Bytes) {
        let Ok(text) = String::from_utf8(bytes.to_vec()) else { return (key, bytes) };
        let text = text.replace(&self.rig.name, "RIG");
        let text = if key.starts_with("reports/") {
            let (first, rest) = text.split_once('\n').unwrap();
            let mut first: Value = serde_json::from_str(first).unwrap();
            assert!(
                first["batch"]["started"].take().is_string() && first["batch"]["message"].get("task_token").is_none()
            );
            format!("{first}\n{rest}")
        } else if key.contains("/_run.batch-") {
            let mut record: Value = serde_json::from_str(&text).unwrap();
            assert!(record["at"].take().is_u64());
            record.to_string()
        } else {
            text
        };
        (key, text.into())
    }

    async fn remains(&self) -> Remains {
        let steady = |text: String| text.replace(&self.rig.name, "RIG");
        let answer = self.rig.answer(&self.execution).await.unwrap().map(steady).map_err(steady);
        let answer = answer.map(|output| {
            let mut output: Value = serde_json::from_str(&output).unwrap();
            // Whether it was answered from the ledger is no part of the outcome.
            output["replayed"].take();
            output
        });
        Remains {
            answer,
            rows: self.rig.rows().await,
            objects: self.rig.objects().await.into_iter().map(|(key, bytes)| self.steady(key, bytes)).collect(),
            unfinished_uploads: self.rig.unfinished_uploads().await,
            is_set_aside: self.rig.dead_letters().await > 0,
        }
    }
}

impl Remains {
    /// What is otherwise than after an undisturbed run.
    fn compare(&self, undisturbed: &Self) -> Result<(), String> {
        let texts = |remains: &Self| {
            let Self { answer, rows, objects, unfinished_uploads, is_set_aside } = remains;
            let sizes: Vec<_> = objects.iter().map(|(key, bytes)| (key, bytes.len())).collect();
            [
                format!("answer: {answer:?}"),
                format!("rows: {rows:?}"),
                format!("objects and their sizes: {sizes:?}"),
                format!("unfinished uploads: {unfinished_uploads:?}"),
                format!("set aside: {is_set_aside}"),
            ]
        };
        if self == undisturbed {
            return Ok(());
        }
        let both = texts(self).into_iter().zip(texts(undisturbed)).filter(|(this, that)| this != that);
        let differences: Vec<_> = both.map(|(this, that)| format!("{this}\nundisturbed {that}\n")).collect();
        Err(if differences.is_empty() { "objects of the same size".into() } else { differences.join("") })
    }
}

/// Makes the dataset one of stages, whose first one has run: once before, and now. Says where its batches' answers are.
async fn conclusion(rig: &Rig, folder: &Path) -> Value {
    let name = &rig.name;
    let stages = format!(
        "dataset = \"copies\"\nplugin.component = \"copier.wasm\"\n[[stage]]\nname = \"cut\"\nmap.items = [1]\n\
         [[stage.output]]\nname = \"lines\"\nprefix = \"s3://{name}/lines/\"\n{DIVIDED}\n\
         columns = {{ pk = \"text\", n = \"int64\" }}\n[[stage.output]]\nname = \"rows\"\ntable = \"{name}-rows\"\n\
         key = [\"pk\"]\ncolumns = {{ pk = \"text\", n = \"int64\" }}\n[[stage]]\nname = \"take\"\n\
         map.item_reader = {{ stage = \"cut\", output = \"lines\", each = \"partition\", before = 1 }}\n"
    );
    std::fs::write(folder.join("dataset.toml"), stages).unwrap();
    let child = BatchId {
        execution: "arn:aws:states:us-east-1:000000000000:execution:crash/cut:1".into(),
        state: "cut: batch".into(),
    };
    let answer = json!({
        "dataset": "copies.cut", "component": {"name": "copier", "version": "1", "digest": format!("sha256:{:0>64}", 1)},
        "items": {"total": 1, "succeeded": 1, "rejected": 0},
        "outputs": [{"output": "lines", "place": format!("s3://{name}/lines/"), "files": 2, "rows": 2, "bytes": 9}],
    });
    let children =
        json!([{"ExecutionArn": child.execution, "Input": "{}", "Output": answer.to_string(), "Status": "SUCCEEDED"}]);
    let manifest = json!({
        "DestinationBucket": name, "MapRunArn": "arn:run",
        "ResultFiles": {"FAILED": [], "PENDING": [], "SUCCEEDED": [{"Key": "results/SUCCEEDED_0.json", "Size": 1}]},
    });
    let list = format!("lines/_gristmill/_{}.lines.json", child.object_name());
    let objects = [
        ("results/manifest.json".to_owned(), manifest.to_string()),
        ("results/SUCCEEDED_0.json".to_owned(), children.to_string()),
        (list, json!({"files": ["pk=a/new.csv", "pk=b/new.csv"]}).to_string()),
        (
            "lines/_gristmill/_run.old.lines.json".to_owned(),
            json!({"at": 1, "runs": "append", "files": ["pk=a/old.csv", "pk=c/old.csv"]}).to_string(),
        ),
    ];
    let rows = ["pk=a/new.csv", "pk=b/new.csv", "pk=a/old.csv", "pk=c/old.csv"];
    let rows = rows.map(|key| (format!("lines/{key}"), "n\n1\n".to_owned()));
    put(&rig.config, name, objects.into_iter().chain(rows)).await;
    let takes = json!([{"output": "lines", "each": {"partition": {"before": 1}}}]);
    json!({"results": {"Bucket": name, "Key": "results/manifest.json"}, "takes": takes})
}

/// Crashes at both sides of every effect, and says which effects there are.
async fn crash_everywhere(case: Case) -> String {
    let (mut effects, expected) = case.undisturbed().await;
    // Objects are finished side by side.
    for same in effects.chunk_by_mut(|one, next| [one, next].iter().all(|call| call.starts_with("S3 "))) {
        same.sort_by_key(|call| call.rsplit_once(' ').map(|(_, place)| place.to_owned()));
    }
    let sides = [Side::Before, Side::After];
    let points = effects.iter().flat_map(|call| sides.map(|side| Point { side, call: call.clone() }));
    let crashed = stream::iter(points.enumerate()).map(|(number, point)| async move {
        let scene = case.scene(&number.to_string(), 1).await;
        let _proxy = Trap::new(&scene.rig, point.clone(), true).spring(&scene.rig, "killed").await;
        let next = Victim::default();
        next.is(scene.rig.worker(&scene.rig.endpoint, "datasets", "next"));
        scene.rig.settled(&scene.execution).await;
        (point, scene.remains().await)
    });
    let wrong = crashed.buffered(AT_ONCE).filter_map(|(point, remains)| {
        std::future::ready(remains.compare(&expected).err().map(|differences| format!("{point}:\n{differences}")))
    });
    let wrong: Vec<_> = wrong.collect().await;
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    effects.join("\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_anywhere_in_a_batch_of_one_table_leaves_no_trace() {
    assert_snapshot!(crash_everywhere(TABLE).await, @"
    SQS ReceiveMessage RIG
    DynamoDB UpdateItem RIG-ledger: fence, lease_until, expires, claim, begun, component, started, fingerprint
    S3 CreateMultipartUpload RIG/reports/batch-37e3ffeb2787.jsonl
    S3 UploadPart RIG/reports/batch-37e3ffeb2787.jsonl
    DynamoDB UpdateItem RIG-ledger: prepared
    S3 CompleteMultipartUpload RIG/reports/batch-37e3ffeb2787.jsonl
    DynamoDB BatchWriteItem RIG-rows
    DynamoDB UpdateItem RIG-ledger: output, fingerprint
    SFN SendTaskSuccess
    SQS DeleteMessageBatch RIG
    ");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_anywhere_in_a_batch_of_a_table_and_objects_leaves_no_trace() {
    assert_snapshot!(crash_everywhere(BOTH).await, @"
    SQS ReceiveMessage RIG
    DynamoDB UpdateItem RIG-ledger: fence, lease_until, expires, claim, begun, component, started, fingerprint
    S3 CreateMultipartUpload RIG/lines/batch-37e3ffeb2787.parquet
    S3 UploadPart RIG/lines/batch-37e3ffeb2787.parquet
    S3 CreateMultipartUpload RIG/reports/batch-37e3ffeb2787.jsonl
    S3 UploadPart RIG/reports/batch-37e3ffeb2787.jsonl
    DynamoDB UpdateItem RIG-ledger: prepared
    S3 CompleteMultipartUpload RIG/lines/batch-37e3ffeb2787.parquet
    S3 CompleteMultipartUpload RIG/reports/batch-37e3ffeb2787.jsonl
    DynamoDB BatchWriteItem RIG-rows
    DynamoDB UpdateItem RIG-ledger: output, fingerprint
    SFN SendTaskSuccess
    SQS DeleteMessageBatch RIG
    ");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_anywhere_in_a_batch_of_many_folders_leaves_no_trace() {
    assert_snapshot!(crash_everywhere(FOLDERS).await, @"
    SQS ReceiveMessage RIG
    DynamoDB UpdateItem RIG-ledger: fence, lease_until, expires, claim, begun, component, started, fingerprint
    S3 CreateMultipartUpload RIG/lines/_gristmill/_batch-37e3ffeb2787.lines.json
    S3 UploadPart RIG/lines/_gristmill/_batch-37e3ffeb2787.lines.json
    S3 CreateMultipartUpload RIG/lines/pk%3Da1/batch-37e3ffeb2787.csv
    S3 UploadPart RIG/lines/pk%3Da1/batch-37e3ffeb2787.csv
    S3 CreateMultipartUpload RIG/lines/pk%3Da2/batch-37e3ffeb2787.csv
    S3 UploadPart RIG/lines/pk%3Da2/batch-37e3ffeb2787.csv
    S3 CreateMultipartUpload RIG/lines/pk%3Db1/batch-37e3ffeb2787.csv
    S3 UploadPart RIG/lines/pk%3Db1/batch-37e3ffeb2787.csv
    S3 CreateMultipartUpload RIG/reports/batch-37e3ffeb2787.jsonl
    S3 UploadPart RIG/reports/batch-37e3ffeb2787.jsonl
    DynamoDB UpdateItem RIG-ledger: prepared
    S3 CompleteMultipartUpload RIG/lines/_gristmill/_batch-37e3ffeb2787.lines.json
    S3 DeleteObject RIG/lines/batch-37e3ffeb2787.csv
    S3 CompleteMultipartUpload RIG/lines/pk%3Da1/batch-37e3ffeb2787.csv
    S3 CompleteMultipartUpload RIG/lines/pk%3Da2/batch-37e3ffeb2787.csv
    S3 CompleteMultipartUpload RIG/lines/pk%3Db1/batch-37e3ffeb2787.csv
    S3 CompleteMultipartUpload RIG/reports/batch-37e3ffeb2787.jsonl
    DynamoDB BatchWriteItem RIG-rows
    DynamoDB UpdateItem RIG-ledger: output, fingerprint
    SFN SendTaskSuccess
    SQS DeleteMessageBatch RIG
    ");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_anywhere_in_the_end_of_a_stage_leaves_no_trace() {
    assert_snapshot!(crash_everywhere(CONCLUSION).await, @"
    SQS ReceiveMessage RIG
    DynamoDB UpdateItem RIG-ledger: fence, lease_until, expires, claim, begun, component, started, fingerprint
    S3 CreateMultipartUpload RIG/lines/_gristmill/_batch-37e3ffeb2787.lines.partitions-1.jsonl
    S3 UploadPart RIG/lines/_gristmill/_batch-37e3ffeb2787.lines.partitions-1.jsonl
    S3 CreateMultipartUpload RIG/lines/_gristmill/_run.batch-37e3ffeb2787.lines.json
    S3 UploadPart RIG/lines/_gristmill/_run.batch-37e3ffeb2787.lines.json
    DynamoDB UpdateItem RIG-ledger: prepared
    S3 CompleteMultipartUpload RIG/lines/_gristmill/_batch-37e3ffeb2787.lines.partitions-1.jsonl
    S3 CompleteMultipartUpload RIG/lines/_gristmill/_run.batch-37e3ffeb2787.lines.json
    S3 DeleteObject RIG/lines/pk%3Da/old.csv
    DynamoDB UpdateItem RIG-ledger: output, fingerprint
    SFN SendTaskSuccess
    SQS DeleteMessageBatch RIG
    ");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_anywhere_in_a_batch_that_fails_leaves_no_trace() {
    assert_snapshot!(crash_everywhere(REJECTED).await, @"
    SQS ReceiveMessage RIG
    DynamoDB UpdateItem RIG-ledger: fence, lease_until, expires, claim, begun, component, started, fingerprint
    S3 CreateMultipartUpload RIG/lines/batch-37e3ffeb2787.csv
    S3 UploadPart RIG/lines/batch-37e3ffeb2787.csv
    S3 CreateMultipartUpload RIG/reports/batch-37e3ffeb2787.jsonl
    S3 UploadPart RIG/reports/batch-37e3ffeb2787.jsonl
    DynamoDB UpdateItem RIG-ledger: prepared
    S3 CompleteMultipartUpload RIG/lines/batch-37e3ffeb2787.csv
    S3 CompleteMultipartUpload RIG/reports/batch-37e3ffeb2787.jsonl
    DynamoDB BatchWriteItem RIG-rows
    DynamoDB UpdateItem RIG-ledger: lease_until
    SFN SendTaskFailure
    SQS DeleteMessageBatch RIG
    ");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_anywhere_in_a_batch_without_rows_leaves_no_trace() {
    assert_snapshot!(crash_everywhere(EMPTY).await, @"
    SQS ReceiveMessage RIG
    DynamoDB UpdateItem RIG-ledger: fence, lease_until, expires, claim, begun, component, started, fingerprint
    S3 CreateMultipartUpload RIG/reports/batch-37e3ffeb2787.jsonl
    S3 UploadPart RIG/reports/batch-37e3ffeb2787.jsonl
    DynamoDB UpdateItem RIG-ledger: prepared
    S3 DeleteObject RIG/lines/batch-37e3ffeb2787.parquet
    S3 CompleteMultipartUpload RIG/reports/batch-37e3ffeb2787.jsonl
    DynamoDB UpdateItem RIG-ledger: lease_until
    SFN SendTaskFailure
    SQS DeleteMessageBatch RIG
    ");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_anywhere_in_a_batch_that_asks_for_another_try_leaves_no_trace() {
    assert_snapshot!(crash_everywhere(NOT_READY).await, @"
    SQS ReceiveMessage RIG
    DynamoDB UpdateItem RIG-ledger: fence, lease_until, expires, claim, begun, component, started, fingerprint
    DynamoDB UpdateItem RIG-ledger: lease_until
    SFN SendTaskFailure
    SQS DeleteMessageBatch RIG
    ");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_anywhere_on_the_way_of_a_message_that_nobody_can_work_on_leaves_no_trace() {
    assert_snapshot!(crash_everywhere(POISON).await, @"
    SQS ReceiveMessage RIG
    SFN SendTaskFailure
    SQS SendMessage RIG-dead
    SQS DeleteMessageBatch RIG
    ");
}

/// The undisturbed run is what all others are compared with: it has to be right itself.
#[tokio::test(flavor = "multi_thread")]
async fn what_an_undisturbed_run_leaves() {
    let rows = [("a1", 1), ("a2", 2), ("b1", 3)].map(|(pk, n)| (pk.to_owned(), n));
    let case = Case { lines: Some(CSV), name: "right", ..BOTH };
    let (_, remains) = case.undisturbed().await;
    assert_eq!(remains.rows, BTreeMap::from(rows));
    let objects: Vec<_> = remains.objects.iter().map(|(key, bytes)| (key.split('/').next().unwrap(), bytes)).collect();
    assert_eq!(objects[0], ("lines", &Bytes::from("pk,n\na1,1\na2,2\nb1,3\n")));
    assert_eq!((objects.len(), objects[1].0), (2, "reports"));
    assert!(remains.unfinished_uploads.is_empty() && !remains.is_set_aside);
    assert_eq!(remains.answer.unwrap()["items"]["succeeded"], 2);
}

/// A worker is stopped with a call on its lips, another one does the batch, and the first one wakes up.
#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_wakes_up_after_its_lease_changes_nothing() {
    let (effects, expected) = Case { name: "zombie", ..BOTH }.undisturbed().await;
    let expected = &expected;
    // A worker that is stopped before it has the message has nothing to wake up with.
    stream::iter(effects.into_iter().enumerate().skip(1))
        .for_each_concurrent(AT_ONCE, |(number, call)| async move {
            let scene = Case { name: "zombie", ..BOTH }.scene(&number.to_string(), 1).await;
            let point = Point { side: Side::Before, call };
            let trap = Trap::new(&scene.rig, point.clone(), false);
            let _proxy = trap.spring(&scene.rig, "zombie").await;
            let next = Victim::default();
            next.is(scene.rig.worker(&scene.rig.endpoint, "datasets", "next"));
            scene.rig.settled(&scene.execution).await;
            trap.release(&scene.rig, "zombie").await;
            scene.remains().await.compare(expected).unwrap_or_else(|differences| panic!("{point}:\n{differences}"));
        })
        .await;
}

/// The one who took the batch over has another component, so that whatever the first one still wrote would be seen.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_appears_of_a_worker_that_wakes_up_when_another_component_did_its_batch() {
    let scene = Case { name: "other", items: &["a"], ..BOTH }.scene("zombie", 1).await;
    let rig = &scene.rig;
    let emit = |output| format!("(call $emit «{output}» (i32.const 0) «{{\"pk\":\"other\",\"n\":7}}\n» $out)");
    let process = emit("rows") + &emit("lines") + "(i32.const 0)";
    let other = Guest { outputs: &["rows", "lines"], columns: 0, ..Guest::new(&process) }.component();
    rig.dataset("other", &other, DATA, "", Some(PARQUET));
    let point = Point { side: Side::After, call: "S3 GetObject crash-data/a".into() };
    let trap = Trap::new(rig, point, false);
    let _proxy = trap.spring(rig, "zombie").await;
    let next = Victim::default();
    next.is(rig.worker(&rig.endpoint, "other", "next"));
    rig.settled(&scene.execution).await;
    let expected = scene.remains().await;
    assert_eq!(expected.rows, BTreeMap::from([("other".to_owned(), 7)]));
    trap.release(rig, "zombie").await;
    scene.remains().await.compare(&expected).unwrap();
    let fates: Vec<_> = rig.batches("zombie").iter().map(|line| line["fate"].clone()).collect();
    assert_eq!(fates, ["returned"]);
}

/// Lets nobody claim before both have the message.
struct Together(Barrier);

#[async_trait]
impl Policy for Together {
    async fn relay(&self, call: &Call, service: &Service) -> Option<Answer> {
        let answer = service.ask(call).await;
        if call.operation == "ReceiveMessage" && brings_messages(&answer) {
            // Once: what comes later has nobody to wait for.
            let _ = timeout(Duration::from_secs(1), self.0.wait()).await;
        }
        Some(answer)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_workers_that_hold_the_same_message_do_it_once() {
    let case = Case { name: "twins", ..BOTH };
    let (_, expected) = case.undisturbed().await;
    let scene = case.scene("both", 2).await;
    let together = Arc::new(Together(Barrier::new(2)));
    let proxy = Proxy::before(&scene.rig.endpoint, together).await;
    let workers = ["one", "two"].map(|log| {
        let worker = Victim::default();
        worker.is(scene.rig.worker(&proxy.endpoint, "datasets", log));
        worker
    });
    scene.rig.settled(&scene.execution).await;
    for worker in workers {
        worker.end().await;
    }
    scene.remains().await.compare(&expected).unwrap();
    let batches: Vec<_> = ["one", "two"].iter().flat_map(|log| scene.rig.batches(log)).collect();
    let heard = batches.iter().filter(|line| line["heard"] == true).count();
    let worked = batches.iter().filter(|line| line["fate"] == "acked" && line["replayed"] == false).count();
    assert_eq!((heard, worked), (1, 1), "{batches:#?}");
}
