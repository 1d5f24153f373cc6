//! Runs items in components. The only room that knows wasmtime.
//!
//! A component's bytes become a [`Plugin`] (compiled, checked against the contract); a batch's limits, grants and outputs
//! become a [`BatchContext`]; and a [`Lane`] runs items of that batch one after the other, each in a fresh instance.
//!
//! Nothing that a guest does reaches further than its own [`ItemRun`]. Its memory, time, rows, log lines, handles and
//! host calls are bounded here, and whatever goes wrong inside comes back as the item's failure.

mod bounds;
mod cache;
mod capabilities;
mod child;
mod component;
mod confined;
mod cut;
mod describe;
mod digest;
mod digester;
mod engine;
mod lane;
mod limits;
mod open;
mod private;
mod secret;
mod store;
mod time;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arrow::array::RecordBatch;

use crate::backoff::Backoff;
use crate::database::WatchedConnections;
use crate::dataset::{Grants, InstanceLife};
use crate::job::FailureKind;
use crate::object::ObjectStore;

pub use bounds::Bounds;
pub use cache::cache_results;
pub use component::{Plugin, PluginError};
pub use confined::digest_for_parent;
pub use digester::Digester;
pub use lane::Lane;
pub(crate) use limits::MAX_HOST_MEMORY;
pub use open::{Runtime, RuntimeConfig};

/// What the items of one batch share.
pub struct BatchContext {
    /// The dataset's name.
    pub dataset: Arc<str>,
    /// The batch's name, for log lines only.
    pub batch: Arc<str>,
    /// The batch's `BatchInput` as JSON, or `null`.
    pub batch_input: Arc<str>,
    /// The settings as JSON.
    pub settings: Arc<str>,
    /// Where the guest's clock stands.
    pub started: SystemTime,
    /// What an item may use up.
    pub limits: Limits,
    /// What may be opened, listed and asked.
    pub grants: Grants,
    /// Where objects are.
    pub objects: Arc<dyn ObjectStore>,
    /// Where databases are.
    pub databases: Arc<WatchedConnections>,
    /// What becomes of emitted rows.
    pub rows: Arc<dyn RowDecoder>,
    /// Where a guest's numbers go.
    pub metrics: Arc<dyn GuestMetrics>,
}

/// What one item may use up.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The sum of an instance's linear memories, in bytes.
    pub memory: u64,
    /// The time an item may take, waiting included.
    pub timeout: Duration,
    /// The bytes of rows that an item may emit.
    pub max_output: u64,
    /// The bytes that an item may log.
    pub max_log: u64,
    /// How long an instance lives.
    pub instance: InstanceLife,
}

/// Rows as a guest emitted them.
#[derive(Clone, Copy, Debug)]
pub enum GuestRows<'a> {
    /// JSON lines.
    JsonLines(&'a [u8]),
    /// An Arrow IPC stream.
    ArrowIpc(&'a [u8]),
}

/// Why emitted rows were not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RowsRefused {
    /// No output of that name.
    NoSuchOutput(String),
    /// They do not fit the columns.
    Invalid(String),
}

/// Makes typed rows of what a guest emitted.
pub trait RowDecoder: Send + Sync {
    /// The number of the output, and the rows with its schema.
    fn decode(&self, output: &str, rows: GuestRows<'_>) -> Result<(usize, RecordBatch), RowsRefused>;
}

/// Takes the numbers that a guest reports.
pub trait GuestMetrics: Send + Sync {
    /// Adds to a counter.
    fn count(&self, name: &str, value: u64);
    /// Adds one observation.
    fn observe(&self, name: &str, value: f64);
}

/// Why an item has no result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ItemFault {
    /// The guest's own code, or one of [`crate::job::error_names`].
    pub code: String,
    /// What happened.
    pub message: String,
    /// What follows.
    pub kind: FailureKind,
}

/// What one item came to.
#[derive(Debug)]
pub struct ItemRun {
    /// The item's entry for the report, or why there is no result.
    pub result: Result<Option<String>, ItemFault>,
    /// The rows by the number of their output, in the order in which they were emitted. Empty after a failure.
    pub rows: Vec<(usize, RecordBatch)>,
    /// How many bytes of objects the guest was given.
    pub bytes_read: u64,
    /// How long it took, with its waiting for objects.
    pub took: Duration,
    /// How large the instance's memories were together at the end, in bytes: they never shrink. 0 when its time was over.
    pub memory: u64,
}

/// How often an item is called in one attempt of its batch, if it says each time that something was not ready.
pub(crate) const ITEM_ATTEMPTS: u32 = 3;

/// How long to wait after the call with this number (from 1). The time is random, so that items that were refused
/// together do not come back together.
pub(crate) fn pause_after(call: u32) -> Duration {
    const PAUSES: Backoff = Backoff::new(Duration::from_millis(400), Duration::from_millis(400 << 8));
    PAUSES.pause(call.saturating_sub(1))
}
