//! What an admission knows, and what follows from it: who is next.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

/// What is free, who has what, and who waits. `P` is the permit that waiters are sent.
#[derive(Debug)]
pub(super) struct State<P> {
    pub(super) free_slots: usize,
    /// Negative while rows take more than was set aside for them: no permit is given then.
    pub(super) free_memory: i128,
    /// How many permits were given so far. A dataset's `last` is the number of its latest one.
    pub(super) given: u64,
    /// One for each dataset.
    pub(super) members: BTreeMap<Arc<str>, Member<P>>,
    /// What batches hold, by number, in the order in which they began.
    pub(super) held: BTreeMap<u64, Held>,
    /// How many batches began so far.
    pub(super) holdings: u64,
}

/// What a dataset has and wants.
#[derive(Debug)]
pub(super) struct Member<P> {
    pub(super) slots: usize,
    pub(super) memory: u64,
    /// The memory that rows of its batches take, beside that of the items that run.
    pub(super) rows: i128,
    pub(super) batches: usize,
    pub(super) last: u64,
    pub(super) waiting: VecDeque<Waiter<P>>,
}

/// An item that waits for its permit.
#[derive(Debug)]
pub(super) struct Waiter<P> {
    pub(super) memory: u64,
    pub(super) max_slots: usize,
    /// Which batch waits, if it is one that can hold rows.
    pub(super) holding: Option<u64>,
    pub(super) permit: oneshot::Sender<P>,
}

/// How many items of a batch handed over their results, and how many of those were looked at.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) handed_over: AtomicU64,
    pub(super) looked_at: AtomicU64,
    /// How many of those that were looked at wait for an earlier item.
    pub(super) early: AtomicU64,
    /// Items that are repeated: their memory is set aside, and each asks for a slot alone after its pause.
    pub(super) repeated: AtomicU64,
}

/// What a batch holds, as the admission knows it.
#[derive(Debug)]
pub(super) struct Held {
    /// When the batch began, as the number of those before it.
    pub(super) age: u64,
    /// May be negative for a moment, when an addition is counted after a later removal.
    pub(super) bytes: i128,
    pub(super) counts: Arc<Counts>,
    pub(super) displaced: CancellationToken,
    pub(super) too_large: bool,
}

impl<P> State<P> {
    pub(super) fn member(&mut self, dataset: &Arc<str>) -> &mut Member<P> {
        self.members.entry(dataset.clone()).or_insert_with(Member::new)
    }

    /// Takes the waiter that is next out of its queue, if there is enough for it.
    pub(super) fn next(&mut self, slots: usize, memory: u64) -> Option<(Arc<str>, Waiter<P>)> {
        for member in self.members.values_mut() {
            while member.waiting.front().is_some_and(|waiter| waiter.permit.is_closed()) {
                member.waiting.pop_front();
            }
        }
        let wants = self.members.iter_mut().filter(|(_, member)| member.wants());
        let (dataset, member) = wants.min_by_key(|(_, member)| member.turn(slots, memory))?;
        let fits = self.free_slots > 0 && i128::from(member.waiting.front()?.memory) <= self.free_memory;
        if fits { Some((dataset.clone(), member.waiting.pop_front()?)) } else { None }
    }

    /// A permit of so much memory is given to an item of the dataset.
    pub(super) fn take(&mut self, dataset: &Arc<str>, memory: u64) {
        self.free_slots -= 1;
        self.free_memory -= i128::from(memory);
        self.given += 1;
        let given = self.given;
        let member = self.member(dataset);
        member.slots += 1;
        member.memory += memory;
        member.last = given;
    }

    pub(super) fn give_back(&mut self, dataset: &Arc<str>, memory: u64) {
        self.free_slots += 1;
        self.free_memory += i128::from(memory);
        let member = self.member(dataset);
        member.slots -= 1;
        member.memory -= memory;
    }

    /// A batch of the dataset holds so much more, or less.
    pub(super) fn hold(&mut self, holding: u64, dataset: &Arc<str>, more: i128) {
        if let Some(held) = self.held.get_mut(&holding) {
            held.bytes += more;
            self.free_memory -= more;
            self.member(dataset).rows += more;
        }
    }

    /// When nothing runs and every batch that holds rows is stuck: a waiter of the oldest batch, which goes on before
    /// its turn. If none fits, the youngest batch is displaced instead, and gives up its rows in a moment.
    pub(super) fn rescue(&mut self, slots: usize) -> Option<(Arc<str>, Waiter<P>)> {
        if self.free_slots < slots {
            return None;
        }
        let mut holders: Vec<_> =
            self.held.iter().filter(|(_, held)| held.bytes > 0).map(|(n, h)| (h.age, *n)).collect();
        holders.sort_unstable();
        let (eldest, youngest) = (holders.first()?.1, holders.last()?.1);
        if !holders.iter().all(|(_, number)| self.is_stuck(*number)) {
            return None;
        }
        let free = self.free_memory;
        // Lanes may overtake each other by an item. Rows of items ahead of their turn stay in memory until that turn
        // comes.
        let early = self.held.get(&eldest).map_or(0, |held| held.counts.early.load(Ordering::SeqCst));
        let waits_for_turn = eldest == youngest && early > 0;
        for (dataset, member) in &mut self.members {
            let open = |waiter: &Waiter<P>| waiter.holding == Some(eldest) && !waiter.permit.is_closed();
            // An item that is repeated has its memory already.
            let has = |waiter: &Waiter<P>| open(waiter) && waiter.memory == 0;
            let place = member.waiting.iter().position(has).or_else(|| member.waiting.iter().position(open));
            let Some(place) = place else { continue };
            let memory = member.waiting[place].memory;
            if memory == 0 || i128::from(memory) <= free || waits_for_turn {
                return Some((dataset.clone(), member.waiting.remove(place)?));
            }
        }
        if let Some(held) = self.held.get_mut(&youngest) {
            held.too_large = youngest == eldest;
            held.displaced.cancel();
        }
        None
    }

    /// Whether a batch waits for memory, and for nothing else: what it holds will not become less by itself.
    fn is_stuck(&self, number: u64) -> bool {
        let Some(held) = self.held.get(&number) else { return false };
        let counts = &held.counts;
        let idle = counts.handed_over.load(Ordering::SeqCst) == counts.looked_at.load(Ordering::SeqCst);
        let waits = |waiter: &Waiter<P>| waiter.holding == Some(number) && !waiter.permit.is_closed();
        let (mut waiting, mut repeated) = (0_u64, 0_u64);
        for waiter in self.members.values().flat_map(|member| &member.waiting).filter(|waiter| waits(waiter)) {
            waiting += 1;
            repeated += u64::from(waiter.memory == 0);
        }
        // An item that pauses will ask by itself.
        let pauses = counts.repeated.load(Ordering::SeqCst) > repeated;
        idle && !pauses && waiting > 0 && !held.displaced.is_cancelled()
    }
}

impl<P> Member<P> {
    fn new() -> Self {
        Self { slots: 0, memory: 0, rows: 0, batches: 0, last: 0, waiting: VecDeque::new() }
    }

    pub(super) fn wants(&self) -> bool {
        self.waiting.front().is_some_and(|waiter| self.slots < waiter.max_slots)
    }

    /// The order in which datasets are served. The smallest share comes first (multiplied by slots times memory, so
    /// that no fraction is lost); among equals, the one whose last permit is oldest.
    fn turn(&self, slots: usize, memory: u64) -> (u128, u64) {
        let has = u128::from(self.memory).saturating_add_signed(self.rows);
        let (of_slots, of_memory) = (self.slots as u128 * u128::from(memory), has * slots as u128);
        (of_slots.max(of_memory), self.last)
    }
}
