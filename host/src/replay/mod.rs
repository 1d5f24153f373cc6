//! Runs one recorded batch again, with the same pipeline over a queue of one message, a ledger that knows what time it was, and
//! stores that write aside.

mod clock;
mod desk;
mod verdict;

pub use self::desk::{Desk, NotReplayed, place_of, read_report};
pub use self::verdict::{Differs, Rows, verdict};
