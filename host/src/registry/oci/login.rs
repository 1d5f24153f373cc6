//! Who we are to a registry.

use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use oci_client::secrets::RegistryAuth;
use serde::Deserialize;
use std::collections::BTreeMap;

use super::ecr::{self, Ecr};
use crate::aws::SdkConfig;
use crate::files;

/// The variables that name a user and a password.
const USER: &str = "GRISTMILL_OCI_USER";
const PASSWORD: &str = "GRISTMILL_OCI_PASSWORD";

/// The largest file of `docker login`, in bytes.
const MAX_DOCKER: u64 = 1 << 20;

/// How to come in.
pub(super) enum Login {
    /// By AWS credentials, for a password that lasts some hours.
    Ecr(Ecr),
    /// Always the same.
    Fixed(RegistryAuth),
}

impl Login {
    /// For this host. `aws` is called if it is one of Amazon ECR.
    pub(super) async fn find<F>(host: &str, aws: impl FnOnce() -> F + Send) -> Self
    where
        F: Future<Output = SdkConfig> + Send,
    {
        if let Some((account, region)) = ecr::account_and_region(host) {
            return Self::Ecr(Ecr::new(&aws().await, host, account, region));
        }
        let set = |name: &str| std::env::var(name).ok();
        let folder = std::env::var_os("DOCKER_CONFIG").map(PathBuf::from);
        let folder = folder.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".docker")));
        let docker = match folder {
            Some(folder) => {
                let read = tokio::task::spawn_blocking(move || files::read(&folder.join("config.json"), MAX_DOCKER));
                read.await.ok().and_then(Result::ok).unwrap_or_default()
            }
            None => Vec::new(),
        };
        Self::Fixed(fixed(host, set(USER).zip(set(PASSWORD)), &docker))
    }

    /// What helps when the registry refuses us.
    pub(super) fn advice(&self) -> String {
        match self {
            Self::Ecr(_) => "The role needs ecr:BatchGetImage, ecr:GetDownloadUrlForLayer and ecr:ListImages; whoever \
                publishes and promotes needs ecr:BatchCheckLayerAvailability, ecr:InitiateLayerUpload, \
                ecr:UploadLayerPart, ecr:CompleteLayerUpload and ecr:PutImage too"
                .into(),
            Self::Fixed(RegistryAuth::Anonymous) => {
                format!("Nobody is logged in: set {USER} and {PASSWORD}, or run `docker login`")
            }
            Self::Fixed(_) => "The user may not do this there, or the password is wrong".into(),
        }
    }
}

/// The variables, else what `docker login` left in its file (without a credential helper), else nobody.
fn fixed(host: &str, set: Option<(String, String)>, docker: &[u8]) -> RegistryAuth {
    #[derive(Deserialize)]
    struct Docker {
        #[serde(default)]
        auths: BTreeMap<String, Entry>,
    }
    #[derive(Deserialize)]
    struct Entry {
        #[serde(default)]
        auth: String,
    }
    let stored = || {
        let found: Docker = serde_json::from_slice(docker).ok()?;
        let entry = found.auths.get(host).or_else(|| found.auths.get(&format!("https://{host}")))?;
        let login = String::from_utf8(STANDARD.decode(&entry.auth).ok()?).ok()?;
        login.split_once(':').map(|(user, password)| (user.to_owned(), password.to_owned()))
    };
    match set.or_else(stored) {
        Some((user, password)) => RegistryAuth::Basic(user, password),
        None => RegistryAuth::Anonymous,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn basic(user: &str, password: &str) -> RegistryAuth {
        RegistryAuth::Basic(user.into(), password.into())
    }

    #[test]
    fn variables_come_before_what_docker_login_left() {
        let file =
            format!(r#"{{"auths":{{"a.example":{{"auth":"{}"}},"b.example":{{}}}}}}"#, STANDARD.encode("me:se:cret"));
        let set = Some(("you".to_owned(), "word".to_owned()));
        assert_eq!(fixed("a.example", set.clone(), file.as_bytes()), basic("you", "word"));
        assert_eq!(fixed("a.example", None, file.as_bytes()), basic("me", "se:cret"));
        for (host, file) in [("b.example", &*file), ("c.example", &file), ("a.example", ""), ("a.example", "[]")] {
            assert_eq!(fixed(host, None, file.as_bytes()), RegistryAuth::Anonymous, "{host} {file}");
        }
    }
}
