//! `gristmill worker` as a process whose surroundings fail it: AWS is not there yet, is away for a while, does not know its
//! credentials any more, has no name; the cache of components is damaged or full.

use std::process::Command;
use std::time::{Duration, Instant};

use futures::future::join_all;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::emulator;
use crate::fleet::{Fleet, PATIENCE, Process};
use crate::laptop::gristmill;

/// What lies between a worker and AWS.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Line {
    Open,
    /// Connections are closed at once, and so are those that stand.
    Cut,
    /// Connections stand, and nothing comes through.
    Silent,
    /// Every call is answered with this error instead.
    Error(&'static str),
}

/// An endpoint before the shared emulator.
struct Forwarder {
    endpoint: String,
    line: watch::Sender<Line>,
}

impl Forwarder {
    async fn start(line: Line) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let (line, changes) = watch::channel(line);
        tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                tokio::spawn(forward(connection, changes.clone()));
            }
        });
        Self { endpoint, line }
    }

    fn set(&self, line: Line) {
        self.line.send_replace(line);
    }

    fn environment(&self) -> [(&'static str, &str); 1] {
        [("AWS_ENDPOINT_URL", &self.endpoint)]
    }
}

/// Serves one connection until the line changes. One that was silent stays so: what was lost on it does not come back.
async fn forward(mut connection: TcpStream, mut line: watch::Receiver<Line>) {
    let state = *line.borrow_and_update();
    let serve = async {
        match state {
            Line::Cut => {}
            Line::Silent => std::future::pending().await,
            Line::Error(code) => refuse(&mut connection, code).await,
            Line::Open => {
                let emulator = emulator::shared().strip_prefix("http://").unwrap();
                let mut upstream = TcpStream::connect(emulator).await.unwrap();
                let _ = copy_bidirectional(&mut connection, &mut upstream).await;
            }
        }
    };
    tokio::select! { () = serve => {}, _ = line.changed() => {} }
}

/// Reads one request, and answers in the words of its protocol.
async fn refuse(connection: &mut TcpStream, code: &str) {
    let mut bytes = Vec::new();
    let head = loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break String::from_utf8_lossy(&bytes[..end + 4]).to_ascii_lowercase();
        }
        if connection.read_buf(&mut bytes).await.is_ok_and(|read| read == 0) {
            return;
        }
    };
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok()).unwrap_or(0_usize);
    while bytes.len() < head.len() + length && connection.read_buf(&mut bytes).await.is_ok_and(|read| read > 0) {}
    let (kind, body) = match head.contains("x-amz-target") {
        true => ("application/x-amz-json-1.0", json!({"__type": code, "message": "of the test"}).to_string()),
        false => ("application/xml", format!("<Error><Code>{code}</Code><Message>of the test</Message></Error>")),
    };
    let length = body.len();
    let answer = format!(
        "HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\n\r\n{body}"
    );
    let _ = connection.write_all(answer.as_bytes()).await;
}

/// Sends batches of their own, `from` to `to`, and gives their executions.
async fn send(fleet: &Fleet, from: usize, to: usize) -> Vec<String> {
    let mut executions = Vec::new();
    for number in from..to {
        let name = format!("n{number}");
        let change = |message: &mut Value| {
            message["execution"] = format!("arn:aws:states:us-east-1:000000000000:execution:stations:{name}").into();
        };
        executions.push(fleet.send(&name, change).await);
    }
    executions
}

async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < PATIENCE, "{what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Every batch succeeds, and none was given up.
async fn all_succeed(fleet: &Fleet, worker: &Process, executions: Vec<String>) {
    for execution in executions {
        let output = fleet.end_of(&execution).await.unwrap_or_else(|error| panic!("{error}: {}", worker.text()));
        assert_eq!(output["items"]["succeeded"], 2);
    }
    let lines = worker.batches();
    let failed =
        |line: &&Value| line["fate"] == "parked" || line["answer"].as_str().is_some_and(|said| said != "success");
    assert_eq!(lines.iter().filter(failed).count(), 0, "{lines:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_waits_for_what_is_not_there_yet() {
    let fleet = Fleet::new("early").await;
    let line = Forwarder::start(Line::Cut).await;
    let execution = send(&fleet, 0, 1).await;
    let mut worker = fleet.start("log", gristmill(), &[], &line.environment());
    let waits = worker.said("not to be had yet");
    assert_eq!(waits["level"], "WARN");
    assert!(waits["message"].as_str().unwrap().starts_with("--ledger early-ledger: "), "{waits}");
    assert_eq!(worker.get("/healthz"), Some((200, "ok\n".into())));
    let (status, why) = worker.get("/readyz").unwrap();
    assert!(status == 503 && why.starts_with("not taking messages: --ledger early-ledger: "), "{why}");
    line.set(Line::Open);
    worker.said("ready");
    assert_eq!(worker.get("/readyz"), Some((200, "ready\n".into())));
    all_succeed(&fleet, &worker, execution).await;
    worker.terminate();
    assert_eq!(worker.end(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_waits_stops_at_once_when_told_to() {
    let fleet = Fleet::new("waits").await;
    let (cut, silent) = (Forwarder::start(Line::Cut).await, Forwarder::start(Line::Silent).await);
    let expired = Forwarder::start(Line::Error("ExpiredToken")).await;
    let nameless = [("AWS_ENDPOINT_URL", "http://aws.invalid")];
    // No credentials: neither in the environment nor in a file, nor from the machine.
    let none = [("AWS_ACCESS_KEY_ID", ""), ("AWS_SECRET_ACCESS_KEY", ""), ("HOME", "/nonexistent")];
    let starts: [(&str, &[(&str, &str)]); 5] = [
        ("cut", &cut.environment()),
        ("silent", &silent.environment()),
        ("expired", &expired.environment()),
        ("nameless", &nameless),
        ("no-credentials", &none),
    ];
    let mut workers: Vec<_> =
        starts.map(|(name, environment)| (name, fleet.start(name, gristmill(), &[], environment))).into();
    for (name, worker) in &mut workers {
        let reason = worker.said("not to be had yet")["reason"].as_str().unwrap().to_owned();
        match *name {
            "expired" => assert!(reason.contains("the credentials have run out"), "{reason}"),
            "no-credentials" => assert!(reason.contains("redentials"), "{reason}"),
            _ => {}
        }
        assert_eq!(worker.get("/healthz"), Some((200, "ok\n".into())), "{name}");
        assert_eq!(worker.get("/readyz").unwrap().0, 503, "{name}");
        let start = Instant::now();
        worker.terminate();
        assert_eq!(worker.end(), Some(0), "{name}: {}", worker.text());
        assert!(start.elapsed() < Duration::from_secs(2), "{name}: {:?}", start.elapsed());
    }
}

/// AWS goes away while batches are under way and others wait, until the worker has said so, and for `least` at least; then it
/// comes back. How long the worker takes from then until every batch is done.
async fn survives(name: &'static str, outage: Line, least: Duration) -> Duration {
    let fleet = Fleet::new(name).await;
    let line = Forwarder::start(Line::Open).await;
    let worker = fleet.worker("log", &[], &line.environment());
    let mut executions = send(&fleet, 0, 10).await;
    until("no batch was done", || !worker.batches().is_empty()).await;
    line.set(outage);
    let gone = Instant::now();
    executions.extend(send(&fleet, 10, 20).await);
    until("the outage was not felt", || worker.lines().iter().any(|line| line["level"] == "WARN")).await;
    tokio::time::sleep(least.saturating_sub(gone.elapsed())).await;
    line.set(Line::Open);
    let back = Instant::now();
    all_succeed(&fleet, &worker, executions).await;
    let took = back.elapsed();
    until("the pressure stays", || worker.metric("gristmill_pressure_seconds") == 0.0).await;
    took
}

/// `make outages`: the same for more than a minute each.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes: `make outages`"]
async fn for_a_minute() {
    let outages = [
        ("minute-cut", Line::Cut),
        ("minute-silent", Line::Silent),
        ("minute-expired", Line::Error("ExpiredToken")),
        ("minute-throttled", Line::Error("ThrottlingException")),
    ];
    let survived = outages.map(|(name, outage)| survives(name, outage, Duration::from_secs(65)));
    for ((_, outage), took) in outages.iter().zip(join_all(survived).await) {
        println!("{outage:?} for 65 s: no batch failed, all were done {:.1} s after", took.as_secs_f64());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn aws_may_be_away_in_the_middle_and_no_batch_fails() {
    survives("away", Line::Cut, Duration::ZERO).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_network_that_swallows_everything_fails_no_batch() {
    survives("swallowed", Line::Silent, Duration::ZERO).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_may_run_out_in_the_middle_and_no_batch_fails() {
    survives("expired", Line::Error("ExpiredToken"), Duration::ZERO).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn aws_may_throttle_everything_and_no_batch_fails() {
    survives("throttled", Line::Error("ThrottlingException"), Duration::ZERO).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cache_that_is_damaged_or_full_costs_time_and_no_batch() {
    let fleet = Fleet::new("cache").await;
    let cache = fleet.folder.path().join("cache");
    let arguments = ["--cache", cache.to_str().unwrap()];
    let mut number = 0;
    // What a worker with this cache says about compiled components, when it has done a batch.
    let mut said = async |command: Command| {
        number += 1;
        let mut worker = fleet.start(&format!("log-{number}"), command, &arguments, &[]);
        worker.said("ready");
        all_succeed(&fleet, &worker, send(&fleet, number, number + 1).await).await;
        worker.terminate();
        assert_eq!(worker.end(), Some(0));
        let about =
            |line: &Value| line["message"].as_str().filter(|said| said.contains("compiled")).map(ToOwned::to_owned);
        worker.lines().iter().filter_map(about).collect::<Vec<_>>()
    };
    assert_eq!(said(gristmill()).await, [""; 0]);
    let mut files = std::fs::read_dir(&cache).unwrap().map(|entry| entry.unwrap().path());
    let entry = files.find(|file| file.extension().is_some_and(|extension| extension == "cwasm")).unwrap();
    let whole = std::fs::read(&entry).unwrap();
    std::fs::write(&entry, &whole[..whole.len() / 2]).unwrap();
    assert_eq!(said(gristmill()).await, ["a compiled component is damaged or was not made here; it is compiled again"]);
    assert_eq!(std::fs::read(&entry).unwrap(), whole, "it was replaced");
    assert_eq!(said(gristmill()).await, [""; 0]);
    // Another version's file has another name.
    std::fs::rename(&entry, entry.with_file_name("0-0.cwasm")).unwrap();
    assert_eq!(said(gristmill()).await, [""; 0]);

    // A disk of 64 kB in a mount namespace of its own, which is full; then one that cannot be written to.
    for (options, why) in [("size=64k", "full"), ("ro", "read-only")] {
        let script = "mount -t tmpfs -o $1,mode=700 none \"$2\" || exit 99; shift 2; exec \"$@\"";
        let mut shell = Command::new("unshare");
        shell.args(["--user", "--map-root-user", "--mount", "sh", "-c", script, "sh", options]).arg(&cache);
        let program = gristmill();
        shell.arg(program.get_program());
        shell.envs(program.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let kept = "a compiled component was not kept; the next start compiles again";
        assert_eq!(said(shell).await, [kept], "{why}");
    }
}
