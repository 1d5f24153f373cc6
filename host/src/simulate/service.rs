//! What the service does with its tasks, and what its policies make of its metrics.

use super::agenda::Event;
use super::control::{PERIOD, Sample};
use super::fleet::{Phase, Task, Work};
use super::outcome::Point;
use super::run::Run;

/// How often a worker asks again for a protection that was refused, in seconds.
const ASK_AGAIN: f64 = 30.0;

impl Run<'_> {
    pub(super) fn is_up(&mut self, task: u32) {
        if !self.tasks.up(task) {
            return;
        }
        let loss = self.scenario.fleet.spot_loss;
        if self.tasks.all[task as usize].is_spot && loss > 0.0 {
            let life = -(1.0 - self.rng.f64()).ln() * 3600.0 / loss;
            self.plan(self.now + life, Event::SpotLost { task });
        }
        self.counts.peak = self.counts.peak.max(self.tasks.running);
    }

    pub(super) fn stop_task(&mut self, task: u32) {
        if self.tasks.drain(task, self.now) {
            self.plan(self.now + self.scenario.fleet.drain, Event::DrainEnds { task });
        }
    }

    /// A task had no time to end its work: the messages are visible again.
    pub(super) fn give_back(&mut self, task: u32) {
        for Work { batch, attempt, since } in self.tasks.stop(task, self.now) {
            self.busy -= 1;
            self.counts.busy += self.now - since;
            self.counts.given_back += 1;
            if self.waiting.is_running(batch, attempt) {
                self.waiting.wait(batch, self.now);
            }
        }
    }

    /// Notes what it looks like.
    pub(super) fn look(&mut self) {
        self.timeline.push(Point {
            at: self.now,
            waiting: self.waiting.depth() as u32,
            running: self.busy,
            tasks: self.tasks.running,
            desired: self.desired,
        });
    }

    /// What the service does to have as many tasks as it should.
    pub(super) fn pass(&mut self) {
        self.look();
        let active = self.tasks.active();
        for _ in active..self.desired {
            let (task, at) = self.tasks.launch(self.now, &mut self.rng);
            self.counts.launched += 1;
            self.plan(at, Event::Up { task });
        }
        if active > self.desired {
            for task in self.tasks.to_stop(active - self.desired) {
                self.stop_task(task);
            }
        }
        if self.now - self.refused_at >= ASK_AGAIN {
            self.refused_at = self.now;
            let unprotected =
                |task: &&Task| task.phase == Phase::Running && !task.is_protected && !task.work.is_empty();
            if self.tasks.active() > self.desired {
                self.counts.blocked += self.tasks.all.iter().filter(unprotected).count() as u64;
            } else {
                for task in &mut self.tasks.all {
                    task.is_protected |= task.phase == Phase::Running && !task.work.is_empty();
                }
            }
        }
    }

    pub(super) fn sample(&mut self) {
        let is_there = self.tasks.active() > 0;
        self.control.record(Sample {
            visible: self.waiting.depth() as f64,
            in_flight: f64::from(self.busy),
            running: is_there.then(|| f64::from(self.tasks.running)),
            desired: is_there.then(|| f64::from(self.desired)),
        });
        // Alarms are evaluated every minute, each at a second of its own.
        let policies = self.control.policies();
        for policy in 0..policies {
            let second = PERIOD * policy as f64 / policies as f64;
            self.plan(self.now + second, Event::Ask { policy });
        }
        self.plan(self.now + PERIOD, Event::Sample);
    }

    pub(super) fn ask(&mut self, policy: usize) {
        let Some(wanted) = self.control.ask(policy, self.now, self.desired) else { return };
        let has_work = self.over < self.scenario.load.batches;
        self.counts.scaled(wanted > self.desired, has_work);
        self.desired = wanted;
        self.pass();
    }
}
