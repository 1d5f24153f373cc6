//! How much memory an instance may have: its own, and on the host's side. Both are sums, because a component can hold
//! many memories and many handles.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use wasmtime::ResourceLimiter;

/// Tables hold a pointer per element in the host; no toolchain's output comes near this.
const MAX_TABLE_ELEMENTS: usize = 200_000;

/// Counts what an instance's memories and tables hold.
#[derive(Debug)]
pub(super) struct MemoryBudget {
    limit: usize,
    used: usize,
    table_elements: usize,
    exceeded: bool,
}

impl MemoryBudget {
    pub(super) fn new(limit: u64) -> Self {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        Self { limit, used: 0, table_elements: 0, exceeded: false }
    }

    /// Whether more was asked for than the limit allows. A guest usually traps a moment later.
    pub(super) fn exceeded(&self) -> bool {
        self.exceeded
    }

    /// How much the memories hold, in bytes.
    pub(super) fn used(&self) -> u64 {
        self.used as u64
    }

    /// Forgets that the limit was exceeded: the next item is not to blame for it.
    pub(super) fn forgive(&mut self) {
        self.exceeded = false;
    }
}

impl ResourceLimiter for MemoryBudget {
    fn memory_growing(&mut self, current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        let used = self.used.saturating_add(desired.saturating_sub(current));
        let allowed = used <= self.limit;
        if allowed {
            self.used = used;
        } else {
            self.exceeded = true;
        }
        Ok(allowed)
    }

    fn table_growing(&mut self, current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        let elements = self.table_elements.saturating_add(desired.saturating_sub(current));
        let allowed = elements <= MAX_TABLE_ELEMENTS;
        if allowed {
            self.table_elements = elements;
        } else {
            self.exceeded = true;
        }
        Ok(allowed)
    }
}

/// What the host holds for one instance: objects' first bytes, and what is read ahead.
#[derive(Clone, Debug)]
pub(super) struct HostMemory(Arc<AtomicUsize>);

/// The most that the host holds for one instance, in bytes.
pub(crate) const MAX_HOST_MEMORY: usize = 128 << 20;

impl HostMemory {
    pub(super) fn new() -> Self {
        Self(Arc::new(AtomicUsize::new(MAX_HOST_MEMORY)))
    }

    /// How many bytes are not set aside.
    pub(super) fn left(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    /// Sets bytes aside until the guard is dropped. None if too few are left.
    pub(super) fn take(&self, bytes: usize) -> Option<Held> {
        let taken = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(bytes));
        taken.ok().map(|_| Held { bytes, of: self.0.clone() })
    }
}

/// Bytes that the host holds for an instance.
#[derive(Debug)]
pub(super) struct Held {
    bytes: usize,
    of: Arc<AtomicUsize>,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.of.fetch_add(self.bytes, Ordering::Relaxed);
    }
}
