//! Objects: Amazon S3 in the cloud, a folder under `--local`. One trait, one contract suite for both.

pub mod aside;
pub(crate) mod chunks;
mod cleanups;
mod content_type;
#[cfg(any(test, feature = "contract"))]
pub mod contract;
pub mod folder;
pub mod s3;
pub mod trace;
mod uploads;
pub mod watch;

use std::fmt;
use std::ops::Range;
use std::str::FromStr;

use async_trait::async_trait;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

pub use self::chunks::Compression;
pub use self::cleanups::Cleanups;
pub use self::content_type::ContentType;
pub use self::uploads::{Kept, Uploads};

/// Where an object is, or where keys start: `s3://bucket/key`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Location {
    /// The bucket's name; never empty.
    pub bucket: String,
    /// The key; may be empty where a prefix is meant.
    pub key: String,
}

impl Location {
    /// The object `key` of the same bucket.
    pub fn with_key(&self, key: impl Into<String>) -> Self {
        Self { bucket: self.bucket.clone(), key: key.into() }
    }

    /// Refuses what cannot name an object. A key of blanks is refused too: the SDK of Amazon S3 makes no request with
    /// it, and all stores take the same keys.
    pub(crate) fn names_an_object(&self) -> Result<(), ObjectError> {
        let why = match self.key.as_str() {
            "" => "it names a bucket, not an object",
            key if key.trim().is_empty() => "its key is blank",
            key if key.len() > MAX_KEY_BYTES => "its key has more than 1,024 bytes (Amazon S3)",
            _ => return Ok(()),
        };
        Err(ObjectError::Invalid(format!("{self} names no object: {why}")))
    }

    /// What the last part of the key is called: all before its first `.`.
    pub(crate) fn name(&self) -> &str {
        let part = self.key.rsplit('/').next().unwrap_or_default();
        part.split('.').next().unwrap_or_default()
    }

    /// Whether `other` lies under this prefix: the same bucket, and a key that starts with this key.
    pub fn contains(&self, other: &Location) -> bool {
        self.bucket == other.bucket && other.key.starts_with(&self.key)
    }
}

/// The longest key of Amazon S3, in bytes.
pub(crate) const MAX_KEY_BYTES: usize = 1024;

/// Whether a bucket may have this name: in Amazon S3, where old buckets have capitals and `_`, and as a folder.
pub(crate) fn is_bucket(name: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    name.len() <= 255 && name.starts_with(|c: char| c.is_ascii_alphanumeric()) && name.bytes().all(inner)
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s3://{}/{}", self.bucket, self.key)
    }
}

impl From<Location> for String {
    fn from(location: Location) -> Self {
        location.to_string()
    }
}

impl TryFrom<String> for Location {
    type Error = ObjectError;

    fn try_from(uri: String) -> Result<Self, ObjectError> {
        uri.parse()
    }
}

impl FromStr for Location {
    type Err = ObjectError;

    fn from_str(uri: &str) -> Result<Self, ObjectError> {
        let invalid = |why: &str| ObjectError::Invalid(format!("`{uri}` is not an object's URI: {why}"));
        let rest = uri.strip_prefix("s3://").ok_or_else(|| invalid("it must start with `s3://`"))?;
        let (bucket, key) = rest.split_once('/').unwrap_or((rest, ""));
        if bucket.is_empty() {
            return Err(invalid("the bucket is empty"));
        }
        if !is_bucket(bucket) {
            return Err(invalid(&format!("`{bucket}` is no bucket's name (letters, digits, `.`, `-` and `_`)")));
        }
        // Amazon S3 allows these names, but a folder cannot hold them, and no honest key has them.
        if key.contains('\0') || key.split('/').any(|part| part == "." || part == "..") {
            return Err(invalid("`.` and `..` are no names"));
        }
        if key.len() > MAX_KEY_BYTES {
            return Err(invalid("a key has at most 1,024 bytes (Amazon S3)"));
        }
        Ok(Self { bucket: bucket.into(), key: key.into() })
    }
}

/// What is known of an object without reading it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metadata {
    /// Where it is.
    pub location: Location,
    /// In bytes, as stored.
    pub size: u64,
    /// The entity tag: two reads with the same tag are of the same bytes. With quotes, as S3 gives it.
    pub etag: String,
    /// When it was written.
    pub last_modified: Option<OffsetDateTime>,
}

/// Up to 1,000 objects of a listing, in ascending order of the keys' bytes.
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// The objects.
    pub objects: Vec<Metadata>,
    /// Where the next page begins; none at the end. Opaque.
    pub next: Option<String>,
}

/// Why an object could not be read or written. Guests know most of these cases as `objects.error`. Each sentence names
/// the object.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ObjectError {
    /// There is no such object or bucket.
    #[error("{0}")]
    NotFound(String),
    /// The store refused, or the dataset does not grant it.
    #[error("{0}")]
    Denied(String),
    /// The request makes no sense.
    #[error("{0}")]
    Invalid(String),
    /// The store did not answer after retries.
    #[error("{0}")]
    Unavailable(String),
    /// This machine ran out of something that waiting does not bring back: disk space, open files. Only a folder says
    /// so.
    #[error("{0}")]
    Exhausted(String),
    /// More than a limit allows.
    #[error("{0}")]
    TooLarge(String),
    /// The object is no longer the version that was opened.
    #[error("{0}")]
    Changed(String),
    /// The upload was removed before it became an object: by whoever took the batch over, or by a rule of the bucket.
    #[error("{0}")]
    Gone(String),
}

/// A store of objects that can be read. Plugins are given no more.
#[async_trait]
pub trait ObjectStore: Send + Sync + 'static {
    /// What the object is, and its first bytes (at most `first`), in one request: most objects are small.
    async fn open(&self, at: &Location, first: u64) -> Result<(Metadata, Bytes), ObjectError>;

    /// Reads a range of the version with this `etag`: exactly the range, cut at the object's end. A range that starts at
    /// or behind the end is empty. [`ObjectError::Changed`] when the object is another version by now.
    async fn read(&self, at: &Location, etag: &str, range: Range<u64>) -> Result<Bytes, ObjectError>;

    /// Lists the objects whose key starts with `prefix.key`, from where `next` of the page before says. A prefix without
    /// objects is an empty page; a bucket that does not exist is [`ObjectError::NotFound`].
    async fn list(&self, prefix: &Location, next: Option<&str>) -> Result<Page, ObjectError>;
}

/// A store of objects that can be written in two steps: an upload stores the bytes, completing it makes them visible.
#[async_trait]
pub trait ObjectWriter: ObjectStore {
    /// The store that what is written here can be read from.
    fn written(&self) -> &dyn ObjectStore;

    /// Starts to write an object that holds this. Nothing is visible before [`ObjectWriter::complete`].
    async fn upload(&self, at: &Location, holds: ContentType) -> Result<Box<dyn Upload>, ObjectError>;

    /// Makes an uploaded object visible, whole and at once, in place of any object of that key. Any process that has
    /// the record may do it, and may repeat it. [`ObjectError::Gone`] if the upload was removed first.
    async fn complete(&self, upload: &Uploaded) -> Result<(), ObjectError>;

    /// Removes one upload, if it is not complete.
    async fn abort(&self, upload: &Uploaded) -> Result<(), ObjectError>;

    /// Removes all uploads of this key that are not complete, whoever began them: nobody can complete them any more.
    /// Returns how many there were.
    async fn abort_uploads(&self, at: &Location) -> Result<usize, ObjectError>;

    /// Removes the uploads of whatever objects below the prefix have this name, which ends at the first `.` of a key's last part.
    /// A store may remove those of that name elsewhere in the bucket, too. Returns how many there were.
    async fn abort_uploads_named(&self, prefix: &Location, name: &str) -> Result<usize, ObjectError>;

    /// Deletes an object; one that is not there counts as deleted.
    async fn delete(&self, at: &Location) -> Result<(), ObjectError>;

    /// The removals of uploads that were dropped.
    fn cleanups(&self) -> &Cleanups;
}

/// An object that is being written. Dropped without `finish`, it leaves nothing behind once the store's cleanups are done.
#[async_trait]
pub trait Upload: Send {
    /// Appends bytes, in any sizes.
    async fn write(&mut self, bytes: Bytes) -> Result<(), ObjectError>;

    /// Stores the last of the bytes. Nothing is visible yet; the upload outlives this process.
    async fn finish(self: Box<Self>) -> Result<Uploaded, ObjectError>;

    /// Gives up and frees what was stored.
    async fn abort(self: Box<Self>) -> Result<(), ObjectError>;
}

/// An object that is stored whole and not visible: all that another process needs to make it so.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Uploaded {
    /// Where it will be.
    pub at: Location,
    /// How the store names the upload.
    pub id: String,
    /// Its parts, in order; a folder has none.
    pub parts: Vec<UploadedPart>,
    /// The mark by which the finished object is known to be this upload's, when the upload itself is gone.
    pub mark: String,
    /// In bytes.
    pub size: u64,
}

/// What a store returned for a part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UploadedPart {
    /// The entity tag.
    pub etag: String,
    /// The CRC-32 in base64, if the store keeps one. Completing the upload then has to repeat it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crc32: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uri_names_a_bucket_and_a_key() {
        for uri in ["s3://b/k", "s3://b/", "s3://my.old_Bucket-1/a//b/ä?#%", "s3://b/ "] {
            assert_eq!(uri.parse::<Location>().map(|at| at.to_string()), Ok(uri.to_owned()));
        }
        for (uri, why) in [
            ("b/k", "it must start with `s3://`"),
            ("s3:///k", "the bucket is empty"),
            ("s3://s3://b/k", "`s3:` is no bucket's name (letters, digits, `.`, `-` and `_`)"),
            ("s3://a b/k", "`a b` is no bucket's name (letters, digits, `.`, `-` and `_`)"),
            ("s3://../k", "`..` is no bucket's name (letters, digits, `.`, `-` and `_`)"),
            ("s3://b/a/../k", "`.` and `..` are no names"),
            ("s3://b/\0", "`.` and `..` are no names"),
        ] {
            let error = uri.parse::<Location>().unwrap_err();
            assert_eq!(error, ObjectError::Invalid(format!("`{uri}` is not an object's URI: {why}")));
        }
    }
}
