//! Components by themselves in an OCI registry, as dataset files name them: `oci://HOST/REPOSITORY:TAG`, or by the digest of the
//! artifact, `oci://HOST/REPOSITORY@sha256:...`. Whoever pushed them (`wkg`, `oras`, gristmill) does not matter.

use std::fmt;
use std::str::FromStr;

use bytes::Bytes;
use oci_client::manifest::OciImageManifest;

use super::oci::{self, Host};
use super::{MAX_BLOB, RegistryError};
use crate::job::Digest;

/// The one layer of a component ("Wasm OCI Artifact layout", CNCF TAG Runtime).
const WASM: &str = "application/wasm";

/// Where a component lies in an OCI registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OciReference {
    host: String,
    repository: String,
    /// A tag, or a digest.
    name: String,
}

/// Fetches a component. A tag is asked once which artifact it means; what then comes has the digest that the artifact
/// names.
pub async fn fetch_component(reference: &OciReference) -> Result<(Digest, Bytes), RegistryError> {
    let OciReference { host, repository, name } = reference;
    let host = Host::new(host).await;
    let manifest = host.manifest(repository, name).await?;
    let manifest = manifest.ok_or_else(|| RegistryError::NotFound(format!("there is no {reference}")))?;
    let digest = component_of(&manifest).ok_or_else(|| {
        RegistryError::Invalid(format!(
            "{reference} is not a component: its artifact ({}) needs exactly one layer, of the type {WASM}",
            Digest::of(&manifest)
        ))
    })?;
    let bytes = host.blob(repository, &digest, MAX_BLOB).await?;
    let missing = || RegistryError::NotFound(format!("{reference}: its component, {digest}, is not there"));
    Ok((digest, bytes.ok_or_else(missing)?))
}

/// The component that a manifest names; none if it is another kind of artifact.
fn component_of(manifest: &[u8]) -> Option<Digest> {
    let manifest: OciImageManifest = serde_json::from_slice(manifest).ok()?;
    match &*manifest.layers {
        [layer] if layer.media_type == WASM => layer.digest.parse().ok(),
        _ => None,
    }
}

impl FromStr for OciReference {
    type Err = RegistryError;

    fn from_str(text: &str) -> Result<Self, RegistryError> {
        let invalid = |why: &str| {
            Err(RegistryError::Invalid(format!(
                "`{text}` is not a component in an OCI registry: {why}. Expected oci://HOST/REPOSITORY:TAG, or @sha256:DIGEST"
            )))
        };
        let Some((host, path)) = text.strip_prefix("oci://").and_then(|rest| rest.split_once('/')) else {
            return invalid("it names no host and repository");
        };
        let (repository, name) = match path.split_once('@') {
            // A tag before the digest says nothing more.
            Some((path, digest)) => (path.split(':').next().unwrap_or_default(), digest),
            None => path.split_once(':').unwrap_or((path, "")),
        };
        let tag = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
        let is_name = match path.contains('@') {
            true => name.parse::<Digest>().is_ok(),
            false => (1..=128).contains(&name.len()) && name.chars().all(tag) && !name.starts_with(['.', '-']),
        };
        match () {
            () if !oci::is_host(host) => invalid("its host is none"),
            () if !oci::is_repository(repository) => invalid("its repository is none (lower-case letters and digits)"),
            () if !is_name => invalid("it needs a tag or a digest"),
            () => Ok(Self { host: host.into(), repository: repository.into(), name: name.into() }),
        }
    }
}

impl fmt::Display for OciReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&oci::place(&self.host, &self.repository, &self.name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aws::recorded::{Recorded, Response};

    #[test]
    fn a_reference_names_a_tag_or_a_digest() {
        let digest = format!("sha256:{}", "ab".repeat(32));
        for (text, expected) in [
            ("oci://ghcr.io/acme/p:1.0.0", "oci://ghcr.io/acme/p:1.0.0".to_owned()),
            ("oci://localhost:5000/p:latest", "oci://localhost:5000/p:latest".into()),
            (&*format!("oci://r/p@{digest}"), format!("oci://r/p@{digest}")),
            (&format!("oci://r/p:1.0.0@{digest}"), format!("oci://r/p@{digest}")),
        ] {
            assert_eq!(text.parse::<OciReference>().unwrap().to_string(), expected);
        }
        for text in [
            "oci://r",
            "oci://r/",
            "oci://r/p",
            "oci://r/p:",
            "oci://r/p@sha256:00",
            "oci://r/P:1",
            "oci://r/../p:1",
            "p:1",
        ] {
            let refused = text.parse::<OciReference>().unwrap_err().to_string();
            assert!(refused.contains(text) && refused.contains("oci://HOST/REPOSITORY:TAG"), "{refused}");
        }
    }

    async fn fetch(manifest: &str, blob: &'static str) -> Result<(Digest, Bytes), RegistryError> {
        // Before each request, the client asks how to log in.
        let login = || Response::new(200, "");
        let replay =
            Recorded::start(vec![login(), Response::new(200, manifest), login(), Response::new(200, blob)]).await;
        let host = replay.config.endpoint_url().unwrap().replace("http://", "oci://");
        fetch_component(&format!("{host}/p:1").parse().unwrap()).await
    }

    fn manifest(layers: &[&str]) -> String {
        let digest = Digest::of(b"component");
        let layer = |kind: &&str| format!(r#"{{"mediaType":"{kind}","digest":"{digest}","size":9}}"#);
        let layers: Vec<String> = layers.iter().map(layer).collect();
        let config = format!(r#"{{"mediaType":"application/vnd.wasm.config.v0+json","digest":"{digest}","size":2}}"#);
        format!(r#"{{"schemaVersion":2,"config":{config},"layers":[{}]}}"#, layers.join(","))
    }

    #[test]
    fn a_list_of_manifests_is_no_component() {
        assert_eq!(component_of(br#"{"schemaVersion":2,"manifests":[]}"#), None);
        assert_eq!(component_of(b"{"), None);
    }

    #[tokio::test]
    async fn a_component_is_what_its_artifact_names_or_it_is_refused() {
        let wasm = manifest(&["application/wasm"]);
        assert_eq!(fetch(&wasm, "component").await.unwrap(), (Digest::of(b"component"), "component".into()));
        let damaged = fetch(&wasm, "componenT").await.unwrap_err();
        assert!(
            matches!(&damaged, RegistryError::Damaged(text) if text.contains(&Digest::of(b"component").to_string())
                && text.contains(&Digest::of(b"componenT").to_string())),
            "{damaged:?}"
        );
        for layers in [&["application/vnd.oci.image.layer.v1.tar"][..], &["application/wasm", "application/wasm"], &[]]
        {
            let refused = fetch(&manifest(layers), "").await.unwrap_err();
            assert!(
                matches!(&refused, RegistryError::Invalid(text) if text.contains("exactly one layer")),
                "{refused:?}"
            );
        }
    }
}
