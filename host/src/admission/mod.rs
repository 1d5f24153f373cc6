//! Who may run next. An item needs a slot and its share of the memory, and both go to the dataset that has the least of
//! them, so that one dataset's flood does not starve another.
//!
//! A dataset's share is its part of the slots or its part of the memory, whichever is larger (dominant resource
//! fairness; Ghodsi and others, NSDI 2011). A dataset that is alone may have everything. If the memory does not suffice
//! for the item that is next, everybody waits until it does: otherwise small items would starve large ones. A dataset's
//! own items run in the order in which they asked.
//!
//! When an item ends, its slot and its memory are free again, except for what its rows take. That belongs to the batch
//! ([`Holding`]) until the rows are written. [`holding`] says what happens when rows take so much that no item can
//! start.

mod holding;
mod memory;
mod need;
mod permits;
mod state;
#[cfg(test)]
mod tests;

pub use self::holding::{Displaced, Holding};
pub use self::memory::{budget, limit};
pub use self::need::Need;
pub use self::permits::{Admission, Permit, Seat};
