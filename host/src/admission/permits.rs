//! Permits: a slot and memory for one item, waited for in turn. Seats: how many batches of a dataset are under way.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytesize::ByteSize;
use tokio::sync::{Notify, oneshot};

use super::need::Need;
use super::state::{Member, State, Waiter};
use crate::runtime::MAX_HOST_MEMORY;

/// All slots and all memory, and who has and wants them.
#[derive(Debug)]
pub struct Admission {
    pub(super) slots: usize,
    pub(super) memory: u64,
    state: Mutex<State<Permit>>,
    /// Notified when a batch holds less than before.
    pub(super) freed: Notify,
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
    /// An admission with so many slots, and so many bytes of memory.
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

    /// Why not even one item of this dataset can run, if so. Then this process must not take its batches.
    pub fn objection(&self, need: &Need) -> Option<String> {
        let show = |bytes| ByteSize(bytes).display().iec();
        (need.memory.saturating_add(need.held) > self.memory).then(|| {
            let held = match need.held {
                0 => String::new(),
                held => format!(" beside {} of rows that wait to be sorted", show(held)),
            };
            format!(
                "one item may take {} (`[plugin] memory`, twice `max_output`, and {} for what the host reads ahead){held}, which \
                 is more than the {} that this worker has for items: lower these keys, give the container more memory, or set \
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

    pub(super) async fn acquire_for(self: &Arc<Self>, need: &Need, holding: Option<u64>) -> Option<Permit> {
        let (permit, granted) = oneshot::channel();
        let mut asked = Asked { admission: self, granted };
        // An item that never fits was objected to. Should it come all the same, it waits for all memory, not for ever.
        let waiter = Waiter { memory: need.memory.min(self.memory), max_slots: need.max_slots.max(1), holding, permit };
        self.state().member(&need.dataset).waiting.push_back(waiter);
        self.serve();
        (&mut asked.granted).await.ok()
    }

    /// A permit, if one is free and nobody waits for it: for work that must not hold up anything.
    pub fn spare(self: &Arc<Self>, need: &Need) -> Option<Permit> {
        let mut state = self.state();
        // An item that never fits takes all memory, as in `acquire`.
        let memory = need.memory.min(self.memory);
        let could_run =
            |member: &Member<Permit>| member.wants() && member.waiting.iter().any(|waiter| !waiter.permit.is_closed());
        if state.members.values().any(could_run) || state.free_slots == 0 || i128::from(memory) > state.free_memory {
            return None;
        }
        state.take(&need.dataset, memory);
        Some(Permit { admission: self.clone(), dataset: need.dataset.clone(), memory })
    }

    /// A place for one more batch of the dataset. None if it has as many as it may, unless `in_any_case`.
    pub fn seat(self: &Arc<Self>, need: &Need, in_any_case: bool) -> Option<Seat> {
        let mut state = self.state();
        let member = state.member(&need.dataset);
        if member.batches >= need.max_batches && !in_any_case {
            return None;
        }
        member.batches += 1;
        Some(Seat { admission: self.clone(), dataset: need.dataset.clone() })
    }

    /// Gives permits until nothing is left, or nobody may have it.
    pub(super) fn serve(self: &Arc<Self>) {
        // Permits whose waiters gave up in this very moment. They are dropped last, because giving back locks the
        // state.
        let mut unwanted = Vec::new();
        let mut state = self.state();
        while let Some((dataset, waiter)) = state.next(self.slots, self.memory).or_else(|| state.rescue(self.slots)) {
            state.take(&dataset, waiter.memory);
            let permit = Permit { admission: self.clone(), dataset, memory: waiter.memory };
            unwanted.extend(waiter.permit.send(permit).err());
        }
        drop(state);
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State<Permit>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
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
        self.admission.state().give_back(&self.dataset, self.memory);
        self.admission.serve();
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.admission.state().member(&self.dataset).batches -= 1;
    }
}

/// A wait for a permit. When it is given up, those who waited behind it are served.
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
