//! What one instance has on the host's side: its store's data.

use std::sync::Arc;
use std::time::Instant;

use arrow::array::RecordBatch;
use tokio::runtime::Handle;
use wasmtime::component::ResourceTable;
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

use super::limits::{HostMemory, MemoryBudget};
use super::logging::LogBudget;
use super::{BatchContext, wasi};
use crate::job::Item;

/// A guest holds an object, its chunks, perhaps a listing, and WASI's few streams: never a thousand of anything.
pub(super) const MAX_HANDLES: usize = 1_000;

/// The data of an instance's store.
pub(super) struct Guest {
    pub(super) context: Arc<BatchContext>,
    pub(super) io: Handle,
    pub(super) memory: MemoryBudget,
    pub(super) table: ResourceTable,
    pub(super) log: LogBudget,
    pub(super) host_memory: HostMemory,
    pub(super) rows: Vec<(usize, RecordBatch)>,
    /// The bytes that the guest emitted.
    pub(super) emitted: u64,
    /// The bytes that its rows take.
    pub(super) rows_memory: u64,
    pub(super) bytes_read: u64,
    /// The first emission that was refused: the item fails even if the guest goes on.
    pub(super) refused: Option<super::Fault>,
    /// When the item's time is over; none if that is further away than time can be counted.
    pub(super) deadline: Option<Instant>,
    /// What randomness follows from.
    seed: u128,
    /// Made when the guest asks for anything of it: many never do.
    wasi: Option<WasiCtx>,
}

impl Guest {
    pub(super) fn new(context: Arc<BatchContext>, io: Handle, item: &Item) -> Self {
        let log = LogBudget::new(&context, item);
        let mut table = ResourceTable::new();
        table.set_max_capacity(MAX_HANDLES);
        Self {
            memory: MemoryBudget::new(context.limits.memory),
            deadline: Instant::now().checked_add(context.limits.timeout),
            seed: wasi::seed(&item.body),
            wasi: None,
            context,
            io,
            table,
            host_memory: HostMemory::new(),
            log,
            rows: Vec::new(),
            emitted: 0,
            rows_memory: 0,
            bytes_read: 0,
            refused: None,
        }
    }

    /// Forgets the item before, when an instance lives longer than one. Clocks and randomness begin anew: what the guest is
    /// told follows from the item, whichever came before it.
    pub(super) fn next_item(&mut self, item: &Item) {
        self.seed = wasi::seed(&item.body);
        self.wasi = None;
        self.deadline = Instant::now().checked_add(self.context.limits.timeout);
        self.memory.forgive();
        self.rows.clear();
        self.emitted = 0;
        self.rows_memory = 0;
        self.bytes_read = 0;
        self.refused = None;
        self.log.next_item(item);
    }
}

impl WasiView for Guest {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        let ctx = self.wasi.get_or_insert_with(|| wasi::context(self.context.started, self.seed, &self.log));
        WasiCtxView { ctx, table: &mut self.table }
    }
}

impl super::bindings::gristmill::plugin::types::Host for Guest {}
