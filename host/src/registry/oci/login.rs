//! Who we are to a registry. A login is for one host, which it names: no other host is shown it, whatever a dataset file says.

use oci_client::RegistryOperation;

use super::docker;
use super::ecr::{self, Ecr};
use super::token::{Basic, TokenHosts};
use crate::aws;

/// The variables that name a user and a password, and the one host that they are for.
const HOST: &str = "GRISTMILL_OCI_HOST";
const USER: &str = "GRISTMILL_OCI_USER";
const PASSWORD: &str = "GRISTMILL_OCI_PASSWORD";

/// Who gives out tokens for which registry, where it is no part of the registry itself.
pub(super) const TOKEN_HOSTS: &str = "GRISTMILL_OCI_TOKEN_HOSTS";

/// How to come in.
pub(super) enum Login {
    /// By AWS credentials, for a password that lasts some hours.
    Ecr(Ecr),
    /// Always the same.
    Fixed(Basic),
    /// As nobody, and what to do where that is not enough.
    Nobody(String),
}

/// What the variables say.
#[derive(Clone, Debug, Default)]
struct Variables {
    host: Option<String>,
    user: Option<String>,
    password: Option<String>,
}

impl Login {
    /// For this host.
    pub(super) async fn find(host: &str) -> Self {
        if let Some(region) = ecr::region(host) {
            return Self::Ecr(Ecr::new(&aws::load().await, host, region));
        }
        let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let set = Variables { host: set(HOST), user: set(USER), password: set(PASSWORD) };
        Self::of(host, set, docker::login(host)).await
    }

    /// The variables if they are for this host, else what `docker login` left for it, else nobody.
    async fn of(host: &str, set: Variables, docker: impl Future<Output = Result<Option<Basic>, String>>) -> Self {
        let Variables { host: named, user, password } = set;
        let login = user.zip(password).map(|(user, password)| Basic { user, password });
        if let Some(ours) =
            login.clone().filter(|_| named.as_ref().is_some_and(|named| named.eq_ignore_ascii_case(host)))
        {
            return Self::Fixed(ours);
        }
        let unusable = match docker.await {
            Ok(Some(stored)) => return Self::Fixed(stored),
            Ok(None) => String::new(),
            Err(why) => format!(" ({why})"),
        };
        let advice = match (login, named) {
            (Some(_), None) => format!(
                "{USER} and {PASSWORD} are set, and {HOST} does not say whom they are for, so nobody is logged in: set it to {host} if \
                 they are for that host"
            ),
            (Some(_), Some(named)) => format!(
                "Nobody is logged in: {USER} and {PASSWORD} are for {named} alone ({HOST}); run `docker login {host}` for this one"
            ),
            (None, _) => format!(
                "Nobody is logged in: set {USER} and {PASSWORD}, and {HOST} to {host}, or run `docker login {host}`"
            ),
        };
        Self::Nobody(advice + &unusable)
    }

    /// What helps when the registry refuses us.
    pub(super) fn advice(&self, operation: RegistryOperation) -> &str {
        match self {
            Self::Ecr(_) => match operation {
                RegistryOperation::Pull => "The role needs ecr:BatchGetImage and ecr:GetDownloadUrlForLayer",
                RegistryOperation::Push => {
                    "The role needs ecr:BatchCheckLayerAvailability, ecr:InitiateLayerUpload, ecr:UploadLayerPart, \
                     ecr:CompleteLayerUpload, ecr:PutImage and ecr:BatchGetImage"
                }
            },
            Self::Nobody(advice) => advice,
            Self::Fixed(_) => "The user may not do this there, or the password is wrong",
        }
    }

    /// How a repository comes into being that a push did not find.
    pub(super) fn how_to_create(&self, repository: &str) -> String {
        match self {
            Self::Ecr(_) => format!("aws ecr create-repository --repository-name {repository}"),
            Self::Fixed(_) | Self::Nobody(_) => "create it there".into(),
        }
    }
}

/// Who gives out tokens besides those that are known.
pub(super) fn token_hosts() -> TokenHosts {
    TokenHosts::parse(&std::env::var(TOKEN_HOSTS).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    use super::*;

    async fn login(host: &str, set: [Option<&str>; 3], docker: &str) -> Result<(String, String), String> {
        let [named, user, password] = set.map(|value| value.map(str::to_owned));
        let docker = async { docker::find(host, docker.as_bytes()) };
        match Login::of(host, Variables { host: named, user, password }, docker).await {
            Login::Fixed(Basic { user, password }) => Ok((user, password)),
            Login::Nobody(advice) => Err(advice),
            Login::Ecr(_) => panic!("{host} is none of ECR"),
        }
    }

    #[tokio::test]
    async fn a_login_is_for_the_host_that_it_names() {
        let file =
            format!(r#"{{"auths":{{"a.example":{{"auth":"{}"}},"b.example":{{}}}}}}"#, STANDARD.encode("me:se:cret"));
        let of = |named: Option<&'static str>| [named, Some("you"), Some("word")];
        let (ours, stored) = (Ok(("you".into(), "word".into())), Ok(("me".into(), "se:cret".into())));
        assert_eq!(login("a.example", of(Some("A.example")), &file).await, ours);
        // Not for another port, either.
        for named in [None, Some("b.example"), Some("a.example:444")] {
            assert_eq!(login("a.example", of(named), &file).await, stored, "{named:?}");
        }
        assert_eq!(login("a.example", [None; 3], &file).await, stored);
        for (host, file) in [("b.example", &*file), ("c.example", &file), ("a.example", ""), ("a.example", "[]")] {
            let advice = login(host, [None; 3], file).await.unwrap_err();
            assert!(advice.contains(&format!("GRISTMILL_OCI_HOST to {host}")), "{advice}");
        }
        let unnamed = login("c.example", of(None), &file).await.unwrap_err();
        assert!(unnamed.contains("does not say whom they are for") && unnamed.contains("c.example"), "{unnamed}");
        let others = login("c.example", of(Some("b.example")), &file).await.unwrap_err();
        assert!(others.contains("are for b.example alone"), "{others}");
        let helper = r#"{"credsStore":"gristmill-no-such-helper"}"#;
        let failed = login("c.example", [None; 3], helper).await.unwrap_err();
        assert!(failed.contains("docker login c.example") && failed.contains("could not be run"), "{failed}");
        assert_eq!(login("a.example", of(Some("a.example")), helper).await, ours, "no helper is asked");
    }
}
