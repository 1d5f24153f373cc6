//! Partitions, in an order that people expect.

use std::collections::BTreeMap;

use crate::object::Location;

/// The values of a partition, by the names of its columns in the order of the path. None is null.
pub type Partition = Vec<(String, Option<String>)>;

/// Objects by partition; an output without partitions has all of them under the empty one.
pub type ByPartition = BTreeMap<PartitionKey, Vec<Location>>;

/// A partition, in the order of its values: numbers as numbers, before texts, and null last.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PartitionKey(Vec<(Rank, String)>, Partition);

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Number(i128),
    Text(String),
    Null,
}

impl PartitionKey {
    pub(super) fn of(columns: Partition) -> Self {
        let rank = |value: &Option<String>| match value {
            None => Rank::Null,
            Some(text) => text.parse().map_or_else(|_| Rank::Text(text.clone()), Rank::Number),
        };
        Self(columns.iter().map(|(name, value)| (rank(value), name.clone())).collect(), columns)
    }

    /// The values by column.
    pub fn columns(&self) -> &Partition {
        &self.1
    }
}
