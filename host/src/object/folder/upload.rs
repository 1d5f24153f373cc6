//! Writing an object as a temporary file that gets the object's name when it is complete.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::io::AsyncWriteExt;

use super::super::{Location, ObjectError, Upload, Uploaded};
use super::errors::{read_error, write_error};
use super::paths::{Root, named_prefix, upload_prefix};
use super::version::etag;

/// How old an unfinished upload is when it counts as left behind by a process that died.
const ABANDONED: Duration = Duration::from_secs(24 * 3600);

/// A temporary file, which disappears when this is dropped.
pub(super) struct FolderUpload {
    at: Location,
    path: PathBuf,
    file: tokio::fs::File,
    temporary: tempfile::TempPath,
    size: u64,
}

#[async_trait]
impl Upload for FolderUpload {
    async fn write(&mut self, bytes: Bytes) -> Result<(), ObjectError> {
        self.file.write_all(&bytes).await.map_err(|error| write_error(&self.at, &self.path, error))?;
        self.size += bytes.len() as u64;
        Ok(())
    }

    async fn finish(mut self: Box<Self>) -> Result<Uploaded, ObjectError> {
        let fault = |error| write_error(&self.at, &self.path, error);
        // A write may still be under way, and find the disk full.
        self.file.flush().await.map_err(fault)?;
        let mark = etag(&self.file.metadata().await.map_err(fault)?);
        let Self { at, path, temporary, size, .. } = *self;
        let kept = temporary.keep().map_err(|error| write_error(&at, &path, error.error))?;
        let id = kept.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Ok(Uploaded { at, id, parts: Vec::new(), mark, size })
    }

    async fn abort(self: Box<Self>) -> Result<(), ObjectError> {
        let at = self.at;
        self.temporary.close().map_err(|error| write_error(&at, &self.path, error))
    }
}

/// Starts to write an object.
pub(super) fn begin(root: &Root, at: &Location) -> Result<FolderUpload, ObjectError> {
    let path = root.path(at)?;
    let uploads = root.uploads(at);
    let fault = |error| write_error(at, &path, error);
    if !uploads.is_dir() {
        fs::create_dir_all(&uploads).map_err(fault)?;
    }
    if root.is_due_for_sweep(&at.bucket) {
        remove_abandoned(&uploads);
    }
    let (file, temporary) = tempfile::Builder::new()
        .prefix(&upload_prefix(at))
        // The usual permissions of a new file. Those of a temporary one would hide the result from the user's other
        // tools.
        .permissions(fs::Permissions::from_mode(0o666))
        .tempfile_in(&uploads)
        .map_err(fault)?
        .into_parts();
    Ok(FolderUpload { at: at.clone(), path, file: tokio::fs::File::from_std(file), temporary, size: 0 })
}

/// Renames the file of an upload to the object's name.
pub(super) fn complete(root: &Root, upload: &Uploaded) -> Result<(), ObjectError> {
    let at = &upload.at;
    let (path, unfinished) = (root.path(at)?, root.unfinished(upload)?);
    let fault = |error| write_error(at, &path, error);
    if let Some(directory) = path.parent()
        && !directory.is_dir()
    {
        fs::create_dir_all(directory).map_err(fault)?;
    }
    match fs::rename(unfinished, &path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => match fs::metadata(&path) {
            // A file keeps its tag when it is renamed.
            Ok(file) if etag(&file) == upload.mark => Ok(()),
            _ => Err(ObjectError::Gone(format!(
                "{at} could not be written: its upload was removed before it was complete"
            ))),
        },
        result => result.map_err(fault),
    }
}

/// Removes the files of all uploads of this key, and says how many there were.
pub(super) fn abort_all(root: &Root, at: &Location) -> Result<usize, ObjectError> {
    root.path(at)?;
    abort_beginning(root, at, &upload_prefix(at))
}

/// The same for all keys of the bucket whose last part has this name.
pub(super) fn abort_named(root: &Root, at: &Location, name: &str) -> Result<usize, ObjectError> {
    root.bucket(&at.bucket)?;
    abort_beginning(root, at, &named_prefix(name))
}

fn abort_beginning(root: &Root, at: &Location, prefix: &str) -> Result<usize, ObjectError> {
    let uploads = root.uploads(at);
    let entries = match fs::read_dir(&uploads) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        entries => entries.map_err(|error| write_error(at, &uploads, error))?,
    };
    let mut aborted = 0;
    for entry in entries {
        let entry = entry.map_err(|error| write_error(at, &uploads, error))?;
        if entry.file_name().to_string_lossy().starts_with(prefix) && fs::remove_file(entry.path()).is_ok() {
            aborted += 1;
        }
    }
    Ok(aborted)
}

/// Removes the file of one upload, if it is there.
pub(super) fn abort(root: &Root, upload: &Uploaded) -> Result<(), ObjectError> {
    let path = root.unfinished(upload)?;
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(write_error(&upload.at, &path, error)),
        _ => Ok(()),
    }
}

/// Removes an object, if it is there.
pub(super) fn delete(root: &Root, at: &Location) -> Result<(), ObjectError> {
    let path = match root.existing(at) {
        Err(ObjectError::NotFound(_)) => return Ok(()),
        path => path?,
    };
    match fs::remove_file(&path).map_err(|error| read_error(at, &path, error)) {
        Err(ObjectError::NotFound(_)) => Ok(()),
        result => result,
    }
}

/// Removes what killed processes left of their uploads. It only frees space: nothing depends on it.
fn remove_abandoned(uploads: &Path) {
    let Ok(entries) = fs::read_dir(uploads) else { return };
    for entry in entries.flatten() {
        let age = entry.metadata().and_then(|file| file.modified()).ok().and_then(|written| written.elapsed().ok());
        if age.is_some_and(|age| age > ABANDONED) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;

    #[test]
    fn only_old_uploads_are_abandoned() {
        let directory = tempfile::tempdir().unwrap();
        let old = File::create(directory.path().join("old")).unwrap();
        old.set_modified(std::time::SystemTime::now() - ABANDONED - Duration::from_secs(60)).unwrap();
        File::create(directory.path().join("new")).unwrap();
        remove_abandoned(directory.path());
        assert!(!directory.path().join("old").exists() && directory.path().join("new").exists());
    }
}
