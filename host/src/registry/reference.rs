//! How components in an OCI registry are named: `oci://HOST/REPOSITORY:TAG`, or by the digest of the artifact,
//! `oci://HOST/REPOSITORY@sha256:...`; and where they are pushed to, `oci://HOST/REPOSITORY[:TAG]`.

use std::fmt;
use std::str::FromStr;

use super::RegistryError;
use super::oci;
use crate::job::Digest;

/// Where a component lies in an OCI registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OciReference {
    pub(super) host: String,
    pub(super) repository: String,
    /// A tag, or a digest.
    pub(super) name: String,
}

/// Where a component is pushed to. Its digest follows from it, so only a tag can be chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OciTarget {
    pub(super) host: String,
    pub(super) repository: String,
    pub(super) tag: Option<String>,
}

impl OciTarget {
    /// The tag that is to name it, if any.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }
}

impl FromStr for OciReference {
    type Err = RegistryError;

    fn from_str(text: &str) -> Result<Self, RegistryError> {
        let invalid = |why: &str| {
            RegistryError::Invalid(format!(
                "`{text}` is not a component in an OCI registry: {why}. Expected oci://HOST/REPOSITORY:TAG, or @sha256:DIGEST"
            ))
        };
        let (host, path) = host_and_path(text).map_err(invalid)?;
        let (repository, name) = match path.split_once('@') {
            // A tag before the digest says nothing more.
            Some((path, digest)) => (path.split(':').next().unwrap_or_default(), digest),
            None => path.split_once(':').unwrap_or((path, "")),
        };
        let is_name = if path.contains('@') { name.parse::<Digest>().is_ok() } else { is_tag(name) };
        check(host, repository).map_err(invalid)?;
        match is_name {
            true => Ok(Self { host: host.into(), repository: repository.into(), name: name.into() }),
            false => Err(invalid("it needs a tag or a digest")),
        }
    }
}

impl FromStr for OciTarget {
    type Err = RegistryError;

    fn from_str(text: &str) -> Result<Self, RegistryError> {
        let invalid = |why: &str| {
            RegistryError::Invalid(format!(
                "`{text}` is no place for a component in an OCI registry: {why}. Expected oci://HOST/REPOSITORY or \
                 oci://HOST/REPOSITORY:TAG"
            ))
        };
        let (host, path) = host_and_path(text).map_err(invalid)?;
        let (repository, tag) = path.split_once(':').map_or((path, None), |(path, tag)| (path, Some(tag)));
        match tag {
            _ if path.contains('@') => Err(invalid("the digest follows from the component, so it cannot be chosen")),
            Some(tag) if !is_tag(tag) => Err(invalid("its tag is none (letters, digits, `_`, `.` and `-`)")),
            _ => check(host, repository).map_err(invalid),
        }?;
        Ok(Self { host: host.into(), repository: repository.into(), tag: tag.map(Into::into) })
    }
}

impl fmt::Display for OciReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&oci::place(&self.host, &self.repository, &self.name))
    }
}

fn host_and_path(text: &str) -> Result<(&str, &str), &'static str> {
    text.strip_prefix("oci://").and_then(|rest| rest.split_once('/')).ok_or("it names no host and repository")
}

fn check(host: &str, repository: &str) -> Result<(), &'static str> {
    match () {
        () if !oci::is_host(host) => Err("its host is none"),
        () if !oci::is_repository(repository) => Err("its repository is none (lower-case letters and digits)"),
        () => Ok(()),
    }
}

fn is_tag(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
    (1..=128).contains(&name.len()) && name.chars().all(plain) && !name.starts_with(['.', '-'])
}

#[cfg(test)]
mod tests {
    use super::*;

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

    #[test]
    fn a_target_names_a_tag_or_none() {
        for (text, tag) in [("oci://localhost:5000/a/p", None), ("oci://[::1]:5000/a/p:1.0.0", Some("1.0.0"))] {
            let target: OciTarget = text.parse().unwrap();
            assert_eq!((&*target.repository, target.tag()), ("a/p", tag), "{text}");
        }
        let by_digest = format!("oci://r/p@sha256:{}", "ab".repeat(32));
        for (text, why) in [
            ("oci://r", "no host and repository"),
            ("r/p:1", "no host and repository"),
            ("oci://r/P", "its repository is none"),
            ("oci://r x/p", "its host is none"),
            ("oci://r/p:", "its tag is none"),
            ("oci://r/p:-1", "its tag is none"),
            (&by_digest, "cannot be chosen"),
        ] {
            let refused = text.parse::<OciTarget>().unwrap_err().to_string();
            assert!([text, why, "oci://HOST/REPOSITORY:TAG"].iter().all(|part| refused.contains(part)), "{refused}");
        }
    }
}
