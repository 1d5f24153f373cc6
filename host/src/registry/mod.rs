//! The registry: a place where versions of datasets lie, and what says which of them is in use.
//!
//! A *release* is one version of one dataset: its file, its component and its sample, named together by a small JSON document
//! whose SHA-256 is the release's own name. Nothing in it ever changes. What changes is the *head*: who is in use, who is on
//! trial. Heads are numbered, and a number is given once, so that of two people who change something at the same time
//! one learns that the other was first.
//!
//! ```text
//! head 42 ──► "noaa-precipitation": stable 0.2.0 ──► release sha256:… ──► dataset file, component, sample
//!    │                              canary 0.3.0, 10 %                      ▲
//!    └─ follows 41                                                         signatures
//! ```

mod change;
mod component;
#[cfg(any(test, feature = "contract"))]
pub mod contract;
mod folder;
mod head;
mod in_use;
mod key;
mod keyring;
mod kms;
mod layout;
mod oci;
mod place;
mod release;
mod s3;
mod share;
mod signature;
mod trust;

use std::fmt;
use std::str::FromStr;

use async_trait::async_trait;
use bytes::Bytes;
use futures::{Stream, StreamExt as _};
use serde::{Deserialize, Serialize};

pub(crate) use self::change::add;
pub use self::change::{NotChanged, change, newest};
pub use self::component::{OciReference, fetch_component};
pub use self::head::Head;
pub use self::in_use::{Change, ChangeError, Chosen, InUse, Moved, Trial, TrialKind};
pub use self::key::{PrivateKey, PublicKey};
pub use self::keyring::{KeyRef, Signer};
pub use self::kms::{Kms, KmsKey};
pub use self::place::open;
pub use self::release::{Blob, Interfaces, MAX_SAMPLE, Package, Release};
pub use self::share::Share;
pub use self::signature::Signature;
pub use self::trust::{Policy, PolicyFile, TrustError};
use crate::job::Digest;

/// A dataset's name: `[A-Za-z0-9][A-Za-z0-9_-]{0,62}`, so that it is safe in a path, a key and a URL.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Name(String);

/// A version (semver.org) without build metadata, which no tag of an OCI registry could carry.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Version(semver::Version);

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
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Signature, Self::Refusal, Self::Shadow];

    /// The word that stands for it in keys and tags.
    pub fn word(self) -> &'static str {
        match self {
            Self::Signature => "signature",
            Self::Refusal => "refusal",
            Self::Shadow => "shadow",
        }
    }
}

/// The largest document that is read whole: a release, a head, an attachment.
pub const MAX_DOCUMENT: u64 = 1 << 20;

/// The most that all attachments of one kind to one release may have together: they are read into memory, and who may write to the
/// registry need not mean well.
pub const MAX_ATTACHED: u64 = 32 << 20;

/// The largest blob of a release.
pub const MAX_BLOB: u64 = 256 << 20;

/// The registry did not do what it was asked for. Each sentence names the place and what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RegistryError {
    /// There is no such version, blob, or registry.
    #[error("{0}")]
    NotFound(String),
    /// The version exists, and is something else.
    #[error("{0}")]
    Taken(String),
    /// The registry refuses us.
    #[error("{0}")]
    Denied(String),
    /// What was read is not what was written.
    #[error("{0}")]
    Damaged(String),
    /// A name, a version or a URI that is none, or that this kind of registry cannot carry.
    #[error("{0}")]
    Invalid(String),
    /// It did not answer, after retries. The same may work later.
    #[error("{0}")]
    Unavailable(String),
}

impl RegistryError {
    /// Whether this is about the one thing that was asked for, and not about the whole registry: others may be read all the same.
    pub fn is_of_one_entry(&self) -> bool {
        !matches!(self, Self::Unavailable(_))
    }
}

/// A registry. All writing is adding: nothing that was read once is ever different.
#[async_trait]
pub trait Registry: Send + Sync + 'static {
    /// Where it is, as its user wrote it.
    fn uri(&self) -> &str;

    /// Whether anything was ever published here; also where nothing was, if this kind of registry cannot say.
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

/// What a parser says of a document, in so many characters at most: it may show what it found, and that may be a megabyte.
const MAX_REASON: usize = 500;

/// See [`MAX_REASON`].
fn in_short(why: &dyn fmt::Display) -> String {
    let mut text = why.to_string();
    if let Some((end, _)) = text.char_indices().nth(MAX_REASON) {
        text.truncate(end);
        text.push('…');
    }
    text
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

impl Name {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Name {
    type Err = RegistryError;

    fn from_str(text: &str) -> Result<Self, RegistryError> {
        let inner = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        if (1..=63).contains(&text.len())
            && text.starts_with(|c: char| c.is_ascii_alphanumeric())
            && text.chars().all(inner)
        {
            return Ok(Self(text.into()));
        }
        Err(RegistryError::Invalid(format!(
            "{text:?} is not the name of a dataset: letters, digits, `_` and `-`, at most 63, the first a letter or digit"
        )))
    }
}

impl FromStr for Version {
    type Err = RegistryError;

    fn from_str(text: &str) -> Result<Self, RegistryError> {
        let invalid = |why: String| RegistryError::Invalid(format!("{text:?} is not a version (semver.org): {why}"));
        if text.len() > 64 {
            return Err(invalid("it has more than 64 characters".into()));
        }
        let version = semver::Version::parse(text).map_err(|error| invalid(error.to_string()))?;
        if !version.build.is_empty() {
            return Err(invalid("a registry keeps no build metadata (`+...`)".into()));
        }
        Ok(Self(version))
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl TryFrom<String> for Name {
    type Error = RegistryError;

    fn try_from(text: String) -> Result<Self, RegistryError> {
        text.parse()
    }
}

impl TryFrom<String> for Version {
    type Error = RegistryError;

    fn try_from(text: String) -> Result<Self, RegistryError> {
        text.parse()
    }
}

impl From<Name> for String {
    fn from(name: Name) -> Self {
        name.0
    }
}

impl From<Version> for String {
    fn from(version: Version) -> Self {
        version.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_could_leave_its_folder_is_no_name_and_no_version() {
        for text in ["", ".", "..", "../x", "a/b", "a\\b", "a\0", "-a", "_a", "a.b", "ä", &"a".repeat(64)] {
            assert!(matches!(text.parse::<Name>(), Err(RegistryError::Invalid(_))), "{text:?}");
        }
        for text in [
            "",
            "1",
            "1.0",
            "../1.0.0",
            "1.0.0/..",
            "v1.0.0",
            "1.0.0+build",
            "1.0.0-a/b",
            &format!("1.0.0-{}", "a".repeat(64)),
        ] {
            assert!(matches!(text.parse::<Version>(), Err(RegistryError::Invalid(_))), "{text:?}");
        }
        assert_eq!("noaa-precipitation_2".parse::<Name>().unwrap().as_str(), "noaa-precipitation_2");
        assert!("1.10.0".parse::<Version>().unwrap() > "1.9.0".parse().unwrap());
        assert!("1.0.0-rc.1".parse::<Version>().unwrap() < "1.0.0".parse().unwrap());
    }

    proptest! {
        #[test]
        fn a_name_or_version_is_one_part_of_a_path(text in ".{0,70}") {
            let names = [text.parse::<Name>().map(|it| it.to_string()), text.parse::<Version>().map(|it| it.to_string())];
            for name in names.into_iter().flatten() {
                prop_assert!(name.chars().all(|c| c.is_ascii_alphanumeric() || "_-.".contains(c)));
                prop_assert!(!name.starts_with('.') && name == text);
            }
        }
    }
}
