//! What rollouts are tested on: worker processes that follow a registry in S3, each behind a proxy of its own that stands for
//! Step Functions, and for what can happen between a worker and the registry.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use aws_sdk_sqs::types::QueueAttributeName;
use axum::http::Response;
use gristmill::job::Digest;
use gristmill::registry::{self, Package};
use serde_json::{Value, json};
use tokio::sync::{OwnedRwLockWriteGuard, RwLock};

use crate::emulator;
use crate::fleet;
use crate::guest::Guest;
use crate::laptop::gristmill;
use crate::proxy::{Answer, Call, Policy, Proxy, Service};
use crate::rig::{LEASE, PATIENCE, Rig};
use crate::victim::Victim;

const BEAT: Duration = Duration::from_millis(10);

/// Longer than anything here takes.
const FOR_EVER: Duration = Duration::from_secs(600);

/// How long a worker that takes nothing waits for a message, each time.
const A_POLL: Duration = Duration::from_millis(500);

/// How many batches are on the way at once while a load goes on.
const ON_THE_WAY: usize = 16;

/// The dataset `copies` of one test: its registry, its queue, its tables.
pub(crate) struct Site {
    pub(crate) rig: Rig,
    pub(crate) answers: Arc<Answers>,
    lease: Duration,
}

impl Site {
    pub(crate) async fn new(name: &str) -> Self {
        let rig = Rig::new(emulator::shared(), name).await;
        Self { rig, answers: Arc::default(), lease: LEASE }
    }

    /// The same for a test in which nobody dies: no worker is taken for dead that is only slow, and no batch is done twice.
    pub(crate) async fn of_survivors(name: &str) -> Self {
        let site = Self { lease: FOR_EVER, ..Self::new(name).await };
        let sqs = aws_sdk_sqs::Client::new(&site.rig.config);
        let hidden = FOR_EVER.as_secs().to_string();
        let set = sqs.set_queue_attributes().queue_url(&site.rig.queue);
        set.attributes(QueueAttributeName::VisibilityTimeout, hidden).send().await.unwrap();
        site
    }

    fn registry(&self) -> String {
        format!("s3://{}/registry", self.rig.name)
    }

    /// A folder as `gristmill publish` takes it: `process` is a guest's, `keys` are further keys of the dataset file.
    pub(crate) fn plugin(&self, version: &str, process: &str, keys: &str) -> PathBuf {
        let folder = self.rig.folder.path().join(version);
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(folder.join("copies.wasm"), Guest { version, columns: 0, ..Guest::new(process) }.component())
            .unwrap();
        let text = format!(
            "dataset = \"copies\"\nplugin.component = \"copies.wasm\"\nmap.items = []\n\
             [[output]]\nname = \"rows\"\ntable = \"{}-rows\"\nkey = [\"pk\"]\n\
             columns = {{ pk = \"text\", n = \"int64\" }}\n{keys}\n",
            self.rig.name
        );
        std::fs::write(folder.join("dataset.toml"), text).unwrap();
        folder
    }

    /// `gristmill publish`
    pub(crate) fn publish(&self, version: &str, process: &str, keys: &str) -> Digest {
        let folder = self.plugin(version, process, keys);
        let said = self.says(&["publish", folder.to_str().unwrap()]).unwrap();
        let digest = said.lines().next().unwrap().rsplit(' ').next().unwrap();
        digest.parse().unwrap()
    }

    /// Adds what lies in a plugin's folder with nothing looked at, as only somebody who does without `gristmill publish` can.
    pub(crate) async fn smuggle(&self, version: &str) -> Digest {
        let read = |name: &str| std::fs::read(self.rig.folder.path().join(version).join(name)).unwrap().into();
        let (name, number) = ("copies".parse().unwrap(), version.parse().unwrap());
        let (dataset, component) = (read("dataset.toml"), read("copies.wasm"));
        let package = Package::new(name, number, dataset, component, BTreeMap::new()).unwrap();
        let registry = registry::open(&self.registry(), async || self.rig.config.clone()).await.unwrap();
        registry.add(&package).await.unwrap();
        package.digest()
    }

    /// What a command says of this registry, or what is wrong.
    pub(crate) fn says(&self, arguments: &[&str]) -> Result<String, String> {
        let mut command = gristmill();
        command.envs(emulator::environment(&self.rig.endpoint)).args(arguments).args(["--registry", &self.registry()]);
        let output = command.output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        if output.status.success() { Ok(text(output.stdout)) } else { Err(text(output.stderr)) }
    }

    /// Starts a worker and waits until it is ready.
    pub(crate) async fn worker(&self, name: &'static str) -> Worker<'_> {
        let gate = Arc::new(Gate {
            answers: self.answers.clone(),
            registry: format!("{}/registry/", self.rig.name),
            process: Victim::default(),
            taking: Arc::default(),
            is_away: AtomicBool::new(false),
            kills_at: Mutex::default(),
        });
        let proxy = Proxy::before(&self.rig.endpoint, gate.clone()).await;
        let log = std::fs::File::create(self.rig.folder.path().join(name)).unwrap();
        let mut command = gristmill();
        command.envs(emulator::environment(&proxy.endpoint));
        command.args(["worker", "--admin", "127.0.0.1:0", "--slots", "2", "--log-format", "json", "--lease"]);
        command.arg(humantime::format_duration(self.lease).to_string());
        command.args(["--queue", &self.rig.queue, "--registry", &self.registry()]);
        command.args(["--ledger", &format!("{}-ledger", self.rig.name)]);
        // Of its own: how far a registry was is remembered there, and the next test's is another one at the same place.
        command.arg("--cache").arg(self.rig.folder.path().join(format!("cache-{name}")));
        gate.process.is(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap());
        let worker = Worker { site: self, name, gate, _proxy: proxy };
        worker.said("ready", &[]).await;
        worker
    }

    /// Sends a batch of one item; its row is the item itself. Returns the key of the batch.
    pub(crate) async fn send(&self, run: Option<&str>) -> String {
        let number = self.answers.sent();
        self.send_row(run, &json!({"pk": format!("{number:06}"), "n": number})).await
    }

    pub(crate) async fn send_row(&self, run: Option<&str>, row: &Value) -> String {
        let key = self.next_key();
        let execution = key.strip_suffix("#Batch").unwrap();
        let mut message = json!({
            "gristmill": 1, "dataset": "copies", "task_token": self.answers.expect(run), "execution": execution,
            "state": "Batch", "attempt": 0, "input": {"Items": [row]},
        });
        if let Some(run) = run {
            message["run"] = run.into();
        }
        let sqs = aws_sdk_sqs::Client::new(&self.rig.config);
        sqs.send_message().queue_url(&self.rig.queue).message_body(message.to_string()).send().await.unwrap();
        key
    }

    /// The ledger's key of the batch that is sent next.
    pub(crate) fn next_key(&self) -> String {
        format!("arn:aws:states:us-east-1:000000000000:execution:rollout:{:06}#Batch", self.answers.sent())
    }

    /// Keeps batches on the way until `enough`, every other one of them of this run, and then waits for the last answer.
    pub(crate) async fn load(&self, run: &str, enough: impl AsyncFn() -> bool) {
        let start = Instant::now();
        let mut number = 0;
        // One batch of the run at least: what is waited for may have come before.
        while number < 2 || !enough().await {
            assert!(start.elapsed() < PATIENCE, "{run} goes on and on: {} batches", self.answers.sent());
            if self.answers.waiting() < ON_THE_WAY {
                number += 1;
                self.send((number % 2 == 0).then_some(run)).await;
            } else {
                tokio::time::sleep(BEAT).await;
            }
        }
        self.answered().await;
    }

    /// Waits until all that was sent is answered.
    pub(crate) async fn answered(&self) {
        let start = Instant::now();
        while self.answers.waiting() > 0 {
            assert!(start.elapsed() < PATIENCE, "{} batches have no answer", self.answers.waiting());
            tokio::time::sleep(BEAT).await;
        }
    }
}

/// A worker's process.
pub(crate) struct Worker<'s> {
    site: &'s Site,
    pub(crate) name: &'static str,
    gate: Arc<Gate>,
    _proxy: Proxy,
}

impl Worker<'_> {
    /// Whether there is a line in its log that has this message and these fields, or begins with them.
    pub(crate) fn has_said(&self, message: &str, fields: &[(&str, &str)]) -> bool {
        let begins = |found: &Value, text: &str| found.as_str().is_some_and(|found| found.starts_with(text));
        let fits = |line: &Value| {
            begins(&line["message"], message) && fields.iter().all(|(name, value)| begins(&line[*name], value))
        };
        self.site.rig.lines(self.name).iter().any(fits)
    }

    pub(crate) async fn said(&self, message: &str, fields: &[(&str, &str)]) {
        let start = Instant::now();
        while !self.has_said(message, fields) {
            let lines = || self.site.rig.lines(self.name);
            assert!(start.elapsed() < PATIENCE, "{} never said `{message}` {fields:?}: {:#?}", self.name, lines());
            tokio::time::sleep(BEAT).await;
        }
    }

    /// Whether this version was taken into use.
    pub(crate) fn uses(&self, version: &str) -> bool {
        self.has_said("this version is in use now", &[("version", version)])
    }

    /// Waits until it has done what this head says.
    pub(crate) async fn reaches(&self, head: u64) {
        let (start, line) = (Instant::now(), format!("gristmill_registry_head {head}\n"));
        while self.metrics(&["gristmill_registry_head"]) != line {
            assert!(start.elapsed() < PATIENCE, "{} never came to head {head}", self.name);
            tokio::time::sleep(BEAT).await;
        }
    }

    /// The lines of its metrics that start with one of these.
    pub(crate) fn metrics(&self, names: &[&str]) -> String {
        let lines = self.site.rig.lines(self.name);
        let admin = lines[0]["admin"].as_str().unwrap().parse().unwrap();
        let (_, text) = fleet::get(admin, "/metrics").unwrap();
        let lines = text.lines().filter(|line| names.iter().any(|name| line.starts_with(name)));
        lines.map(|line| format!("{line}\n")).collect()
    }

    /// Has it take no messages until this is dropped. What it asked for before it has when this returns.
    pub(crate) async fn takes_nothing(&self) -> OwnedRwLockWriteGuard<()> {
        self.gate.taking.clone().write_owned().await
    }

    /// Cuts it off from the registry, or lets it through again.
    pub(crate) fn cut_off(&self, away: bool) {
        self.gate.is_away.store(away, Relaxed);
    }

    /// Kills it with -9 the moment it reads this release.
    pub(crate) fn dies_at(&self, release: &Digest) {
        *self.gate.kills_at.lock().unwrap() = Some(release.hex());
    }

    pub(crate) fn runs(&self) -> bool {
        self.gate.process.runs()
    }

    /// Ends it in order.
    pub(crate) async fn end(&self) {
        self.gate.process.end().await;
    }
}

/// What is between a worker and its AWS.
struct Gate {
    answers: Arc<Answers>,
    /// Bucket and prefix.
    registry: String,
    process: Victim,
    /// Held by whoever asks for messages, and by whoever keeps it from that.
    taking: Arc<RwLock<()>>,
    is_away: AtomicBool,
    kills_at: Mutex<Option<String>>,
}

#[async_trait]
impl Policy for Gate {
    async fn relay(&self, call: &Call, service: &Service) -> Option<Answer> {
        if call.service == "SFN" {
            self.answers.note(call);
            let kind = ("content-type", "application/x-amz-json-1.0");
            return Some(Response::builder().header(kind.0, kind.1).body("{}".into()).unwrap());
        }
        if call.service == "SQS" && call.operation == "ReceiveMessage" {
            let Ok(_taking) = tokio::time::timeout(A_POLL, self.taking.read()).await else {
                let kind = ("content-type", "application/x-amz-json-1.0");
                return Some(Response::builder().header(kind.0, kind.1).body("{}".into()).unwrap());
            };
            return Some(service.ask(call).await);
        }
        if call.service == "S3" && call.on.starts_with(&self.registry) {
            if self.is_away.load(Relaxed) {
                return None;
            }
            let deadly = self.kills_at.lock().unwrap().clone();
            if deadly.is_some_and(|release| call.on.ends_with(&release)) {
                self.process.kill();
                return None;
            }
        }
        Some(service.ask(call).await)
    }
}

/// What Step Functions was told of each batch.
#[derive(Default)]
pub(crate) struct Answers(Mutex<Vec<Told>>);

#[derive(Clone)]
pub(crate) struct Told {
    /// Which run the batch belongs to.
    pub(crate) run: Option<String>,
    /// The releases that reports named, or failures: one for each answer, and more than one only if it was told more than once.
    pub(crate) said: Vec<Result<Digest, String>>,
}

impl Answers {
    /// A task token for the next batch.
    fn expect(&self, run: Option<&str>) -> String {
        let mut told = self.0.lock().unwrap();
        told.push(Told { run: run.map(Into::into), said: Vec::new() });
        (told.len() - 1).to_string()
    }

    fn note(&self, call: &Call) {
        let body: Value = serde_json::from_slice(&call.body).unwrap();
        let text = |field: &str| body[field].as_str().unwrap();
        let said = match call.operation.as_str() {
            "SendTaskSuccess" => {
                let report: Value = serde_json::from_str(text("output")).unwrap();
                Ok(report["component"]["release"].as_str().unwrap().parse().unwrap())
            }
            "SendTaskFailure" => Err(format!("{}: {}", text("error"), text("cause"))),
            _ => return,
        };
        let number: usize = text("taskToken").parse().unwrap();
        self.0.lock().unwrap()[number].said.push(said);
    }

    pub(crate) fn sent(&self) -> usize {
        self.0.lock().unwrap().len()
    }

    fn waiting(&self) -> usize {
        self.0.lock().unwrap().iter().filter(|told| told.said.is_empty()).count()
    }

    pub(crate) fn done(&self) -> usize {
        self.sent() - self.waiting()
    }

    pub(crate) fn all(&self) -> Vec<Told> {
        self.0.lock().unwrap().clone()
    }
}

/// A text without what differs from run to run: digests, who did it on which machine, and when.
pub(crate) fn steady(text: &str) -> String {
    let mut lines = String::new();
    for line in text.lines() {
        let mut parts = line.split("sha256:");
        let mut steady = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            steady += "sha256:DIGEST";
            steady += part.trim_start_matches(|c: char| c.is_ascii_hexdigit() || c == '…');
        }
        let said = steady.split_once(", by ").map(|(said, _)| format!("{said}, by SOMEBODY, THEN"));
        lines += &said.filter(|_| line.starts_with("head ")).unwrap_or(steady);
        lines.push('\n');
    }
    lines
}
