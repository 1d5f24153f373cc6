//! The queue, and the waiting states whose patience ends.

use std::collections::VecDeque;

#[derive(Clone, Copy, Default, PartialEq)]
enum Stage {
    #[default]
    Waiting,
    Running,
    Over,
}

#[derive(Clone, Copy, Default)]
struct Batch {
    stage: Stage,
    attempt: u8,
    /// Counts how often it began to wait, so that an old deadline means nothing.
    waits: u16,
}

/// A message in the queue.
#[derive(Clone, Copy)]
pub(super) struct Message {
    pub(super) batch: u32,
    pub(super) attempt: u8,
    pub(super) since: f64,
}

struct Deadline {
    at: f64,
    batch: u32,
    waits: u16,
}

/// A waiting state whose message nobody took in time.
pub(super) enum GivenUp {
    /// It tries again; its first message is still in the queue.
    TriesAgain(u32),
    /// It failed for good.
    Failed,
}

/// Messages and what waits for their answers.
pub(super) struct Waiting {
    batches: Vec<Batch>,
    queue: VecDeque<Message>,
    deadlines: VecDeque<Deadline>,
    heartbeat: f64,
    retries: u8,
}

impl Waiting {
    pub(super) fn new(batches: u32, heartbeat: f64, retries: u8) -> Self {
        let batches = vec![Batch::default(); batches as usize];
        Self { batches, queue: VecDeque::new(), deadlines: VecDeque::new(), heartbeat, retries }
    }

    /// How many messages there are.
    pub(super) fn depth(&self) -> usize {
        self.queue.len()
    }

    /// A message of the batch is in the queue from now on, sent or given back.
    pub(super) fn wait(&mut self, batch: u32, now: f64) {
        let entry = &mut self.batches[batch as usize];
        entry.stage = Stage::Waiting;
        entry.waits = entry.waits.wrapping_add(1);
        let (attempt, waits) = (entry.attempt, entry.waits);
        self.queue.push_back(Message { batch, attempt, since: now });
        self.deadlines.push_back(Deadline { at: now + self.heartbeat, batch, waits });
    }

    /// A worker takes the first message. False: nobody waits for its answer any more.
    pub(super) fn take(&mut self) -> Option<(Message, bool)> {
        let message = self.queue.pop_front()?;
        let entry = &mut self.batches[message.batch as usize];
        let is_awaited = entry.stage == Stage::Waiting && entry.attempt == message.attempt;
        if is_awaited {
            entry.stage = Stage::Running;
        }
        Some((message, is_awaited))
    }

    /// Whether this attempt is the one that is worked on.
    pub(super) fn is_running(&self, batch: u32, attempt: u8) -> bool {
        let entry = &self.batches[batch as usize];
        entry.stage == Stage::Running && entry.attempt == attempt
    }

    /// The batch has its answer.
    pub(super) fn end(&mut self, batch: u32) {
        self.batches[batch as usize].stage = Stage::Over;
    }

    /// The next waiting state whose time is over.
    pub(super) fn give_up(&mut self, now: f64) -> Option<GivenUp> {
        while self.deadlines.front()?.at <= now {
            let Deadline { batch, waits, .. } = self.deadlines.pop_front()?;
            let entry = &mut self.batches[batch as usize];
            if entry.stage != Stage::Waiting || entry.waits != waits {
                continue;
            }
            // From now on nobody listens to the message that waits.
            entry.attempt = entry.attempt.saturating_add(1);
            if entry.attempt <= self.retries {
                return Some(GivenUp::TriesAgain(batch));
            }
            entry.stage = Stage::Over;
            return Some(GivenUp::Failed);
        }
        None
    }
}
