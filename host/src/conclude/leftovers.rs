//! What runs left that never ended: their batches committed, and nobody concluded them.
//!
//! It can be told from what a run under way has written only where no other run can be under way: where a window keeps them apart.
//! That is the one place where a listing is asked. It may see too much, not too little: only objects count that a list names which
//! a batch of ours has left, and that are not older than the first of the runs which never ended.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use time::{Duration, OffsetDateTime};

use super::error::ConcludeError;
use super::partition::ByPartition;
use crate::object::{Location, ObjectStore};
use crate::sink::file_list;

/// How far the clocks of the store and of workers may be apart.
const APART: Duration = Duration::minutes(1);

/// The objects of an output that are in no record (`current` has those that are), written since then.
pub async fn leftovers(
    store: &Arc<dyn ObjectStore>,
    prefix: &Location,
    output: &str,
    since: OffsetDateTime,
    current: &ByPartition,
) -> Result<Vec<Location>, ConcludeError> {
    let known: BTreeSet<&Location> = current.values().flatten().collect();
    let (mut lists, mut left, mut next) = (BTreeMap::new(), Vec::new(), None);
    loop {
        let page = store.list(prefix, next.as_deref()).await.map_err(ConcludeError::Unavailable)?;
        for object in page.objects {
            let (found, written) = (object.location, object.last_modified);
            let Some(below) = found.key.strip_prefix(&prefix.key) else { continue };
            if known.contains(&found) || written.is_none_or(|written| written + APART < since) {
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
            return Ok(left);
        }
    }
}
