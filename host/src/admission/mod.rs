//! Who may run next. An item needs a slot and its share of the memory, and both go to the dataset that has the least of
//! them, so that one dataset's flood does not starve another.
//!
//! What a dataset has is its larger part of the two: so many of the slots, or so much of the memory (dominant resource
//! fairness; Ghodsi and others, NSDI 2011). A dataset that is alone may have everything. Where the memory does not suffice
//! for the item that is next, everybody waits until it does: otherwise small items would starve large ones. A dataset's own
//! items run in the order in which they asked.
//!
//! When an item ends, its slot is free, and of its memory what its rows do not take: those are the batch's ([`Holding`]), until
//! they are written. [`holding`] says what happens when rows take so much that nobody can go on.

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
