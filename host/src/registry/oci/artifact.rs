//! The artifact that a component is in an OCI registry ("Wasm OCI Artifact layout", CNCF TAG Runtime): a manifest that names the
//! component and a configuration. Pure.
//!
//! The same component makes the same artifact, byte for byte, so that pushing it again pushes nothing new.

use std::collections::BTreeMap;

use bytes::Bytes;
use oci_client::annotations::ORG_OPENCONTAINERS_IMAGE_TITLE;
use oci_client::manifest::{OCI_IMAGE_MEDIA_TYPE, OciDescriptor, OciImageManifest};
use serde::Serialize;
use serde_json::json;

use super::super::RegistryError;
use crate::job::Digest;

/// The one layer of a component.
pub(in super::super) const WASM: &str = "application/wasm";

/// Its configuration.
const WASM_CONFIG: &str = "application/vnd.wasm.config.v0+json";

/// A component that was opened, with what it says of itself.
#[derive(Clone, Debug)]
pub struct OpenedComponent<'p> {
    /// Its bytes.
    pub bytes: Bytes,
    /// Its name.
    pub name: &'p str,
    /// The interfaces that it imports, by their full names, such as `gristmill:plugin/output@0.1.0`.
    pub imports: &'p [String],
    /// The interfaces that it exports.
    pub exports: &'p [String],
}

/// A manifest with what it names.
pub(in super::super) struct Artifact {
    /// The bytes of the manifest, whose digest is the artifact's.
    pub(in super::super) manifest: Bytes,
    pub(in super::super) blobs: [Bytes; 2],
}

impl Artifact {
    /// The component alone, as `wkg`, `oras` and others pull it.
    pub(in super::super) fn of(component: &OpenedComponent<'_>) -> Result<Self, RegistryError> {
        let OpenedComponent { bytes, name, imports, exports } = component;
        let config = written(&json!({
            // The specification wants a time. The same component is the same artifact, whenever it is pushed.
            "created": "1970-01-01T00:00:00Z",
            "architecture": "wasm",
            "os": "wasip2",
            "layerDigests": [Digest::of(bytes)],
            "component": {"exports": exports, "imports": imports},
        }))?;
        let mut layer = descriptor(WASM, bytes);
        // Without a name, `oras pull` would leave the layer where it is.
        layer.annotations = Some(BTreeMap::from([(ORG_OPENCONTAINERS_IMAGE_TITLE.into(), file_name(name))]));
        let manifest = written(&OciImageManifest {
            schema_version: 2,
            media_type: Some(OCI_IMAGE_MEDIA_TYPE.into()),
            config: descriptor(WASM_CONFIG, &config),
            layers: vec![layer],
            subject: None,
            artifact_type: None,
            annotations: None,
        })?;
        Ok(Self { manifest, blobs: [bytes.clone(), config] })
    }
}

/// The component that a manifest names; none if it is another kind of artifact.
pub(in super::super) fn component_of(manifest: &[u8]) -> Option<Digest> {
    let manifest: OciImageManifest = serde_json::from_slice(manifest).ok()?;
    match &*manifest.layers {
        [layer] if layer.media_type == WASM => layer.digest.parse().ok(),
        _ => None,
    }
}

/// A file for a component of this name, which may be any text: one that is in the folder where it is pulled to.
fn file_name(name: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || "_.-".contains(c) { c } else { '-' };
    let name: String = name.chars().map(plain).collect();
    let name = name.trim_start_matches(['.', '-']);
    format!("{}.wasm", if name.is_empty() { "component" } else { name })
}

fn descriptor(kind: &str, bytes: &[u8]) -> OciDescriptor {
    let size = i64::try_from(bytes.len()).unwrap_or(i64::MAX);
    OciDescriptor { media_type: kind.into(), digest: Digest::of(bytes).to_string(), size, ..OciDescriptor::default() }
}

fn written(document: &impl Serialize) -> Result<Bytes, RegistryError> {
    let unwritable = |error| RegistryError::Invalid(format!("the artifact cannot be written: {error}"));
    serde_json::to_vec(document).map(Bytes::from).map_err(unwritable)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_component_is_the_artifact_of_the_specification() {
        let (imports, exports) = (["a:b/c@1.0.0".to_owned()], ["d:e/f@1.0.0".to_owned()]);
        let component = OpenedComponent { bytes: "wasm".into(), name: "d", imports: &imports, exports: &exports };
        let Artifact { manifest, blobs: [wasm, config] } = Artifact::of(&component).unwrap();
        assert_eq!((&*wasm, component_of(&manifest)), (&b"wasm"[..], Some(Digest::of(b"wasm"))));
        let digest = Digest::of(b"wasm").to_string();
        insta::assert_snapshot!(String::from_utf8_lossy(&config).replace(&digest, "COMPONENT"), @r#"{"architecture":"wasm","component":{"exports":["d:e/f@1.0.0"],"imports":["a:b/c@1.0.0"]},"created":"1970-01-01T00:00:00Z","layerDigests":["COMPONENT"],"os":"wasip2"}"#);
        let text = String::from_utf8_lossy(&manifest).replace(&digest, "COMPONENT");
        insta::assert_snapshot!(text.replace(&Digest::of(&config).to_string(), "CONFIG"), @r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.wasm.config.v0+json","digest":"CONFIG","size":227},"layers":[{"mediaType":"application/wasm","digest":"COMPONENT","size":4,"annotations":{"org.opencontainers.image.title":"d.wasm"}}]}"#);
        assert_eq!(Artifact::of(&component).unwrap().manifest, manifest);
    }

    #[test]
    fn no_name_leads_out_of_a_folder() {
        for (name, file) in
            [("noaa-precipitation", "noaa-precipitation.wasm"), ("../../a b", "a-b.wasm"), ("é", "component.wasm")]
        {
            assert_eq!(file_name(name), file, "{name}");
        }
    }

    #[test]
    fn a_list_of_manifests_is_no_component() {
        assert_eq!(component_of(br#"{"schemaVersion":2,"manifests":[]}"#), None);
        assert_eq!(component_of(b"{"), None);
    }
}
