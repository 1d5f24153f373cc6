//! What goes wrong, by chance: the policy of the proxies that a fleet of workers stands behind.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::proxy::{Answer, Call, Policy, Refusal, Service};
use crate::victim::Victim;

/// The longest that a call is held up.
const DELAY: Duration = Duration::from_millis(500);
/// How many calls with an effect a batch makes at least: kills are strewn over so many.
const EFFECTS_PER_BATCH: u64 = 5;

/// What is done to whom.
#[derive(Clone, Copy)]
pub(crate) struct Plan {
    pub(crate) batches: u64,
    pub(crate) items_per_batch: u64,
    pub(crate) workers: usize,
    /// How often a worker is killed, at least.
    pub(crate) kills: u64,
    /// The share of calls that meet a fault.
    pub(crate) faults: f64,
    /// Decides what is in the objects and what goes wrong. Which call meets what also depends on the order in which the
    /// workers make them.
    pub(crate) seed: u64,
}

/// The weather of a run: decides what each call meets, and counts it.
pub(crate) struct Weather {
    plan: Plan,
    is_calm: AtomicBool,
    dice: Mutex<fastrand::Rng>,
    effects: AtomicU64,
    /// At which effects a worker is killed, counted over all workers.
    deaths: BTreeSet<u64>,
    met: Mutex<BTreeMap<&'static str, u64>>,
}

/// What a call meets.
enum Event {
    Refused(Refusal),
    Delayed(Duration),
    CutBefore,
    CutAfter,
    KilledBefore,
    KilledAfter,
    KilledSoon(Duration),
}

impl Weather {
    pub(crate) fn new(plan: Plan, is_calm: bool) -> Self {
        let mut dice = fastrand::Rng::with_seed(plan.seed);
        // Some more than wanted, because some will meet a worker that is dead already.
        let (kills, effects) = (plan.kills + plan.kills / 8 + 2, plan.batches * EFFECTS_PER_BATCH);
        assert!(kills <= effects, "{kills} kills are too many for {} batches", plan.batches);
        let mut deaths = BTreeSet::new();
        while (deaths.len() as u64) < kills {
            deaths.insert(dice.u64(..effects));
        }
        let (is_calm, dice) = (AtomicBool::new(is_calm), Mutex::new(dice));
        Self { plan, is_calm, dice, effects: AtomicU64::new(0), deaths, met: Mutex::default() }
    }

    /// Nothing goes wrong from now on.
    pub(crate) fn calm_down(&self) {
        self.is_calm.store(true, Relaxed);
    }

    fn event(&self, call: &Call) -> Option<Event> {
        if self.is_calm.load(Relaxed) {
            return None;
        }
        let mut dice = self.dice.lock().unwrap();
        if call.is_effect() && self.deaths.contains(&self.effects.fetch_add(1, Relaxed)) {
            return Some(match dice.u8(..3) {
                0 => Event::KilledBefore,
                1 => Event::KilledAfter,
                _ => Event::KilledSoon(Duration::from_millis(dice.u64(..50))),
            });
        }
        (dice.f64() < self.plan.faults).then(|| match dice.u8(..5) {
            0 => Event::Refused(Refusal::Failed),
            1 => Event::Refused(Refusal::TooFast),
            2 => Event::Delayed(DELAY.mul_f64(dice.f64())),
            3 => Event::CutBefore,
            _ => Event::CutAfter,
        })
    }

    fn count(&self, what: &'static str) {
        *self.met.lock().unwrap().entry(what).or_default() += 1;
    }

    /// How often something has been met.
    pub(crate) fn met(&self, what: &str) -> u64 {
        self.met.lock().unwrap().get(what).copied().unwrap_or_default()
    }
}

/// The policy of the proxy of one worker.
pub(crate) struct Exposed {
    pub(crate) weather: Arc<Weather>,
    pub(crate) worker: Victim,
}

#[async_trait]
impl Policy for Exposed {
    async fn relay(&self, call: &Call, service: &Service) -> Option<Answer> {
        let weather = &self.weather;
        match weather.event(call) {
            None => {}
            Some(Event::Refused(refusal)) => {
                weather.count(if matches!(refusal, Refusal::Failed) { "failed" } else { "throttled" });
                return Some(call.refusal(refusal));
            }
            Some(Event::Delayed(time)) => {
                weather.count("delayed");
                sleep(time).await;
            }
            Some(Event::CutBefore) => {
                weather.count("reset before");
                return None;
            }
            Some(Event::CutAfter) => {
                weather.count("reset after");
                if call.operation == "CreateMultipartUpload" {
                    weather.count("unknown uploads");
                }
                service.ask(call).await;
                return None;
            }
            Some(Event::KilledBefore) => {
                self.kill();
                return None;
            }
            Some(Event::KilledAfter) => {
                service.ask(call).await;
                self.kill();
                return None;
            }
            Some(Event::KilledSoon(time)) => {
                let soon = Self { weather: weather.clone(), worker: self.worker.clone() };
                tokio::spawn(async move {
                    sleep(time).await;
                    soon.kill();
                });
            }
        }
        let answer = service.ask(call).await;
        if call.operation == "ReceiveMessage" {
            self.received(call, &answer, service).await;
        }
        Some(answer)
    }
}

impl Exposed {
    fn kill(&self) {
        if self.worker.kill() {
            self.weather.count("killed");
        }
    }

    /// Some messages are delivered twice: by a copy, or because they become visible while the worker has them.
    async fn received(&self, call: &Call, answer: &Answer, service: &Service) {
        let answer: Value = serde_json::from_slice(answer.body()).unwrap_or_default();
        let asked: Value = serde_json::from_slice(&call.body).unwrap();
        for message in answer["Messages"].as_array().into_iter().flatten() {
            if message["Attributes"]["ApproximateReceiveCount"] != "1" {
                self.weather.count("redelivered");
            }
            let (happens, copied) = {
                let mut dice = self.weather.dice.lock().unwrap();
                (dice.f64() < self.weather.plan.faults, dice.bool())
            };
            if !happens || self.weather.is_calm.load(Relaxed) {
                continue;
            }
            self.weather.count("duplicated");
            let queue = &asked["QueueUrl"];
            let other = if copied {
                call.instead("SendMessage", &json!({"QueueUrl": queue, "MessageBody": message["Body"]}))
            } else {
                let receipt = &message["ReceiptHandle"];
                let body = json!({"QueueUrl": queue, "ReceiptHandle": receipt, "VisibilityTimeout": 0});
                call.instead("ChangeMessageVisibility", &body)
            };
            let done = service.ask(&other).await;
            assert!(done.status().is_success(), "{}: {:?}", other.operation, done.body());
        }
    }
}
