//! Objects in a folder: `s3://bucket/key` is the file `ROOT/bucket/key`. What `--local` uses instead of Amazon S3.
//!
//! Four things follow from what a file system is:
//!
//! - Symbolic links are followed, also out of the root: people link their data in. A *key* cannot leave the root.
//! - A folder cannot hold every key that S3 can: none with an empty part (`a//b`, `a/`) or one of more than 255 bytes, and not
//!   both `a` and `a/b`. Reading such a key finds nothing; writing it is [`ObjectError::Invalid`], which
//!   [`FolderStore::path`] says before anything is written.
//! - Only regular files are objects. What else lies there (a named pipe, a device, a link that leads nowhere) is none, and the
//!   error says what it is.
//! - An upload is a temporary file, and completing it renames it, which is atomic, also when the process is killed. It is not
//!   synced to the disk: a power cut may lose what was written last.

mod errors;
mod paths;
mod read;
mod upload;
mod version;
mod walk;

use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;

use self::paths::Root;
use self::walk::Walks;
use super::{
    Cleanups, ContentType, Location, Metadata, ObjectError, ObjectStore, ObjectWriter, Page, Upload, Uploaded,
};

/// A folder that stands in for Amazon S3.
#[derive(Clone, Debug)]
pub struct FolderStore {
    root: Root,
    walks: Arc<Walks>,
    cleanups: Cleanups,
}

impl FolderStore {
    /// The store whose buckets are the directories in `root`. Nothing is created before something is written.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: Root::new(root.into()), walks: Arc::default(), cleanups: Cleanups::default() }
    }

    /// Where the object lies, if a folder can hold its key at all.
    pub fn path(&self, at: &Location) -> Result<PathBuf, ObjectError> {
        self.root.path(at)
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
        self.blocking(move |store| read::open(&store.root, &at, first)).await
    }

    async fn read(&self, at: &Location, etag: &str, range: Range<u64>) -> Result<Bytes, ObjectError> {
        let (at, etag) = (at.clone(), etag.to_owned());
        self.blocking(move |store| read::range(&store.root, &at, &etag, range)).await
    }

    async fn list(&self, prefix: &Location, next: Option<&str>) -> Result<Page, ObjectError> {
        let (prefix, next) = (prefix.clone(), next.map(str::to_owned));
        self.blocking(move |store| store.walks.page(&store.root.bucket(&prefix.bucket)?, &prefix, next)).await
    }
}

#[async_trait]
impl ObjectWriter for FolderStore {
    fn written(&self) -> &dyn ObjectStore {
        self
    }

    async fn upload(&self, at: &Location, _: ContentType) -> Result<Box<dyn Upload>, ObjectError> {
        let at = at.clone();
        Ok(Box::new(self.blocking(move |store| upload::begin(&store.root, &at)).await?))
    }

    async fn complete(&self, upload: &Uploaded) -> Result<(), ObjectError> {
        let upload = upload.clone();
        self.blocking(move |store| upload::complete(&store.root, &upload)).await
    }

    async fn abort(&self, upload: &Uploaded) -> Result<(), ObjectError> {
        let upload = upload.clone();
        self.blocking(move |store| upload::abort(&store.root, &upload)).await
    }

    async fn abort_uploads(&self, at: &Location) -> Result<usize, ObjectError> {
        let at = at.clone();
        self.blocking(move |store| upload::abort_all(&store.root, &at)).await
    }

    async fn abort_uploads_named(&self, prefix: &Location, name: &str) -> Result<usize, ObjectError> {
        let (prefix, name) = (prefix.clone(), name.to_owned());
        self.blocking(move |store| upload::abort_named(&store.root, &prefix, &name)).await
    }

    async fn delete(&self, at: &Location) -> Result<(), ObjectError> {
        let at = at.clone();
        self.blocking(move |store| upload::delete(&store.root, &at)).await
    }

    fn cleanups(&self) -> &Cleanups {
        &self.cleanups
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write;

    use super::super::contract;
    use super::paths::UPLOADS;
    use super::*;
    use crate::files;

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
            assert!(
                matches!(store.upload(&at(key), ContentType::Csv).await.err(), Some(ObjectError::Invalid(_))),
                "{key}"
            );
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
            let mut upload = store.upload(&at(key), ContentType::Csv).await.unwrap();
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
        let mut upload = store.upload(&at("d/f"), ContentType::Csv).await.unwrap();
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
            let opened = files::tests::at_once(move || read::open(&store.root, &at(key), 1));
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
}
