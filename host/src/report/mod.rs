//! What a batch answers, and its full report beside its outputs. Step Functions gets the answer as the output of a success or as
//! the cause of a failure; the local Distributed Map makes its summary of it.

mod batch;
mod full;

pub use self::batch::{BatchReport, Component, Failures, ItemCounts, OTHER_CODES};
pub use self::full::{FullReport, ItemLine, Recorded};
