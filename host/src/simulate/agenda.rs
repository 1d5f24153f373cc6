//! What is to happen, in the order of its time.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

#[derive(Clone, Copy, Debug)]
pub(super) enum Event {
    /// A batch's message is sent: it is new, or tried again.
    Send {
        batch: u32,
    },
    /// One more comes by chance.
    Arrive,
    Up {
        task: u32,
    },
    /// The work is done, and the answer has its turn.
    Worked {
        task: u32,
        batch: u32,
        attempt: u8,
    },
    /// The answer has gone through.
    Done {
        task: u32,
        batch: u32,
        attempt: u8,
    },
    DrainEnds {
        task: u32,
    },
    SpotLost {
        task: u32,
    },
    Pass,
    Sample,
    Ask {
        policy: usize,
    },
}

struct At {
    time: f64,
    /// Events of one time happen in the order in which they were planned.
    order: u64,
    event: Event,
}

impl PartialEq for At {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}
impl Eq for At {}
impl PartialOrd for At {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for At {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.time.total_cmp(&other.time).then(self.order.cmp(&other.order))
    }
}

/// All that is planned.
#[derive(Default)]
pub(super) struct Agenda {
    events: BinaryHeap<Reverse<At>>,
    order: u64,
}

impl Agenda {
    pub(super) fn plan(&mut self, time: f64, event: Event) {
        self.order += 1;
        self.events.push(Reverse(At { time, order: self.order, event }));
    }

    /// The next event, and its time.
    pub(super) fn next(&mut self) -> Option<(f64, Event)> {
        self.events.pop().map(|Reverse(At { time, event, .. })| (time, event))
    }
}
