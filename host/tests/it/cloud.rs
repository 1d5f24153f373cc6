//! A real Distributed Map: a state machine from `gristmill asl` lists objects, cuts batches, sends task tokens through SQS to
//! worker processes, and the table holds the right answer.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use aws_config::SdkConfig;
use aws_sdk_dynamodb::types::{AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType};
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_sfn::types::ExecutionStatus;
use aws_sdk_sqs::types::QueueAttributeName;
use futures::{StreamExt as _, stream};
use serde_json::{Value, json};

use crate::emulator::Emulator;
use crate::support::{plugin, project};

/// The only bucket.
pub(crate) const BUCKET: &str = "ghcn";
const PATIENCE: Duration = Duration::from_secs(120);

/// An account with queues and a ledger, and a folder of datasets for its workers.
pub(crate) struct Account {
    pub(crate) emulator: Emulator,
    pub(crate) config: SdkConfig,
    pub(crate) folder: tempfile::TempDir,
    pub(crate) queue: String,
    dead_letters: String,
}

impl Account {
    /// An account with `stations` stations in it, and so many damaged files beside them.
    async fn with_stations(emulator: Emulator, stations: u32, bad: u32) -> Self {
        let account = Self::new(emulator).await;
        generate(account.folder.path(), stations, bad);
        upload(&account.config, &account.folder.path().join("data")).await;
        create_table(&account.config, "noaa-precipitation", "pk").await;
        account
    }

    pub(crate) async fn new(emulator: Emulator) -> Self {
        let config = emulator.config();
        let folder = tempfile::tempdir().unwrap();
        create_table(&config, "ledger", "pk").await;
        let sqs = aws_sdk_sqs::Client::new(&config);
        let dead_letters = sqs.create_queue().queue_name("batches-dead").send().await.unwrap().queue_url.unwrap();
        let redrive = json!({"deadLetterTargetArn": queue_arn(&sqs, &dead_letters).await, "maxReceiveCount": "5"});
        let queue = sqs
            .create_queue()
            .queue_name("batches")
            .attributes(QueueAttributeName::VisibilityTimeout, "30")
            .attributes(QueueAttributeName::RedrivePolicy, redrive.to_string())
            .send()
            .await
            .unwrap();
        Self { emulator, config, folder, queue: queue.queue_url.unwrap(), dead_letters }
    }

    /// The NOAA dataset with some keys of `[map]` changed, in a folder for workers.
    fn dataset(&self, change: &[(&str, &str)]) -> PathBuf {
        self.dataset_of("noaa-precipitation", change)
    }

    /// The dataset of a plugin, with changes.
    pub(crate) fn dataset_of(&self, name: &str, change: &[(&str, &str)]) -> PathBuf {
        let mut text = std::fs::read_to_string(project(&format!("plugins/{name}/dataset.toml"))).unwrap();
        for (from, to) in change {
            assert!(text.contains(from), "{from}");
            text = text.replace(from, to);
        }
        let folder = self.folder.path().join("datasets").join(name);
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::copy(plugin(name), folder.join(format!("{name}.wasm"))).unwrap();
        let file = folder.join("dataset.toml");
        std::fs::write(&file, text).unwrap();
        file
    }

    /// What `gristmill asl` prints.
    pub(crate) fn asl(&self, dataset: &Path) -> Value {
        let output = self.gristmill("asl").arg(dataset).args(["--queue-url", &self.queue]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    pub(crate) fn worker(&self) -> Process {
        self.worker_with(&["--ledger", "ledger"])
    }

    pub(crate) fn worker_with(&self, arguments: &[&str]) -> Process {
        Process(self.worker_command(arguments).spawn().unwrap())
    }

    fn worker_command(&self, arguments: &[&str]) -> Command {
        let mut command = self.gristmill("worker");
        command
            .args(["--queue", &self.queue, "--admin", "127.0.0.1:0", "--slots", "2"])
            .args(arguments)
            .arg("--datasets")
            .arg(self.folder.path().join("datasets"))
            .arg("--cache")
            .arg(self.folder.path().join("cache"))
            .stdin(Stdio::null());
        command
    }

    fn gristmill(&self, command: &str) -> Command {
        let mut process = Command::new(env!("CARGO_BIN_EXE_gristmill"));
        process.arg(command).env_clear().envs(self.emulator.environment()).env("DATA_BUCKET", BUCKET);
        process
    }

    /// Runs the state machine to its end: its status, and the error's name if it failed.
    pub(crate) async fn execute(&self, machine: &Value, input: &Value) -> (ExecutionStatus, Option<String>) {
        let sfn = aws_sdk_sfn::Client::new(&self.config);
        let role = "arn:aws:iam::000000000000:role/states";
        let created = sfn.create_state_machine().name("noaa").definition(machine.to_string()).role_arn(role);
        let machine = created.send().await.unwrap().state_machine_arn;
        let started = sfn.start_execution().state_machine_arn(machine).input(input.to_string()).send().await.unwrap();
        let deadline = Instant::now() + PATIENCE;
        loop {
            let execution = sfn.describe_execution().execution_arn(&started.execution_arn).send().await.unwrap();
            if execution.status != ExecutionStatus::Running {
                return (execution.status, execution.error);
            }
            assert!(Instant::now() < deadline, "the execution is still running after {PATIENCE:?}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// The table's rows as JSON, by station.
    async fn rows(&self) -> BTreeMap<String, Value> {
        let dynamodb = aws_sdk_dynamodb::Client::new(&self.config);
        let mut pages = dynamodb.scan().table_name("noaa-precipitation").into_paginator().items().send();
        let mut rows = BTreeMap::new();
        while let Some(row) = pages.next().await {
            let row = row.unwrap();
            let station = row["pk"].as_s().unwrap().clone();
            let highest: i64 = row["PRCP"].as_n().unwrap().parse().unwrap();
            assert_eq!(row.len(), 3);
            let json = json!({"pk": station, "PRCP": highest, "DATE": row["DATE"].as_s().unwrap()});
            assert!(rows.insert(station, json).is_none());
        }
        rows
    }

    /// The generator's own answer.
    fn answer(&self) -> BTreeMap<String, Value> {
        let lines = std::fs::read_to_string(self.folder.path().join("answer.jsonl")).unwrap();
        let row = |line: &str| {
            let row: Value = serde_json::from_str(line).unwrap();
            (row["pk"].as_str().unwrap().to_owned(), row)
        };
        lines.lines().map(row).collect()
    }

    pub(crate) async fn waiting_messages(&self, queue: &str) -> u64 {
        let sqs = aws_sdk_sqs::Client::new(&self.config);
        let names = [
            QueueAttributeName::ApproximateNumberOfMessages,
            QueueAttributeName::ApproximateNumberOfMessagesNotVisible,
        ];
        let attributes =
            sqs.get_queue_attributes().queue_url(queue).set_attribute_names(Some(names.to_vec())).send().await.unwrap();
        let attributes = attributes.attributes.unwrap_or_default();
        names.iter().map(|name| attributes[name].parse::<u64>().unwrap()).sum()
    }
}

/// A process that is killed with the test.
pub(crate) struct Process(Child);

impl Process {
    /// Asks it to stop, as ECS does, and gives back its exit code.
    fn terminate(mut self) -> Option<i32> {
        let killed = Command::new("kill").args(["-TERM", &self.0.id().to_string()]).status().unwrap();
        assert!(killed.success());
        self.0.wait().unwrap().code()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn generate(folder: &Path, stations: u32, bad: u32) {
    let generator = project("plugins/target/release/ghcn-generate");
    assert!(generator.is_file(), "{} is missing: run `make generator` first", generator.display());
    let status = Command::new(generator)
        .args(["--stations", &stations.to_string(), "--size", "4MB", "--seed", "7", "--bad", &bad.to_string()])
        .arg("--answer")
        .arg(folder.join("answer.jsonl"))
        .arg(folder.join("data"))
        .stdout(Stdio::null())
        .status();
    assert!(status.unwrap().success());
}

pub(crate) async fn upload(config: &SdkConfig, folder: &Path) {
    let s3 = aws_sdk_s3::Client::from_conf(aws_sdk_s3::config::Builder::from(config).force_path_style(true).build());
    s3.create_bucket().bucket(BUCKET).send().await.unwrap();
    let s3 = &s3;
    stream::iter(files(folder))
        .for_each_concurrent(16, |path| async move {
            let key = path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned();
            let body = ByteStream::from(std::fs::read(&path).unwrap());
            s3.put_object().bucket(BUCKET).key(key).body(body).send().await.unwrap();
        })
        .await;
}

/// All files under a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

pub(crate) async fn create_table(config: &SdkConfig, name: &str, key: &str) {
    create_keyed_table(config, name, &[key]).await;
}

/// A table with one or two columns of text as its key.
pub(crate) async fn create_keyed_table(config: &SdkConfig, name: &str, key: &[&str]) {
    let mut table =
        aws_sdk_dynamodb::Client::new(config).create_table().table_name(name).billing_mode(BillingMode::PayPerRequest);
    for (column, kind) in key.iter().zip([KeyType::Hash, KeyType::Range]) {
        let attribute = AttributeDefinition::builder().attribute_name(*column).attribute_type(ScalarAttributeType::S);
        let schema = KeySchemaElement::builder().attribute_name(*column).key_type(kind);
        table = table.attribute_definitions(attribute.build().unwrap()).key_schema(schema.build().unwrap());
    }
    table.send().await.unwrap();
}

pub(crate) async fn queue_arn(sqs: &aws_sdk_sqs::Client, url: &str) -> String {
    let asked = sqs.get_queue_attributes().queue_url(url).attribute_names(QueueAttributeName::QueueArn);
    asked.send().await.unwrap().attributes.unwrap()[&QueueAttributeName::QueueArn].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_distributed_map_of_1000_objects_over_two_workers() {
    let account = Account::with_stations(Emulator::aws(), 1000, 0).await;
    let dataset = account.dataset(&[]);
    let workers = [account.worker(), account.worker()];
    let (status, error) = account.execute(&account.asl(&dataset), &json!({})).await;
    assert_eq!((status, error), (ExecutionStatus::Succeeded, None));
    assert_eq!(account.rows().await, account.answer());
    for worker in workers {
        assert_eq!(worker.terminate(), Some(0));
    }
    assert_eq!(account.waiting_messages(&account.queue).await, 0);
    assert_eq!(account.waiting_messages(&account.dead_letters).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_map_reads_no_more_items_than_it_may() {
    let account = Account::with_stations(Emulator::aws(), 60, 0).await;
    let dataset = account.dataset(&[("csv/by_station/\" }", "csv/by_station/\", max_items = 25 }")]);
    let _worker = account.worker();
    let (status, error) = account.execute(&account.asl(&dataset), &json!({})).await;
    assert_eq!((status, error), (ExecutionStatus::Succeeded, None));
    let rows = account.rows().await;
    let answer = account.answer();
    assert!(!rows.is_empty() && rows.len() <= 25 && rows.len() < answer.len(), "{}", rows.len());
    assert!(rows.iter().all(|(station, row)| answer.get(station) == Some(row)));
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_objects_within_what_a_batch_tolerates_are_reported_and_cost_nothing_else() {
    let account = Account::with_stations(Emulator::aws(), 95, 5).await;
    let dataset = account.dataset(&[(
        "tolerated_failure_percentage = 0",
        "tolerated_failure_percentage = 0\ntolerated_rejected_percentage = 10",
    )]);
    let _worker = account.worker();
    let (status, error) = account.execute(&account.asl(&dataset), &json!({})).await;
    assert_eq!((status, error), (ExecutionStatus::Succeeded, None));
    assert_eq!(account.rows().await, account.answer());
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_objects_beyond_what_is_tolerated_fail_the_map_and_the_good_ones_still_count() {
    let account = Account::with_stations(Emulator::aws(), 95, 5).await;
    let dataset = account.dataset(&[("max_items_per_batch = 100", "max_items_per_batch = 10")]);
    let _worker = account.worker();
    let (status, error) = account.execute(&account.asl(&dataset), &json!({})).await;
    assert_eq!(status, ExecutionStatus::Failed);
    assert_eq!(error.as_deref(), Some("States.ExceedToleratedFailureThreshold"));
    assert!(account.rows().await.iter().all(|(station, row)| account.answer().get(station) == Some(row)));
}

#[tokio::test(flavor = "multi_thread")]
async fn failed_batches_within_what_the_map_tolerates_do_not_fail_it() {
    let account = Account::with_stations(Emulator::aws(), 95, 5).await;
    // Five bad objects are in at most five batches of ten: at most 50 of the 100 items.
    let dataset = account.dataset(&[
        ("max_items_per_batch = 100", "max_items_per_batch = 10"),
        ("tolerated_failure_percentage = 0", "tolerated_failure_percentage = 50"),
    ]);
    let _worker = account.worker();
    let (status, error) = account.execute(&account.asl(&dataset), &json!({})).await;
    assert_eq!((status, error), (ExecutionStatus::Succeeded, None));
    assert_eq!(account.rows().await, account.answer());
}

/// moto has no `ItemBatcher`: it is given the batches that the state machine would have cut. Nor does it name a child's
/// execution, and without names there is no ledger: this is also the worker without one.
#[tokio::test(flavor = "multi_thread")]
async fn a_second_step_functions_with_ready_made_batches() {
    let account = Account::with_stations(Emulator::moto(), 60, 0).await;
    let dataset = account.dataset(&[]);
    let mut machine = account.asl(&dataset);
    let map = machine["States"]["Map"].as_object_mut().unwrap();
    let batcher = map.remove("ItemBatcher").unwrap();
    // moto's grammar knows percentages with a decimal point only.
    let percentage = map["ToleratedFailurePercentage"].as_f64().unwrap();
    map.insert("ToleratedFailurePercentage".into(), json!(percentage));
    let s3 = aws_sdk_s3::Client::from_conf(
        aws_sdk_s3::config::Builder::from(&account.config).force_path_style(true).build(),
    );
    let listed = s3.list_objects_v2().bucket(BUCKET).prefix("csv/by_station/").send().await.unwrap();
    let items: Vec<Value> =
        listed.contents().iter().map(|object| json!({"Key": object.key(), "Size": object.size()})).collect();
    let input = json!({"run": "arn:of-the-run", "input": batcher["BatchInput"]["input"]});
    let batches: Vec<Value> = items.chunks(20).map(|items| json!({"BatchInput": input, "Items": items})).collect();
    let body = ByteStream::from(serde_json::to_vec(&batches).unwrap());
    s3.put_object().bucket(BUCKET).key("batches.json").body(body).send().await.unwrap();
    map.insert(
        "ItemReader".into(),
        json!({
            "Resource": "arn:aws:states:::s3:getObject",
            "ReaderConfig": {"InputType": "JSON"},
            "Parameters": {"Bucket": BUCKET, "Key": "batches.json"}
        }),
    );
    let _worker = account.worker_with(&[]);
    let (status, error) = account.execute(&machine, &json!({})).await;
    assert_eq!((status, error), (ExecutionStatus::Succeeded, None));
    assert_eq!(account.rows().await, account.answer());
}

/// The keys of the bucket under a prefix.
async fn keys(config: &SdkConfig, prefix: &str) -> Vec<String> {
    let s3 = aws_sdk_s3::Client::from_conf(aws_sdk_s3::config::Builder::from(config).force_path_style(true).build());
    let listed = s3.list_objects_v2().bucket(BUCKET).prefix(prefix).send().await.unwrap();
    listed.contents.unwrap_or_default().into_iter().filter_map(|object| object.key).collect()
}

const TABLE: &str = "table = \"noaa-precipitation\"            # DynamoDB; SQLite locally\nkey   = [\"pk\"]";

#[tokio::test(flavor = "multi_thread")]
async fn a_run_has_a_place_of_its_own() {
    let account = Account::with_stations(Emulator::aws(), 10, 0).await;
    let place = "prefix = \"s3://${DATA_BUCKET}/out/{$.day}/{$$.Execution.Name}/\"\nformat = \"json_lines\"";
    let reports = "reports = \"s3://${DATA_BUCKET}/reports/";
    let dataset = account.dataset(&[
        (TABLE, place),
        (reports, &format!("{reports}{{$.day}}/")),
        ("max_items_per_batch = 100", "max_items_per_batch = 5"),
    ]);
    let _worker = account.worker();
    let (status, error) = account.execute(&account.asl(&dataset), &json!({"day": "2024-01-31"})).await;
    assert_eq!((status, error), (ExecutionStatus::Succeeded, None));
    let written = keys(&account.config, "out/").await;
    let runs: std::collections::BTreeSet<_> = written.iter().map(|key| key.rsplit_once('/').unwrap().0).collect();
    assert_eq!((written.len(), runs.len()), (2, 1), "{written:?}");
    let run = runs.first().unwrap().strip_prefix("out/2024-01-31/").unwrap();
    assert!(!run.is_empty() && !run.contains('/'), "{run}");
    assert_eq!(keys(&account.config, "reports/2024-01-31/").await.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_table_is_a_warning_at_the_start_and_one_dead_letter_per_batch() {
    let account = Account::with_stations(Emulator::aws(), 20, 0).await;
    let dataset = account.dataset(&[
        ("table = \"noaa-precipitation\"", "table = \"nosuch-table\""),
        ("max_items_per_batch = 100", "max_items_per_batch = 10"),
        ("tolerated_failure_percentage = 0", "tolerated_failure_percentage = 100"),
    ]);
    let log = account.folder.path().join("worker.log");
    let file = || Stdio::from(std::fs::OpenOptions::new().append(true).create(true).open(&log).unwrap());
    let mut worker = account.worker_command(&["--ledger", "ledger"]);
    let worker = Process(worker.stdout(file()).stderr(file()).spawn().unwrap());
    let warning = "batches of this dataset will fail until this is mended: table `nosuch-table` of DynamoDB: there is no such table";
    let deadline = Instant::now() + PATIENCE;
    while !std::fs::read_to_string(&log).unwrap_or_default().contains(warning) {
        assert!(Instant::now() < deadline, "{}", std::fs::read_to_string(&log).unwrap());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let (status, _) = account.execute(&account.asl(&dataset), &json!({})).await;
    assert_eq!(status, ExecutionStatus::Succeeded, "all failures are tolerated");
    assert_eq!(worker.terminate(), Some(0));
    assert_eq!(account.waiting_messages(&account.dead_letters).await, 2);
    assert_eq!(account.waiting_messages(&account.queue).await, 0);
}
