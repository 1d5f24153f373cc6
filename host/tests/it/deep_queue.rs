//! A queue that is far deeper than the fleet, and a fleet that is woken by it: no fault. A real Distributed Map with the
//! defaults, but that an hour takes three seconds.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::time::sleep;

use crate::emulator;
use crate::fleet::get;
use crate::guest::Guest;
use crate::laptop::gristmill;
use crate::rig::{Rig, upload};

const WORKERS: usize = 2;
/// 32 for each slot of the fleet.
const BATCHES: usize = 64;
const HOUR: Duration = Duration::from_secs(3);
const PATIENCE: Duration = Duration::from_secs(120);

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_far_deeper_than_the_fleet_is_no_fault() {
    let rig = Rig::with_lease(emulator::shared(), "deep", Duration::from_secs(30)).await;
    let items: Vec<usize> = (0..BATCHES).collect();
    upload(&rig.config, "deep-data", [("items.json".to_owned(), json!(items).to_string())]).await;
    let nothing = Guest { columns: 0, ..Guest::default() }.component();
    // The default `timeout` is a day. What follows from it is left to follow.
    let map = format!("max_items_per_batch = 1\ntimeout = \"{}s\"", 24 * HOUR.as_secs());
    let datasets = rig.dataset("datasets", &nothing, "deep-data", &map, None);
    let asl = gristmill().arg("asl").arg(datasets.join("dataset.toml")).args(["--queue-url", &rig.queue]).output();
    let machine: Value = serde_json::from_slice(&asl.unwrap().stdout).unwrap();
    assert!(machine.to_string().contains(&format!("\"HeartbeatSeconds\":{}", 12 * HOUR.as_secs())), "{machine}");

    let start = Instant::now();
    let execution = rig.start(&machine).await;
    while rig.messages().await < BATCHES as u64 {
        assert!(start.elapsed() < PATIENCE, "{} of {BATCHES} messages", rig.messages().await);
        sleep(Duration::from_millis(50)).await;
    }
    // Nobody is there for an hour.
    let all_there = Instant::now();
    while all_there.elapsed() < HOUR {
        sleep(Duration::from_millis(50)).await;
    }
    let logs: Vec<String> = (0..WORKERS).map(|n| format!("worker-{n}")).collect();
    let mut fleet: Vec<_> = logs.iter().map(|log| rig.worker(&rig.endpoint, "datasets", log)).collect();
    rig.settled(&execution).await;
    let answer = rig.answer(&execution).await.unwrap();
    assert!(answer.is_ok(), "{answer:?}");

    let lines: Vec<Value> = logs.iter().flat_map(|log| rig.batches(log)).collect();
    let batches: BTreeSet<&str> = lines.iter().map(|line| line["batch"].as_str().unwrap()).collect();
    assert_eq!((lines.len(), batches.len()), (BATCHES, BATCHES), "no message came twice, and none was sent twice");
    let first = |line: &Value| line["attempt"] == 0 && line["receives"] == 1 && line["heard"] == true;
    assert!(lines.iter().all(first), "{lines:?}");
    assert_eq!(rig.dead_letters().await, 0);
    // What the workers say of the wait: everybody waited for more than an hour.
    let metrics: String = logs.iter().map(|log| metrics(&rig, log)).collect();
    let waits = |what: &str| -> f64 {
        let name = format!("gristmill_batch_wait_seconds_{what} ");
        metrics.lines().filter_map(|line| line.strip_prefix(&*name)?.parse::<f64>().ok()).sum()
    };
    let (all, short) = (waits("count{dataset=\"copies\"}"), waits("bucket{dataset=\"copies\",le=\"1\"}"));
    assert_eq!((all, short), (BATCHES as f64, 0.0), "{metrics}");
    assert!(metrics.contains("gristmill_queue_messages{queue=\"deep\",state=\"visible\"}"), "{metrics}");
    for worker in &mut fleet {
        worker.kill().unwrap();
        worker.wait().unwrap();
    }
}

/// What a worker serves, which its log leads to.
fn metrics(rig: &Rig, log: &str) -> String {
    let lines = rig.lines(log);
    let starting = lines.iter().find(|line| line["message"] == "starting").unwrap();
    get(starting["admin"].as_str().unwrap().parse().unwrap(), "/metrics").unwrap().1
}
