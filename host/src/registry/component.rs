//! Components by themselves in an OCI registry, as dataset files name them. Whoever pushed them (`wkg`, `oras`, gristmill) does not
//! matter.

use bytes::Bytes;

use super::oci::{Host, WASM, component_of};
use super::{MAX_BLOB, OciReference, RegistryError};
use crate::job::Digest;

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aws::recorded::{Recorded, Response};

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
