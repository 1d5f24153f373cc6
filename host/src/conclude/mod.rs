//! What concludes a stage: the objects that its batches committed become the items of the next one.
//!
//! What there is follows from the batches' answers, which Step Functions writes for a Distributed Map that has a `ResultWriter`,
//! and from the lists of objects that batches leave. No listing of a prefix is asked: it would see what a batch left that failed.

mod committed;
mod error;
mod items;
mod leftovers;
mod partition;
mod published;
mod results;

pub use self::committed::committed;
pub use self::error::ConcludeError;
pub use self::items::{Concluded, ItemsFile, lines, place};
pub use self::leftovers::leftovers;
pub use self::partition::{ByPartition, Partition, PartitionKey};
pub use self::published::{Published, RunRecord, others, own, partitions, publish};
pub use self::results::ResultsWriter;

#[cfg(test)]
mod tests;
