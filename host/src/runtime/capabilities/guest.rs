//! What one instance has on the host's side: the data of its store.

use std::sync::Arc;

use tokio::runtime::Handle;
use wasmtime::component::ResourceTable;
use wasmtime_wasi::{WasiCtxView, WasiView};

use super::logging::LoggingCtx;
use super::metrics::MetricsCtx;
use super::objects::{ObjectsCtx, ObjectsView};
use super::output::OutputCtx;
use super::sql::{SqlCtx, SqlView};
use super::tables::TablesView;
use super::wasi::LazyWasiCtx;
use crate::job::Item;
use crate::runtime::BatchContext;
use crate::runtime::limits::{HostMemory, MemoryBudget};
use crate::runtime::time::ItemTime;

/// A guest holds an object, its chunks, perhaps a listing, and WASI's few streams: never a thousand of anything.
pub(in crate::runtime) const MAX_HANDLES: usize = 1_000;

/// The data of an instance's store: its limits, its handles, and the context of each capability.
pub(in crate::runtime) struct Guest {
    pub(in crate::runtime) batch: Arc<BatchContext>,
    pub(in crate::runtime) memory: MemoryBudget,
    pub(in crate::runtime) time: ItemTime,
    /// The handles of all capabilities.
    pub(super) table: ResourceTable,
    pub(in crate::runtime) objects: ObjectsCtx,
    sql: SqlCtx,
    pub(in crate::runtime) output: OutputCtx,
    pub(super) metrics: MetricsCtx,
    pub(super) logging: LoggingCtx,
    wasi: LazyWasiCtx,
}

impl Guest {
    pub(in crate::runtime) fn new(batch: Arc<BatchContext>, io: Handle, item: &Item, time: ItemTime) -> Self {
        let mut table = ResourceTable::new();
        table.set_max_capacity(MAX_HANDLES);
        let logging = LoggingCtx::new(&batch, item);
        // What the host holds for the instance is one sum.
        let held = HostMemory::new();
        Self {
            memory: MemoryBudget::new(batch.limits.memory),
            time,
            table,
            objects: ObjectsCtx::new(batch.clone(), io.clone(), held.clone()),
            sql: SqlCtx::new(batch.clone(), io, held),
            output: OutputCtx::new(&batch),
            metrics: MetricsCtx::new(&batch),
            wasi: LazyWasiCtx::new(&batch, item, logging.clone()),
            logging,
            batch,
        }
    }

    /// Forgets the item before, when an instance lives longer than one.
    pub(in crate::runtime) fn next_item(&mut self, item: &Item, time: ItemTime) {
        self.memory.forgive();
        self.time = time;
        self.objects.next_item();
        self.output.next_item();
        self.logging.next_item(item);
        self.wasi.next_item(item);
    }

    /// What the functions of `tables` work on.
    pub(super) fn tables(&mut self) -> TablesView<'_> {
        TablesView { objects: &mut self.objects, table: &mut self.table, time: &self.time, logging: &self.logging }
    }

    /// What the functions of `sql` work on.
    pub(super) fn sql(&mut self) -> SqlView<'_> {
        SqlView { ctx: &mut self.sql, table: &mut self.table, time: &self.time, objects: &mut self.objects }
    }

    /// What the functions of `objects` work on.
    pub(super) fn objects(&mut self) -> ObjectsView<'_> {
        ObjectsView { ctx: &mut self.objects, table: &mut self.table }
    }
}

impl WasiView for Guest {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: self.wasi.get(), table: &mut self.table }
    }
}
