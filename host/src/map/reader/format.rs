//! What the function of a format is given, and how it may stop.

use std::io;

use super::item::Item;

/// The longest line, row or element, in bytes. An item is handed on with at most 256 KiB, but an item selector may take
/// little of a long one; Step Functions reads no row beyond 8 MB.
pub const MAX_ITEM_BYTES: usize = 8 * 1024 * 1024;

/// Why a format's function stopped before the end.
#[derive(Debug)]
pub(super) enum Stop {
    /// The object could not be read on.
    Io(io::Error),
    /// The object is not of the format.
    Format(String),
    /// Nobody takes items any more.
    Gone,
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Takes an item. An error means that no more are wanted.
pub(super) type Emit<'a> = dyn FnMut(Item) -> Result<(), Stop> + 'a;
