//! What the batches of a stage have committed.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::{StreamExt as _, TryStreamExt as _, stream};

use super::error::ConcludeError;
use super::partition::{ByPartition, PartitionKey};
use super::results::{self, Committed};
use crate::job::Results;
use crate::object::{Location, ObjectError, ObjectStore};
use crate::sink::{SinkError, file_list};
use crate::table::hive;

/// How many lists of objects are read at once.
const LISTS_AT_ONCE: usize = 16;

/// The objects that the stage's batches committed to an output, by partition.
pub async fn committed(
    store: &Arc<dyn ObjectStore>,
    results: &Results,
    stage: &str,
    output: &str,
) -> Result<ByPartition, ConcludeError> {
    let batches = results::read(store.clone(), results, stage, output).await?;
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
    let Committed { id, place, files: Some(count) } = batch else {
        let place = batch.place;
        let end = place.key.rfind('/').map_or(0, |slash| slash + 1);
        return Ok((place.with_key(&place.key[..end]), vec![place]));
    };
    let at = file_list::place(&place, &id, output);
    let listed = file_list::read(store, &at).await.map_err(|error| match error {
        SinkError::Unavailable(why) => ConcludeError::Unavailable(ObjectError::Unavailable(why)),
        other => ConcludeError::Refused(other.to_string()),
    })?;
    let mut files: Vec<_> = listed.into_iter().map(|key| place.with_key(format!("{}{key}", place.key))).collect();
    if files.len() as u64 > count {
        // What an earlier run of the batch had is in its list for good, and was removed when this one was committed.
        files = there(store, files).await?;
    }
    if files.len() as u64 != count {
        return Err(ConcludeError::Refused(format!(
            "batch {id} has committed {count} objects to `{output}`, and {} of those that {at} lists are there; run the stage again",
            files.len()
        )));
    }
    Ok((place, files))
}

/// Those of the objects that are there.
async fn there(store: &dyn ObjectStore, files: Vec<Location>) -> Result<Vec<Location>, ConcludeError> {
    let looked = stream::iter(files).map(|file| async move {
        match store.open(&file, 0).await {
            Ok(_) => Ok(Some(file)),
            Err(ObjectError::NotFound(_)) => Ok(None),
            Err(error) => Err(ConcludeError::Unavailable(error)),
        }
    });
    let found: Vec<_> = looked.buffered(LISTS_AT_ONCE).try_collect().await?;
    Ok(found.into_iter().flatten().collect())
}
