//! When the agent is asked for what. Pure: it is told the time.

use std::time::Duration;

use tokio::time::Instant;

use super::agent::EXPIRY;
use crate::backoff::Backoff;

/// How long there must be nothing to do before the protection ends. It stays between two batches, because ECS limits how often
/// it may be changed.
pub(super) const LINGER: Duration = Duration::from_secs(30);
/// The pauses after failures.
const PAUSES: Backoff = Backoff::new(Duration::from_secs(5), Duration::from_secs(300));

/// What is to be done next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Ask(bool),
    /// Until the number of batches changes, and at most until then.
    Wait(Option<Instant>),
}

/// What the agent was asked for, and when it is asked again.
#[derive(Debug)]
pub(super) struct Course {
    /// Until when the task may be protected. A request whose answer did not arrive may have succeeded.
    until: Option<Instant>,
    /// The agent is not asked for protection before this.
    renew: Instant,
    /// The agent is not asked to end the protection before this.
    clear: Instant,
    idle_since: Option<Instant>,
    pub(super) failures: u32,
}

impl Course {
    pub(super) fn new(now: Instant) -> Self {
        Self { until: None, renew: now, clear: now, idle_since: None, failures: 0 }
    }

    pub(super) fn next(&mut self, now: Instant, busy: bool) -> Step {
        let (protect, due) = if busy {
            self.idle_since = None;
            (true, self.renew)
        } else if self.may_be_protected(now) {
            let since = *self.idle_since.get_or_insert(now);
            (false, self.clear.max(since + LINGER))
        } else {
            return Step::Wait(None);
        };
        if now < due {
            return Step::Wait(Some(due));
        }
        if protect {
            self.until = Some(now + EXPIRY);
        }
        Step::Ask(protect)
    }

    pub(super) fn answered(&mut self, now: Instant, protect: bool, done: bool) {
        if !done {
            let next = now + PAUSES.whole(self.failures);
            self.failures += 1;
            (self.renew, self.clear) = (next, next);
            return;
        }
        self.failures = 0;
        if protect {
            // The other half of the time is left for attempts that fail.
            (self.renew, self.clear) = (now + EXPIRY / 2, now);
        } else {
            (self.until, self.renew) = (None, now);
        }
    }

    pub(super) fn may_be_protected(&self, now: Instant) -> bool {
        self.until.is_some_and(|until| now < until)
    }
}
