//! How much memory an instance may have: the sum over its memories, not each by itself, because a component can hold
//! many.

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
