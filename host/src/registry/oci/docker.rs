//! What `docker login` left for a host: in its file, or with a credential helper (`docker-credential-NAME` on the PATH).

use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use docker_credential::{CredentialRetrievalError as Error, DockerCredential, get_credential_from_reader};
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::token::Basic;
use crate::files;

/// The largest file of `docker login`, in bytes.
const MAX_FILE: u64 = 1 << 20;

/// How long a helper has: it may ask a service, or a person who is not there.
const PATIENCE: Duration = Duration::from_secs(10);

/// Docker Hub, as images name it, and as `docker login` does.
const HUB: [&str; 3] = ["docker.io", "index.docker.io", "registry-1.docker.io"];
const HUB_LOGIN: &str = "https://index.docker.io/v1/";

/// The login for this host, if there is one; or in a sentence why what is kept is of no use.
pub(super) async fn login(host: &str) -> Result<Option<Basic>, String> {
    let folder = std::env::var_os("DOCKER_CONFIG").map(PathBuf::from);
    let folder = folder.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".docker")));
    let Some(folder) = folder else { return Ok(None) };
    let (sender, receiver) = oneshot::channel();
    let of = host.to_owned();
    // A thread of its own: while the runtime waits for one of its threads, the process does not end.
    let asked = thread::Builder::new().name("docker-login".into()).spawn(move || {
        let file = files::read(&folder.join("config.json"), MAX_FILE).unwrap_or_default();
        let _ = sender.send(find(&of, &file));
    });
    let seconds = PATIENCE.as_secs();
    match (asked, timeout(PATIENCE, receiver).await) {
        (Ok(_), Ok(Ok(found))) => found,
        (Ok(_), Err(_)) => Err(format!("Docker's credential helper did not answer for {host} within {seconds} s")),
        _ => Err(format!("what Docker keeps for {host} could not be read")),
    }
}

/// The same, of the file's bytes. What cannot be read is as if nobody had logged in.
pub(super) fn find(host: &str, file: &[u8]) -> Result<Option<Basic>, String> {
    match look_up(host, file) {
        Ok(None) if HUB.contains(&host) => look_up(HUB_LOGIN, file),
        found => found,
    }
}

fn look_up(host: &str, file: &[u8]) -> Result<Option<Basic>, String> {
    let error = match get_credential_from_reader(file, host) {
        Ok(DockerCredential::UsernamePassword(user, password)) => return Ok(Some(Basic { user, password })),
        Ok(DockerCredential::IdentityToken(_)) => {
            return Err(format!(
                "Docker keeps an identity token for {host}, and only a user and a password are of use here"
            ));
        }
        Err(error) => error,
    };
    match error {
        // As helpers have to say it, in Go's module github.com/docker/docker-credential-helpers.
        Error::HelperFailure { stdout, .. } if stdout.contains("credentials not found") => Ok(None),
        // What a helper says besides is not shown: it handles secrets.
        Error::HelperFailure { helper, .. } => {
            Err(format!("Docker's credential helper, `{helper} get`, failed for {host}"))
        }
        Error::HelperCommunicationError => {
            Err(format!("Docker's credential helper for {host} could not be run: is it on the PATH?"))
        }
        Error::MalformedHelperResponse => Err(format!("Docker's credential helper answered for {host} with no login")),
        Error::CredentialMismatchError => Err(format!("Docker's file says two different logins for {host}")),
        Error::NoCredentialConfigured
        | Error::CredentialDecodingError
        | Error::ConfigNotFound
        | Error::ConfigReadError => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    use super::*;

    #[test]
    fn a_login_is_kept_for_one_host_and_one_port() {
        let auth = STANDARD.encode("me:se:cret");
        let file = format!(
            r#"{{"auths":{{"a.example":{{"auth":"{auth}"}},"https://b.example/v1/":{{"auth":"{auth}"}},
               "https://index.docker.io/v1/":{{"auth":"{auth}"}},"c.example":{{}},"d.example":{{"auth":"%%"}},
               "e.example":{{"identitytoken":"t"}}}}}}"#
        );
        let found = |host: &str| find(host, file.as_bytes());
        for host in ["a.example", "b.example", "docker.io", "index.docker.io"] {
            assert!(found(host) == Ok(Some(Basic { user: "me".into(), password: "se:cret".into() })), "{host}");
        }
        let others = ["a.example:444", "sub.a.example", "a.example.evil", "c.example", "d.example", "b.example:80", ""];
        for host in others {
            assert!(found(host) == Ok(None), "{host}");
        }
        assert!(found("e.example").is_err_and(|why| why.contains("identity token") && why.contains("e.example")));
    }

    #[test]
    fn a_helper_that_is_not_there_is_said() {
        let file = br#"{"credHelpers":{"a.example":"gristmill-no-such-helper"}}"#;
        assert!(find("a.example", file).is_err_and(|why| why.contains("a.example could not be run")));
        assert!(find("b.example", file) == Ok(None));
    }
}
