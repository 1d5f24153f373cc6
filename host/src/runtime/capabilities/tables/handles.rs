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
    pub(super) blocks: mpsc::Receiver<Result<Block, ObjectError>>,
    pub(super) _task: AbortOnDropHandle<()>,
}

/// A block as the guest gets it.
pub(super) struct Block {
    pub(super) bytes: Vec<u8>,
    /// How many bytes of the object were fetched for it.
    pub(super) fetched: u64,
    /// How long a CPU worked on it.
    pub(super) work: Duration,
}
