//! What a login is turned into before a request is made: a token of the registry's, or the login itself. And who gets to see the login
//! for that: the registry's own host, and hosts that are known to give out tokens for it. What a registry says of itself is not
//! enough, because anybody may name any registry in a dataset file.

use std::time::Duration;

use http_auth::ChallengeRef;
use oci_client::client::Client;
use oci_client::errors::OciDistributionError;
use oci_client::token_cache::{RegistryToken, RegistryTokenType};
use oci_client::{Reference, RegistryOperation};
use reqwest::header::{HeaderMap, WWW_AUTHENTICATE};
use reqwest::redirect::Policy;
use reqwest::{StatusCode, Url};

use super::names::is_loopback;

/// Registries whose tokens come from a host of another name, as their operators say in public.
const KNOWN: [(&str, &str); 4] = [
    ("docker.io", "auth.docker.io"),
    ("index.docker.io", "auth.docker.io"),
    ("registry-1.docker.io", "auth.docker.io"),
    ("registry.gitlab.com", "gitlab.com"),
];

/// For how long a token is used. They last for 60 s at least (the distribution project's token specification).
pub(super) const LASTS: Duration = Duration::from_secs(45);

/// The largest answer of who gives out tokens, in bytes.
const MAX_TOKEN: usize = 64 << 10;

/// A user and a password, for one host.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Basic {
    pub(super) user: String,
    pub(super) password: String,
}

/// Registries and the hosts that give out tokens for them, besides the known ones.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct TokenHosts(Vec<(String, String)>);

/// Why there is no token.
pub(super) enum NoToken {
    /// The registry wants the login to be sent there.
    Elsewhere(String),
    Failed(OciDistributionError),
}

impl From<OciDistributionError> for NoToken {
    fn from(error: OciDistributionError) -> Self {
        Self::Failed(error)
    }
}

impl From<reqwest::Error> for NoToken {
    fn from(error: reqwest::Error) -> Self {
        Self::Failed(error.into())
    }
}

impl TokenHosts {
    /// Reads `REGISTRY=HOST,REGISTRY=HOST`.
    pub(super) fn parse(text: &str) -> Self {
        let pairs = text.split(',').filter_map(|pair| pair.split_once('='));
        Self(pairs.map(|(registry, host)| (registry.trim().to_owned(), host.trim().to_owned())).collect())
    }

    /// Whether a login for `registry` may be sent to this URL: over TLS, or on this machine; to the registry itself or to who is
    /// known to give out its tokens.
    pub(super) fn may_see(&self, registry: &str, at: &Url) -> bool {
        let own = scheme(registry);
        let is_safe = at.scheme() == "https"
            || (own == "http" && at.scheme() == "http" && at.host_str().is_some_and(is_loopback));
        let to = |scheme: &str, host: &str| {
            let url = Url::parse(&format!("{scheme}://{host}")).ok();
            url.is_some_and(|url| url.host() == at.host() && url.port_or_known_default() == at.port_or_known_default())
        };
        let others = self.0.iter().map(|(of, host)| (&**of, &**host)).chain(KNOWN);
        let mut others = others.filter(|(of, _)| of.eq_ignore_ascii_case(registry));
        is_safe && (to(own, registry) || others.any(|(_, host)| to(at.scheme(), host)))
    }
}

/// Registries on this machine have no certificate.
fn scheme(registry: &str) -> &'static str {
    if is_loopback(registry) { "http" } else { "https" }
}

/// The client that asks for tokens. It follows nobody elsewhere.
pub(super) fn asker(user_agent: &str, connect: Duration) -> reqwest::Result<reqwest::Client> {
    let builder = reqwest::Client::builder().user_agent(user_agent).connect_timeout(connect);
    builder.redirect(Policy::none()).build()
}

/// Logs `client` in for one repository: the client itself knows no login, so that it can give none away.
pub(super) async fn log_in(
    client: &Client,
    asker: &reqwest::Client,
    login: &Basic,
    hosts: &TokenHosts,
    image: &Reference,
    operation: RegistryOperation,
) -> Result<(), NoToken> {
    let registry = image.resolve_registry();
    let answer = asker.get(format!("{}://{registry}/v2/", scheme(registry))).send().await?;
    let token = match wanted(answer.headers())? {
        // Whoever wants no login sees none.
        Wanted::Nothing => return Ok(()),
        Wanted::Basic => RegistryTokenType::Basic(login.user.clone(), login.password.clone()),
        Wanted::Token { realm, service } => {
            let url = Url::parse(&realm).ok().filter(|url| hosts.may_see(image.registry(), url));
            let url = url.ok_or(NoToken::Elsewhere(realm))?;
            RegistryTokenType::Bearer(token(asker, url, service, login, image, operation).await?)
        }
    };
    if operation == RegistryOperation::Push {
        // Whether bytes are there is asked as if they were pulled.
        client.tokens.insert(image, RegistryOperation::Pull, token.clone()).await;
    }
    client.tokens.insert(image, operation, token).await;
    Ok(())
}

async fn token(
    asker: &reqwest::Client,
    url: Url,
    service: Option<String>,
    login: &Basic,
    image: &Reference,
    operation: RegistryOperation,
) -> Result<RegistryToken, OciDistributionError> {
    let rights = match operation {
        RegistryOperation::Pull => "pull",
        RegistryOperation::Push => "pull,push",
    };
    let mut query = vec![("scope", format!("repository:{}:{rights}", image.repository()))];
    query.extend(service.map(|service| ("service", service)));
    let request = asker.get(url).query(&query).basic_auth(&login.user, Some(&login.password));
    let mut answer = request.send().await?;
    let (status, mut body) = (answer.status(), Vec::new());
    while let Some(piece) = answer.chunk().await? {
        if body.len() + piece.len() > MAX_TOKEN {
            return Err(OciDistributionError::RegistryTokenDecodeError(format!("it has more than {MAX_TOKEN} bytes")));
        }
        body.extend_from_slice(&piece);
    }
    match status {
        StatusCode::OK => serde_json::from_slice(&body)
            .map_err(|error| OciDistributionError::RegistryTokenDecodeError(error.to_string())),
        status if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => {
            let (code, url) = (status.as_u16(), "the token's host".into());
            Err(OciDistributionError::ServerError { code, url, message: status.to_string() })
        }
        status => Err(OciDistributionError::AuthenticationFailure(format!("no token was given: {status}"))),
    }
}

/// What a registry wants of those who come.
#[derive(Debug, PartialEq, Eq)]
enum Wanted {
    Nothing,
    Basic,
    Token { realm: String, service: Option<String> },
}

fn wanted(headers: &HeaderMap) -> Result<Wanted, OciDistributionError> {
    let texts = headers.get_all(WWW_AUTHENTICATE).iter().filter_map(|header| header.to_str().ok());
    let challenges: Vec<ChallengeRef<'_>> =
        texts.filter_map(|text| http_auth::parse_challenges(text).ok()).flatten().collect();
    let of = |scheme: &str| challenges.iter().find(|challenge| challenge.scheme.eq_ignore_ascii_case(scheme));
    if let Some(bearer) = of("Bearer") {
        let value = |name: &str| {
            let found = bearer.params.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
            found.map(|(_, value)| value.to_unescaped())
        };
        if let Some(realm) = value("realm") {
            return Ok(Wanted::Token { realm, service: value("service") });
        }
    }
    match of("Basic") {
        Some(_) => Ok(Wanted::Basic),
        None if headers.contains_key(WWW_AUTHENTICATE) => {
            Err(OciDistributionError::AuthenticationFailure("it wants neither a token nor a password".into()))
        }
        None => Ok(Wanted::Nothing),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_is_for_its_host_and_for_who_gives_out_its_tokens() {
        let hosts = TokenHosts::parse("r.example:5050=auth.example, 127.0.0.1:1=127.0.0.1:2");
        for (registry, at) in [
            ("ghcr.io", "https://ghcr.io/token"),
            ("ghcr.io", "https://GHCR.io:443/token"),
            ("ghcr.io:443", "https://ghcr.io/token"),
            ("docker.io", "https://auth.docker.io/token"),
            ("registry.gitlab.com", "https://gitlab.com/jwt/auth"),
            ("r.example:5050", "https://r.example:5050/token"),
            ("r.example:5050", "https://auth.example/token"),
            ("127.0.0.1:5000", "http://127.0.0.1:5000/token"),
            ("127.0.0.1:1", "http://127.0.0.1:2/token"),
        ] {
            assert!(hosts.may_see(registry, &Url::parse(at).unwrap()), "{registry} {at}");
        }
        for (registry, at) in [
            ("ghcr.io", "https://evil.example/token"),
            ("ghcr.io", "http://ghcr.io/token"),
            ("ghcr.io", "https://ghcr.io.evil.example/token"),
            ("ghcr.io", "https://ghcr.io@evil.example/token"),
            ("ghcr.io", "https://ghcr.io:444/token"),
            ("ghcr.io", "http://127.0.0.1/token"),
            ("ghcr.io", "https://auth.docker.io/token"),
            ("auth.docker.io", "https://docker.io/token"),
            ("docker.io", "http://auth.docker.io/token"),
            ("r.example", "https://auth.example/token"),
            ("127.0.0.1:5000", "http://127.0.0.1:5001/token"),
            ("127.0.0.1:5000", "http://evil.example:5000/token"),
            ("127.0.0.1:5000", "ftp://127.0.0.1:5000/token"),
        ] {
            assert!(!hosts.may_see(registry, &Url::parse(at).unwrap()), "{registry} {at}");
        }
    }

    #[test]
    fn what_a_registry_wants_is_in_its_challenges() {
        let of = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(WWW_AUTHENTICATE, value.parse().unwrap());
            }
            wanted(&headers)
        };
        let token = |service: Option<&str>| Wanted::Token {
            realm: "https://r.example/t".into(),
            service: service.map(Into::into),
        };
        assert_eq!(of(&[]).unwrap(), Wanted::Nothing);
        assert_eq!(of(&[r#"Basic realm="r""#]).unwrap(), Wanted::Basic);
        assert_eq!(of(&[r#"Bearer realm="https://r.example/t""#]).unwrap(), token(None));
        let both = [r#"Basic realm="r""#, r#"bearer realm="https://r.example/t",service="s",scope="x""#];
        assert_eq!(of(&both).unwrap(), token(Some("s")));
        for strange in ["Negotiate", "Bearer", "\"", r#"Digest realm="r""#] {
            assert!(of(&[strange]).is_err(), "{strange}");
        }
    }
}
