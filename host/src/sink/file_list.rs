//! Which objects a batch has under an output whose rows decide how many they are and where.
//!
//! The list lies at a place that follows from the batch, in a folder that readers of tables leave out because of its first
//! character. A batch that runs again with other rows finds in it what the run before may have left, and removes what it does not
//! have itself. The list becomes visible before any object that it names. So nothing is forgotten, whenever a worker dies.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::error::{SinkError, object_error};
use crate::job::BatchId;
use crate::object::{ContentType, Location, ObjectError, ObjectStore, ObjectWriter, Uploaded};

/// The folder of the lists, below an output's prefix. Readers of tables leave out what begins with `_`: some look at the names of
/// folders, others at those of files.
const FOLDER: &str = "_gristmill/";

/// More than the list of the most objects that a batch can have, in bytes.
const MAX_BYTES: u64 = 256 << 20;

/// The list as it lies in the store.
#[derive(Serialize, Deserialize)]
struct List {
    /// Keys below the output's prefix.
    files: BTreeSet<String>,
}

/// Where the list of a batch and an output is.
pub(crate) fn place(prefix: &Location, batch: &BatchId, output: &str) -> Location {
    place_of(prefix, &batch.object_name(), output)
}

/// The same, of the batch whose objects have this name.
pub(crate) fn place_of(prefix: &Location, object_name: &str, output: &str) -> Location {
    prefix.with_key(format!("{}{FOLDER}_{object_name}.{output}.json", prefix.key))
}

/// What earlier runs of the batch may have left below the prefix: keys without it.
pub(crate) async fn read(store: &dyn ObjectStore, at: &Location) -> Result<BTreeSet<String>, SinkError> {
    let (metadata, mut bytes) = match store.open(at, 1 << 20).await {
        Ok(opened) => opened,
        Err(ObjectError::NotFound(_)) => return Ok(BTreeSet::new()),
        Err(ObjectError::Denied(why)) => {
            return Err(SinkError::Refused(format!(
                "{why}; it lists what the batch has left before: allow `s3:GetObject` there, and `s3:ListBucket`, without \
                 which a missing object cannot be told from a forbidden one"
            )));
        }
        Err(error) => return Err(object_error(error)),
    };
    if metadata.size > MAX_BYTES {
        return Err(unreadable(at, &format!("it has {} bytes", metadata.size)));
    }
    if (bytes.len() as u64) < metadata.size {
        bytes = store.read(at, &metadata.etag, 0..metadata.size).await.map_err(object_error)?;
    }
    let list: List = serde_json::from_slice(&bytes).map_err(|error| unreadable(at, &error))?;
    Ok(list.files)
}

/// Stores a list, not visible yet.
pub(super) async fn upload(
    store: &dyn ObjectWriter,
    at: &Location,
    files: BTreeSet<String>,
) -> Result<Uploaded, SinkError> {
    let bytes = serde_json::to_vec(&List { files }).map_err(|error| unreadable(at, &error))?;
    let mut upload = store.upload(at, ContentType::Json).await.map_err(object_error)?;
    upload.write(bytes.into()).await.map_err(object_error)?;
    upload.finish().await.map_err(object_error)
}

fn unreadable(at: &Location, why: &dyn std::fmt::Display) -> SinkError {
    SinkError::Refused(format!(
        "{at} is not the list of objects that gristmill leaves there: {why}; put it back, or delete it together with the batch's objects"
    ))
}
