//! Where versions come from that this process does not have in use.

use std::sync::Arc;

use async_trait::async_trait;

use super::version::DatasetVersion;
use crate::job::Digest;
use crate::registry::{Name, RegistryError};

/// Opens versions: a registry, as far as the catalog knows one.
#[async_trait]
pub trait VersionSource: Send + Sync {
    /// What is open with this digest, of a release or of a component.
    fn opened(&self, name: &Name, wanted: &Digest) -> Option<Arc<DatasetVersion>>;

    /// The release with this digest, or the newest with this component.
    async fn find(&self, name: &Name, wanted: &Digest) -> Result<Option<Digest>, NotOpened>;

    /// The release, ready to be worked on. What is open already takes no time.
    async fn open(&self, name: &Name, release: &Digest) -> Result<Arc<DatasetVersion>, NotOpened>;

    /// Whether there is a version of this dataset in use.
    async fn promotes(&self, dataset: &str) -> Result<bool, RegistryError>;
}

/// Why a release is not opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotOpened {
    /// It may be another time: the registry did not answer.
    #[error("{0}")]
    Later(String),
    /// It never will be, as it is.
    #[error("{0}")]
    Refused(String),
}

impl From<RegistryError> for NotOpened {
    fn from(error: RegistryError) -> Self {
        match error {
            // What lacks a right today may have it tomorrow: nothing is said about the release.
            RegistryError::Unavailable(why) | RegistryError::Denied(why) => Self::Later(why),
            other => Self::Refused(other.to_string()),
        }
    }
}
