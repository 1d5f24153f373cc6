//! What can happen next in a world, by the rules of a protocol; what must never be; and what the end is.

use super::explore::Model;
use super::protocol::{Gone, Heir, Outputs, Protocol, Version};
use super::world::{Answer, Entry, Job, Parts, Record, Request, State, Step, Upload, Worker, World};

type Next = Vec<(String, World)>;

impl Model for Protocol {
    type State = World;

    fn initial(&self) -> World {
        World {
            entry: None,
            table: [None; 3],
            object: None,
            uploads: Vec::new(),
            workers: vec![Worker { version: Version::Old, job: None }; self.workers],
            late: None,
            message: true,
            receipts: 0,
            answered: None,
            left: self.often.clone(),
        }
    }

    fn next(&self, world: &World) -> Next {
        let mut next = Vec::new();
        for (index, worker) in world.workers.iter().enumerate() {
            // Workers in the same state are one another's equals; they are sorted.
            if index > 0 && world.workers[index - 1] == *worker {
                continue;
            }
            match &worker.job {
                None => self.idle(world, index, &mut next),
                Some(job) => self.busy(world, index, job, &mut next),
            }
        }
        if let Some(request) = &world.late {
            let mut then = World { late: None, ..world.clone() };
            let answer = self.land(&mut then, request);
            next.push((format!("late: {request}: {answer:?}"), then));
        }
        lease_ends(world, &mut next);
        for (_, world) in &mut next {
            world.workers.sort();
        }
        next
    }

    fn wrong(&self, world: &World) -> Option<&'static str> {
        let nothing = world.shows(None, None);
        match world.entry.map(|entry| entry.state) {
            _ if world.receipts > 1 => Some("there was a second receipt"),
            Some(State::Committed(run)) if !world.shows(self.tables(run), self.objects(run)) => {
                Some("a committed batch does not show what one run of its receipt's component leaves")
            }
            Some(State::Committed(run)) if world.answered.is_some_and(|answered| answered != run) => {
                Some("the answer is not the receipt's")
            }
            Some(State::Committed(_)) => None,
            _ if world.answered.is_some() => Some("there is an answer without a receipt"),
            None if !nothing => Some("something is visible that nobody claimed"),
            Some(State::Claimed) if !nothing && self.prepares() => Some("something is visible that nobody prepared"),
            _ => None,
        }
    }

    fn finished(&self, world: &World) -> bool {
        let committed = world.entry.is_some_and(|entry| matches!(entry.state, State::Committed(_)));
        committed && world.answered.is_some() && !world.message
    }
}

/// A lease ends: always when its holder is gone, and now and then when it is not.
fn lease_ends(world: &World, next: &mut Next) {
    let Some(entry) = world.entry.filter(|entry| entry.leased && !matches!(entry.state, State::Committed(_))) else {
        return;
    };
    let mut then = World { entry: Some(Entry { leased: false, ..entry }), ..world.clone() };
    let held = world.workers.iter().any(|worker| worker.job.as_ref().is_some_and(|job| job.fence == entry.fence));
    if !held {
        next.push((format!("fence {}: its lease ends", entry.fence), then));
    } else if take(&mut then.left.pauses) {
        next.push((format!("fence {}: its lease ends while it is paused", entry.fence), then));
    }
}

/// Whether there is one left, which is then used up.
fn take(left: &mut u8) -> bool {
    let some = *left > 0;
    *left = left.saturating_sub(1);
    some
}

impl Protocol {
    /// A worker without work is promoted, or receives the message and claims the batch.
    fn idle(&self, world: &World, index: usize, next: &mut Next) {
        let version = world.workers[index].version;
        if version == Version::Old {
            let mut then = world.clone();
            then.workers[index].version = Version::New;
            next.push(("a worker is promoted".into(), then));
        }
        let mut then = world.clone();
        if !world.message && !take(&mut then.left.ghosts) {
            return;
        }
        let entry = world.entry.unwrap_or(Entry { fence: 0, leased: false, component: version, state: State::Claimed });
        let run = match (entry.state, self.heir) {
            (State::Committed(run), _) => run,
            (State::Prepared(record), _) => record.run,
            (State::Claimed, Heir::RunsItsOwn) => version,
            (State::Claimed, Heir::RunsTheRecorded) => entry.component,
        };
        let (record, step) = match entry.state {
            State::Committed(run) => (Record { run, upload: None }, Step::Answer),
            // It goes back to the queue: another worker has it, or has to have it.
            _ if entry.leased => return,
            State::Claimed if !self.can_run(version, run) => return,
            State::Prepared(record) => (record, Step::Sweep),
            State::Claimed if entry.fence > 0 => (Record { run, upload: None }, Step::Sweep),
            State::Claimed => (Record { run, upload: None }, Step::Run),
        };
        let fence = if step == Step::Answer { 0 } else { entry.fence + 1 };
        let action = match entry.state {
            State::Committed(_) => format!("a worker finds the batch committed by {run:?}"),
            State::Prepared(_) => {
                format!("fence {fence}: a worker with {version:?} finds the batch prepared by {run:?}")
            }
            State::Claimed => format!("fence {fence}: a worker with {version:?} begins to run {run:?}"),
        };
        if fence > 0 {
            then.entry = Some(Entry { fence, leased: true, ..entry });
        }
        let prepared = matches!(entry.state, State::Prepared(_));
        then.workers[index].job = Some(Job { fence, record, prepared, step });
        next.push((action, then));
    }

    /// A worker with work goes on, dies, or gives up.
    fn busy(&self, world: &World, index: usize, job: &Job, next: &mut Next) {
        let fence = job.fence;
        let mut then = world.clone();
        if let Some((action, job)) = self.go_on(&mut then, world.workers[index].version, job) {
            then.workers[index].job = job;
            next.push((format!("fence {fence}: {action}"), then));
        }
        let mut gone = world.clone();
        gone.workers[index].job = None;
        let mut died = gone.clone();
        if take(&mut died.left.crashes) {
            end(died, job, "dies", next);
        }
        if job.fence > 0 && job.step != Step::Failing && take(&mut gone.left.stops) {
            if let (true, Step::Sent(Request::Prepare(..)), Some(id)) =
                (self.aborts_what_may_be_prepared, &job.step, job.record.upload)
            {
                gone.uploads[id].state = Parts::Aborted;
            }
            if let Some(entry) = gone.entry.as_mut().filter(|entry| entry.fence == fence) {
                entry.leased = false;
            }
            end(gone, job, "gives up", next);
        }
    }

    /// What a job does next, and the job afterwards.
    fn go_on(&self, world: &mut World, version: Version, job: &Job) -> Option<(String, Option<Job>)> {
        let Job { fence, mut record, prepared, .. } = *job;
        let (action, step) = match &job.step {
            Step::Sweep => {
                let uploads = self.others(world, job);
                let step =
                    if uploads.is_empty() { self.begin(world, job) } else { Some(Step::Sent(Request::Abort(uploads))) };
                ("looks for uploads of others".into(), step)
            }
            Step::Run => {
                if self.outputs != Outputs::Table {
                    record.upload = Some(world.uploads.len());
                    world.uploads.push(Upload { fence, run: record.run, state: Parts::Stored });
                }
                let prepare = || Some(Step::Sent(Request::Prepare(fence, record)));
                let step = if self.prepares() { prepare() } else { self.show(world, fence, record, 0) };
                (format!("has run {:?}", record.run), step)
            }
            Step::Sent(request) => {
                let answer = self.land(world, request);
                let step = match (answer, request) {
                    (Answer::Done, Request::Abort(_)) => self.begin(world, job),
                    (Answer::Done, Request::Prepare(..)) => self.show(world, fence, record, 0),
                    (Answer::Done, Request::Row(..) | Request::Complete(_)) => {
                        let shown = self.effects(record).iter().position(|effect| effect == request)?;
                        self.show(world, fence, record, shown + 1)
                    }
                    (Answer::Done, Request::Commit(..)) => Some(Step::Answer),
                    (Answer::Lost, _) => None,
                    // Whoever runs another component than the record's may do so only if nothing of that is visible yet.
                    (Answer::Gone, _) if self.gone == Gone::RunsAgain && self.object_first => {
                        record = Record { run: version, upload: None };
                        Some(Step::Run)
                    }
                    (Answer::Gone, _) if self.gone == Gone::RunsAgain && self.can_run(version, record.run) => {
                        record.upload = None;
                        Some(Step::Run)
                    }
                    (Answer::Gone, _) => Some(Step::Failing),
                };
                (format!("{request}: {answer:?}"), step)
            }
            Step::Answer => {
                world.answered.get_or_insert(record.run);
                ("answers".into(), Some(Step::Delete))
            }
            Step::Delete => {
                world.message = false;
                ("deletes the message".into(), None)
            }
            Step::Failing => return None,
        };
        Some((action, step.map(|step| Job { fence, record, prepared, step })))
    }

    /// What follows when nobody's uploads are in the way any more.
    fn begin(&self, world: &World, job: &Job) -> Option<Step> {
        if job.prepared { self.show(world, job.fence, job.record, 0) } else { Some(Step::Run) }
    }

    /// Sends the visible effect of this number, or the receipt after the last.
    fn show(&self, world: &World, fence: u8, record: Record, number: usize) -> Option<Step> {
        let Some(effect) = self.effects(record).get(number).cloned() else {
            return Some(Step::Sent(Request::Commit(fence, record.run)));
        };
        let ours = world.entry.is_some_and(|entry| entry.leased && entry.fence == fence);
        (ours || !self.checks_lease).then_some(Step::Sent(effect))
    }
}

/// A job ends before its time; what it had sent last is lost, or still on its way.
fn end(world: World, job: &Job, how: &str, next: &mut Next) {
    let fence = job.fence;
    if let Step::Sent(request) = &job.step
        && world.late.is_none()
    {
        let mut then = World { late: Some(request.clone()), ..world.clone() };
        if take(&mut then.left.late) {
            next.push((format!("fence {fence}: {how}, and on its way is: {request}"), then));
        }
    }
    next.push((format!("fence {fence}: {how}"), world));
}
