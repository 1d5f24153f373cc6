//! One server of an OCI registry: requests, repeated while that helps, and what is pulled from it.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures::StreamExt;
use oci_client::client::{ClientConfig, ClientProtocol};
use oci_client::errors::{OciDistributionError, Result as Answer};
use oci_client::manifest::OCI_IMAGE_MEDIA_TYPE;
use oci_client::secrets::RegistryAuth;
use oci_client::{Client, Reference, RegistryOperation};
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::super::RegistryError;
use super::ecr::Password;
use super::login::{Login, TOKEN_HOSTS, token_hosts};
use super::names::{is_loopback, place};
use super::oci_error::OciError;
use super::token::{self, Basic, NoToken, TokenHosts};
use crate::aws::causes;
use crate::backoff::Backoff;
use crate::job::Digest;

/// How often a request is tried, and the pauses between.
const ATTEMPTS: u32 = 4;
const PAUSES: Backoff = Backoff::new(Duration::from_millis(200), Duration::from_millis(200 << ATTEMPTS));

/// For a connection to stand; for the next bytes of an answer.
const CONNECT: Duration = Duration::from_secs(4);
const READ: Duration = Duration::from_secs(10);

const USER_AGENT: &str = concat!("gristmill/", env!("CARGO_PKG_VERSION"));

/// A server.
pub(in super::super) struct Host {
    pub(super) name: String,
    pub(super) login: Login,
    token_hosts: TokenHosts,
    session: Mutex<Option<Session>>,
}

/// A client, and who it comes as. The client knows no login: it would send it to whomever a registry names.
#[derive(Clone)]
pub(super) struct Session {
    pub(super) client: Client,
    asker: reqwest::Client,
    login: Option<Basic>,
    /// For which repositories the client has a token, for what, and until when.
    granted: Arc<Mutex<BTreeMap<(String, RegistryOperation), Instant>>>,
    renew: Option<SystemTime>,
}

impl Host {
    /// The server of this name, with its port if it has one.
    pub(in super::super) async fn new(name: &str) -> Self {
        Self::with(name, Login::find(name).await)
    }

    pub(super) fn with(name: &str, login: Login) -> Self {
        Self { name: name.into(), login, token_hosts: token_hosts(), session: Mutex::new(None) }
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
        self.call(RegistryOperation::Pull, &image, pull).await
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
        match self.call(RegistryOperation::Pull, &image, pull).await? {
            Some(None) => Err(RegistryError::too_large(&place(&self.name, repository, &digest.to_string()), max)),
            found => Ok(found.flatten()),
        }
    }

    pub(super) fn image(&self, repository: &str, name: &str) -> Reference {
        let (host, repository, name) = (self.name.clone(), repository.to_owned(), name.to_owned());
        match name.starts_with("sha256:") {
            true => Reference::with_digest(host, repository, name),
            false => Reference::with_tag(host, repository, name),
        }
    }

    /// One request; none if what it asks for is not there.
    pub(super) async fn call<T, F>(
        &self,
        operation: RegistryOperation,
        image: &Reference,
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
            if matches!(OciError::of(&error), OciError::Denied) {
                self.session.lock().await.take();
                if session.login.is_none() {
                    // The client says this also when it could not reach who gives out tokens.
                    let login = soon(session.client.auth(image, &RegistryAuth::Anonymous, operation)).await;
                    if let Err(reason) = login.and_then(|login| login) {
                        error = reason;
                    }
                }
            }
            match OciError::of(&error) {
                OciError::Missing => return Ok(None),
                OciError::Passing if attempt < ATTEMPTS => tokio::time::sleep(PAUSES.whole(attempt - 1)).await,
                fault => return Err(self.error(operation, image, fault, &error)),
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
            // One request, as `oras` makes it: the client's parts have 4 MiB, those of ECR at least 5 (`CompleteLayerUpload`), and other
            // registries take none.
            use_monolithic_push: true,
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

    fn error(
        &self,
        operation: RegistryOperation,
        image: &Reference,
        fault: OciError,
        error: &OciDistributionError,
    ) -> RegistryError {
        let place = place(&self.name, image.repository(), image.digest().or(image.tag()).unwrap_or_default());
        let done = match operation {
            RegistryOperation::Pull => "read",
            RegistryOperation::Push => "written",
        };
        let text = format!("{place} could not be {done}: {}", causes(error));
        match fault {
            OciError::Damaged { expected, found } => RegistryError::Damaged(format!(
                "{place}: expected {expected}, found {found}: remove it from the registry and push the component again"
            )),
            OciError::Denied => RegistryError::Denied(format!("{text}. {}", self.login.advice(operation))),
            OciError::Passing => RegistryError::Unavailable(text),
            OciError::Missing => RegistryError::NotFound(text),
            OciError::Wrong => RegistryError::Invalid(text),
        }
    }
}

/// Ends what takes too long to begin or to go on, as a fault that passes.
pub(super) async fn soon<T>(answer: impl Future<Output = T>) -> Answer<T> {
    within(READ, answer).await
}

/// The same for what may take so long.
pub(super) async fn within<T>(time: Duration, answer: impl Future<Output = T>) -> Answer<T> {
    let late = |_| OciDistributionError::IoError(ErrorKind::TimedOut.into());
    tokio::time::timeout(time, answer).await.map_err(late)
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
        let ecr = Ecr::new(&replay.config, "ecr", "eu-west-1");
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
}
