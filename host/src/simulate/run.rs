//! The run itself: events in the order of their times.

use super::agenda::{Agenda, Event};
use super::bucket::Bucket;
use super::control::{Control, PERIOD};
use super::fleet::{Phase, Tasks, Work};
use super::load::Arrivals;
use super::outcome::{Counts, Outcome, Point};
use super::scenario::Scenario;
use super::waiting::{GivenUp, Message, Waiting};

/// How often the service looks at its tasks, in seconds.
const PASS: f64 = 10.0;
/// A message whose waiting state has given up: the worker asks, and deletes it.
const STALE: f64 = 1.0;
/// After the last batch: how long the fleet may take to fall asleep.
const TAIL: f64 = 3600.0;
/// When a run is given up that does not come to its end.
const HORIZON: f64 = 14.0 * 86_400.0;
/// The same, when nothing has been taken and nothing is at work for so long.
const STUCK: f64 = 86_400.0;
/// From a failure to the next attempt of the waiting state, in seconds.
const RETRY: f64 = 5.0;

pub(super) struct Run<'a> {
    pub(super) scenario: &'a Scenario,
    pub(super) rng: fastrand::Rng,
    pub(super) now: f64,
    pub(super) agenda: Agenda,
    /// Batches that no child has begun, by their number.
    pub(super) next: u32,
    /// Children that are open, those without a message too.
    pub(super) open: u32,
    pub(super) waiting: Waiting,
    pub(super) tasks: Tasks,
    pub(super) busy: u32,
    pub(super) desired: u32,
    pub(super) control: Control,
    pub(super) starts: Bucket,
    pub(super) answers: Bucket,
    pub(super) refused_at: f64,
    pub(super) last_taken: f64,
    pub(super) over: u32,
    pub(super) drained: Option<f64>,
    pub(super) counts: Counts,
    pub(super) timeline: Vec<Point>,
}

impl<'a> Run<'a> {
    pub(super) fn new(scenario: &'a Scenario) -> Self {
        let Scenario { fleet, policy, quotas, .. } = scenario;
        let control = Control::new(policy.clone(), scenario.sqs_lag, scenario.ecs_lag);
        Self {
            scenario,
            rng: fastrand::Rng::with_seed(scenario.seed),
            now: 0.0,
            agenda: Agenda::default(),
            next: 0,
            open: 0,
            waiting: Waiting::new(scenario.load.batches, scenario.load.heartbeat, scenario.load.retries),
            tasks: Tasks::new(*fleet),
            busy: 0,
            desired: policy.min.max(scenario.wake).min(policy.max),
            control,
            starts: Bucket::new(quotas.starts),
            answers: Bucket::new(quotas.answers),
            refused_at: f64::NEG_INFINITY,
            last_taken: 0.0,
            over: 0,
            drained: None,
            counts: Counts::default(),
            timeline: Vec::new(),
        }
    }

    pub(super) fn plan(&mut self, time: f64, event: Event) {
        self.agenda.plan(time, event);
    }

    pub(super) fn play(mut self) -> Outcome {
        // The least capacity is there already, as on any day before.
        for _ in 0..self.scenario.policy.min {
            let task = self.tasks.add_running();
            self.is_up(task);
        }
        // Metrics are sampled whenever they are, not when a run begins.
        let phase = PERIOD * self.rng.f64();
        self.plan(phase, Event::Sample);
        self.plan(0.0, Event::Pass);
        match self.scenario.load.arrivals {
            Arrivals::Map { .. } => self.open_children(),
            Arrivals::Poisson { .. } => self.plan(0.0, Event::Arrive),
        }
        while let Some((time, event)) = self.agenda.next() {
            self.now = time;
            if self.is_at_end() {
                break;
            }
            self.happen(event);
        }
        self.look();
        let Self { scenario, now, tasks, counts, timeline, drained, over, .. } = self;
        let paid = tasks.paid_until(now);
        Outcome::new(scenario, counts, timeline, paid, drained, over)
    }

    fn is_at_end(&self) -> bool {
        let Some(drained) = self.drained else {
            return self.now > HORIZON || self.busy == 0 && self.now > self.last_taken + STUCK;
        };
        let is_asleep = self.tasks.active() <= self.scenario.policy.min && self.busy == 0;
        is_asleep || self.now > drained + TAIL
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Send { batch } => self.send(batch),
            Event::Arrive => self.arrive(),
            Event::Up { task } => self.is_up(task),
            // Its slot is its own until the answer has gone through.
            Event::Worked { task, batch, attempt } => {
                let turn = self.answers.turn(self.now);
                if turn > self.now {
                    self.plan(turn, Event::Done { task, batch, attempt });
                } else {
                    self.done(task, batch, attempt);
                }
            }
            Event::Done { task, batch, attempt } => self.done(task, batch, attempt),
            Event::DrainEnds { task } => self.give_back(task),
            Event::SpotLost { task } => {
                if self.tasks.all[task as usize].phase == Phase::Running {
                    self.counts.spot_lost += 1;
                    self.stop_task(task);
                }
            }
            Event::Pass => {
                self.give_up_waiting();
                self.pass();
                self.plan(self.now + PASS, Event::Pass);
            }
            Event::Sample => self.sample(),
            Event::Ask { policy } => self.ask(policy),
        }
        self.take();
    }

    /// A Distributed Map begins as many children as may be open, as fast as it may.
    fn open_children(&mut self) {
        let Arrivals::Map { max_concurrency } = self.scenario.load.arrivals else { return };
        while self.open < max_concurrency && self.next < self.scenario.load.batches {
            let turn = self.starts.turn(self.now);
            let batch = self.next;
            self.next += 1;
            self.open += 1;
            if turn > self.now {
                self.plan(turn, Event::Send { batch });
            } else {
                self.send(batch);
            }
        }
    }

    fn arrive(&mut self) {
        let Arrivals::Poisson { per_second } = self.scenario.load.arrivals else { return };
        if self.next < self.scenario.load.batches {
            self.next += 1;
            self.open += 1;
            self.send(self.next - 1);
            let pause = -(1.0 - self.rng.f64()).ln() / per_second;
            self.plan(self.now + pause, Event::Arrive);
        }
    }

    fn send(&mut self, batch: u32) {
        self.counts.sent += 1;
        self.waiting.wait(batch, self.now);
    }

    /// Free slots take what waits.
    fn take(&mut self) {
        while self.waiting.depth() > 0 {
            let Some(task) = self.tasks.take_slot(&mut self.rng) else { return };
            let Some((message, is_awaited)) = self.waiting.take() else { return };
            let time = if is_awaited {
                self.counts.waited(self.now - message.since);
                self.counts.first.get_or_insert(self.now);
                self.scenario.load.time.of(message.batch, &mut self.rng)
            } else {
                self.counts.stale += 1;
                STALE
            };
            self.busy += 1;
            self.last_taken = self.now;
            let Message { batch, attempt, .. } = message;
            self.protect(task);
            self.tasks.all[task as usize].work.push(Work { batch, attempt, since: self.now });
            self.plan(self.now + time, Event::Worked { task, batch, attempt });
        }
    }

    /// A worker that begins to work asks for protection, which is refused while the service wants to stop tasks.
    fn protect(&mut self, task: u32) {
        if self.tasks.all[task as usize].is_protected {
            return;
        }
        if self.tasks.active() > self.desired {
            self.counts.blocked += 1;
        } else {
            self.tasks.all[task as usize].is_protected = true;
        }
    }

    fn done(&mut self, task: u32, batch: u32, attempt: u8) {
        let work =
            self.tasks.all[task as usize].work.iter().find(|work| work.batch == batch && work.attempt == attempt);
        let Some(since) = work.map(|work| work.since) else { return };
        self.tasks.done(task, batch, attempt, self.now);
        self.busy -= 1;
        self.counts.busy += self.now - since;
        if self.waiting.is_running(batch, attempt) {
            self.waiting.end(batch);
            self.end_child();
        }
    }

    fn end_child(&mut self) {
        self.over += 1;
        self.open -= 1;
        if self.over == self.scenario.load.batches {
            self.drained = Some(self.now);
        }
        self.open_children();
    }

    /// Waiting states whose messages nobody took in time try again, or fail. The first message is still in the queue.
    fn give_up_waiting(&mut self) {
        while let Some(given_up) = self.waiting.give_up(self.now) {
            self.counts.timeouts += 1;
            match given_up {
                GivenUp::TriesAgain(batch) => {
                    self.counts.duplicates += 1;
                    self.plan(self.now + RETRY, Event::Send { batch });
                }
                GivenUp::Failed => {
                    self.counts.failed += 1;
                    self.end_child();
                }
            }
        }
    }
}
