//! `gristmill worker` as a process: how it starts, what is seen of it from outside, and how it ends.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use aws_config::SdkConfig;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_sfn::types::ExecutionStatus;
use aws_sdk_sqs::types::QueueAttributeName;
use axum::Router;
use axum::http::{Method, Uri};
use insta::assert_snapshot;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::cloud::{create_table, queue_arn};
use crate::emulator;
use crate::laptop::{gristmill, station};
use crate::support::plugin;

pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A queue, tables and a bucket of one test's own, and the dataset `stations` over them.
pub(crate) struct Fleet {
    name: &'static str,
    config: SdkConfig,
    pub(crate) folder: tempfile::TempDir,
    queue: String,
    dead_letters: String,
}

impl Fleet {
    pub(crate) async fn new(name: &'static str) -> Self {
        let config = emulator::config(emulator::shared());
        let s3 =
            aws_sdk_s3::Client::from_conf(aws_sdk_s3::config::Builder::from(&config).force_path_style(true).build());
        s3.create_bucket().bucket(name).send().await.unwrap();
        for (id, highest) in [("A", 10), ("B", 20)] {
            let body = ByteStream::from(station(id, highest).into_bytes());
            s3.put_object().bucket(name).key(format!("{id}.csv")).body(body).send().await.unwrap();
        }
        for table in ["rows", "ledger"] {
            create_table(&config, &format!("{name}-{table}"), "pk").await;
        }
        let sqs = aws_sdk_sqs::Client::new(&config);
        let dead = sqs.create_queue().queue_name(format!("{name}-dead")).send().await.unwrap().queue_url.unwrap();
        let redrive = json!({"deadLetterTargetArn": queue_arn(&sqs, &dead).await, "maxReceiveCount": 3}).to_string();
        let queue = sqs.create_queue().queue_name(name).attributes(QueueAttributeName::VisibilityTimeout, "30");
        let queue = queue.attributes(QueueAttributeName::RedrivePolicy, redrive).send().await.unwrap();
        let fleet = Self {
            name,
            config,
            folder: tempfile::tempdir().unwrap(),
            queue: queue.queue_url.unwrap(),
            dead_letters: dead,
        };
        std::fs::create_dir(fleet.datasets()).unwrap();
        let component = plugin("noaa-precipitation");
        let dataset = format!(
            "dataset = \"stations\"\n[plugin]\ncomponent = {component:?}\n[grants]\nread = [\"s3://{name}/\"]\n\
             [map]\nitem_reader = {{ list_objects = \"s3://{name}/\" }}\nheartbeat = \"15s\"\n\
             [[output]]\nname = \"stations\"\ntable = \"{name}-rows\"\nkey = [\"pk\"]\n"
        );
        std::fs::write(fleet.datasets().join("stations.toml"), dataset).unwrap();
        fleet
    }

    fn datasets(&self) -> PathBuf {
        self.folder.path().join("datasets")
    }

    /// Starts a worker, and waits until it is ready. `name` is its log's.
    pub(crate) fn worker(&self, name: &str, arguments: &[&str], environment: &[(&str, &str)]) -> Process {
        let worker = self.start(name, gristmill(), arguments, environment);
        worker.said("ready");
        worker
    }

    /// Starts a worker, and waits until its admin port is there.
    pub(crate) fn start(
        &self,
        name: &str,
        command: Command,
        arguments: &[&str],
        environment: &[(&str, &str)],
    ) -> Process {
        let arguments = [&["--queue", &self.queue, "--slots", "2"], arguments].concat();
        self.process(name, command, &arguments, environment)
    }

    /// The same without a queue of its own.
    fn process(&self, name: &str, mut command: Command, arguments: &[&str], environment: &[(&str, &str)]) -> Process {
        let log = self.folder.path().join(name);
        command.envs(emulator::environment(emulator::shared())).envs(environment.iter().copied());
        command.args(["worker", "--admin", "127.0.0.1:0", "--log-format", "json"]);
        command.args(["--ledger", &format!("{}-ledger", self.name)]).args(arguments);
        command.arg("--datasets").arg(self.datasets());
        let printed = std::fs::File::create(log.with_extension("out")).unwrap();
        command.stdin(Stdio::null()).stdout(printed).stderr(std::fs::File::create(&log).unwrap());
        let mut process = Process { child: command.spawn().unwrap(), log, admin: ([0, 0, 0, 0], 0).into() };
        process.admin = process.said("starting")["admin"].as_str().unwrap().parse().unwrap();
        process
    }

    /// Starts an execution whose only state sends this message with its task token and waits; gives its ARN.
    pub(crate) async fn send(&self, execution: &str, change: impl FnOnce(&mut Value)) -> String {
        let mut message = json!({
            "gristmill": 1, "dataset": "stations", "task_token.$": "$$.Task.Token", "attempt": 0, "state": "Batch",
            "execution": format!("arn:aws:states:us-east-1:000000000000:execution:stations:{}", self.name),
            "input": {"BatchInput": {"Bucket": self.name}, "Items": [{"Key": "A.csv"}, {"Key": "B.csv"}]},
        });
        change(&mut message);
        let definition = json!({"StartAt": "Batch", "States": {"Batch": {
            "Type": "Task",
            "Resource": "arn:aws:states:::sqs:sendMessage.waitForTaskToken",
            "HeartbeatSeconds": 120,
            "Parameters": {"QueueUrl": self.queue, "MessageBody": message},
            "End": true,
        }}});
        let sfn = aws_sdk_sfn::Client::new(&self.config);
        let machine = sfn.create_state_machine().name(format!("{}-{execution}", self.name));
        let machine = machine.definition(definition.to_string()).role_arn("arn:aws:iam::000000000000:role/test");
        let machine = machine.send().await.unwrap().state_machine_arn;
        sfn.start_execution().state_machine_arn(machine).send().await.unwrap().execution_arn
    }

    /// The output of an execution that succeeds, or the error's name.
    pub(crate) async fn end_of(&self, execution: &str) -> Result<Value, String> {
        let sfn = aws_sdk_sfn::Client::new(&self.config);
        let start = Instant::now();
        loop {
            let found = sfn.describe_execution().execution_arn(execution).send().await.unwrap();
            match found.status {
                ExecutionStatus::Running => assert!(start.elapsed() < PATIENCE, "{execution} is still running"),
                ExecutionStatus::Succeeded => return Ok(serde_json::from_str(&found.output.unwrap()).unwrap()),
                _ => return Err(found.error.unwrap_or_default()),
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// The dead letters: bodies, and the reasons that go with them.
    async fn dead_letters(&self, count: usize) -> Vec<(String, String)> {
        let sqs = aws_sdk_sqs::Client::new(&self.config);
        let (start, mut letters) = (Instant::now(), Vec::new());
        while letters.len() < count {
            assert!(start.elapsed() < PATIENCE, "{letters:?}");
            let received = sqs.receive_message().queue_url(&self.dead_letters).message_attribute_names("All");
            for message in received.max_number_of_messages(10).send().await.unwrap().messages.unwrap_or_default() {
                let reason = &message.message_attributes.unwrap()["gristmill-reason"];
                letters.push((message.body.unwrap(), reason.string_value.clone().unwrap()));
            }
        }
        letters
    }
}

/// A worker. It is killed with the test.
pub(crate) struct Process {
    child: Child,
    log: PathBuf,
    admin: SocketAddr,
}

impl Process {
    pub(crate) fn text(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    /// The log. The last line may be half written.
    pub(crate) fn lines(&self) -> Vec<Value> {
        self.text().lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// What it printed on its standard output: JSON, line by line.
    fn printed(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(self.log.with_extension("out")).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The first line whose message has this in it, waited for.
    pub(crate) fn said(&self, message: &str) -> Value {
        let has = |line: &Value| line["message"].as_str().is_some_and(|found| found.contains(message));
        let start = Instant::now();
        loop {
            if let Some(line) = self.lines().into_iter().find(has) {
                return line;
            }
            assert!(start.elapsed() < PATIENCE, "it never said `{message}`: {}", self.text());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// The value of a metric without labels.
    pub(crate) fn metric(&self, name: &str) -> f64 {
        let (_, text) = self.get("/metrics").unwrap();
        text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok()).unwrap()
    }

    /// The lines about batches.
    pub(crate) fn batches(&self) -> Vec<Value> {
        self.lines().into_iter().filter(|line| line["message"] == "batch").collect()
    }

    /// The status and the body of a page of the admin port, or none when nobody is there.
    pub(crate) fn get(&self, path: &str) -> Option<(u16, String)> {
        get(self.admin, path)
    }

    /// What `gristmill health` says of it.
    fn is_healthy(&self) -> bool {
        let health = gristmill().args(["health", "--admin", &self.admin.to_string()]).output().unwrap();
        health.status.success()
    }

    /// Asks it to stop, as ECS does.
    pub(crate) fn terminate(&self) {
        let killed = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().unwrap();
        assert!(killed.success());
    }

    /// Its exit code, once it has ended.
    pub(crate) fn end(&mut self) -> Option<i32> {
        self.child.wait().unwrap().code()
    }
}

/// The status and the body of a page of an admin port, or none when nobody is there.
pub(crate) fn get(admin: SocketAddr, path: &str) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect(admin).ok()?;
    stream.write_all(format!("GET {path} HTTP/1.0\r\n\r\n").as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let status = answer.split(' ').nth(1)?.parse().ok()?;
    Some((status, answer.split_once("\r\n\r\n")?.1.to_owned()))
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_seen_from_outside() {
    let fleet = Fleet::new("outside").await;
    let mut worker = fleet.worker("log", &[], &[]);
    assert_eq!(worker.get("/readyz"), Some((200, "ready\n".into())));
    assert!(worker.is_healthy());

    let first = fleet.end_of(&fleet.send("first", |_| ()).await).await.unwrap();
    assert_eq!((&first["items"]["succeeded"], &first["replayed"]), (&json!(2), &json!(false)));
    // The same batch again, with another token: what SQS's second delivery and the state's next attempt are.
    let again = fleet.end_of(&fleet.send("again", |_| ()).await).await.unwrap();
    let same = ["items", "outputs", "component", "failures"].iter().all(|key| first[key] == again[key]);
    assert!(same && again["replayed"] == true, "{again}");
    let unknown = fleet.send("unknown", |message| message["dataset"] = "nosuch".into()).await;
    assert_eq!(fleet.end_of(&unknown).await, Err("Gristmill.BadMessage".into()));
    let empty = fleet.send("empty", |message| message["input"]["Items"] = json!([])).await;
    assert_eq!(fleet.end_of(&empty).await, Err("Gristmill.BadMessage".into()));
    let sqs = aws_sdk_sqs::Client::new(&fleet.config);
    sqs.send_message().queue_url(&fleet.queue).message_body("hello").send().await.unwrap();

    let mut dead = fleet.dead_letters(3).await;
    dead.sort_by_key(|(body, _)| (body.len(), body.contains("stations")));
    assert_eq!(dead[0].0, "hello");
    let reasons: Vec<_> = dead.iter().map(|(_, reason)| reason.rsplit(": ").next().unwrap()).collect();
    assert!(reasons[0].starts_with("expected value at line 1"), "{reasons:?}");
    let tokens: Vec<String> = dead[1..]
        .iter()
        .map(|(body, _)| serde_json::from_str::<Value>(body).unwrap()["task_token"].as_str().unwrap().to_owned())
        .collect();
    assert!(dead.iter().any(|(_, reason)| reason.contains("no such dataset")), "{dead:?}");
    assert!(dead.iter().any(|(_, reason)| reason.contains("`input.Items` is empty")), "{dead:?}");

    // A message is set aside before that is counted.
    let start = Instant::now();
    let mut metrics = String::new();
    while !metrics.contains("gristmill_batches_in_flight 0\n") {
        assert!(start.elapsed() < PATIENCE, "{metrics}");
        metrics = worker.get("/metrics").unwrap().1;
    }
    for line in [
        "gristmill_batches_total{dataset=\"stations\",fate=\"acked\"} 2",
        "gristmill_batches_total{dataset=\"\",fate=\"parked\"} 3",
        "gristmill_items_total{dataset=\"stations\",outcome=\"succeeded\"} 2",
        "gristmill_rows_total{dataset=\"stations\",output=\"stations\"} 2",
        "gristmill_batches_in_flight 0",
        "gristmill_slots 2",
        "gristmill_slots_busy 0",
    ] {
        assert!(metrics.lines().any(|found| found == line), "no `{line}` in\n{metrics}");
    }

    let start = Instant::now();
    worker.terminate();
    while worker.get("/readyz").is_some_and(|(status, _)| status != 503) {
        assert!(start.elapsed() < Duration::from_secs(1), "it is still ready");
    }
    assert_eq!(worker.end(), Some(0));
    assert!(start.elapsed() < Duration::from_secs(4), "an idle worker ends with its poll: {:?}", start.elapsed());
    assert!(!worker.is_healthy());

    assert!(tokens.iter().all(|token| !token.is_empty() && !worker.text().contains(token)));
    let fates: Vec<_> = worker.batches().iter().map(|line| line["fate"].as_str().unwrap().to_owned()).collect();
    assert_eq!(fates, ["acked", "acked", "parked", "parked", "parked"]);
    let done = &worker.batches()[0];
    let is_number = |key: &str| done[key].as_u64().is_some();
    assert!(["millis", "bytes", "rows", "items", "rejected", "receives"].iter().all(|key| is_number(key)), "{done}");
    let said = ["level", "dataset", "batch", "version", "answer"].map(|key| done[key].as_str().unwrap());
    assert_eq!(said, ["INFO", "stations", "outside", "0.1.0", "success"]);
    assert_eq!(done["digest"], first["component"]["digest"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_worker_cannot_finish_is_another_one_s_at_once() {
    let fleet = Fleet::new("handover").await;
    // An S3 that takes connections and never answers.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", silent.local_addr().unwrap());
    let mut first = fleet.worker("first", &["--drain", "500ms"], &[("AWS_ENDPOINT_URL_S3", &endpoint)]);
    let execution = fleet.send("batch", |_| ()).await;
    let _connection = silent.accept().await.unwrap();
    let (_, metrics) = first.get("/metrics").unwrap();
    assert!(metrics.contains("gristmill_batches_in_flight 1\n"), "{metrics}");
    let start = Instant::now();
    first.terminate();
    assert_eq!(first.end(), Some(0));
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    let fates: Vec<_> = first.batches().iter().map(|line| (line["fate"].clone(), line["reason"].clone())).collect();
    assert_eq!(fates, [(json!("returned"), json!("dataset stations, batch handover: the worker stops"))]);
    let _second = fleet.worker("second", &[], &[]);
    let output = fleet.end_of(&execution).await.unwrap();
    assert_eq!((&output["items"]["succeeded"], &output["replayed"]), (&json!(2), &json!(false)));
    assert!(start.elapsed() < Duration::from_secs(20), "visibility and lease are 30 and 60 s: {:?}", start.elapsed());
}

/// An ECS agent that does as it is asked, and says what that was.
async fn ecs_agent() -> (String, mpsc::UnboundedReceiver<(String, Value)>) {
    let (asked, seen) = mpsc::unbounded_channel();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let uri = format!("http://{}/api/0123", listener.local_addr().unwrap());
    let routes = Router::new().fallback(move |method: Method, uri: Uri, body: String| {
        let asked = asked.clone();
        async move {
            let body: Value = serde_json::from_str(&body).unwrap();
            let answer = json!({"protection": {"ProtectionEnabled": body["ProtectionEnabled"], "TaskArn": "arn:t"}});
            asked.send((format!("{method} {uri}"), body)).unwrap();
            answer.to_string()
        }
    });
    tokio::spawn(async move { axum::serve(listener, routes).await });
    (uri, seen)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_at_work_is_protected_from_scale_in_until_it_ends() {
    let fleet = Fleet::new("protected").await;
    let (uri, mut asked) = ecs_agent().await;
    let mut worker = fleet.worker("log", &[], &[("ECS_AGENT_URI", &uri)]);
    assert!(asked.try_recv().is_err(), "an idle worker may go");
    fleet.end_of(&fleet.send("batch", |_| ()).await).await.unwrap();
    let put = "PUT /api/0123/task-protection/v1/state".to_owned();
    let first = asked.recv().await.unwrap();
    assert_eq!(first, (put.clone(), json!({"ProtectionEnabled": true, "ExpiresInMinutes": 30})));
    // Nothing to do for less than half a minute: it stays, until the process ends.
    assert!(asked.try_recv().is_err());
    let start = Instant::now();
    worker.terminate();
    assert_eq!(worker.end(), Some(0));
    assert!(start.elapsed() < Duration::from_secs(4), "{:?}", start.elapsed());
    assert_eq!(asked.recv().await.unwrap(), (put, json!({"ProtectionEnabled": false})));
    assert!(asked.try_recv().is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_does_not_answer_is_one_warning_and_no_delay() {
    let fleet = Fleet::new("unprotected").await;
    let mut worker = fleet.worker("log", &["--emf"], &[("ECS_AGENT_URI", "http://127.0.0.1:1/api")]);
    for batch in ["one", "two"] {
        fleet.end_of(&fleet.send(batch, |_| ()).await).await.unwrap();
    }
    worker.terminate();
    assert_eq!(worker.end(), Some(0));
    let warnings: Vec<_> = worker.lines().into_iter().filter(|line| line["level"] == "WARN").collect();
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    let said = warnings[0].to_string();
    assert!(said.contains("ecs:UpdateTaskProtection") && said.contains("127.0.0.1:1/api/task-protection"), "{said}");
    // What CloudWatch is told, the rest of it at the end.
    let told = worker.printed();
    let of = |name: &str| told.iter().filter(|line| line.get(name).is_some()).collect::<Vec<_>>();
    let batches = of("gristmill_batches_total");
    assert_eq!((batches.len(), &batches[0]["fate"]), (1, &json!("acked")), "{told:?}");
    assert_eq!(batches[0]["gristmill_batches_total"], 2.0);
    assert_eq!(of("gristmill_protection_refused_total")[0]["reason"], "no_answer", "{told:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_worker_has_several_queues_and_refuses_a_dataset_that_does_not_fit() {
    let fleet = Fleet::new("queues").await;
    let large = std::fs::read_to_string(fleet.datasets().join("stations.toml")).unwrap();
    let large = large.replace("\"stations\"\n[plugin]", "\"large\"\n[plugin]\nmemory = \"512 MiB\"");
    std::fs::write(fleet.datasets().join("large.toml"), large).unwrap();
    let sqs = aws_sdk_sqs::Client::new(&fleet.config);
    let second = sqs.create_queue().queue_name("queues-second").send().await.unwrap().queue_url.unwrap();
    let both = format!("{},{second}", fleet.queue);
    let (slots, memory) = (("GRISTMILL_SLOTS", "2"), ("GRISTMILL_MEMORY", "600 MiB"));
    let mut worker = fleet.process("log", gristmill(), &[], &[("GRISTMILL_QUEUE", &both), slots, memory]);
    worker.said("ready");
    let refused: Vec<_> = worker.lines().into_iter().filter(|line| line["level"] == "ERROR").collect();
    assert_eq!((refused.len(), &refused[0]["dataset"]), (1, &json!("large")), "{refused:?}");
    let reason = refused[0]["message"].as_str().unwrap();
    assert!(reason.contains("large.toml: plugin.memory: one item may take 672.0 MiB"), "{reason}");
    assert!(reason.contains("the 600.0 MiB that this worker has for items"), "{reason}");
    assert!(worker.get("/metrics").unwrap().1.contains("gristmill_memory_bytes 629145600\n"));

    let first = fleet.send("first", |_| ()).await;
    assert_eq!(fleet.end_of(&first).await.unwrap()["items"]["succeeded"], 2);
    let large = fleet.send("large", |message| message["dataset"] = "large".into()).await;
    assert_eq!(fleet.end_of(&large).await, Err("Gristmill.BadPlugin".into()));
    let other = Fleet { queue: second, ..fleet };
    let there = other.send("there", |message| message["execution"] = "arn:there".into()).await;
    assert_eq!(other.end_of(&there).await.unwrap()["items"]["succeeded"], 2);

    // A queue that is gone ends the work on both.
    sqs.delete_queue().queue_url(&other.queue).send().await.unwrap();
    assert_eq!(worker.end(), Some(2));
    let said = worker.text();
    assert!(said.contains(&format!("error: --queue {}: the queue refused", other.queue)), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_cannot_start_says_why() {
    let fleet = Fleet::new("start").await;
    let empty = fleet.folder.path().join("empty");
    std::fs::create_dir(&empty).unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    let (datasets, empty) = (fleet.datasets().display().to_string(), empty.display().to_string());
    let nosuch = fleet.queue.replace("start", "nosuch");
    let mut said = String::new();
    create_table(&fleet.config, "start-other", "id").await;
    let (ledger, any) = ("start-ledger", "127.0.0.1:0");
    for (what, queue, ledger, datasets, admin) in [
        ("no such queue", &*nosuch, ledger, &*datasets, any),
        ("no URL", "batches", ledger, &datasets, any),
        ("no such ledger", &fleet.queue, "start-nosuch", &datasets, any),
        ("a table with another key", &fleet.queue, "start-other", &datasets, any),
        ("no folder", &fleet.queue, ledger, "nosuch", any),
        ("an empty folder", &fleet.queue, ledger, &empty, any),
        ("a port that is taken", &fleet.queue, ledger, &datasets, &taken),
    ] {
        let mut command = gristmill();
        command.envs(emulator::environment(emulator::shared()));
        command.args(["worker", "--queue", queue, "--ledger", ledger, "--datasets", datasets, "--admin", admin]);
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{what}");
        let err = String::from_utf8(output.stderr).unwrap();
        let errors: Vec<_> = err.lines().filter(|line| line.starts_with("error: ")).collect();
        assert_eq!((errors.len(), err.lines().last()), (1, errors.last().copied()), "{err}");
        let error = errors[0].replace(emulator::shared(), "http://EMULATOR").replace(&taken, "127.0.0.1:TAKEN");
        said += &format!("{what}: {}\n", error.replace(fleet.folder.path().to_str().unwrap(), "FOLDER"));
    }
    assert_snapshot!(said, @r"
no such queue: error: --queue http://EMULATOR/000000000000/nosuch: the queue refused: The specified queue does not exist for this wsdl version. (AWS.SimpleQueueService.NonExistentQueue, HTTP 400)
no URL: error: --queue batches: the queue refused: The specified queue does not exist for this wsdl version. (AWS.SimpleQueueService.NonExistentQueue, HTTP 400)
no such ledger: error: --ledger start-nosuch: the ledger refused: Requested resource not found (ResourceNotFoundException, HTTP 400). The ledger needs a table in this account and region with the partition key `pk` of type S (string) and no sort key
a table with another key: error: --ledger start-other: the ledger refused: The provided key element does not match the schema (ValidationException, HTTP 400). The ledger needs a table in this account and region with the partition key `pk` of type S (string) and no sort key
no folder: error: --datasets nosuch: No such file or directory (os error 2)
an empty folder: error: --datasets FOLDER/empty: there is no dataset file that can be read (`*.toml` or `*/dataset.toml`)
a port that is taken: error: --admin 127.0.0.1:TAKEN: another process listens there, perhaps another worker: give each an address of its own (port 0 is any that is free)
");
}
