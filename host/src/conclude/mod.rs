//! What concludes a stage: the objects that its batches committed become the items of the next one.
//!
//! What there is follows from the batches' answers, which Step Functions writes for a Distributed Map that has a `ResultWriter`,
//! and from the lists of objects that batches leave. No listing of a prefix is asked: it would see what a batch left that failed.

mod items;
mod published;
mod results;

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::{StreamExt as _, TryStreamExt as _, stream};

pub use self::items::{Concluded, ItemsFile, lines, place};
pub use self::published::{Published, RunRecord, others, own, partitions, publish};
use self::results::Committed;
pub use self::results::ResultsWriter;
use crate::job::Results;
use crate::object::{Location, ObjectError, ObjectStore};
use crate::sink::{SinkError, file_list};
use crate::table::hive;

/// How many lists of objects are read at once.
const LISTS_AT_ONCE: usize = 16;

/// Why a stage could not be concluded.
#[derive(Debug, thiserror::Error)]
pub enum ConcludeError {
    /// Another attempt may read it.
    #[error("what the stage's batches answered could not be read: {0}")]
    Unavailable(ObjectError),
    /// Somebody has to change something.
    #[error("{0}")]
    Refused(String),
}

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
    fn of(columns: Partition) -> Self {
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

/// The objects that the stage's batches committed to an output, by partition.
pub async fn committed(
    store: &Arc<dyn ObjectStore>,
    results: &Results,
    output: &str,
) -> Result<ByPartition, ConcludeError> {
    let batches = results::read(store.clone(), results, output).await?;
    let lists = batches.into_iter().map(|batch| objects_of(&**store, batch, output));
    let found = stream::iter(lists).buffer_unordered(LISTS_AT_ONCE);
    let mut objects: ByPartition = found
        .try_fold(BTreeMap::new(), async |mut all: ByPartition, (prefix, files)| {
            for file in files {
                let below = file.key.strip_prefix(&prefix.key).unwrap_or(&file.key);
                all.entry(PartitionKey::of(hive::columns(below))).or_default().push(file);
            }
            Ok(all)
        })
        .await?;
    objects.values_mut().for_each(|files| files.sort_by(|one, other| one.key.cmp(&other.key)));
    Ok(objects)
}

/// The objects that one batch committed, and the prefix that they lie below.
async fn objects_of(
    store: &dyn ObjectStore,
    batch: Committed,
    output: &str,
) -> Result<(Location, Vec<Location>), ConcludeError> {
    let Committed { id, place, listed } = batch;
    if !listed {
        let end = place.key.rfind('/').map_or(0, |slash| slash + 1);
        return Ok((place.with_key(&place.key[..end]), vec![place]));
    }
    let at = file_list::place(&place, &id, output);
    let files = file_list::read(store, &at).await.map_err(|error| match error {
        SinkError::Unavailable(why) => ConcludeError::Unavailable(ObjectError::Unavailable(why)),
        other => ConcludeError::Refused(other.to_string()),
    })?;
    if files.is_empty() {
        return Err(ConcludeError::Refused(format!(
            "{at} is not there, or names no object: it lists what batch {id} committed to `{output}`; run the stage again"
        )));
    }
    let files = files.into_iter().map(|key| place.with_key(format!("{}{key}", place.key))).collect();
    Ok((place, files))
}
