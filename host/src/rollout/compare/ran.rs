//! One item with one version.

use std::time::Duration;

use arrow::array::RecordBatch;

use crate::runtime::ItemFault;

/// What one version made of an item.
#[derive(Clone)]
pub struct Ran {
    /// What `process` returned, or why there is no result.
    pub result: Result<Option<String>, ItemFault>,
    /// The rows, each block with the number of its output. Empty after a failure.
    pub rows: Vec<(usize, RecordBatch)>,
    /// How long it took.
    pub took: Duration,
    /// How large the instance was, in bytes.
    pub memory: u64,
}
