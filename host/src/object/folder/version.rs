//! Which version of an object a file is.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;

use super::super::{Location, Metadata, ObjectError};
use super::errors::not_found;

/// The object that a regular file is.
pub(super) fn metadata(at: &Location, file: &fs::Metadata) -> Result<Metadata, ObjectError> {
    if !file.is_file() {
        return Err(not_found(at));
    }
    Ok(Metadata {
        location: at.clone(),
        size: file.len(),
        etag: etag(file),
        last_modified: file.modified().ok().map(Into::into),
    })
}

/// The entity tag of a file: another size, another time of change or another file is another version.
pub(super) fn etag(file: &fs::Metadata) -> String {
    format!("\"{:x}-{:x}.{:x}-{:x}\"", file.len(), file.mtime(), file.mtime_nsec(), file.ino())
}

/// The file's size, if it still is the version with this tag.
pub(super) fn unchanged(at: &Location, file: &File, tag: &str) -> Result<u64, ObjectError> {
    let now = file.metadata().map_err(|error| ObjectError::Unavailable(format!("{at} could not be read: {error}")))?;
    match etag(&now) == tag {
        true => Ok(now.len()),
        false => Err(ObjectError::Changed(format!(
            "{at} was changed while it was read: run again once nobody writes to it any more"
        ))),
    }
}
