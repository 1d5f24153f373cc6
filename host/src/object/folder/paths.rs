//! Which file an object is, and what a folder cannot hold.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

use super::super::{Location, ObjectError, Uploaded};

/// The directory of a bucket that holds unfinished uploads. It is on the bucket's own file system, so that the rename at
/// the end is atomic, and it is no part of the bucket: its files are neither listed nor opened.
pub(super) const UPLOADS: &str = ".gristmill-uploads";

/// The longest name of a file or directory that the usual file systems hold, and the longest path that Linux takes, in bytes
/// (`NAME_MAX`, `PATH_MAX`).
const MAX_NAME: usize = 255;
const MAX_PATH: usize = 4095;

/// The directory whose directories are the buckets.
#[derive(Clone, Debug)]
pub(super) struct Root {
    path: Arc<Path>,
    /// The buckets in which abandoned uploads were looked for. Once is enough: looking through many files takes its time.
    swept: Arc<Mutex<BTreeSet<String>>>,
}

impl Root {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path: path.into(), swept: Arc::default() }
    }

    /// Whether nobody has looked for abandoned uploads in this bucket since the store was opened.
    pub(super) fn is_due_for_sweep(&self, bucket: &str) -> bool {
        let mut swept = self.swept.lock().unwrap_or_else(PoisonError::into_inner);
        swept.insert(bucket.to_owned())
    }

    /// The directory of a bucket, if a directory can have its name.
    pub(super) fn bucket(&self, name: &str) -> Result<PathBuf, ObjectError> {
        match is_name(name) {
            true => Ok(self.path.join(name)),
            false => Err(ObjectError::Invalid(format!("`{name}` is no bucket's name"))),
        }
    }

    /// The object's file, if a folder can hold its key at all.
    pub(super) fn path(&self, at: &Location) -> Result<PathBuf, ObjectError> {
        inside(at)?;
        let path = self.path.join(&at.bucket).join(&at.key);
        let why = if !at.key.split('/').all(is_name) {
            "a part of its key is empty (`//`)"
        } else if at.key.split('/').any(|part| part.len() > MAX_NAME) {
            "a name between two `/` of its key has more than 255 bytes"
        } else if path.as_os_str().len() > MAX_PATH {
            "its path would have more than 4,095 bytes"
        } else if at.key.split('/').next() == Some(UPLOADS) {
            "unfinished uploads lie there"
        } else {
            return Ok(path);
        };
        Err(ObjectError::Invalid(format!("{at} cannot be a file: {why}")))
    }

    /// The same for reading: a key that a folder cannot hold is not found.
    pub(super) fn existing(&self, at: &Location) -> Result<PathBuf, ObjectError> {
        inside(at)?;
        self.path(at).map_err(|why| ObjectError::NotFound(format!("there is no object {at}: {why}")))
    }

    /// The file of an upload that is not complete.
    pub(super) fn unfinished(&self, upload: &Uploaded) -> Result<PathBuf, ObjectError> {
        self.path(&upload.at)?;
        if !is_name(&upload.id) {
            return Err(ObjectError::Invalid(format!("{}: `{}` is no upload's name", upload.at, upload.id)));
        }
        Ok(self.uploads(&upload.at).join(&upload.id))
    }

    /// Where unfinished uploads into this object's bucket lie.
    pub(super) fn uploads(&self, at: &Location) -> PathBuf {
        self.path.join(&at.bucket).join(UPLOADS)
    }

    pub(super) fn display(&self) -> std::path::Display<'_> {
        self.path.display()
    }
}

/// What the file names of all uploads of a key begin with. Hashes, because the key itself may be no file name.
pub(super) fn upload_prefix(at: &Location) -> String {
    format!("{}{:032x}-", named_prefix(at.name()), xxh3_128(at.key.as_bytes()))
}

/// The same of all keys whose last part has this name.
pub(super) fn named_prefix(name: &str) -> String {
    format!("{:016x}-", xxh3_64(name.as_bytes()))
}

/// Refuses a location that names nothing in a bucket, or something outside of it.
fn inside(at: &Location) -> Result<(), ObjectError> {
    at.names_an_object()?;
    let why = if !is_name(&at.bucket) {
        "the bucket's name is no directory's name"
    } else if at.key.contains('\0') || at.key.split('/').any(|part| matches!(part, "." | "..")) {
        "it would lie outside of its bucket"
    } else {
        return Ok(());
    };
    Err(ObjectError::Invalid(format!("{at} cannot be a file: {why}")))
}

/// Whether a file system takes this as the name of one file or directory.
fn is_name(part: &str) -> bool {
    !part.is_empty() && part != "." && part != ".." && !part.contains(['/', '\0'])
}
