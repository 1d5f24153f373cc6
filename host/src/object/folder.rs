//! Objects in a folder: `s3://bucket/key` is the file `ROOT/bucket/key`. What `--local` uses instead of Amazon S3.
//!
//! Three things follow from what a file system is:
//!
//! - Symbolic links are followed, also out of the root: people link their data in. A *key* cannot leave the root.
//! - A folder cannot hold every key that S3 can: none with an empty part (`a//b`, `a/`) or one of more than 255 bytes, and not
//!   both `a` and `a/b`. Reading such a key finds nothing; writing it is [`ObjectError::Invalid`], which
//!   [`FolderStore::holds`] says before anything is written.
//! - Only regular files are objects. What else lies there (a named pipe, a device, a link that leads nowhere) is none, and the
//!   error says what it is.
//! - An upload is a temporary file, and completing it renames it, which is atomic, also when the process is killed. It is not
//!   synced to the disk: a power cut may lose what was written last.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use rustix::io::Errno;
use tokio::io::AsyncWriteExt;
use xxhash_rust::xxh3::xxh3_128;

use super::walk::Walks;
use super::{Location, Metadata, ObjectError, ObjectStore, ObjectWriter, Page, Upload, Uploaded};
use crate::files;

/// The directory of a bucket that holds unfinished uploads. It is on the bucket's own file system, so that the rename at
/// the end is atomic, and it is no part of the bucket: its files are neither listed nor opened.
pub(super) const UPLOADS: &str = ".gristmill-uploads";

/// The longest name of a file or directory that the usual file systems hold, and the longest path that Linux takes, in bytes
/// (`NAME_MAX`, `PATH_MAX`).
const MAX_NAME: usize = 255;
const MAX_PATH: usize = 4095;

/// How old an unfinished upload is when it counts as left behind by a process that died.
const ABANDONED: Duration = Duration::from_secs(24 * 3600);

/// A folder that stands in for Amazon S3.
#[derive(Clone, Debug)]
pub struct FolderStore {
    root: Arc<Path>,
    walks: Arc<Walks>,
}

impl FolderStore {
    /// The store whose buckets are the directories in `root`. Nothing is created before something is written.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into().into(), walks: Arc::default() }
    }

    /// Where the object lies, if a folder can hold its key at all.
    pub fn path(&self, at: &Location) -> Result<PathBuf, ObjectError> {
        inside(at)?;
        let path = self.root.join(&at.bucket).join(&at.key);
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

    /// The same for reading: what cannot be here is not here.
    fn existing(&self, at: &Location) -> Result<PathBuf, ObjectError> {
        inside(at)?;
        self.path(at).map_err(|why| ObjectError::NotFound(format!("there is no object {at}: {why}")))
    }

    fn open_now(&self, at: &Location, first: u64) -> Result<(Metadata, Bytes), ObjectError> {
        let path = self.existing(at)?;
        let fault = |error| read_error(at, &path, error);
        let mut file = files::open(&path).map_err(fault)?;
        let metadata = metadata(at, &file.metadata().map_err(fault)?)?;
        let bytes = read_up_to(&mut file, first.min(metadata.size)).map_err(fault)?;
        unchanged(at, &file, &metadata.etag)?;
        Ok((metadata, bytes))
    }

    fn read_now(&self, at: &Location, tag: &str, range: Range<u64>) -> Result<Bytes, ObjectError> {
        let path = self.existing(at)?;
        let fault = |error| read_error(at, &path, error);
        // Opened anew for every read: that costs microseconds, and it is what notices a file that was replaced.
        let mut file = files::open(&path).map_err(fault)?;
        let size = unchanged(at, &file, tag)?;
        let end = range.end.min(size);
        if range.start >= end {
            return Ok(Bytes::new());
        }
        file.seek(SeekFrom::Start(range.start)).map_err(fault)?;
        let bytes = read_up_to(&mut file, end - range.start).map_err(fault)?;
        // Asked again, because a file can be written in place while it is read.
        unchanged(at, &file, tag)?;
        Ok(bytes)
    }

    fn upload_now(&self, at: &Location) -> Result<FolderUpload, ObjectError> {
        let path = self.path(at)?;
        let uploads = self.uploads(at);
        let fault = |error| write_error(at, &path, error);
        if !uploads.is_dir() {
            fs::create_dir_all(&uploads).map_err(fault)?;
        }
        remove_abandoned(&uploads);
        let (file, temporary) = tempfile::Builder::new()
            .prefix(&upload_prefix(at))
            // The usual permissions of a new file; the default here would hide the result from the user's other tools.
            .permissions(fs::Permissions::from_mode(0o666))
            .tempfile_in(&uploads)
            .map_err(fault)?
            .into_parts();
        Ok(FolderUpload { at: at.clone(), path, file: tokio::fs::File::from_std(file), temporary, size: 0 })
    }

    fn complete_now(&self, upload: &Uploaded) -> Result<(), ObjectError> {
        let at = &upload.at;
        let (path, unfinished) = (self.path(at)?, self.unfinished(upload)?);
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

    fn abort_uploads_now(&self, at: &Location) -> Result<usize, ObjectError> {
        self.path(at)?;
        let (uploads, prefix) = (self.uploads(at), upload_prefix(at));
        let entries = match fs::read_dir(&uploads) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
            entries => entries.map_err(|error| write_error(at, &uploads, error))?,
        };
        let mut aborted = 0;
        for entry in entries {
            let entry = entry.map_err(|error| write_error(at, &uploads, error))?;
            if entry.file_name().to_string_lossy().starts_with(&prefix) && fs::remove_file(entry.path()).is_ok() {
                aborted += 1;
            }
        }
        Ok(aborted)
    }

    /// The file of an upload that is not complete.
    fn unfinished(&self, upload: &Uploaded) -> Result<PathBuf, ObjectError> {
        self.path(&upload.at)?;
        if !is_name(&upload.id) {
            return Err(ObjectError::Invalid(format!("{}: `{}` is no upload's name", upload.at, upload.id)));
        }
        Ok(self.uploads(&upload.at).join(&upload.id))
    }

    /// Where unfinished uploads into this object's bucket lie.
    fn uploads(&self, at: &Location) -> PathBuf {
        self.root.join(&at.bucket).join(UPLOADS)
    }

    /// Runs file system calls where they may block.
    async fn blocking<T: Send + 'static>(
        &self,
        call: impl FnOnce(&Self) -> Result<T, ObjectError> + Send + 'static,
    ) -> Result<T, ObjectError> {
        let store = self.clone();
        tokio::task::spawn_blocking(move || call(&store)).await.unwrap_or_else(|error| {
            Err(ObjectError::Unavailable(format!("the folder {} could not be used: {error}", self.root.display())))
        })
    }
}

#[async_trait]
impl ObjectStore for FolderStore {
    async fn open(&self, at: &Location, first: u64) -> Result<(Metadata, Bytes), ObjectError> {
        let at = at.clone();
        self.blocking(move |store| store.open_now(&at, first)).await
    }

    async fn read(&self, at: &Location, etag: &str, range: Range<u64>) -> Result<Bytes, ObjectError> {
        let (at, etag) = (at.clone(), etag.to_owned());
        self.blocking(move |store| store.read_now(&at, &etag, range)).await
    }

    async fn list(&self, prefix: &Location, next: Option<&str>) -> Result<Page, ObjectError> {
        let (prefix, next) = (prefix.clone(), next.map(str::to_owned));
        self.blocking(move |store| {
            if !is_name(&prefix.bucket) {
                return Err(ObjectError::Invalid(format!("`{}` is no bucket's name", prefix.bucket)));
            }
            store.walks.page(&store.root.join(&prefix.bucket), &prefix, next)
        })
        .await
    }
}

#[async_trait]
impl ObjectWriter for FolderStore {
    async fn upload(&self, at: &Location) -> Result<Box<dyn Upload>, ObjectError> {
        let at = at.clone();
        Ok(Box::new(self.blocking(move |store| store.upload_now(&at)).await?))
    }

    async fn complete(&self, upload: &Uploaded) -> Result<(), ObjectError> {
        let upload = upload.clone();
        self.blocking(move |store| store.complete_now(&upload)).await
    }

    async fn abort(&self, upload: &Uploaded) -> Result<(), ObjectError> {
        let upload = upload.clone();
        self.blocking(move |store| {
            let path = store.unfinished(&upload)?;
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(write_error(&upload.at, &path, error)),
                _ => Ok(()),
            }
        })
        .await
    }

    async fn abort_uploads(&self, at: &Location) -> Result<usize, ObjectError> {
        let at = at.clone();
        self.blocking(move |store| store.abort_uploads_now(&at)).await
    }

    async fn delete(&self, at: &Location) -> Result<(), ObjectError> {
        let at = at.clone();
        self.blocking(move |store| {
            let path = match store.existing(&at) {
                Err(ObjectError::NotFound(_)) => return Ok(()),
                path => path?,
            };
            match fs::remove_file(&path).map_err(|error| read_error(&at, &path, error)) {
                Err(ObjectError::NotFound(_)) => Ok(()),
                result => result,
            }
        })
        .await
    }
}

/// What the names of all uploads of a key begin with: a key may be no file's name.
fn upload_prefix(at: &Location) -> String {
    format!("{:032x}-", xxh3_128(at.key.as_bytes()))
}

/// A temporary file, which disappears when this is dropped.
struct FolderUpload {
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
        // A write may still be on its way, and with it the news that the disk is full.
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

/// The entity tag of a file: another size, another time of change or another file is another version.
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

fn etag(file: &fs::Metadata) -> String {
    format!("\"{:x}-{:x}.{:x}-{:x}\"", file.len(), file.mtime(), file.mtime_nsec(), file.ino())
}

/// The file's size, if it still is the version with this tag.
fn unchanged(at: &Location, file: &File, tag: &str) -> Result<u64, ObjectError> {
    let now = file.metadata().map_err(|error| ObjectError::Unavailable(format!("{at} could not be read: {error}")))?;
    match etag(&now) == tag {
        true => Ok(now.len()),
        false => Err(ObjectError::Changed(format!(
            "{at} was changed while it was read: run again once nobody writes to it any more"
        ))),
    }
}

fn read_up_to(file: &mut File, length: u64) -> io::Result<Bytes> {
    let mut bytes = Vec::new();
    // The length is at most the file's, so it fits unless the machine itself is too small: then this is an error, not an abort.
    bytes.try_reserve_exact(usize::try_from(length).map_err(io::Error::other)?).map_err(io::Error::other)?;
    file.take(length).read_to_end(&mut bytes)?;
    Ok(bytes.into())
}

/// That the location names something in a bucket, and nothing outside of it.
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

fn not_found(at: &Location) -> ObjectError {
    ObjectError::NotFound(format!("there is no object {at}"))
}

pub(super) fn read_error(at: &Location, path: &Path, error: io::Error) -> ObjectError {
    use io::ErrorKind as Kind;
    let shown = path.display();
    match Errno::from_io_error(&error) {
        // Of a socket, and of a device that nothing is behind.
        Some(Errno::NXIO | Errno::NODEV) => {
            return ObjectError::NotFound(format!("there is no object {at}: {shown} is no regular file"));
        }
        Some(Errno::LOOP) => {
            return ObjectError::NotFound(format!("there is no object {at}: the links of {shown} lead in a circle"));
        }
        Some(Errno::MFILE | Errno::NFILE) => return too_many_open(at, path),
        _ => {}
    }
    match error.kind() {
        Kind::NotFound if fs::symlink_metadata(path).is_ok_and(|entry| entry.is_symlink()) => {
            ObjectError::NotFound(format!("there is no object {at}: the link {shown} leads nowhere"))
        }
        // A directory is no object, and a name that no file can have names none.
        Kind::NotFound | Kind::NotADirectory | Kind::IsADirectory | Kind::InvalidFilename => not_found(at),
        // A named pipe, a device.
        Kind::InvalidInput => ObjectError::NotFound(format!("there is no object {at}: {shown}: {error}")),
        Kind::PermissionDenied => ObjectError::Denied(format!("{at}: no permission to use {shown}")),
        _ => ObjectError::Unavailable(format!("{at} could not be read from {shown}: {error}")),
    }
}

/// Items that run at once need so many, and will again.
fn too_many_open(at: &Location, path: &Path) -> ObjectError {
    ObjectError::Exhausted(format!(
        "{at}: {} could not be opened: too many files are open; raise the limit (`ulimit -n`), or run fewer items at once",
        path.display()
    ))
}

fn write_error(at: &Location, path: &Path, error: io::Error) -> ObjectError {
    use io::ErrorKind as Kind;
    if matches!(Errno::from_io_error(&error), Some(Errno::MFILE | Errno::NFILE)) {
        return too_many_open(at, path);
    }
    let path = path.display();
    match error.kind() {
        Kind::StorageFull => ObjectError::Exhausted(format!(
            "{at} could not be written: no room left on the disk of {path}; make room and run again"
        )),
        Kind::QuotaExceeded => ObjectError::Exhausted(format!(
            "{at} could not be written: this user's quota on the disk of {path} is used up; make room and run again"
        )),
        Kind::FileTooLarge => ObjectError::Exhausted(format!(
            "{at} could not be written: {path} would be larger than a file may be here (`ulimit -f`, or the file system)"
        )),
        Kind::ReadOnlyFilesystem => {
            ObjectError::Denied(format!("{at} could not be written: the file system of {path} is read-only"))
        }
        Kind::PermissionDenied => ObjectError::Denied(format!("{at}: no permission to write {path}")),
        Kind::NotADirectory | Kind::IsADirectory | Kind::AlreadyExists | Kind::DirectoryNotEmpty => {
            ObjectError::Invalid(format!(
                "{at} could not be written to {path}: a folder cannot hold both an object and others below its name"
            ))
        }
        Kind::InvalidFilename => ObjectError::Invalid(format!("{at}: {path} is no file name that this disk can hold")),
        Kind::CrossesDevices => ObjectError::Invalid(format!(
            "{at}: {path} is on another disk than its bucket; link the whole bucket instead"
        )),
        _ => ObjectError::Unavailable(format!("{at} could not be written to {path}: {error}")),
    }
}

/// Frees what processes left that were killed while they uploaded. It is a courtesy: nothing depends on it.
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
    use std::io::Write;

    use super::super::contract;
    use super::*;

    fn at(key: &str) -> Location {
        Location { bucket: "b".into(), key: key.into() }
    }

    fn store(files: &[&str]) -> (tempfile::TempDir, FolderStore) {
        let root = tempfile::tempdir().unwrap();
        for file in files {
            let path = root.path().join("b").join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, file).unwrap();
        }
        let store = FolderStore::new(root.path());
        (root, store)
    }

    #[tokio::test]
    async fn keeps_the_contract() {
        let (root, store) = store(&[]);
        fs::create_dir(root.path().join("b")).unwrap();
        contract::suite(&store, &at("")).await;
    }

    #[tokio::test]
    async fn a_key_cannot_leave_its_bucket() {
        let (root, store) = store(&["in"]);
        fs::write(root.path().join("secret"), "s").unwrap();
        for key in ["../secret", "x/../../secret", "..", "./in", "in/.", "a\0b"] {
            assert!(matches!(store.open(&at(key), 1).await, Err(ObjectError::Invalid(_))), "{key}");
            assert!(matches!(store.upload(&at(key)).await.err(), Some(ObjectError::Invalid(_))), "{key}");
            assert!(matches!(store.delete(&at(key)).await, Err(ObjectError::Invalid(_))), "{key}");
        }
        assert!(matches!(store.list(&at("../"), None).await, Err(ObjectError::Invalid(_))));
        let absolute = root.path().join("secret").display().to_string();
        assert!(matches!(store.open(&at(&absolute), 1).await, Err(ObjectError::NotFound(_))));
        for bucket in ["..", ".", "", "b/../.."] {
            let at = Location { bucket: bucket.into(), key: "secret".into() };
            assert!(matches!(store.open(&at, 1).await, Err(ObjectError::Invalid(_))), "{bucket}");
            assert!(matches!(store.list(&at, None).await, Err(ObjectError::Invalid(_))), "{bucket}");
        }
    }

    #[tokio::test]
    async fn a_directory_is_no_object() {
        let (_root, store) = store(&["a/b"]);
        for key in ["a", "a/", "a//b", "a/b/c", "none", &"x".repeat(300)] {
            assert!(matches!(store.open(&at(key), 1).await, Err(ObjectError::NotFound(_))), "{key}");
            store.delete(&at(key)).await.unwrap();
        }
        assert_eq!(store.open(&at("a/b"), 9).await.unwrap().1, "a/b");
    }

    #[tokio::test]
    async fn an_object_and_others_below_its_name_do_not_go_together() {
        let (_root, store) = store(&["a/b"]);
        for key in ["a", "a/b/c"] {
            let mut upload = store.upload(&at(key)).await.unwrap();
            upload.write("x".into()).await.unwrap();
            let uploaded = upload.finish().await.unwrap();
            assert!(matches!(store.complete(&uploaded).await, Err(ObjectError::Invalid(_))), "{key}");
        }
        assert_eq!(store.list(&at(""), None).await.unwrap().objects.len(), 1);
    }

    #[tokio::test]
    async fn links_are_followed() {
        let elsewhere = tempfile::tempdir().unwrap();
        fs::write(elsewhere.path().join("data"), "linked").unwrap();
        let (root, store) = store(&["own"]);
        std::os::unix::fs::symlink(elsewhere.path(), root.path().join("b/link")).unwrap();
        assert_eq!(store.open(&at("link/data"), 100).await.unwrap().1, "linked");
    }

    #[tokio::test]
    async fn a_file_written_in_place_is_noticed() {
        let (root, store) = store(&["f"]);
        let (metadata, _) = store.open(&at("f"), 0).await.unwrap();
        fs::OpenOptions::new().append(true).open(root.path().join("b/f")).unwrap().write_all(b"more").unwrap();
        let read = store.read(&at("f"), &metadata.etag, 0..1).await;
        assert!(matches!(read, Err(ObjectError::Changed(_))), "{read:?}");
    }

    #[tokio::test]
    async fn an_upload_is_hidden_until_it_is_complete_and_gone_when_dropped() {
        let (root, store) = store(&[]);
        let mut upload = store.upload(&at("d/f")).await.unwrap();
        upload.write("x".into()).await.unwrap();
        assert_eq!(fs::read_dir(root.path().join("b").join(UPLOADS)).unwrap().count(), 1);
        assert!(store.list(&at(""), None).await.unwrap().objects.is_empty());
        drop(upload);
        assert_eq!(fs::read_dir(root.path().join("b").join(UPLOADS)).unwrap().count(), 0);
    }

    #[tokio::test]
    async fn a_record_cannot_name_a_file_elsewhere() {
        let (root, store) = store(&["f"]);
        fs::write(root.path().join("secret"), "s").unwrap();
        for id in ["../../secret", "..", "", "/etc/passwd"] {
            let upload = Uploaded { at: at("g"), id: id.into(), parts: Vec::new(), mark: String::new(), size: 1 };
            assert!(matches!(store.complete(&upload).await, Err(ObjectError::Invalid(_))), "{id}");
        }
    }

    #[test]
    fn a_full_disk_is_said_in_a_sentence() {
        let full = File::create("/dev/full").unwrap().write_all(b"x").unwrap_err();
        let error = write_error(&at("k"), Path::new("/data/b/k"), full);
        assert!(matches!(&error, ObjectError::Exhausted(text) if text.contains("no room left")), "{error}");
    }

    #[test]
    fn what_no_waiting_cures_is_told_from_what_it_may() {
        let path = Path::new("/data/b/k");
        let of = |errno: Errno| io::Error::from_raw_os_error(errno.raw_os_error());
        for (errno, said) in [
            (Errno::NOSPC, "no room left"),
            (Errno::DQUOT, "quota"),
            (Errno::FBIG, "larger than a file may be"),
            (Errno::MFILE, "too many files are open"),
            (Errno::NFILE, "too many files are open"),
        ] {
            let error = write_error(&at("k"), path, of(errno));
            assert!(matches!(&error, ObjectError::Exhausted(text) if text.contains(said)), "{errno}: {error:?}");
        }
        for (errno, said) in
            [(Errno::ROFS, "read-only"), (Errno::ACCESS, "no permission"), (Errno::PERM, "no permission")]
        {
            let error = write_error(&at("k"), path, of(errno));
            assert!(matches!(&error, ObjectError::Denied(text) if text.contains(said)), "{errno}: {error:?}");
        }
        for errno in [Errno::MFILE, Errno::NFILE] {
            assert!(matches!(read_error(&at("k"), path, of(errno)), ObjectError::Exhausted(_)), "{errno}");
        }
        for errno in [Errno::IO, Errno::INTR, Errno::AGAIN, Errno::TIMEDOUT] {
            assert!(matches!(write_error(&at("k"), path, of(errno)), ObjectError::Unavailable(_)), "{errno}");
            assert!(matches!(read_error(&at("k"), path, of(errno)), ObjectError::Unavailable(_)), "{errno}");
        }
    }

    #[tokio::test]
    async fn what_is_no_regular_file_is_no_object_and_holds_nobody_up() {
        use std::os::unix::fs::symlink;
        let (root, store) = store(&["real"]);
        let bucket = root.path().join("b");
        files::tests::named_pipe(&bucket.join("pipe"));
        let _socket = std::os::unix::net::UnixListener::bind(bucket.join("socket")).unwrap();
        symlink("/dev/zero", bucket.join("device")).unwrap();
        symlink("nowhere", bucket.join("dangling")).unwrap();
        symlink("circle", bucket.join("circle")).unwrap();
        symlink("pipe", bucket.join("linked")).unwrap();
        for (key, said) in [
            ("pipe", "a named pipe"),
            ("linked", "a named pipe"),
            ("socket", "no regular file"),
            ("device", "a device"),
            ("dangling", "leads nowhere"),
            ("circle", "in a circle"),
        ] {
            let store = store.clone();
            let opened = files::tests::at_once(move || store.open_now(&at(key), 1));
            assert!(matches!(&opened, Err(ObjectError::NotFound(why)) if why.contains(said)), "{key}: {opened:?}");
        }
        assert_eq!(store.open(&at("real"), 9).await.unwrap().1, "real");
    }

    #[tokio::test]
    async fn a_key_that_no_file_can_have_is_said_before_anything_is_written() {
        let (_root, store) = store(&[]);
        let long = "x".repeat(256);
        for (key, said) in
            [("a//b", "`//`"), ("/a", "`//`"), (&*long, "255 bytes"), (&*format!("a/{long}/b"), "255 bytes")]
        {
            let error = store.path(&at(key)).unwrap_err();
            assert!(matches!(&error, ObjectError::Invalid(why) if why.contains(said)), "{key}: {error}");
        }
        let opened = store.open(&at("a//b"), 1).await;
        assert!(matches!(&opened, Err(ObjectError::NotFound(why)) if why.contains("`//`")), "{opened:?}");
    }

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
