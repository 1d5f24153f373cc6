//! What a guest holds a handle of. The generated bindings name these types.

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use crate::object::{Location, Metadata, ObjectError};
use crate::runtime::limits::Held;

/// A version of an object.
#[expect(unreachable_pub, reason = "the bindings re-export it")]
pub struct OpenObject {
    pub(super) metadata: Metadata,
    /// The bytes that came with the first request; none if there was no room for them.
    pub(super) first: Bytes,
    pub(super) _held: Option<Held>,
}

/// A sequential read. Dropping it ends the reading ahead.
#[expect(unreachable_pub, reason = "the bindings re-export it")]
pub struct ChunkReader {
    pub(super) source: ChunkSource,
    pub(super) _held: Held,
}

/// Where the chunks come from.
pub(super) enum ChunkSource {
    /// The whole object came with the first request, as it does for most.
    Memory { bytes: Bytes, size: usize },
    /// A task on the I/O runtime reads ahead, as long as somebody is there to read.
    Task { chunks: mpsc::Receiver<Result<Bytes, ObjectError>>, _task: AbortOnDropHandle<()> },
}

/// A listing under way.
#[expect(unreachable_pub, reason = "the bindings re-export it")]
pub struct ObjectListing {
    pub(super) prefix: Location,
    pub(super) next: Option<String>,
    pub(super) done: bool,
}

impl ChunkReader {
    /// The next chunk; none at the end.
    pub(super) async fn next(&mut self) -> Option<Result<Bytes, ObjectError>> {
        match &mut self.source {
            ChunkSource::Memory { bytes, .. } if bytes.is_empty() => None,
            ChunkSource::Memory { bytes, size } => Some(Ok(bytes.split_to(bytes.len().min(*size)))),
            ChunkSource::Task { chunks, .. } => chunks.recv().await,
        }
    }
}
