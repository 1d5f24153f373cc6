//! One OCI registry server: its requests, repeated while that helps, and what its errors mean.

use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures::StreamExt;
use oci_client::client::{ClientConfig, ClientProtocol};
use oci_client::errors::{DigestError, OciDistributionError, OciErrorCode, Result as Answer};
use oci_client::manifest::OCI_IMAGE_MEDIA_TYPE;
use oci_client::secrets::RegistryAuth;
use oci_client::{Client, Reference, RegistryOperation};
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::super::RegistryError;
use super::super::folder::too_large;
use super::ecr::Password;
use super::login::{Login, TOKEN_HOSTS, token_hosts};
use super::token::{self, Basic, NoToken, TokenHosts};
use crate::aws::{SdkConfig, causes};
use crate::backoff::Backoff;
use crate::job::Digest;

/// How often a request is tried, and the pauses between.
const ATTEMPTS: u32 = 4;
const PAUSES: Backoff = Backoff::new(Duration::from_millis(200), Duration::from_millis(200 << ATTEMPTS));

/// For a connection to stand; for the next bytes of an answer; for the answer to a blob of 256 MiB on a slow line.
const CONNECT: Duration = Duration::from_secs(4);
const READ: Duration = Duration::from_secs(10);
const WRITE: Duration = Duration::from_secs(180);

const USER_AGENT: &str = concat!("gristmill/", env!("CARGO_PKG_VERSION"));

/// How many tags are asked for at once.
const PAGE: usize = 1000;

/// A registry server.
pub(in super::super) struct Host {
    name: String,
    login: Login,
    token_hosts: TokenHosts,
    session: Mutex<Option<Session>>,
}

/// A client, and who it comes as. The client knows no login: it would send it to whomever a registry names.
#[derive(Clone)]
struct Session {
    client: Client,
    asker: reqwest::Client,
    login: Option<Basic>,
    /// For which repositories the client has a token, and until when.
    granted: Arc<Mutex<BTreeMap<(String, RegistryOperation), Instant>>>,
    renew: Option<SystemTime>,
}

/// What an error means.
enum Fault {
    Missing,
    Denied,
    /// What came has another digest.
    Damaged {
        expected: String,
        found: String,
    },
    /// The world may cure it.
    Passing,
    Wrong,
}

impl Host {
    /// The server of this name, with its port if it has one. `aws` is called if it is one of Amazon ECR.
    pub(in super::super) async fn new<F>(name: &str, aws: impl FnOnce() -> F + Send) -> Self
    where
        F: Future<Output = SdkConfig> + Send,
    {
        Self::with(name, Login::find(name, aws).await)
    }

    fn with(name: &str, login: Login) -> Self {
        Self { name: name.into(), login, token_hosts: token_hosts(), session: Mutex::new(None) }
    }

    /// Where something lies, for people.
    pub(super) fn place(&self, repository: &str, name: &str) -> String {
        place(&self.name, repository, name)
    }

    /// The manifest that a tag names now, or that has this digest; none if there is none. The client reads manifests whole,
    /// however large: whoever runs the registry is trusted with our memory, though not with what we run.
    pub(in super::super) async fn manifest(
        &self,
        repository: &str,
        name: &str,
    ) -> Result<Option<Bytes>, RegistryError> {
        let image = self.image(repository, name);
        let pull = |Session { client, .. }: Session, image: Reference| async move {
            let pulled = client.pull_manifest_raw(&image, &RegistryAuth::Anonymous, &[OCI_IMAGE_MEDIA_TYPE]);
            let (manifest, _) = soon(pulled).await??;
            Ok(manifest)
        };
        self.call("read", &image, RegistryOperation::Pull, ATTEMPTS, pull).await
    }

    /// Bytes by their digest; none if there are none. Nothing larger than `max` is read.
    pub(in super::super) async fn blob(
        &self,
        repository: &str,
        digest: &Digest,
        max: u64,
    ) -> Result<Option<Bytes>, RegistryError> {
        let image = self.image(repository, &digest.to_string());
        let pull = |Session { client, .. }: Session, image: Reference| async move {
            // The stream ends with an error if what came has another digest.
            let mut stream = soon(client.pull_blob_stream(&image, &*digest.to_string())).await??;
            let mut bytes = Vec::new();
            while let Some(piece) = soon(stream.next()).await? {
                let piece = piece?;
                if (bytes.len() + piece.len()) as u64 > max {
                    return Ok(None);
                }
                bytes.extend_from_slice(&piece);
            }
            Ok(Some(Bytes::from(bytes)))
        };
        match self.call("read", &image, RegistryOperation::Pull, ATTEMPTS, pull).await? {
            Some(None) => Err(too_large(&self.place(repository, &digest.to_string()), max)),
            found => Ok(found.flatten()),
        }
    }

    /// Puts bytes there, unless they are.
    pub(in super::super) async fn push_blob(&self, repository: &str, bytes: Bytes) -> Result<(), RegistryError> {
        let digest = Digest::of(&bytes).to_string();
        let image = self.image(repository, &digest);
        let push = |Session { client, .. }: Session, image: Reference| {
            let (digest, bytes) = (digest.clone(), bytes.clone());
            async move {
                if !client.blob_exists(&image, &digest).await? {
                    client.push_blob(&image, bytes, &digest).await?;
                }
                Ok(())
            }
        };
        self.call("written", &image, RegistryOperation::Push, ATTEMPTS, push)
            .await?
            .ok_or_else(|| self.no_repository(repository))
    }

    /// Puts a manifest under a tag, once: whoever has a reason to repeat it looks first what is there.
    pub(in super::super) async fn push_manifest(
        &self,
        repository: &str,
        tag: &str,
        manifest: &Bytes,
    ) -> Result<(), RegistryError> {
        let image = self.image(repository, tag);
        let push = |Session { client, .. }: Session, image: Reference| {
            let manifest = manifest.clone();
            async move {
                let kind = OCI_IMAGE_MEDIA_TYPE.parse().map_err(|_| OciDistributionError::GenericError(None))?;
                client.push_manifest_raw(&image, manifest, kind).await.map(|_| ())
            }
        };
        self.call("written", &image, RegistryOperation::Push, 1, push)
            .await?
            .ok_or_else(|| self.no_repository(repository))
    }

    /// All tags of a repository; none if there is no such repository.
    pub(in super::super) async fn tags(&self, repository: &str) -> Result<Vec<String>, RegistryError> {
        if let Login::Ecr(ecr) = &self.login {
            return ecr.tags(repository).await;
        }
        let image = self.image(repository, "all");
        let (mut tags, mut last) = (BTreeSet::new(), None::<String>);
        loop {
            let list = |Session { client, .. }: Session, image: Reference| {
                let last = last.clone();
                async move { client.list_tags(&image, &RegistryAuth::Anonymous, Some(PAGE), last.as_deref()).await }
            };
            let page = self.call("listed", &image, RegistryOperation::Pull, ATTEMPTS, list).await?;
            let page = page.map(|page| page.tags).unwrap_or_default();
            let known = tags.len();
            last = page.last().cloned();
            tags.extend(page);
            // A registry may give fewer than it was asked for, or, if it knows no pages, the same all over again.
            if tags.len() == known {
                return Ok(tags.into_iter().collect());
            }
        }
    }

    fn image(&self, repository: &str, name: &str) -> Reference {
        let (host, repository, name) = (self.name.clone(), repository.to_owned(), name.to_owned());
        match name.starts_with("sha256:") {
            true => Reference::with_digest(host, repository, name),
            false => Reference::with_tag(host, repository, name),
        }
    }

    /// One request; none if what it asks for is not there.
    async fn call<T, F>(
        &self,
        done: &str,
        image: &Reference,
        operation: RegistryOperation,
        attempts: u32,
        request: impl Fn(Session, Reference) -> F + Send + Sync,
    ) -> Result<Option<T>, RegistryError>
    where
        F: Future<Output = Answer<T>> + Send,
    {
        let mut attempt = 1;
        loop {
            let session = self.session().await?;
            let answer = match self.log_in(&session, image, operation).await {
                Ok(()) => request(session.clone(), image.clone()).await,
                Err(NoToken::Failed(error)) => Err(error),
                Err(NoToken::Elsewhere(realm)) => return Err(self.elsewhere(&realm)),
            };
            let mut error = match answer {
                Ok(answer) => return Ok(Some(answer)),
                Err(error) => error,
            };
            if matches!(fault(&error), Fault::Denied) {
                self.session.lock().await.take();
            }
            if matches!(fault(&error), Fault::Denied) && session.login.is_none() {
                // The client says this also when it could not reach who gives out tokens.
                let login = soon(session.client.auth(image, &RegistryAuth::Anonymous, operation)).await;
                if let Err(reason) = login.and_then(|login| login) {
                    error = reason;
                }
            }
            match fault(&error) {
                Fault::Missing => return Ok(None),
                Fault::Passing if attempt < attempts => tokio::time::sleep(PAUSES.whole(attempt - 1)).await,
                fault => return Err(self.error(done, image, fault, &error)),
            }
            attempt += 1;
        }
    }

    /// Has the session's client let in, as far as it has a login.
    async fn log_in(&self, session: &Session, image: &Reference, operation: RegistryOperation) -> Result<(), NoToken> {
        let Some(login) = &session.login else { return Ok(()) };
        let key = (image.repository().to_owned(), operation);
        if session.granted.lock().await.get(&key).is_some_and(|until| Instant::now() < *until) {
            return Ok(());
        }
        let until = Instant::now() + token::LASTS;
        soon(token::log_in(&session.client, &session.asker, login, &self.token_hosts, image, operation)).await??;
        session.granted.lock().await.insert(key, until);
        Ok(())
    }

    /// That a registry wants its login to be sent to somebody else.
    fn elsewhere(&self, realm: &str) -> RegistryError {
        let name = &self.name;
        RegistryError::Denied(format!(
            "oci://{name} could not be used: it wants the login for {name} to be sent to {realm:?}, which is not known to be a part of \
             it. Nothing was sent. If that is meant, set {TOKEN_HOSTS}={name}=HOST; it has to be https"
        ))
    }

    async fn session(&self) -> Result<Session, RegistryError> {
        let mut session = self.session.lock().await;
        if let Some(session) =
            session.as_ref().filter(|session| session.renew.is_none_or(|renew| SystemTime::now() < renew))
        {
            return Ok(session.clone());
        }
        let (login, renew) = match &self.login {
            Login::Nobody(_) => (None, None),
            Login::Fixed(login) => (Some(login.clone()), None),
            Login::Ecr(ecr) => {
                let Password { user, password, renew } = ecr.password().await?;
                (Some(Basic { user, password }), Some(renew))
            }
        };
        let protocol = match is_loopback(&self.name) {
            true => ClientProtocol::HttpsExcept(vec![self.name.clone()]),
            false => ClientProtocol::Https,
        };
        let config = ClientConfig {
            protocol,
            connect_timeout: Some(CONNECT),
            read_timeout: Some(WRITE),
            user_agent: USER_AGENT,
            ..ClientConfig::default()
        };
        let unusable = |error: OciDistributionError| {
            RegistryError::Unavailable(format!("oci://{} could not be used: {}", self.name, causes(&error)))
        };
        // A client of its own for each password, because it keeps what it was given.
        let client = Client::try_from(config).map_err(unusable)?;
        let asker = token::asker(USER_AGENT, CONNECT).map_err(|error| unusable(error.into()))?;
        let resolved = self.image("any", "any").resolve_registry().to_owned();
        client.store_auth_if_needed(&resolved, &RegistryAuth::Anonymous).await;
        Ok(session.insert(Session { client, asker, login, granted: Arc::default(), renew }).clone())
    }

    fn error(&self, done: &str, image: &Reference, fault: Fault, error: &OciDistributionError) -> RegistryError {
        let place = self.place(image.repository(), image.digest().or(image.tag()).unwrap_or_default());
        let text = format!("{place} could not be {done}: {}", causes(error));
        match fault {
            Fault::Damaged { expected, found } => RegistryError::Damaged(format!(
                "{place}: expected {expected}, found {found}: remove it from the registry and publish the version again"
            )),
            Fault::Denied => RegistryError::Denied(format!("{text}. {}", self.login.advice())),
            Fault::Passing => RegistryError::Unavailable(text),
            Fault::Missing => RegistryError::NotFound(text),
            Fault::Wrong => RegistryError::Invalid(text),
        }
    }

    fn no_repository(&self, repository: &str) -> RegistryError {
        let create = match &self.login {
            Login::Ecr(_) => format!("aws ecr create-repository --repository-name {repository}"),
            Login::Fixed(_) | Login::Nobody(_) => "create it there".into(),
        };
        RegistryError::NotFound(format!("oci://{} has no repository `{repository}`: {create}", self.name))
    }
}

/// Ends what takes too long, as a fault that passes.
async fn soon<T>(answer: impl Future<Output = T>) -> Answer<T> {
    let late = |_| OciDistributionError::IoError(ErrorKind::TimedOut.into());
    tokio::time::timeout(READ, answer).await.map_err(late)
}

/// The URI of a tag or a digest.
pub(in super::super) fn place(host: &str, repository: &str, name: &str) -> String {
    let mark = if name.starts_with("sha256:") { '@' } else { ':' };
    format!("oci://{host}/{repository}{mark}{name}")
}

/// Whether this can be a server's name, with its port if it has one.
pub(in super::super) fn is_host(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || ".-:[]".contains(c))
}

/// Registries on this machine have no certificate.
pub(super) fn is_loopback(host: &str) -> bool {
    let name = host.trim_end_matches(|c: char| c.is_ascii_digit()).strip_suffix(':').unwrap_or(host);
    matches!(name, "localhost" | "127.0.0.1" | "[::1]")
}

fn fault(error: &OciDistributionError) -> Fault {
    let by_status = |status: u16| match status {
        404 => Fault::Missing,
        401 | 403 => Fault::Denied,
        408 | 429 | 500.. => Fault::Passing,
        _ => Fault::Wrong,
    };
    let by_digest = |error: &DigestError| match error {
        DigestError::VerificationError { expected, actual } => {
            Fault::Damaged { expected: expected.clone(), found: actual.clone() }
        }
        _ => Fault::Wrong,
    };
    match error {
        OciDistributionError::ImageManifestNotFoundError(_) => Fault::Missing,
        OciDistributionError::UnauthorizedError { .. } | OciDistributionError::AuthenticationFailure(_) => {
            Fault::Denied
        }
        OciDistributionError::DigestError(error) => by_digest(error),
        OciDistributionError::IoError(error) => {
            let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
            inner.map_or(Fault::Passing, by_digest)
        }
        OciDistributionError::RequestError(error) => {
            error.status().map_or(Fault::Passing, |status| by_status(status.as_u16()))
        }
        OciDistributionError::RegistryTokenDecodeError(_) => Fault::Passing,
        OciDistributionError::ServerError { code, .. } => by_status(*code),
        OciDistributionError::RegistryError { envelope, .. } => {
            match envelope.errors.first().map(|error| &error.code) {
                Some(OciErrorCode::Unauthorized | OciErrorCode::Denied) => Fault::Denied,
                Some(OciErrorCode::Toomanyrequests) => Fault::Passing,
                Some(
                    OciErrorCode::ManifestUnknown
                    | OciErrorCode::NameUnknown
                    | OciErrorCode::BlobUnknown
                    | OciErrorCode::ManifestBlobUnknown
                    | OciErrorCode::NotFound,
                ) => Fault::Missing,
                _ => Fault::Wrong,
            }
        }
        _ => Fault::Wrong,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    use super::super::ecr::Ecr;
    use crate::aws::recorded::{Recorded, Response};

    /// A server that gives these answers. Before each request, the client asks how to log in.
    async fn host(answers: Vec<Response>) -> (Host, Recorded) {
        let answers = answers.into_iter().flat_map(|answer| [Response::new(200, ""), answer]).collect();
        let replay = Recorded::start(answers).await;
        let name = replay.config.endpoint_url().unwrap().replace("http://", "");
        (Host::with(&name, Login::Nobody("GRISTMILL_OCI_USER".into())), replay)
    }

    fn asked(replay: &Recorded) -> Vec<String> {
        let lines = replay.requests().into_iter().map(|request| request.head.lines().next().unwrap().to_owned());
        lines.filter(|line| !line.contains(" /v2/ ")).collect()
    }

    #[tokio::test]
    async fn what_the_world_cures_is_asked_for_again() {
        let (host, replay) =
            host(vec![Response::new(503, "busy"), Response::new(429, "slow down"), Response::new(200, "{}")]).await;
        assert_eq!(host.manifest("p/d", "1.0.0").await.unwrap().unwrap(), "{}");
        assert_eq!(asked(&replay), vec!["GET /v2/p/d/manifests/1.0.0 HTTP/1.1"; 3]);
    }

    #[tokio::test]
    async fn errors_say_what_they_mean_and_where() {
        let unknown = r#"{"errors":[{"code":"NAME_UNKNOWN","message":"repository name not known"}]}"#;
        let denied = r#"{"errors":[{"code":"DENIED","message":"not for you"}]}"#;
        let invalid = r#"{"errors":[{"code":"NAME_INVALID","message":"no name"}]}"#;
        let (host, _replay) = host(vec![Response::new(404, unknown), Response::new(404, "")]).await;
        assert_eq!(host.manifest("p/d", "1").await.unwrap(), None);
        assert_eq!(host.manifest("p/d", "1").await.unwrap(), None);
        for (status, body) in [(403, denied), (401, ""), (403, "")] {
            let (host, _replay) = self::host(vec![Response::new(status, body)]).await;
            let refused = host.manifest("p/d", "1").await.unwrap_err();
            let said = |text: &str| text.contains("/p/d:1 ") && text.contains("GRISTMILL_OCI_USER");
            assert!(matches!(&refused, RegistryError::Denied(text) if said(text)), "{refused:?}");
        }
        let (host, _replay) = self::host(vec![Response::new(400, invalid)]).await;
        assert!(
            matches!(host.manifest("p/d", "1").await, Err(RegistryError::Invalid(text)) if text.contains("no name"))
        );
        let (host, _replay) = self::host(vec![Response::new(404, unknown)]).await;
        let missing = host.push_manifest("p/d", "1", &"{}".into()).await.unwrap_err();
        assert!(
            matches!(&missing, RegistryError::NotFound(text) if text.contains("no repository `p/d`")),
            "{missing:?}"
        );
    }

    #[tokio::test]
    async fn tags_come_in_pages_of_any_size_or_all_at_once() {
        let page = |tags: &str| Response::new(200, format!(r#"{{"name":"p/d","tags":[{tags}]}}"#));
        let (host, replay) = host(vec![page(r#""1","2""#), page(r#""3""#), page("")]).await;
        assert_eq!(host.tags("p/d").await.unwrap(), ["1", "2", "3"]);
        assert!(asked(&replay)[1].contains("n=1000&last=2"), "{:?}", asked(&replay));
        let (host, replay) = self::host(vec![page(r#""2","1""#), page(r#""2","1""#)]).await;
        assert_eq!(host.tags("p/d").await.unwrap(), ["1", "2"]);
        assert_eq!(asked(&replay).len(), 2);
        let (host, _replay) = self::host(vec![Response::new(200, r#"{"name":"p/d","tags":null}"#)]).await;
        assert!(host.tags("p/d").await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn nothing_larger_than_allowed_is_read() {
        let (host, _replay) = host(vec![Response::new(200, "0123456789"), Response::new(200, "0123456789")]).await;
        let digest = Digest::of(b"0123456789");
        assert_eq!(host.blob("p/d", &digest, 10).await.unwrap().unwrap(), "0123456789");
        assert!(
            matches!(host.blob("p/d", &digest, 9).await, Err(RegistryError::Damaged(text)) if text.contains("9 bytes"))
        );
    }

    #[tokio::test]
    async fn a_password_is_asked_for_once_until_it_has_to_be_renewed() {
        let password = |user: &str, expires: u64| {
            let token = STANDARD.encode(format!("{user}:secret"));
            let data = format!(r#"{{"authorizationToken":"{token}","expiresAt":{expires}}}"#);
            Response::json(200, &format!(r#"{{"authorizationData":[{data}]}}"#))
        };
        let replay = Recorded::start(vec![password("old", 1_000_000_000), password("new", 100_000_000_000)]).await;
        let ecr = Ecr::new(&replay.config, "ecr", "123456789012", "eu-west-1");
        let host = Host::with("ecr", Login::Ecr(ecr));
        for expected in ["old", "new", "new"] {
            let session = host.session().await.unwrap();
            assert!(session.login == Some(Basic { user: expected.into(), password: "secret".into() }), "{expected}");
        }
        assert_eq!(replay.requests().len(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_says_nothing_is_given_up() {
        let hole = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let name = hole.local_addr().unwrap().to_string();
        let host = Host::with(&name, Login::Nobody(String::new()));
        let begin = tokio::time::Instant::now();
        let error = host.manifest("p/d", "1").await.unwrap_err();
        assert!(matches!(&error, RegistryError::Unavailable(text) if text.contains("timed out")), "{error:?}");
        assert!(begin.elapsed() < Duration::from_secs(60), "{:?}", begin.elapsed());
    }

    #[test]
    fn only_this_machine_is_spoken_to_in_the_clear() {
        for host in ["localhost", "localhost:5000", "127.0.0.1:5000", "[::1]", "[::1]:5000"] {
            assert!(is_loopback(host), "{host}");
        }
        for host in ["ghcr.io", "127.0.0.1.example.com", "localhost.example.com:443", "10.0.0.1:5000"] {
            assert!(!is_loopback(host), "{host}");
        }
    }
}
