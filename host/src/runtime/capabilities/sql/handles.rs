//! What a guest holds a handle of. The generated bindings name this type.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use crate::database::DatabaseError;
use crate::table::Column;

/// What a statement gives. Dropping it ends the reading ahead, and the statement.
#[expect(unreachable_pub, reason = "the bindings re-export it")]
pub struct QueryRows {
    pub(super) columns: Vec<Column>,
    pub(super) blocks: mpsc::Receiver<Result<Next, DatabaseError>>,
    pub(super) _task: AbortOnDropHandle<()>,
    /// Says that the instance has rows under way.
    pub(super) _open: Arc<()>,
}

/// What the guest gets next.
pub(super) struct Next {
    /// A block; none at the end.
    pub(super) block: Option<Vec<u8>>,
    /// How many bytes came from the server for it.
    pub(super) fetched: u64,
    /// How long a CPU worked on it.
    pub(super) work: Duration,
}
