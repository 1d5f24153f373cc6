//! What a registry does, wherever it lies.

use async_trait::async_trait;
use bytes::Bytes;

use super::{Name, Package, RegistryError, Version};
use crate::job::Digest;

/// The largest document that is read whole: a release, a head, an attachment.
pub const MAX_DOCUMENT: u64 = 1 << 20;

/// A registry. All writing is adding: nothing that was read once is ever different.
#[async_trait]
pub trait Registry: Send + Sync + 'static {
    /// Where it is, as its user wrote it.
    fn uri(&self) -> &str;

    /// Whether anything was ever published here.
    async fn is_there(&self) -> Result<bool, RegistryError>;

    /// Puts a release there: first what it names, then itself, last the name of its version, so that a version that is
    /// found is whole. Adding the same again is no error; another release under the same version is [`RegistryError::Taken`].
    async fn add(&self, package: &Package) -> Result<(), RegistryError>;

    /// The digest of the release document of a version; none if there is no such version.
    async fn find(&self, name: &Name, version: &Version) -> Result<Option<Digest>, RegistryError>;

    /// All versions of a dataset in ascending order; none for a name that is not known.
    async fn versions(&self, name: &Name) -> Result<Vec<Version>, RegistryError>;

    /// Bytes of a release of `name` (or the release document itself), which have this digest: else they are
    /// [`RegistryError::Damaged`]. Nothing larger than `max` is read.
    async fn blob(&self, name: &Name, digest: &Digest, max: u64) -> Result<Bytes, RegistryError>;

    /// Attaches something to a release. Attaching the same bytes again is no error and no second attachment.
    async fn attach(&self, name: &Name, release: &Digest, kind: Attachment, bytes: Bytes) -> Result<(), RegistryError>;

    /// What is attached to a release, in no particular order. What is not any more what was attached is left out, with a
    /// warning: one damaged attachment does not hide the others.
    async fn attached(&self, name: &Name, release: &Digest, kind: Attachment) -> Result<Vec<Bytes>, RegistryError>;

    /// The head of this number; none if there is none yet. Cheap: workers ask for the next one all the time.
    async fn head(&self, number: u64) -> Result<Option<Bytes>, RegistryError>;

    /// The number of the newest head; 0 if there is none. Heads are numbered from 1, without gaps.
    async fn newest(&self) -> Result<u64, RegistryError>;

    /// Adds the head of this number; `false` if somebody else was first. The caller has seen the one before. Adding the very
    /// same bytes again is no loss, so that a request whose answer got lost can be repeated.
    async fn advance(&self, number: u64, head: Bytes) -> Result<bool, RegistryError>;
}

/// What is attached to a release after it was made. Attachments are added and never changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Attachment {
    /// A signature over the release document.
    Signature,
    /// Why a worker did not take the release into use.
    Refusal,
    /// What a worker saw of a shadow.
    Shadow,
}

impl Attachment {
    /// The word that stands for it in keys.
    pub fn word(self) -> &'static str {
        match self {
            Self::Signature => "signature",
            Self::Refusal => "refusal",
            Self::Shadow => "shadow",
        }
    }
}
