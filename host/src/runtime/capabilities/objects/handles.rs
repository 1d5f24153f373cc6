//! What a guest holds a handle of. The generated bindings name these types.

use bytes::Bytes;

use crate::object::chunks::Chunks;
use crate::object::{Location, Metadata};
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
    pub(super) chunks: Chunks,
    pub(super) _held: Held,
}

/// A listing under way.
#[expect(unreachable_pub, reason = "the bindings re-export it")]
pub struct ObjectListing {
    pub(super) prefix: Location,
    pub(super) next: Option<String>,
    pub(super) done: bool,
}
