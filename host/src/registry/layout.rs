//! How a registry lies in a place that keeps bytes under keys, such as a folder or an S3 bucket.
//!
//! ```text
//! blobs/sha256/<hex>                              release documents, dataset files, components, sample files
//! names/<name>/versions/<version>                 one line: the digest of the release document
//! names/<name>/<attachment>/<release>/<content>   signatures, refusals, shadow reports, by their own digest
//! heads/<16 digits>.json                          who is in use
//! ```
//!
//! Nothing is ever overwritten, so that all the place has to offer is that of two who write a key one is first.

use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{self, Stream, StreamExt, TryStreamExt};

use super::{Attachment, MAX_BLOB, MAX_DOCUMENT, Name, Package, Registry, RegistryError, Version};
use crate::job::Digest;

/// How many requests of one call are under way at once: a release has up to a hundred blobs, most of them small.
const AT_ONCE: usize = 8;

/// The most that all attachments of one kind to one release may have together: they are read into memory, and who may write to the
/// registry need not mean well.
const MAX_ATTACHED: u64 = 32 << 20;

/// A place that keeps bytes under keys, each of which is written once.
#[async_trait]
pub(super) trait Keys: Send + Sync + 'static {
    /// What is under the key; none if nothing is. More than `max` bytes are [`RegistryError::Damaged`], and are not read.
    async fn get(&self, key: &str, max: u64) -> Result<Option<Bytes>, RegistryError>;

    /// Puts bytes under a key, whole or not at all; `false` if there is something, which then stays.
    async fn create(&self, key: &str, bytes: Bytes) -> Result<bool, RegistryError>;

    /// The names directly below `folder` that sort behind `after`, in no particular order.
    async fn list(&self, folder: &str, after: &str) -> Result<Vec<String>, RegistryError>;

    /// Whether there is any key below `folder`.
    async fn any(&self, folder: &str) -> Result<bool, RegistryError>;

    /// Where the key lies, for people.
    fn place(&self, key: &str) -> String;
}

/// A registry over keys.
pub(super) struct Layout<K> {
    uri: String,
    keys: K,
    /// A head that is there, so that the newest need not be searched from the first.
    seen: AtomicU64,
}

impl<K: Keys> Layout<K> {
    /// The registry that lies in this place.
    pub(super) fn new(uri: &str, keys: K) -> Self {
        Self { uri: uri.into(), keys, seen: AtomicU64::new(0) }
    }

    /// What is under a key that names its content.
    async fn verified(&self, key: &str, digest: &Digest, max: u64) -> Result<Option<Bytes>, RegistryError> {
        let Some(bytes) = self.keys.get(key, max).await? else {
            return Ok(None);
        };
        match Digest::of(&bytes) {
            found if found == *digest => Ok(Some(bytes)),
            found => Err(RegistryError::Damaged(format!(
                "{}: expected {digest}, found {found}: remove it and publish the version again",
                self.keys.place(key)
            ))),
        }
    }

    /// Puts bytes under a key that names their content. What is there already is looked at: otherwise publishing again
    /// would call a version whole that is not.
    async fn keep(&self, key: &str, bytes: Bytes, max: u64) -> Result<(), RegistryError> {
        let digest = Digest::of(&bytes);
        if !self.keys.create(key, bytes).await? {
            self.verified(key, &digest, max).await?;
        }
        Ok(())
    }

    async fn keep_blob(&self, bytes: Bytes) -> Result<(), RegistryError> {
        self.keep(&blob_key(&Digest::of(&bytes)), bytes, MAX_BLOB).await
    }

    async fn attachment(&self, folder: &str, digest: Digest) -> Result<Option<Bytes>, RegistryError> {
        self.verified(&format!("{folder}/{}", digest.hex()), &digest, MAX_DOCUMENT).await
    }
}

#[async_trait]
impl<K: Keys> Registry for Layout<K> {
    fn uri(&self) -> &str {
        &self.uri
    }

    async fn is_there(&self) -> Result<bool, RegistryError> {
        self.keys.any("names").await
    }

    async fn add(&self, package: &Package) -> Result<(), RegistryError> {
        let (name, version, digest) = (&package.release.name, &package.release.version, package.digest());
        let taken = |found: Digest| {
            Err(RegistryError::Taken(format!(
                "{name} {version} is in {} already, as another release ({found}; this one is {digest}): \
                 give this one a version of its own",
                self.uri
            )))
        };
        if let Some(found) = self.find(name, version).await?.filter(|found| *found != digest) {
            return taken(found);
        }
        let mut blobs = Vec::new();
        for bytes in package.blobs.values() {
            blobs.push(self.keep_blob(bytes.clone()));
        }
        stream::iter(blobs).buffer_unordered(AT_ONCE).try_collect::<()>().await?;
        self.keep_blob(package.document.clone()).await?;
        if !self.keys.create(&version_key(name, version), format!("{digest}\n").into()).await?
            && let Some(found) = self.find(name, version).await?.filter(|found| *found != digest)
        {
            return taken(found);
        }
        Ok(())
    }

    async fn find(&self, name: &Name, version: &Version) -> Result<Option<Digest>, RegistryError> {
        let key = version_key(name, version);
        let Some(line) = self.keys.get(&key, MAX_DOCUMENT).await? else {
            return Ok(None);
        };
        let digest = std::str::from_utf8(&line).ok().and_then(|line| line.trim_end().parse().ok());
        let damaged = || {
            RegistryError::Damaged(format!(
                "{} names no release: expected one line, `sha256:` and 64 hexadecimal digits",
                self.keys.place(&key)
            ))
        };
        digest.map(Some).ok_or_else(damaged)
    }

    async fn versions(&self, name: &Name) -> Result<Vec<Version>, RegistryError> {
        let names = self.keys.list(&format!("names/{name}/versions"), "").await?;
        let mut versions: Vec<Version> = names.iter().filter_map(|name| name.parse().ok()).collect();
        versions.sort_unstable();
        Ok(versions)
    }

    async fn blob(&self, _: &Name, digest: &Digest, max: u64) -> Result<Bytes, RegistryError> {
        let key = blob_key(digest);
        let missing = || RegistryError::NotFound(format!("{} is not there", self.keys.place(&key)));
        self.verified(&key, digest, max.min(MAX_BLOB)).await?.ok_or_else(missing)
    }

    async fn attach(&self, name: &Name, release: &Digest, kind: Attachment, bytes: Bytes) -> Result<(), RegistryError> {
        let key = format!("{}/{}", attachments(name, release, kind), Digest::of(&bytes).hex());
        self.keep(&key, bytes, MAX_DOCUMENT).await
    }

    async fn attached(&self, name: &Name, release: &Digest, kind: Attachment) -> Result<Vec<Bytes>, RegistryError> {
        let folder = attachments(name, release, kind);
        let names = self.keys.list(&folder, "").await?;
        let mut read = Vec::new();
        for digest in names.iter().filter_map(|hex| format!("sha256:{hex}").parse().ok()) {
            read.push(self.attachment(&folder, digest));
        }
        collect(stream::iter(read).buffered(AT_ONCE), release).await
    }

    async fn head(&self, number: u64) -> Result<Option<Bytes>, RegistryError> {
        self.keys.get(&head_key(number), MAX_DOCUMENT).await
    }

    async fn newest(&self) -> Result<u64, RegistryError> {
        let seen = self.seen.load(Ordering::Relaxed);
        let names = self.keys.list("heads", &head_name(seen)).await?;
        let newest = names.iter().filter_map(|name| number_of(name)).max().unwrap_or(0).max(seen);
        self.seen.fetch_max(newest, Ordering::Relaxed);
        Ok(newest)
    }

    async fn advance(&self, number: u64, head: Bytes) -> Result<bool, RegistryError> {
        if self.keys.create(&head_key(number), head.clone()).await? {
            return Ok(true);
        }
        // An answer may have got lost, and the request been repeated: then the head that was first is our own.
        Ok(self.head(number).await?.is_some_and(|found| found == head))
    }
}

/// Collects attachments, up to [`MAX_ATTACHED`].
async fn collect(
    found: impl Stream<Item = Result<Option<Bytes>, RegistryError>>,
    of: &Digest,
) -> Result<Vec<Bytes>, RegistryError> {
    let (mut collected, mut size) = (Vec::new(), 0);
    let mut found = std::pin::pin!(found.map(unless_damaged));
    while let Some(bytes) = found.next().await {
        let Some(bytes) = bytes? else { continue };
        size += bytes.len() as u64;
        if size > MAX_ATTACHED {
            return Err(RegistryError::Damaged(format!(
                "release {of} has attachments of more than {MAX_ATTACHED} bytes: find out who wrote them, and remove them"
            )));
        }
        collected.push(bytes);
    }
    Ok(collected)
}

/// See [`Registry::attached`].
fn unless_damaged(found: Result<Option<Bytes>, RegistryError>) -> Result<Option<Bytes>, RegistryError> {
    if let Err(RegistryError::Damaged(why)) = found {
        tracing::warn!("an attachment is damaged and counts as none: {why}");
        return Ok(None);
    }
    found
}

fn blob_key(digest: &Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}

fn version_key(name: &Name, version: &Version) -> String {
    format!("names/{name}/versions/{version}")
}

fn attachments(name: &Name, release: &Digest, kind: Attachment) -> String {
    format!("names/{name}/{}/{}", kind.word(), release.hex())
}

fn head_key(number: u64) -> String {
    format!("heads/{}", head_name(number))
}

/// Of a fixed length, so that names sort as numbers do.
fn head_name(number: u64) -> String {
    format!("{number:016}.json")
}

fn number_of(name: &str) -> Option<u64> {
    let number = name.strip_suffix(".json")?.parse().ok()?;
    (head_name(number) == name).then_some(number)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn heads_sort_as_their_numbers(one in 1..1_u64 << 50, two in 1..1_u64 << 50) {
            prop_assert_eq!(head_name(one).cmp(&head_name(two)), one.cmp(&two));
            prop_assert_eq!(number_of(&head_name(one)), Some(one));
        }

        #[test]
        fn what_is_no_head_has_no_number(name in "[0-9.jsonx]{0,24}") {
            prop_assert!(number_of(&name).is_none_or(|number| head_name(number) == name));
        }
    }
}
