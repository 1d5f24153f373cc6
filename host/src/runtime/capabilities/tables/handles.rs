//! What a guest holds a handle of. The generated bindings name this type.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use crate::object::ObjectError;
use crate::table::Column;

/// A table that is being read. Dropping it ends the reading ahead.
#[expect(unreachable_pub, reason = "the bindings re-export it")]
pub struct TableScan {
    pub(super) columns: Vec<Column>,
    pub(super) blocks: mpsc::Receiver<Result<Next, ObjectError>>,
    pub(super) _task: AbortOnDropHandle<()>,
}

/// What the guest gets next.
pub(super) struct Next {
    /// A block; none at the end.
    pub(super) block: Option<Vec<u8>>,
    /// How many bytes of the object were fetched for it.
    pub(super) fetched: u64,
    /// How long a CPU worked on it.
    pub(super) work: Duration,
}
