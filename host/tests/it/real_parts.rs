//! Stores that nobody here wrote: AWS's own DynamoDB Local, and SeaweedFS for S3. They keep the contracts that the local
//! stores keep, and a Distributed Map over them survives what `chaos.rs` does to it. `make test-real-parts` runs this.

use std::net::{TcpListener, TcpStream};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use gristmill::dataset::{Column, ColumnType, Target};
use gristmill::job::BatchId;
use gristmill::ledger::dynamodb::DynamoLedger;
use gristmill::object::folder::FolderStore;
use gristmill::object::s3::S3Store;
use gristmill::sink::dynamodb::DynamoDbSink;
use gristmill::sink::rows::{Rows, decode};
use gristmill::sink::{LeaseCheck, OutputSchema, Prepared, Sink as _, SinkError};
use gristmill::{ledger, object};

use crate::chaos::{self, Data};
use crate::cloud::create_table;
use crate::emulator::{self, Emulator};
use crate::proxy::{Answer, Call, Policy, Proxy, Service};
use crate::rig::{s3, upload};
use crate::support::{project, tied};
use crate::weather::Plan;

/// How long a store may take until it listens: a Java machine beside other work.
const PATIENCE: Duration = Duration::from_secs(60);

/// A store in a process of its own, on a free port of this machine and gone with the test.
struct Store {
    endpoint: String,
    process: Child,
    /// The store ends when this does, so that a test that is killed leaves none behind.
    alive: Option<ChildStdin>,
    _folder: tempfile::TempDir,
}

impl Store {
    fn dynamodb() -> Self {
        let jar = installed("dynamodb/local/DynamoDBLocal.jar");
        let port = free_port();
        let mut command = tied("java");
        // It looks for its native library beside itself.
        command.current_dir(jar.parent().unwrap()).args(["-Djava.library.path=./DynamoDBLocal_lib", "-jar"]);
        command.arg(&jar).args(["-inMemory", "-sharedDb", "-port", &port.to_string()]);
        Self::start(command, port, tempfile::tempdir().unwrap())
    }

    fn s3() -> Self {
        let weed = installed("seaweedfs/bin/weed");
        let (folder, port) = (tempfile::tempdir().unwrap(), free_port());
        let mut command = tied(weed);
        command.args(["server", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-s3"]);
        // A bucket takes volumes of its own, and by default there are eight.
        command.args(["-volume.max=200", "-master.volumeSizeLimitMB=64"]);
        command.arg(format!("-dir={}", folder.path().display())).arg(format!("-s3.port={port}"));
        for part in ["master", "volume", "filer"] {
            command.arg(format!("-{part}.port={}", free_port()));
        }
        Self::start(command, port, folder)
    }

    fn start(mut command: Command, port: u16, folder: tempfile::TempDir) -> Self {
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let (alive, start) = (process.stdin.take(), Instant::now());
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(process.try_wait().unwrap().is_none(), "the store ended at once: {command:?}");
            assert!(start.elapsed() < PATIENCE, "the store does not listen: {command:?}");
            std::thread::sleep(Duration::from_millis(50));
        }
        Self { endpoint: format!("http://127.0.0.1:{port}"), process, alive, _folder: folder }
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        drop(self.alive.take());
        let _ = self.process.wait();
    }
}

fn installed(part: &str) -> std::path::PathBuf {
    let file = project("target/real-parts").join(part);
    assert!(file.is_file(), "{} is missing: run `make real-parts` first", file.display());
    file.canonicalize().unwrap()
}

/// A port that nobody listens on, nor on the one that is 10,000 higher: SeaweedFS takes that one for gRPC.
fn free_port() -> u16 {
    let is_free = |port| TcpListener::bind(("127.0.0.1", port)).is_ok();
    loop {
        let port = fastrand::u16(20_000..50_000);
        if is_free(port) && is_free(port + 10_000) {
            return port;
        }
    }
}

/// Leaves every call as it is.
struct Pass;

#[async_trait]
impl Policy for Pass {
    async fn relay(&self, call: &Call, service: &Service) -> Option<Answer> {
        Some(service.ask(call).await)
    }
}

/// The emulator, with two of its services replaced by real ones, behind one endpoint.
struct Mixed {
    emulator: Emulator,
    proxy: Proxy,
    _stores: [Store; 2],
}

impl Mixed {
    async fn start() -> Self {
        let (emulator, dynamodb, s3) = (Emulator::aws(), Store::dynamodb(), Store::s3());
        let elsewhere = [("DynamoDB", dynamodb.endpoint.clone()), ("S3", s3.endpoint.clone())];
        let proxy = Proxy::between(&emulator.endpoint, elsewhere.into(), Arc::new(Pass)).await;
        Self { emulator, proxy, _stores: [dynamodb, s3] }
    }
}

#[tokio::test]
#[ignore = "needs DynamoDB Local: `make test-real-parts`"]
async fn dynamodb_local_keeps_the_contract_of_ledgers() {
    let store = Store::dynamodb();
    let config = emulator::config(&store.endpoint);
    create_table(&config, "contract-ledger", "pk").await;
    let ledger = DynamoLedger::new(&config, "contract-ledger");
    ledger::contract::suite(&ledger, "run").await;
    ledger::contract::fleet_suite(&ledger, "run").await;
    ledger::contract::registers_suite(&ledger, "register").await;
}

/// What the tables of a laptop do (`sink/tests.rs`), DynamoDB does: nothing is seen of what is staged, and what is seen is the same
/// however often it is shown.
#[tokio::test]
#[ignore = "needs DynamoDB Local: `make test-real-parts`"]
async fn dynamodb_local_takes_rows_of_every_type_as_often_as_they_come() {
    let store = Store::dynamodb();
    let config = emulator::config(&store.endpoint);
    create_table(&config, "contract-rows", "id").await;
    let client = aws_sdk_dynamodb::Client::new(&config);
    let sink = DynamoDbSink::new(&config);
    let columns = [
        ("id", ColumnType::Text),
        ("flag", ColumnType::Boolean),
        ("count", ColumnType::Int64),
        ("mean", ColumnType::Float64),
        ("day", ColumnType::Date),
        ("extra", ColumnType::Json),
    ];
    let columns = columns.map(|(name, kind)| Column { name: name.into(), kind, nullable: name != "id" });
    let target = Target::Table { table: "contract-rows".into(), key: vec!["id".into()] };
    let schema = Arc::new(OutputSchema::new("rows", columns.into(), target).unwrap());
    let lines = concat!(
        r#"{"id":"a","flag":false,"count":-9007199254740993,"mean":0.1,"day":"2024-02-29"}"#,
        "\n",
        r#"{"id":"b","mean":-1e100,"extra":{"z":[1,null,"é"],"a":true}}"#
    );
    let rows = decode(&schema, Rows::JsonLines(lines.as_bytes())).unwrap();
    let scan = async || client.scan().table_name("contract-rows").send().await.unwrap().items.unwrap_or_default();
    let id =
        BatchId { execution: "arn:aws:states:us-east-1:000000000000:execution:rows/map:1".into(), state: "S".into() };

    let mut dropped = sink.stage(&id, &schema).await.unwrap();
    dropped.write(rows.clone()).await.unwrap();
    drop(dropped);
    let mut staged = sink.stage(&id, &schema).await.unwrap();
    staged.write(rows).await.unwrap();
    let Prepared { written, effects } = staged.prepare().await.unwrap();
    let [effect] = &effects[..] else { panic!("{effects:?}") };
    assert!(scan().await.is_empty());
    assert_eq!(written.rows, 2);
    let nowhere = tempfile::tempdir().unwrap();
    for _ in 0..2 {
        effect.apply(&FolderStore::new(nowhere.path()), &sink, &LeaseCheck::new(|| true)).await.unwrap();
        let mut found = scan().await;
        found.sort_by_key(|row| row["id"].as_s().unwrap().clone());
        assert_eq!(found.len(), 2);
        let (a, b) = (&found[0], &found[1]);
        assert_eq!((a["count"].as_n().unwrap().as_str(), a["flag"].as_bool().unwrap()), ("-9007199254740993", &false));
        assert_eq!((a["mean"].as_n().unwrap().as_str(), a["day"].as_s().unwrap().as_str()), ("0.1", "2024-02-29"));
        assert_eq!(b["mean"].as_n().unwrap().parse::<f64>().unwrap(), -1e100);
        assert_eq!(b["extra"].as_m().unwrap()["z"].as_l().unwrap()[2].as_s().unwrap(), "é");
        assert!(!b.contains_key("flag"), "what is null has no attribute");
    }
    // Whose lease is over writes nothing.
    let late = effect.apply(&FolderStore::new(nowhere.path()), &sink, &LeaseCheck::new(|| false)).await;
    assert_eq!(late, Err(SinkError::Lost));
}

#[tokio::test]
#[ignore = "needs SeaweedFS: `make test-real-parts`"]
async fn seaweedfs_keeps_the_contract_of_objects() {
    let store = Store::s3();
    let config = emulator::config(&store.endpoint);
    s3(&config).create_bucket().bucket("contract-objects").send().await.unwrap();
    let at = "s3://contract-objects/some/prefix-".parse().unwrap();
    object::contract::suite_without_order(&S3Store::new(&config), &at).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs both: `make test-real-parts`"]
async fn kills_and_faults_over_both_lose_nothing_and_double_nothing() {
    let plan = Plan { batches: 100, items_per_batch: 2, workers: 3, kills: 15, faults: 0.02, seed: 1 };
    let (mixed, data) = (Mixed::start().await, Data::new(plan));
    // Step Functions reads the list of items from its own emulator; workers read what the list names from the real store.
    upload(&mixed.emulator.config(), chaos::DATA, data.objects.clone()).await;
    upload(&emulator::config(&mixed.proxy.endpoint), chaos::DATA, data.objects.clone()).await;
    let outcome = plan.run(&mixed.proxy.endpoint, &data, false).await;
    println!("{outcome}");
    outcome.assert_nothing_lost_and_nothing_doubled();
    assert!(outcome.weather.met("killed") >= plan.kills && outcome.weather.met("redelivered") > 0, "{outcome}");
}
