//! One item with one version.

use std::time::Duration;

use arrow::array::RecordBatch;

use crate::runtime::ItemFault;

/// What one version made of an item.
pub(super) struct Ran {
    pub(super) result: Result<Option<String>, ItemFault>,
    pub(super) rows: Vec<(usize, RecordBatch)>,
    pub(super) took: Duration,
    pub(super) memory: u64,
}
