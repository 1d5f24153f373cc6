//! What is pushed to a server of an OCI registry: bytes, then the manifest that names them. Each request may be repeated, because
//! what it puts there has its digest as a name.

use std::time::Duration;

use bytes::Bytes;
use futures::stream;
use oci_client::errors::OciDistributionError;
use oci_client::manifest::OCI_IMAGE_MEDIA_TYPE;
use oci_client::secrets::RegistryAuth;
use oci_client::{Reference, RegistryOperation};

use super::super::RegistryError;
use super::host::{Host, Session, soon, within};
use crate::job::Digest;

/// For the answer to what was sent: a registry may keep it in a store of its own first.
const ANSWER: Duration = Duration::from_secs(60);

/// How slow the line may be, in bytes a second.
const SLOWEST: u64 = 128 << 10;

impl Host {
    /// Puts bytes there, unless they are.
    pub(in super::super) async fn push_blob(&self, repository: &str, bytes: &Bytes) -> Result<(), RegistryError> {
        let digest = Digest::of(bytes).to_string();
        let size = bytes.len() as u64;
        let push = |Session { client, .. }: Session, image: Reference| {
            let (digest, bytes) = (digest.clone(), bytes.clone());
            async move {
                if !soon(client.blob_exists(&image, &digest)).await?? {
                    let whole = stream::iter([Ok(bytes)]);
                    let time = ANSWER + Duration::from_secs(size / SLOWEST);
                    within(time, client.push_blob_stream(&image, whole, &digest, Some(size))).await??;
                }
                Ok(())
            }
        };
        let image = self.image(repository, &digest);
        self.call(RegistryOperation::Push, &image, push).await?.ok_or_else(|| self.no_repository(repository))
    }

    /// Puts a manifest there, under a tag or its digest.
    pub(in super::super) async fn push_manifest(
        &self,
        repository: &str,
        name: &str,
        manifest: &Bytes,
    ) -> Result<(), RegistryError> {
        let push = |Session { client, .. }: Session, image: Reference| {
            let manifest = manifest.clone();
            async move {
                let kind = OCI_IMAGE_MEDIA_TYPE.parse().map_err(|_| OciDistributionError::GenericError(None))?;
                within(ANSWER, client.push_manifest_raw(&image, manifest, kind)).await??;
                Ok(())
            }
        };
        // A digest goes where a tag does too: where a server does not say where the manifest is now (ECR), the client panics without.
        let image = Reference::with_tag(self.name.clone(), repository.into(), name.into());
        self.call(RegistryOperation::Push, &image, push).await?.ok_or_else(|| self.no_repository(repository))
    }

    /// The digest of what a tag names now, whatever it is; none if there is no such tag.
    pub(in super::super) async fn named_by(
        &self,
        repository: &str,
        tag: &str,
    ) -> Result<Option<String>, RegistryError> {
        let ask = |Session { client, .. }: Session, image: Reference| async move {
            soon(client.fetch_manifest_digest(&image, &RegistryAuth::Anonymous)).await?
        };
        self.call(RegistryOperation::Pull, &self.image(repository, tag), ask).await
    }

    fn no_repository(&self, repository: &str) -> RegistryError {
        let (name, advice) = (&self.name, self.login.how_to_create(repository));
        RegistryError::NotFound(format!("oci://{name} has no repository `{repository}`: {advice}"))
    }
}

#[cfg(test)]
mod tests {
    use super::super::login::Login;
    use super::*;
    use crate::aws::recorded::{Recorded, Response};

    /// A server that gives these answers, to somebody who is nobody.
    async fn host(answers: Vec<Response>) -> (Host, Recorded) {
        let replay = Recorded::start(answers).await;
        let name = replay.config.endpoint_url().unwrap().replace("http://", "");
        (Host::with(&name, Login::Nobody("GRISTMILL_OCI_USER".into())), replay)
    }

    /// The requests without those that ask how to log in.
    fn asked(replay: &Recorded) -> Vec<String> {
        let lines = replay.requests().into_iter().map(|request| request.head.lines().next().unwrap().to_owned());
        lines.filter(|line| !line.contains(" /v2/ ")).collect()
    }

    /// How to log in: not at all.
    fn open() -> Response {
        Response::new(200, "")
    }

    fn digest() -> String {
        Digest::of(b"component").to_string()
    }

    #[tokio::test]
    async fn bytes_are_sent_in_one_piece_unless_they_are_there() {
        let begun = || Response::new(202, "").header("location", "/v2/p/blobs/uploads/1?state=x");
        let done = || Response::new(201, "").header("location", "/v2/p/blobs/x");
        let (missing, busy) = (|| Response::new(404, ""), Response::new(503, "busy"));
        let answers =
            vec![open(), missing(), open(), begun(), open(), busy, open(), missing(), open(), begun(), open(), done()];
        let (host, replay) = self::host(answers).await;
        host.push_blob("p", &"component".into()).await.unwrap();
        let digest = digest();
        let once = [
            format!("HEAD /v2/p/blobs/{digest} HTTP/1.1"),
            "POST /v2/p/blobs/uploads/ HTTP/1.1".into(),
            format!("PUT /v2/p/blobs/uploads/1?state=x&digest={} HTTP/1.1", digest.replace(':', "%3A")),
        ];
        assert_eq!(asked(&replay), [once.clone(), once].concat());
        assert_eq!(replay.requests().last().unwrap().body, "component");

        let (host, replay) = self::host(vec![open(), Response::new(200, "")]).await;
        host.push_blob("p", &"component".into()).await.unwrap();
        assert_eq!(asked(&replay).len(), 1);
    }

    #[tokio::test]
    async fn a_server_need_not_say_where_a_manifest_is_now() {
        for name in ["1.0.0", &*digest()] {
            let (host, replay) = host(vec![open(), Response::new(201, "")]).await;
            host.push_manifest("p", name, &"{}".into()).await.unwrap();
            assert_eq!(asked(&replay), [format!("PUT /v2/p/manifests/{name} HTTP/1.1")]);
            assert!(
                replay
                    .requests()
                    .last()
                    .unwrap()
                    .head
                    .contains("content-type: application/vnd.oci.image.manifest.v1+json")
            );
        }
    }

    #[tokio::test]
    async fn what_a_server_refuses_says_what_to_do() {
        let unknown = r#"{"errors":[{"code":"NAME_UNKNOWN","message":"repository name not known"}]}"#;
        let immutable = r#"{"errors":[{"code":"TAG_INVALID","message":"The image tag '1' already exists"}]}"#;
        let (host, _replay) =
            self::host(vec![open(), Response::new(404, ""), open(), Response::new(404, unknown)]).await;
        let missing = host.push_blob("p/d", &"component".into()).await.unwrap_err();
        assert!(
            matches!(&missing, RegistryError::NotFound(text) if text.contains("no repository `p/d`")),
            "{missing:?}"
        );
        let (host, _replay) = self::host(vec![open(), Response::new(400, immutable)]).await;
        let taken = host.push_manifest("p/d", "1", &"{}".into()).await.unwrap_err();
        let said = |text: &str| text.contains("/p/d:1 could not be written") && text.contains("already exists");
        assert!(matches!(&taken, RegistryError::Invalid(text) if said(text)), "{taken:?}");
        let (host, _replay) = self::host(vec![open(), Response::new(403, ""), open()]).await;
        let denied = host.push_blob("p/d", &"component".into()).await.unwrap_err();
        let said = |text: &str| text.contains(&digest()) && text.contains("GRISTMILL_OCI_USER");
        assert!(matches!(&denied, RegistryError::Denied(text) if said(text)), "{denied:?}");
        // Where to send the bytes is for the server to say.
        let nowhere = Response::new(202, "").header("location", "no/where");
        let (host, _replay) = self::host(vec![open(), Response::new(404, ""), open(), nowhere]).await;
        assert!(host.push_blob("p/d", &"component".into()).await.is_err());
    }

    #[tokio::test]
    async fn a_tag_names_something_of_any_kind_or_nothing() {
        let index = Response::new(200, "").header("docker-content-digest", digest());
        let (host, replay) = self::host(vec![open(), index]).await;
        assert_eq!(host.named_by("p", "1").await.unwrap(), Some(digest()));
        assert!(replay.requests().last().unwrap().head.contains("application/vnd.oci.image.index.v1+json"));
        let (host, _replay) = self::host(vec![open(), Response::new(404, ""), open(), Response::new(404, "")]).await;
        assert_eq!(host.named_by("p", "1").await.unwrap(), None);
    }
}
