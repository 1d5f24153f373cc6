//! What runs left that never ended: their batches committed, and nobody concluded them.
//!
//! It can be told from what a run under way has written only where no other run can be under way: where a window keeps them apart.
//! That is the one place where a listing is asked. It may see too much, not too little: only objects count that a list names which
//! a batch of ours has left.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::error::ConcludeError;
use super::partition::ByPartition;
use crate::object::{Location, ObjectStore};
use crate::sink::file_list;

/// The objects in the partitions that a run has written to (`fresh`) which are neither its own nor in the record of another run:
/// those are in `current`.
pub async fn leftovers(
    store: &Arc<dyn ObjectStore>,
    prefix: &Location,
    output: &str,
    fresh: &ByPartition,
    current: &ByPartition,
) -> Result<Vec<Location>, ConcludeError> {
    let known: BTreeSet<&Location> = current.values().flatten().collect();
    let folders: BTreeSet<&str> = fresh.values().flatten().map(|file| folder(&file.key)).collect();
    let (mut lists, mut left) = (BTreeMap::new(), Vec::new());
    for folder in folders {
        let (at, mut next) = (prefix.with_key(folder), None);
        loop {
            let page = store.list(&at, next.as_deref()).await.map_err(ConcludeError::Unavailable)?;
            for found in page.objects.into_iter().map(|object| object.location) {
                let Some(below) = found.key.strip_prefix(&prefix.key) else { continue };
                if known.contains(&found) || self::folder(&found.key) != folder {
                    continue;
                }
                // Objects have the name of their batch.
                let file = below.rsplit('/').next().unwrap_or_default();
                let batch = file.split('.').next().unwrap_or_default();
                if !lists.contains_key(batch) {
                    let list = file_list::read(&**store, &file_list::place_of(prefix, batch, output)).await;
                    let list = list.map_err(|error| ConcludeError::Refused(error.to_string()))?;
                    lists.insert(batch.to_owned(), list);
                }
                if lists.get(batch).is_some_and(|files| files.contains(below)) {
                    left.push(found);
                }
            }
            next = page.next;
            if next.is_none() {
                break;
            }
        }
    }
    Ok(left)
}

/// The key up to its last slash.
fn folder(key: &str) -> &str {
    &key[..key.rfind('/').map_or(0, |slash| slash + 1)]
}
