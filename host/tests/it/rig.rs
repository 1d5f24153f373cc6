//! What crashes are tested on: a queue, tables and a bucket of one test's own on an emulator, a dataset with both kinds of
//! outputs, and worker processes that may be stopped and killed.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use aws_config::SdkConfig;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_sfn::types::ExecutionStatus;
use aws_sdk_sqs::types::QueueAttributeName;
use bytes::Bytes;
use futures::{StreamExt as _, stream};
use serde_json::{Value, json};

use crate::cloud::{create_table, queue_arn};
use crate::emulator;
use crate::guest::Guest;
use crate::laptop::gristmill;

/// How long a message is hidden and a batch is claimed: what a worker had that was killed is free after this.
pub(crate) const LEASE: Duration = Duration::from_secs(2);
/// How long anything may take that is waited for.
pub(crate) const PATIENCE: Duration = Duration::from_secs(240);
const BEAT: Duration = Duration::from_millis(20);

/// Names of one test's own on an emulator.
pub(crate) struct Rig {
    pub(crate) name: String,
    pub(crate) endpoint: String,
    pub(crate) config: SdkConfig,
    pub(crate) folder: tempfile::TempDir,
    pub(crate) queue: String,
    dead_letters: String,
    lease: Duration,
}

impl Rig {
    pub(crate) async fn new(endpoint: &str, name: &str) -> Self {
        Self::with_lease(endpoint, name, LEASE).await
    }

    /// A rig whose messages are hidden and whose batches are claimed for so long.
    pub(crate) async fn with_lease(endpoint: &str, name: &str, lease: Duration) -> Self {
        let config = emulator::config(endpoint);
        s3(&config).create_bucket().bucket(name).send().await.unwrap();
        for table in ["rows", "ledger"] {
            create_table(&config, &format!("{name}-{table}"), "pk").await;
        }
        let sqs = aws_sdk_sqs::Client::new(&config);
        let dead = sqs.create_queue().queue_name(format!("{name}-dead")).send().await.unwrap().queue_url.unwrap();
        let redrive = json!({"deadLetterTargetArn": queue_arn(&sqs, &dead).await, "maxReceiveCount": 10}).to_string();
        let queue = sqs.create_queue().queue_name(name);
        let queue = queue.attributes(QueueAttributeName::VisibilityTimeout, lease.as_secs().to_string());
        let queue = queue.attributes(QueueAttributeName::RedrivePolicy, redrive).send().await.unwrap();
        Self {
            name: name.into(),
            endpoint: endpoint.into(),
            config,
            folder: tempfile::tempdir().unwrap(),
            queue: queue.queue_url.unwrap(),
            dead_letters: dead,
            lease,
        }
    }

    /// Puts a dataset into a folder for workers, which is returned: the items are URIs in the bucket `data`, `map` are
    /// further keys of `[map]`. The rows of the output `rows` go to a table, those of `lines` to objects, as these keys say.
    pub(crate) fn dataset(
        &self,
        folder: &str,
        component: &[u8],
        data: &str,
        map: &str,
        lines: Option<&str>,
    ) -> PathBuf {
        let (name, columns) = (&self.name, "columns = { pk = \"text\", n = \"int64\" }");
        let mut text = format!(
            "dataset = \"copies\"\n[plugin]\ncomponent = \"copier.wasm\"\n[grants]\nread = [\"s3://{data}/\"]\n\
             [map]\nitem_reader = {{ json = \"s3://{data}/items.json\" }}\nreports = \"s3://{name}/reports/\"\n{map}\n\
             [[output]]\nname = \"rows\"\ntable = \"{name}-rows\"\nkey = [\"pk\"]\n{columns}\n"
        );
        if let Some(keys) = lines {
            text += &format!("[[output]]\nname = \"lines\"\nprefix = \"s3://{name}/lines/\"\n{keys}\n{columns}\n");
        }
        let folder = self.folder.path().join(folder);
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("copier.wasm"), component).unwrap();
        std::fs::write(folder.join("dataset.toml"), text).unwrap();
        folder
    }

    /// Starts a worker over a folder of datasets with AWS at this endpoint, one batch at a time; its log goes to a file of
    /// that name.
    pub(crate) fn worker(&self, endpoint: &str, datasets: &str, log: &str) -> Child {
        self.launcher().worker(endpoint, datasets, log, 1)
    }

    /// What starts workers where the rig is not at hand.
    pub(crate) fn launcher(&self) -> Launcher {
        let folder = self.folder.path().to_owned();
        Launcher { folder, queue: self.queue.clone(), ledger: format!("{}-ledger", self.name), lease: self.lease }
    }

    /// The lines about batches in a worker's log. The last line of a killed one may be half written.
    pub(crate) fn batches(&self, log: &str) -> Vec<Value> {
        self.lines(log).into_iter().filter(|line| line["message"] == "batch").collect()
    }

    /// All lines of a worker's log.
    pub(crate) fn lines(&self, log: &str) -> Vec<Value> {
        let text = std::fs::read_to_string(self.folder.path().join(log)).unwrap();
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// Creates a state machine and starts it: the execution's ARN.
    pub(crate) async fn start(&self, machine: &Value) -> String {
        let sfn = aws_sdk_sfn::Client::new(&self.config);
        let created = sfn.create_state_machine().name(&self.name).definition(machine.to_string());
        let created = created.role_arn("arn:aws:iam::000000000000:role/test").send().await.unwrap();
        sfn.start_execution().state_machine_arn(created.state_machine_arn).send().await.unwrap().execution_arn
    }

    /// The output of an execution that succeeds, or its error and cause; none while it still runs.
    pub(crate) async fn answer(&self, execution: &str) -> Option<Result<String, String>> {
        let sfn = aws_sdk_sfn::Client::new(&self.config);
        let found = sfn.describe_execution().execution_arn(execution).send().await.unwrap();
        match found.status {
            ExecutionStatus::Running => None,
            ExecutionStatus::Succeeded => Some(Ok(found.output.unwrap_or_default())),
            _ => Some(Err(format!("{}: {}", found.error.unwrap_or_default(), found.cause.unwrap_or_default()))),
        }
    }

    /// Waits until nothing is left to do: the execution is over, and the queue holds nothing, seen or hidden.
    pub(crate) async fn settled(&self, execution: &str) {
        let start = Instant::now();
        while self.answer(execution).await.is_none() || self.messages().await > 0 {
            assert!(start.elapsed() < PATIENCE, "{}: not settled after {PATIENCE:?}", self.name);
            tokio::time::sleep(BEAT).await;
        }
    }

    /// How many messages the queue holds.
    pub(crate) async fn messages(&self) -> u64 {
        count(&self.config, &self.queue).await
    }

    /// How many messages are among the dead letters.
    pub(crate) async fn dead_letters(&self) -> u64 {
        count(&self.config, &self.dead_letters).await
    }

    /// The table's rows: what every attribute but the key is, by key.
    pub(crate) async fn rows(&self) -> BTreeMap<String, i64> {
        let scan = aws_sdk_dynamodb::Client::new(&self.config).scan().table_name(format!("{}-rows", self.name));
        let mut pages = scan.into_paginator().items().send();
        let mut rows = BTreeMap::new();
        while let Some(row) = pages.next().await {
            let row = row.unwrap();
            assert_eq!(row.len(), 2, "{row:?}");
            rows.insert(row["pk"].as_s().unwrap().clone(), row["n"].as_n().unwrap().parse().unwrap());
        }
        rows
    }

    /// All objects.
    pub(crate) async fn objects(&self) -> BTreeMap<String, Bytes> {
        let s3 = s3(&self.config);
        let mut pages = s3.list_objects_v2().bucket(&self.name).into_paginator().send();
        let mut keys = Vec::new();
        while let Some(page) = pages.next().await {
            keys.extend(page.unwrap().contents.unwrap_or_default().into_iter().map(|object| object.key.unwrap()));
        }
        let get = |key: String| async {
            let object = s3.get_object().bucket(&self.name).key(&key).send().await.unwrap();
            (key, object.body.collect().await.unwrap().into_bytes())
        };
        stream::iter(keys).map(get).buffer_unordered(16).collect().await
    }

    /// The keys of multipart uploads that were begun and neither completed nor aborted.
    pub(crate) async fn unfinished_uploads(&self) -> Vec<String> {
        let listed = s3(&self.config).list_multipart_uploads().bucket(&self.name).send().await.unwrap();
        listed.uploads.unwrap_or_default().into_iter().map(|upload| upload.key.unwrap_or_default()).collect()
    }
}

/// Starts workers.
pub(crate) struct Launcher {
    folder: PathBuf,
    queue: String,
    ledger: String,
    lease: Duration,
}

impl Launcher {
    /// As [`Rig::worker`], with so many batches at a time.
    pub(crate) fn worker(&self, endpoint: &str, datasets: &str, log: &str, slots: usize) -> Child {
        let log = std::fs::File::create(self.folder.join(log)).unwrap();
        let (lease, slots) = (humantime::format_duration(self.lease).to_string(), slots.to_string());
        let mut command = gristmill();
        command.envs(emulator::environment(endpoint));
        command.args([
            "worker",
            "--admin",
            "127.0.0.1:0",
            "--slots",
            &slots,
            "--log-format",
            "json",
            "--lease",
            &lease,
        ]);
        command.args(["--queue", &self.queue, "--ledger", &self.ledger, "--datasets"]).arg(self.folder.join(datasets));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap()
    }
}

async fn count(config: &SdkConfig, queue: &str) -> u64 {
    let names =
        [QueueAttributeName::ApproximateNumberOfMessages, QueueAttributeName::ApproximateNumberOfMessagesNotVisible];
    let asked = aws_sdk_sqs::Client::new(config).get_queue_attributes().queue_url(queue);
    let found = asked.set_attribute_names(Some(names.to_vec())).send().await.unwrap().attributes.unwrap_or_default();
    names.iter().map(|name| found[name].parse::<u64>().unwrap()).sum()
}

pub(crate) fn s3(config: &SdkConfig) -> aws_sdk_s3::Client {
    aws_sdk_s3::Client::from_conf(aws_sdk_s3::config::Builder::from(config).force_path_style(true).build())
}

/// Makes a bucket with these objects.
pub(crate) async fn upload(config: &SdkConfig, bucket: &str, objects: impl IntoIterator<Item = (String, String)>) {
    s3(config).create_bucket().bucket(bucket).send().await.unwrap();
    put(config, bucket, objects).await;
}

/// Puts objects into a bucket that is there.
pub(crate) async fn put(config: &SdkConfig, bucket: &str, objects: impl IntoIterator<Item = (String, String)>) {
    let s3 = s3(config);
    let put = |(key, text): (String, String)| async {
        s3.put_object().bucket(bucket).key(key).body(ByteStream::from(text.into_bytes())).send().await.unwrap();
    };
    stream::iter(objects).for_each_concurrent(16, put).await;
}

/// A plugin that copies: its items are URIs, and the JSON lines there become rows of each of these outputs. An object that
/// is not there rejects its item, one that is empty asks for another try.
pub(crate) fn copier(outputs: &[&str]) -> Vec<u8> {
    let mut process = "
        (call $open (i32.add (local.get $body) (i32.const 1)) (i32.sub (local.get $body-len) (i32.const 2)) $out)
        (if (i32.load8_u $out) (then (return (call $refused))))
        (call $read (i32.load (i32.const 68)) (i64.const 0) (i32.const 65536) $out)
        (if (i32.load8_u $out) (then (return (call $refused))))
        (local.set $i (i32.load (i32.const 68))) (local.set $n (i64.load32_u (i32.const 72)))
        (if (i64.eqz (local.get $n)) (then (return (call $retry «NotYet» «the object is empty»))))"
        .to_owned();
    for output in outputs {
        process += &format!(
            "(call $emit «{output}» (i32.const 0) (local.get $i) (i32.wrap_i64 (local.get $n)) $out)
             (if (i32.load8_u $out) (then (unreachable)))"
        );
    }
    process += "(call $number (local.get $n))";
    Guest { outputs, columns: 0, ..Guest::new(&process) }.component()
}
