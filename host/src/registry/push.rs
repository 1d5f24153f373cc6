//! Pushes a component to an OCI registry, by itself. Dataset files name it by the digest of its artifact. Tags are for people: they
//! can be moved, so nothing relies on them.

use super::oci::{Artifact, Host, OpenedComponent};
use super::{OciReference, OciTarget, RegistryError};
use crate::job::Digest;

/// A component that is in an OCI registry now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pushed {
    /// How a dataset file names it: by the digest of its artifact.
    pub component: OciReference,
    /// The digest of what the tag named before; none for a new tag, and without one.
    pub tag_named: Option<String>,
}

impl Pushed {
    /// The digest of the artifact that the tag named before, if that was another one.
    pub fn moved_from(&self) -> Option<&str> {
        self.tag_named.as_deref().filter(|digest| *digest != self.component.name)
    }
}

/// Puts a component there, and the tag on it if the target has one: first what the manifest names, then the manifest.
pub async fn push_component(target: &OciTarget, component: &OpenedComponent<'_>) -> Result<Pushed, RegistryError> {
    let OciTarget { host, repository, tag } = target;
    let Artifact { manifest, blobs } = Artifact::of(component)?;
    let digest = Digest::of(&manifest).to_string();
    let server = Host::new(host).await;
    for blob in &blobs {
        server.push_blob(repository, blob).await?;
    }
    let tag_named = match tag {
        Some(tag) => server.named_by(repository, tag).await?,
        None => None,
    };
    if tag_named.as_ref() != Some(&digest) {
        server.push_manifest(repository, tag.as_deref().unwrap_or(&digest), &manifest).await?;
    }
    let component = OciReference { host: host.clone(), repository: repository.clone(), name: digest };
    Ok(Pushed { component, tag_named })
}
