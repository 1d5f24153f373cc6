//! The tasks of a service: launched by the bucket, started, busy, protected, drained, lost.

use super::bucket::{Bucket, Rate};

/// What a task is, and what may happen to it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fleet {
    /// How many batches a task runs at once.
    pub slots: u32,
    /// From a launch to the first batch, in seconds.
    pub start: f64,
    /// How fast tasks are launched.
    pub launches: Rate,
    /// How long a task that is to stop may still work, in seconds.
    pub drain: f64,
    /// The share of the tasks beyond the first that run on Spot, from 0 to 1.
    pub spot: f64,
    /// How many of the tasks on Spot are lost in an hour, as a share.
    pub spot_loss: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Starting,
    Running,
    /// It takes nothing new, and ends when it has nothing left or no time.
    Draining,
    Stopped,
}

/// A task.
#[derive(Clone, Debug)]
pub(super) struct Task {
    pub(super) phase: Phase,
    pub(super) is_spot: bool,
    pub(super) is_protected: bool,
    /// Since when it is paid for.
    since: f64,
    /// What it works on.
    pub(super) work: Vec<Work>,
}

/// A batch that is worked on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Work {
    pub(super) batch: u32,
    pub(super) attempt: u8,
    pub(super) since: f64,
}

/// All tasks there ever were, and what they cost.
pub(super) struct Tasks {
    spec: Fleet,
    pub(super) all: Vec<Task>,
    /// One entry for each free slot. Those of tasks that do not run any more are dropped when they are met.
    free: Vec<u32>,
    launches: Bucket,
    pub(super) starting: u32,
    pub(super) running: u32,
    on_demand: u32,
    /// Task-seconds that are paid for, on demand and on Spot.
    pub(super) paid: [f64; 2],
}

/// What is paid for a task at least, in seconds ("Fargate pricing").
const LEAST_PAID: f64 = 60.0;

impl Tasks {
    pub(super) fn new(spec: Fleet) -> Self {
        let launches = Bucket::new(spec.launches);
        Self {
            spec,
            all: Vec::new(),
            free: Vec::new(),
            launches,
            starting: 0,
            running: 0,
            on_demand: 0,
            paid: [0.0; 2],
        }
    }

    /// Those that count for the service: draining ones do not.
    pub(super) fn active(&self) -> u32 {
        self.starting + self.running
    }

    /// Launches a task. Gives its number, and when it runs.
    pub(super) fn launch(&mut self, now: f64, rng: &mut fastrand::Rng) -> (u32, f64) {
        // The capacity provider's base of one task is on demand.
        let is_spot = self.on_demand > 0 && rng.f64() < self.spec.spot;
        self.on_demand += u32::from(!is_spot);
        let turn = self.launches.turn(now);
        (self.add(turn, is_spot), turn + self.spec.start)
    }

    /// A task that runs already when the run begins, on demand.
    pub(super) fn add_running(&mut self) -> u32 {
        self.on_demand += 1;
        self.add(0.0, false)
    }

    fn add(&mut self, since: f64, is_spot: bool) -> u32 {
        self.all.push(Task { phase: Phase::Starting, is_spot, is_protected: false, since, work: Vec::new() });
        self.starting += 1;
        self.all.len() as u32 - 1
    }

    /// It runs from now on, unless it was stopped before.
    pub(super) fn up(&mut self, task: u32) -> bool {
        let Some(entry) = self.all.get_mut(task as usize).filter(|entry| entry.phase == Phase::Starting) else {
            return false;
        };
        entry.phase = Phase::Running;
        self.starting -= 1;
        self.running += 1;
        self.free.extend(std::iter::repeat_n(task, self.spec.slots as usize));
        true
    }

    /// A task with a free slot, any of them; the slot is taken.
    pub(super) fn take_slot(&mut self, rng: &mut fastrand::Rng) -> Option<u32> {
        while !self.free.is_empty() {
            let task = self.free.swap_remove(rng.usize(..self.free.len()));
            if self.all[task as usize].phase == Phase::Running {
                return Some(task);
            }
        }
        None
    }

    /// The work of a task is done: true if it was still at it. A task that drains ends with its last.
    pub(super) fn done(&mut self, task: u32, batch: u32, attempt: u8, now: f64) -> bool {
        let entry = &mut self.all[task as usize];
        let Some(at) = entry.work.iter().position(|work| work.batch == batch && work.attempt == attempt) else {
            return false;
        };
        entry.work.swap_remove(at);
        entry.is_protected &= !entry.work.is_empty();
        match entry.phase {
            Phase::Running => self.free.push(task),
            Phase::Draining if entry.work.is_empty() => drop(self.stop(task, now)),
            _ => {}
        }
        true
    }

    /// A task is told to stop. True if it still works on something.
    pub(super) fn drain(&mut self, task: u32, now: f64) -> bool {
        let entry = &mut self.all[task as usize];
        match entry.phase {
            Phase::Starting => self.starting -= 1,
            Phase::Running => self.running -= 1,
            Phase::Draining | Phase::Stopped => return false,
        }
        self.on_demand -= u32::from(!entry.is_spot);
        entry.phase = Phase::Draining;
        let works = !entry.work.is_empty();
        if !works {
            drop(self.stop(task, now));
        }
        works
    }

    /// A task that drains ends. Gives back what it was still at.
    pub(super) fn stop(&mut self, task: u32, now: f64) -> Vec<Work> {
        let entry = &mut self.all[task as usize];
        if entry.phase != Phase::Draining {
            return Vec::new();
        }
        entry.phase = Phase::Stopped;
        // A launch whose turn never came costs nothing.
        if now >= entry.since {
            self.paid[usize::from(entry.is_spot)] += (now - entry.since).max(LEAST_PAID);
        }
        std::mem::take(&mut entry.work)
    }

    /// The tasks that a service would stop: `surplus` of those that are not protected, those that do not run yet first.
    pub(super) fn to_stop(&self, surplus: u32) -> Vec<u32> {
        let rank = |task: &Task| match task.phase {
            Phase::Starting => Some(0),
            Phase::Running if task.is_protected => None,
            Phase::Running => Some(1 + task.work.len()),
            Phase::Draining | Phase::Stopped => None,
        };
        let ranked = self.all.iter().enumerate().filter_map(|(n, task)| Some((rank(task)?, n as u32)));
        let mut ranked: Vec<_> = ranked.collect();
        ranked.sort_unstable();
        ranked.into_iter().take(surplus as usize).map(|(_, task)| task).collect()
    }

    /// What all tasks that are still there have cost until now.
    pub(super) fn paid_until(&self, now: f64) -> [f64; 2] {
        let mut paid = self.paid;
        for task in self.all.iter().filter(|task| task.phase != Phase::Stopped && now >= task.since) {
            paid[usize::from(task.is_spot)] += (now - task.since).max(LEAST_PAID);
        }
        paid
    }
}
