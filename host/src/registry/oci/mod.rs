//! A registry in an OCI registry (a registry of containers), such as Amazon ECR, GHCR or Harbor.
//!
//! ```text
//! PREFIX/<name>:<version>              the component, as the CNCF's Wasm OCI artifact: wkg and oras pull it
//! PREFIX/<name>:<version>_release      the release document, with dataset file, component and sample; found by this tag
//! PREFIX/<name>:sha256-<release>.<attachment>.<content>
//! PREFIX/gristmill:head-<16 digits>    who is in use
//! ```
//!
//! Everything is read by digest, once a tag has said which, so a tag that somebody moves changes nothing that is in use.
//!
//! What is written once although the protocol knows no such thing is told in `claim.rs`.

mod artifact;
mod claim;
mod ecr;
mod host;
mod login;
mod names;
mod token;

use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{self, StreamExt, TryStreamExt};

use self::artifact::Artifact;
use self::claim::{Repository, claim, put, resolve, write_once};
pub(super) use self::host::{Host, is_host, place};
pub(super) use self::names::is_repository;
use self::names::{HEADS, Search};
use super::{Attachment, MAX_BLOB, MAX_DOCUMENT, Name, Package, Registry, RegistryError, Version, collect};
use crate::aws::SdkConfig;
use crate::job::Digest;

/// The component that a manifest names; none if it is another kind of artifact.
pub(super) fn component_of(manifest: &[u8]) -> Option<Digest> {
    artifact::sole_layer(manifest, artifact::WASM)
}

/// How many requests of one call are under way at once.
const AT_ONCE: usize = 8;

/// A prefix of an OCI registry.
pub(super) struct Oci {
    uri: String,
    host: Host,
    prefix: String,
    /// A head that is there.
    seen: AtomicU64,
}

impl Oci {
    /// The registry below this prefix, which may be empty. `aws` is called if the host is one of Amazon ECR.
    pub(super) async fn new<F>(
        uri: &str,
        host: &str,
        prefix: &str,
        aws: impl FnOnce() -> F + Send,
    ) -> Result<Self, RegistryError>
    where
        F: Future<Output = SdkConfig> + Send,
    {
        if !prefix.is_empty() && !names::is_repository(prefix) {
            return Err(RegistryError::Invalid(format!(
                "{uri}: `{prefix}` cannot be the prefix of repositories: parts of lower-case letters and digits, between them \
                 `-`, `_` or `.`, separated by `/`"
            )));
        }
        let host = Host::new(host, aws).await;
        Ok(Self { uri: uri.into(), host, prefix: prefix.into(), seen: AtomicU64::new(0) })
    }

    fn heads(&self) -> String {
        names::below(&self.prefix, HEADS)
    }

    async fn push(&self, repository: &str, blobs: Vec<Bytes>) -> Result<(), RegistryError> {
        let mut pushes = Vec::new();
        for bytes in blobs {
            pushes.push(self.host.push_blob(repository, bytes));
        }
        stream::iter(pushes).buffer_unordered(AT_ONCE).try_collect().await
    }

    /// The one document that a tag names, or that a manifest of this digest names; none if there is no such tag.
    async fn document(&self, repository: &str, tag: &str, kind: &str) -> Result<Option<Bytes>, RegistryError> {
        let Some(manifest) = self.host.manifest(repository, tag).await? else {
            return Ok(None);
        };
        let damaged = |why: &str| RegistryError::Damaged(format!("{}: {why}", self.host.place(repository, tag)));
        let layer = artifact::sole_layer(&manifest, kind).ok_or_else(|| damaged("this is no artifact of gristmill"))?;
        let bytes = self.host.blob(repository, &layer, MAX_DOCUMENT).await?;
        bytes.map(Some).ok_or_else(|| damaged(&format!("what it names ({layer}) is not there")))
    }

    async fn attachment(&self, repository: &str, tag: &str, kind: Attachment) -> Result<Option<Bytes>, RegistryError> {
        let bytes = self.document(repository, tag, &artifact::attachment(kind)).await?;
        let wanted = tag.rsplit('.').next().unwrap_or_default();
        match bytes.as_deref().map(Digest::of) {
            Some(found) if !found.hex().starts_with(wanted) => Err(RegistryError::Damaged(format!(
                "{}: expected sha256:{wanted}..., found {found}: somebody moved the tag",
                self.host.place(repository, tag)
            ))),
            _ => Ok(bytes),
        }
    }
}

#[async_trait]
impl Registry for Oci {
    fn uri(&self) -> &str {
        &self.uri
    }

    /// Repositories cannot be listed everywhere.
    async fn is_there(&self) -> Result<bool, RegistryError> {
        Ok(true)
    }

    async fn add(&self, package: &Package) -> Result<(), RegistryError> {
        let (name, version, digest) = (&package.release.name, &package.release.version, package.digest());
        let repository = names::repository(&self.prefix, name)?;
        let taken = |found: &str| {
            Err(RegistryError::Taken(format!(
                "{name} {version} is in {} already, as {found} (this release is {digest}): give this one a version of its own",
                self.uri
            )))
        };
        let (component, release) = (Artifact::component(package)?, Artifact::release(package)?);
        let tags = Repository(&self.host, &repository);
        let (ours, tag) = (Digest::of(&release.manifest), names::component_tag(version));
        let found = self.find(name, version).await?;
        if let Some(found) = found.filter(|found| *found != digest) {
            return taken(&format!("another release, {found}"));
        }
        self.push(&repository, release.blobs.into_iter().chain(component.blobs).collect()).await?;
        if found.is_some() {
            return Ok(());
        }
        let claimed = names::release_claim(version);
        let foreign = resolve(&tags, &tag).await?.filter(|found| *found != Digest::of(&component.manifest));
        if foreign.is_some() && resolve(&tags, &claimed).await?.is_none() {
            return taken(&format!("an artifact that is no release ({})", self.host.place(&repository, &tag)));
        }
        let winner = claim(&tags, &claimed, &release.manifest).await?;
        if winner == ours {
            put(&tags, &tag, &component.manifest).await?;
            if put(&tags, &names::release_tag(version), &release.manifest).await? == ours {
                return Ok(());
            }
        }
        let first = self.host.manifest(&repository, &winner.to_string()).await?;
        let first = first.and_then(|manifest| artifact::release_of(&manifest)).unwrap_or(winner);
        taken(&format!("another release, {first}, which somebody else publishes or has begun to"))
    }

    async fn find(&self, name: &Name, version: &Version) -> Result<Option<Digest>, RegistryError> {
        let (repository, tag) = (names::repository(&self.prefix, name)?, names::release_tag(version));
        let Some(manifest) = self.host.manifest(&repository, &tag).await? else {
            return Ok(None);
        };
        let place = || self.host.place(&repository, &tag);
        let damaged = || RegistryError::Damaged(format!("{}: this is no release of gristmill", place()));
        artifact::release_of(&manifest).map(Some).ok_or_else(damaged)
    }

    async fn versions(&self, name: &Name) -> Result<Vec<Version>, RegistryError> {
        let tags = self.host.tags(&names::repository(&self.prefix, name)?).await?;
        let mut versions: Vec<Version> = tags.iter().filter_map(|tag| names::version_of(tag)).collect();
        versions.sort_unstable();
        Ok(versions)
    }

    async fn blob(&self, name: &Name, digest: &Digest, max: u64) -> Result<Bytes, RegistryError> {
        let repository = names::repository(&self.prefix, name)?;
        if *digest == Digest::of(b"") {
            return Ok(Bytes::new());
        }
        let missing =
            || RegistryError::NotFound(format!("{} is not there", self.host.place(&repository, &digest.to_string())));
        self.host.blob(&repository, digest, max.min(MAX_BLOB)).await?.ok_or_else(missing)
    }

    async fn attach(&self, name: &Name, release: &Digest, kind: Attachment, bytes: Bytes) -> Result<(), RegistryError> {
        let repository = names::repository(&self.prefix, name)?;
        let tag = names::attachment_tag(release, kind, &Digest::of(&bytes));
        let artifact = Artifact::document(&artifact::attachment(kind), bytes)?;
        self.push(&repository, artifact.blobs).await?;
        match put(&Repository(&self.host, &repository), &tag, &artifact.manifest).await? {
            found if found == Digest::of(&artifact.manifest) => Ok(()),
            found => Err(RegistryError::Damaged(format!(
                "{}: expected {}, found {found}: somebody moved the tag",
                self.host.place(&repository, &tag),
                Digest::of(&artifact.manifest)
            ))),
        }
    }

    async fn attached(&self, name: &Name, release: &Digest, kind: Attachment) -> Result<Vec<Bytes>, RegistryError> {
        let (repository, prefix) = (names::repository(&self.prefix, name)?, names::attachments(release, kind));
        let tags = self.host.tags(&repository).await?;
        let mut reads = Vec::new();
        for tag in tags.iter().filter(|tag| tag.starts_with(&prefix)) {
            reads.push(self.attachment(&repository, tag, kind));
        }
        collect(stream::iter(reads).buffered(AT_ONCE), release).await
    }

    async fn head(&self, number: u64) -> Result<Option<Bytes>, RegistryError> {
        self.document(&self.heads(), &names::head_tag(number), artifact::HEAD).await
    }

    /// Asks for heads, not for a list: that would be all tags, in pages, in any order.
    async fn newest(&self) -> Result<u64, RegistryError> {
        let (heads, mut search) = (self.heads(), Search::from(self.seen.load(Ordering::Relaxed)));
        while let Some(number) = search.next() {
            search.saw(number, self.host.manifest(&heads, &names::head_tag(number)).await?.is_some());
        }
        self.seen.fetch_max(search.last(), Ordering::Relaxed);
        Ok(search.last())
    }

    async fn advance(&self, number: u64, head: Bytes) -> Result<bool, RegistryError> {
        let (heads, tag) = (self.heads(), names::head_tag(number));
        let (artifact, tags) = (Artifact::document(artifact::HEAD, head)?, Repository(&self.host, &heads));
        if let Some(found) = resolve(&tags, &tag).await? {
            return Ok(found == Digest::of(&artifact.manifest));
        }
        self.push(&heads, artifact.blobs).await?;
        write_once(&tags, &names::head_claim(number), &tag, &artifact.manifest).await
    }
}
