//! Who may run next. An item needs a slot and its share of the memory, and both go to the dataset that has the least of
//! them, so that one dataset's flood does not starve another.
//!
//! What a dataset has is its larger part of the two: so many of the slots, or so much of the memory (dominant resource
//! fairness; Ghodsi and others, NSDI 2011). A dataset that is alone may have everything. Where the memory does not suffice
//! for the item that is next, everybody waits until it does: otherwise small items would starve large ones. A dataset's own
//! items run in the order in which they asked.
//!
//! When an item ends, its slot is free, and of its memory what its rows do not take: those are the batch's ([`Holding`]), until
//! they are written. [`holding`] says what happens when rows take so much that nobody can go on.

mod holding;
mod memory;

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytesize::ByteSize;
use tokio::sync::{Notify, oneshot};

use self::holding::Held;
pub use self::holding::{Displaced, Holding};
pub use self::memory::{budget, limit};
use crate::dataset::PluginSpec;
use crate::runtime::MAX_HOST_MEMORY;

/// What there is, and who has and wants it.
#[derive(Debug)]
pub struct Admission {
    slots: usize,
    memory: u64,
    state: Mutex<State>,
    /// Told when a batch holds less than before.
    freed: Notify,
}

/// What the items and batches of one dataset need.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Need {
    /// The dataset's name.
    pub dataset: Arc<str>,
    /// The memory that one item may take, in bytes.
    pub memory: u64,
    /// How many of its items may run at once.
    pub max_slots: usize,
    /// How many of its batches may be under way at once.
    pub max_batches: usize,
}

impl Need {
    /// What the dataset file says.
    ///
    /// An item is counted with the guest's `memory`, what the host may hold for the guest ([`MAX_HOST_MEMORY`]), and its
    /// rows twice: as they are handed over and as they are taken. Rows that consist of nulls can take more
    /// (`runtime/output.rs` bounds that); what the host keeps for itself ([`budget`]) has to do for them.
    pub fn of(dataset: &str, plugin: &PluginSpec) -> Self {
        let rows = plugin.max_output.saturating_mul(2);
        Self {
            dataset: dataset.into(),
            memory: plugin.memory.saturating_add(MAX_HOST_MEMORY as u64).saturating_add(rows),
            max_slots: plugin.max_slots.unwrap_or(usize::MAX),
            max_batches: plugin.max_batches.unwrap_or(usize::MAX),
        }
    }
}

#[derive(Debug)]
struct State {
    free_slots: usize,
    /// Less than nothing while rows take more than was set aside for them: nothing is given then.
    free_memory: i128,
    /// How many permits were given so far: tells who had one last.
    given: u64,
    /// As many as there are datasets.
    members: BTreeMap<Arc<str>, Member>,
    /// What batches hold, in the order in which they began to.
    held: BTreeMap<u64, Held>,
    /// How many batches began to hold something so far.
    holdings: u64,
}

/// What a dataset has and wants.
#[derive(Debug, Default)]
struct Member {
    slots: usize,
    memory: u64,
    /// The memory that rows of its batches take, beside that of the items that run.
    rows: i128,
    batches: usize,
    last: u64,
    waiting: VecDeque<Waiter>,
}

#[derive(Debug)]
struct Waiter {
    memory: u64,
    max_slots: usize,
    /// Which batch waits, if it is one that can hold rows.
    holding: Option<u64>,
    permit: oneshot::Sender<Permit>,
}

/// A slot and memory for one item, until it is dropped.
#[derive(Debug)]
pub struct Permit {
    admission: Arc<Admission>,
    dataset: Arc<str>,
    memory: u64,
}

/// One of the batches that a dataset may have under way, until it is dropped.
#[derive(Debug)]
pub struct Seat {
    admission: Arc<Admission>,
    dataset: Arc<str>,
}

impl Admission {
    /// So many slots, and so many bytes of memory.
    pub fn new(slots: usize, memory: u64) -> Arc<Self> {
        let state = State {
            free_slots: slots,
            free_memory: memory.into(),
            given: 0,
            members: BTreeMap::new(),
            held: BTreeMap::new(),
            holdings: 0,
        };
        Arc::new(Self { slots, memory, state: Mutex::new(state), freed: Notify::new() })
    }

    /// Why not even one item can run, if so: then the dataset must not be asked for here.
    pub fn objection(&self, need: &Need) -> Option<String> {
        let show = |bytes| ByteSize(bytes).display().iec();
        (need.memory > self.memory).then(|| {
            format!(
                "one item may take {} (`[plugin] memory`, twice `max_output`, and {} for what the host reads ahead), which is \
                 more than the {} that this worker has for items: lower these keys, give the container more memory, or set \
                 `--memory`",
                show(need.memory),
                show(MAX_HOST_MEMORY as u64),
                show(self.memory)
            )
        })
    }

    /// Waits until an item of this dataset may run. Giving up the wait costs nobody a turn. None if there is no admission
    /// any more.
    pub async fn acquire(self: &Arc<Self>, need: &Need) -> Option<Permit> {
        self.acquire_for(need, None).await
    }

    async fn acquire_for(self: &Arc<Self>, need: &Need, holding: Option<u64>) -> Option<Permit> {
        let (permit, granted) = oneshot::channel();
        let mut asked = Asked { admission: self, granted };
        // One that would never fit was objected to; it waits for everything rather than for ever.
        let waiter = Waiter { memory: need.memory.min(self.memory), max_slots: need.max_slots.max(1), holding, permit };
        self.state().member(&need.dataset).waiting.push_back(waiter);
        self.serve();
        (&mut asked.granted).await.ok()
    }

    /// What nobody wants right now: a permit, if one is free and nobody waits. For what must not hold up anything.
    pub fn spare(self: &Arc<Self>, need: &Need) -> Option<Permit> {
        let mut state = self.state();
        // What would never fit has all there is, as one that waits would.
        let memory = need.memory.min(self.memory);
        let could_run =
            |member: &Member| member.wants() && member.waiting.iter().any(|waiter| !waiter.permit.is_closed());
        if state.members.values().any(could_run) || state.free_slots == 0 || i128::from(memory) > state.free_memory {
            return None;
        }
        let permit = Permit { admission: self.clone(), dataset: need.dataset.clone(), memory };
        state.take(&permit);
        Some(permit)
    }

    /// A place for one more batch of the dataset, unless it has as many as it may. With `in_any_case` it has one more.
    pub fn seat(self: &Arc<Self>, need: &Need, in_any_case: bool) -> Option<Seat> {
        let mut state = self.state();
        let member = state.member(&need.dataset);
        if member.batches >= need.max_batches && !in_any_case {
            return None;
        }
        member.batches += 1;
        Some(Seat { admission: self.clone(), dataset: need.dataset.clone() })
    }

    /// Gives permits until there is nothing left, or nobody who may have it.
    fn serve(self: &Arc<Self>) {
        // Whoever stopped waiting in this very moment: giving back needs the state.
        let mut unwanted = Vec::new();
        let mut state = self.state();
        while let Some((dataset, waiter)) = state.next(self).or_else(|| state.rescue(self.slots)) {
            let permit = Permit { admission: self.clone(), dataset, memory: waiter.memory };
            state.take(&permit);
            unwanted.extend(waiter.permit.send(permit).err());
        }
        drop(state);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn member(&mut self, dataset: &Arc<str>) -> &mut Member {
        self.members.entry(dataset.clone()).or_default()
    }

    /// Takes whoever is next out of the queue, if there is enough for it.
    fn next(&mut self, of: &Admission) -> Option<(Arc<str>, Waiter)> {
        for member in self.members.values_mut() {
            while member.waiting.front().is_some_and(|waiter| waiter.permit.is_closed()) {
                member.waiting.pop_front();
            }
        }
        let wants = self.members.iter_mut().filter(|(_, member)| member.wants());
        let (dataset, member) = wants.min_by_key(|(_, member)| member.turn(of))?;
        let fits = self.free_slots > 0 && i128::from(member.waiting.front()?.memory) <= self.free_memory;
        if fits { Some((dataset.clone(), member.waiting.pop_front()?)) } else { None }
    }

    fn take(&mut self, permit: &Permit) {
        self.free_slots -= 1;
        self.free_memory -= i128::from(permit.memory);
        self.given += 1;
        let given = self.given;
        let member = self.member(&permit.dataset);
        member.slots += 1;
        member.memory += permit.memory;
        member.last = given;
    }

    fn give_back(&mut self, permit: &Permit) {
        self.free_slots += 1;
        self.free_memory += i128::from(permit.memory);
        let member = self.member(&permit.dataset);
        member.slots -= 1;
        member.memory -= permit.memory;
    }
}

impl Member {
    fn wants(&self) -> bool {
        self.waiting.front().is_some_and(|waiter| self.slots < waiter.max_slots)
    }

    /// Least first: its larger part of the two (in parts of slots times memory, so that no fraction is lost); among equals
    /// who had a permit longest ago.
    fn turn(&self, of: &Admission) -> (u128, u64) {
        let has = u128::from(self.memory).saturating_add_signed(self.rows);
        let (slots, memory) = (self.slots as u128 * u128::from(of.memory), has * of.slots as u128);
        (slots.max(memory), self.last)
    }
}

impl Permit {
    /// How much memory the item may take, in bytes.
    pub fn memory(&self) -> u64 {
        self.memory
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.admission.state().give_back(self);
        self.admission.serve();
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.admission.state().member(&self.dataset).batches -= 1;
    }
}

/// A wait. When it is given up, whoever waited behind it is looked at again.
struct Asked<'a> {
    admission: &'a Arc<Admission>,
    granted: oneshot::Receiver<Permit>,
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        self.granted.close();
        self.admission.serve();
    }
}

#[cfg(test)]
mod tests;
