//! What lies in an OCI registry: manifests, each of which names blobs by their digests. Pure.
//!
//! The same things make the same manifest, byte for byte, so that who pushes something again pushes nothing new.

use std::collections::BTreeMap;

use bytes::Bytes;
use oci_client::annotations::ORG_OPENCONTAINERS_IMAGE_TITLE;
use oci_client::manifest::{OCI_IMAGE_MEDIA_TYPE, OciDescriptor, OciImageManifest};
use serde_json::json;

use super::super::{Attachment, Blob, Package, RegistryError};
use crate::job::Digest;

/// The one layer of a component ("Wasm OCI Artifact layout", CNCF TAG Runtime).
pub(super) const WASM: &str = "application/wasm";

/// Its configuration (ibid.).
const WASM_CONFIG: &str = "application/vnd.wasm.config.v0+json";

/// A release document: the configuration of a release.
const RELEASE: &str = "application/vnd.gristmill.release.v1+json";

/// A head: the one layer of its artifact.
pub(super) const HEAD: &str = "application/vnd.gristmill.head.v1+json";

/// The configuration of what has none (OCI image specification, "Guidance for an Empty Descriptor").
const EMPTY_CONFIG: &str = "application/vnd.oci.empty.v1+json";

/// A manifest with those of its blobs that are not yet in the registry.
pub(super) struct Artifact {
    /// The bytes of the manifest, whose digest is the artifact's.
    pub(super) manifest: Bytes,
    /// What it names.
    pub(super) blobs: Vec<Bytes>,
}

impl Artifact {
    /// The component alone, as `wkg`, `oras` and others pull it.
    pub(super) fn component(package: &Package) -> Result<Self, RegistryError> {
        let Blob { digest, size } = package.release.component;
        let config = json!({
            // The specification wants a time. A release has none: the same component is the same artifact.
            "created": "1970-01-01T00:00:00Z",
            "architecture": "wasm",
            "os": "wasip2",
            "layerDigests": [digest],
            "component": {
                "exports": package.interfaces.exports,
                "imports": package.interfaces.imports,
            },
        });
        let config = written(&config)?;
        let mut layer = descriptor(WASM, digest, size);
        // Without a name, `oras pull` would leave the layer where it is.
        let file = format!("{}.wasm", package.release.name);
        layer.annotations = Some(BTreeMap::from([(ORG_OPENCONTAINERS_IMAGE_TITLE.into(), file)]));
        let manifest = manifest(WASM_CONFIG, &config, vec![layer], None);
        Ok(Self { manifest: written(&manifest)?, blobs: vec![config] })
    }

    /// A release. It names the component too, so that a registry which removes what no tag needs keeps it, whatever becomes
    /// of the component's own tag.
    pub(super) fn release(package: &Package) -> Result<Self, RegistryError> {
        let mut layers: Vec<(Digest, u64)> =
            package.blobs.iter().map(|(digest, bytes)| (*digest, bytes.len() as u64)).collect();
        // No registry wants an empty blob, and nobody needs to fetch one.
        layers.retain(|(_, size)| *size > 0);
        let layers = layers.into_iter().map(|(digest, size)| {
            let kind = match digest {
                digest if digest == package.release.component.digest => WASM,
                digest if digest == package.release.dataset.digest => "application/toml",
                _ => "application/octet-stream",
            };
            descriptor(kind, digest, size)
        });
        let manifest = manifest(RELEASE, &package.document, layers.collect(), None);
        let blobs = package.blobs.values().chain([&package.document]).filter(|bytes| !bytes.is_empty());
        Ok(Self { manifest: written(&manifest)?, blobs: blobs.cloned().collect() })
    }

    /// One document.
    pub(super) fn document(kind: &str, bytes: Bytes) -> Result<Self, RegistryError> {
        if bytes.is_empty() {
            return Err(RegistryError::Invalid("an empty document cannot lie in an OCI registry".into()));
        }
        let config = Bytes::from_static(b"{}");
        let layer = descriptor(kind, Digest::of(&bytes), bytes.len() as u64);
        let manifest = manifest(EMPTY_CONFIG, &config, vec![layer], Some(kind));
        Ok(Self { manifest: written(&manifest)?, blobs: vec![config, bytes] })
    }
}

/// The media type of an attachment.
pub(super) fn attachment(kind: Attachment) -> String {
    format!("application/vnd.gristmill.{}.v1", kind.word())
}

/// The release document that this manifest is for.
pub(super) fn release_of(manifest: &[u8]) -> Option<Digest> {
    let manifest = parse(manifest)?;
    (manifest.config.media_type == RELEASE).then(|| manifest.config.digest.parse().ok())?
}

/// The one blob of this kind that the manifest names.
pub(super) fn sole_layer(manifest: &[u8], kind: &str) -> Option<Digest> {
    match &*parse(manifest)?.layers {
        [layer] if layer.media_type == kind => layer.digest.parse().ok(),
        _ => None,
    }
}

fn parse(manifest: &[u8]) -> Option<OciImageManifest> {
    serde_json::from_slice(manifest).ok()
}

fn manifest(config: &str, bytes: &[u8], layers: Vec<OciDescriptor>, kind: Option<&str>) -> OciImageManifest {
    OciImageManifest {
        schema_version: 2,
        media_type: Some(OCI_IMAGE_MEDIA_TYPE.into()),
        config: descriptor(config, Digest::of(bytes), bytes.len() as u64),
        layers,
        subject: None,
        artifact_type: kind.map(Into::into),
        annotations: None::<BTreeMap<String, String>>,
    }
}

fn descriptor(kind: &str, digest: Digest, size: u64) -> OciDescriptor {
    let size = i64::try_from(size).unwrap_or(i64::MAX);
    OciDescriptor { media_type: kind.into(), digest: digest.to_string(), size, ..OciDescriptor::default() }
}

fn written(document: &impl serde::Serialize) -> Result<Bytes, RegistryError> {
    let unwritable = |error| RegistryError::Invalid(format!("the manifest cannot be written: {error}"));
    serde_json::to_vec(document).map(Bytes::from).map_err(unwritable)
}

#[cfg(test)]
mod tests {
    use super::super::super::Interfaces;
    use super::*;

    fn package() -> Package {
        let sample = BTreeMap::from([("a".to_owned(), Bytes::from("x")), ("empty".to_owned(), Bytes::new())]);
        let name = "d".parse().unwrap();
        let mut package = Package::new(name, "0.1.0".parse().unwrap(), "toml".into(), "wasm".into(), sample).unwrap();
        package.interfaces = Interfaces { imports: vec!["a:b/c@1.0.0".into()], exports: vec!["d:e/f@1.0.0".into()] };
        package
    }

    #[test]
    fn a_component_is_the_artifact_of_the_specification() {
        let artifact = Artifact::component(&package()).unwrap();
        let digest = Digest::of(b"wasm").to_string();
        insta::assert_snapshot!(String::from_utf8_lossy(&artifact.blobs[0]).replace(&digest, "COMPONENT"), @r#"{"architecture":"wasm","component":{"exports":["d:e/f@1.0.0"],"imports":["a:b/c@1.0.0"]},"created":"1970-01-01T00:00:00Z","layerDigests":["COMPONENT"],"os":"wasip2"}"#);
        let manifest: OciImageManifest = serde_json::from_slice(&artifact.manifest).unwrap();
        assert_eq!(manifest.config.media_type, "application/vnd.wasm.config.v0+json");
        assert_eq!(manifest.config.digest, Digest::of(&artifact.blobs[0]).to_string());
        assert!(manifest.layers.len() == 1 && manifest.layers[0].media_type == "application/wasm");
        assert_eq!(sole_layer(&artifact.manifest, WASM), Some(Digest::of(b"wasm")));
    }

    #[test]
    fn a_release_names_all_that_it_needs() {
        let package = package();
        let artifact = Artifact::release(&package).unwrap();
        assert_eq!(release_of(&artifact.manifest), Some(package.digest()));
        let text = String::from_utf8_lossy(&artifact.manifest).into_owned();
        for (digest, bytes) in &package.blobs {
            assert_eq!(text.contains(&digest.to_string()), !bytes.is_empty(), "{digest}");
        }
        assert_eq!(artifact.blobs.len(), 4);
        assert_eq!(Artifact::release(&package).unwrap().manifest, artifact.manifest);
    }

    #[test]
    fn a_manifest_of_another_kind_is_none_of_ours() {
        let head = Artifact::document(HEAD, "{}".into()).unwrap();
        assert_eq!(sole_layer(&head.manifest, HEAD), Some(Digest::of(b"{}")));
        assert_eq!(sole_layer(&head.manifest, WASM), None);
        assert_eq!(release_of(&head.manifest), None);
        let list = br#"{"schemaVersion":2,"manifests":[]}"#;
        assert!(release_of(list).is_none() && sole_layer(list, WASM).is_none());
        assert!(Artifact::document(HEAD, Bytes::new()).is_err());
    }
}
