//! What a dataset's items and batches need.

use std::sync::Arc;

use crate::dataset::PluginSpec;
use crate::runtime::MAX_HOST_MEMORY;

/// What the items and batches of one dataset need.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Need {
    /// The dataset's name.
    pub dataset: Arc<str>,
    /// The memory that one item may take, in bytes.
    pub memory: u64,
    /// What a batch may hold beside its items while its rows wait to be sorted, in bytes.
    pub held: u64,
    /// How many of its items may run at once.
    pub max_slots: usize,
    /// How many of its batches may be under way at once.
    pub max_batches: usize,
}

impl Need {
    /// The need that follows from the dataset file.
    ///
    /// An item is counted with the guest's `memory`, what the host may hold for the guest ([`MAX_HOST_MEMORY`]), and its
    /// rows twice: as they are handed over and as they are taken. Rows that consist of nulls can take more
    /// (`runtime/capabilities/output.rs` bounds that); what the host keeps for itself ([`super::budget`]) has to do for them.
    pub fn of(dataset: &str, plugin: &PluginSpec) -> Self {
        let rows = plugin.max_output.saturating_mul(2);
        Self {
            dataset: dataset.into(),
            memory: plugin.memory.saturating_add(MAX_HOST_MEMORY as u64).saturating_add(rows),
            held: 0,
            max_slots: plugin.max_slots.unwrap_or(usize::MAX),
            max_batches: plugin.max_batches.unwrap_or(usize::MAX),
        }
    }
}
