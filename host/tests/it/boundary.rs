//! The boundaries of a batch: what a worker calls, by name and number, and a trap that stops it there.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use async_trait::async_trait;
use rustix::process::Signal;
use serde_json::Value;
use tokio::sync::Notify;
use tokio::time::timeout;

use crate::proxy::{Answer, Call, Policy, Proxy, Service};
use crate::rig::{PATIENCE, Rig};
use crate::victim::Victim;

/// Names the calls of a worker, each occurrence by its number.
struct Names {
    rig: String,
    seen: Mutex<HashMap<String, usize>>,
}

impl Names {
    fn new(rig: &Rig) -> Self {
        Self { rig: rig.name.clone(), seen: Mutex::default() }
    }

    /// The name of the call; none for what the clock brings about: renewals, in whatever number.
    fn of(&self, call: &Call) -> Option<String> {
        let mut name = call.to_string().replace(&self.rig, "RIG");
        if call.operation == "UpdateItem" && call.on.ends_with("-ledger") {
            name += &format!(": {}", ledger_step(&call.body)?);
        }
        if matches!(&*call.operation, "ChangeMessageVisibilityBatch" | "SendTaskHeartbeat") {
            return None;
        }
        let mut seen = self.seen.lock().unwrap();
        let times = seen.entry(name.clone()).or_default();
        *times += 1;
        Some(if *times == 1 { name } else { format!("{name} #{times}") })
    }
}

/// What a write to the ledger sets, which tells a claim from a commit; none for a renewal, which only moves the time, and for
/// the question at the start whether the table is there, which sets nothing.
fn ledger_step(body: &[u8]) -> Option<String> {
    let body: Value = serde_json::from_slice(body).unwrap();
    let update = body["UpdateExpression"].as_str().unwrap();
    let attributes: Vec<_> = update
        .split([',', ' '])
        .zip(update.split([',', ' ']).skip(1))
        .filter(|(_, next)| *next == "=")
        .map(|(attribute, _)| body["ExpressionAttributeNames"][attribute].as_str().unwrap_or(attribute))
        .collect();
    let renews = attributes == ["lease_until", "expires"];
    (!renews && !attributes.is_empty()).then(|| attributes.join(", "))
}

/// Passes everything on, and writes down what changes anything.
pub(crate) struct Recorder {
    names: Names,
    effects: Mutex<Vec<String>>,
}

impl Recorder {
    pub(crate) fn new(rig: &Rig) -> Self {
        Self { names: Names::new(rig), effects: Mutex::default() }
    }

    /// What changed anything so far, in order.
    pub(crate) fn effects(&self) -> Vec<String> {
        self.effects.lock().unwrap().clone()
    }
}

#[async_trait]
impl Policy for Recorder {
    async fn relay(&self, call: &Call, service: &Service) -> Option<Answer> {
        let answer = service.ask(call).await;
        // A poll that finds nothing changes nothing.
        let is_idle = call.operation == "ReceiveMessage" && !brings_messages(&answer);
        if call.is_effect()
            && !is_idle
            && let Some(name) = self.names.of(call)
        {
            self.effects.lock().unwrap().push(name);
        }
        Some(answer)
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Side {
    /// The call has left the worker and had no effect yet.
    Before,
    /// It had its effect, and the worker does not know.
    After,
}

/// A boundary of a batch: a call, by its name.
#[derive(Clone, Debug)]
pub(crate) struct Point {
    pub(crate) side: Side,
    pub(crate) call: String,
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {}", self.side, self.call)
    }
}

/// Stops a worker when it reaches a point: for good, or until it is told to go on.
pub(crate) struct Trap {
    names: Names,
    point: Point,
    worker: Victim,
    kills: bool,
    reached: Notify,
    go_on: Notify,
}

impl Trap {
    pub(crate) fn new(rig: &Rig, point: Point, kills: bool) -> Arc<Self> {
        let (names, worker) = (Names::new(rig), Victim::default());
        Arc::new(Self { names, point, worker, kills, reached: Notify::new(), go_on: Notify::new() })
    }

    /// Starts a worker that will walk into the trap, and waits until it has.
    pub(crate) async fn spring(self: &Arc<Self>, rig: &Rig, log: &str) -> Proxy {
        let proxy = Proxy::before(&rig.endpoint, self.clone()).await;
        self.worker.is(rig.worker(&proxy.endpoint, "datasets", log));
        timeout(PATIENCE, self.reached.notified()).await.unwrap_or_else(|_| panic!("never reached: {}", self.point));
        proxy
    }

    /// Lets a worker go on that was stopped, and waits until it is through with the batch that it had, and with what it
    /// uploaded for it.
    pub(crate) async fn release(&self, rig: &Rig, log: &str) {
        self.worker.signal(Signal::CONT);
        self.go_on.notify_one();
        let start = Instant::now();
        while (rig.batches(log).is_empty() || !rig.unfinished_uploads().await.is_empty()) && start.elapsed() < PATIENCE
        {
            tokio::task::yield_now().await;
        }
        self.worker.end().await;
    }

    async fn stop(&self) {
        if self.kills {
            self.worker.kill();
            self.reached.notify_one();
        } else {
            self.worker.signal(Signal::STOP);
            self.reached.notify_one();
            self.go_on.notified().await;
        }
    }
}

#[async_trait]
impl Policy for Trap {
    async fn relay(&self, call: &Call, service: &Service) -> Option<Answer> {
        let here = self.names.of(call).is_some_and(|name| name == self.point.call);
        if here && self.point.side == Side::Before {
            self.stop().await;
            if self.kills {
                return None;
            }
        }
        let answer = service.ask(call).await;
        if here && self.point.side == Side::After {
            self.stop().await;
        }
        Some(answer)
    }
}

/// Whether this answer to a receive has any message in it.
pub(crate) fn brings_messages(answer: &Answer) -> bool {
    let answer: Value = serde_json::from_slice(answer.body()).unwrap_or_default();
    answer["Messages"].as_array().is_some_and(|messages| !messages.is_empty())
}
