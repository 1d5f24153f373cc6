//! A release: one version of one dataset, whole.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::error::in_short;
use super::{Name, RegistryError, Version};
use crate::job::Digest;

/// The largest blob of a release.
pub const MAX_BLOB: u64 = 256 << 20;

/// The version of the document that this host writes and reads.
const DOCUMENT_VERSION: u64 = 1;

/// How many files a sample may have.
const MAX_SAMPLE_FILES: usize = 100;

/// How many bytes the files of a sample may have together: every worker reads them, for every version.
pub const MAX_SAMPLE: u64 = 16 << 20;

/// The document that makes a version what it is. Its bytes are what is signed, and their SHA-256 is the release's name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Release {
    /// The version of this document: 1.
    pub gristmill: u64,
    /// The dataset.
    pub name: Name,
    /// Its version: the one that the dataset file gives it, or else the component gives itself.
    pub version: Version,
    /// The dataset file (TOML), with its variables not put in.
    pub dataset: Blob,
    /// The component (WebAssembly).
    pub component: Blob,
    /// What the release is tried on before it is used: objects by the path that they have below the sample's prefix.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub sample: BTreeMap<String, Blob>,
}

/// Bytes by their digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Blob {
    /// The SHA-256.
    pub digest: Digest,
    /// In bytes.
    pub size: u64,
}

impl Blob {
    /// What these bytes are called.
    pub fn of(bytes: &[u8]) -> Self {
        Self { digest: Digest::of(bytes), size: bytes.len() as u64 }
    }
}

/// A release with everything that it names, ready to be added to a registry.
#[derive(Clone, Debug)]
pub struct Package {
    /// What the document says.
    pub release: Release,
    /// The document.
    pub document: Bytes,
    /// What it names: dataset file, component, sample files.
    pub blobs: BTreeMap<Digest, Bytes>,
}

impl Package {
    /// Makes a release of its parts. The same parts make the same document, byte for byte.
    pub fn new(
        name: Name,
        version: Version,
        dataset: Bytes,
        component: Bytes,
        sample: BTreeMap<String, Bytes>,
    ) -> Result<Self, RegistryError> {
        let release = Release {
            gristmill: DOCUMENT_VERSION,
            name,
            version,
            dataset: Blob::of(&dataset),
            component: Blob::of(&component),
            sample: sample.iter().map(|(path, bytes)| (path.clone(), Blob::of(bytes))).collect(),
        };
        release.check()?;
        let unwritable =
            |error: serde_json::Error| RegistryError::Invalid(format!("the release cannot be written: {error}"));
        let document = Bytes::from(serde_json::to_vec_pretty(&release).map_err(unwritable)?);
        let blobs = [dataset, component].into_iter().chain(sample.into_values());
        let blobs = blobs.map(|bytes| (Digest::of(&bytes), bytes)).collect();
        Ok(Self { release, document, blobs })
    }

    /// The release's own name.
    pub fn digest(&self) -> Digest {
        Digest::of(&self.document)
    }
}

impl Release {
    /// Reads a release document.
    pub fn parse(document: &[u8]) -> Result<Self, RegistryError> {
        let damaged = |why: String| RegistryError::Damaged(format!("release {}: {why}", Digest::of(document)));
        #[derive(Deserialize)]
        struct Versioned {
            gristmill: u64,
        }
        let found: Versioned = serde_json::from_slice(document).map_err(|error| damaged(in_short(&error)))?;
        if found.gristmill != DOCUMENT_VERSION {
            return Err(damaged(format!(
                "its document is of version {}, this gristmill reads version {DOCUMENT_VERSION}",
                found.gristmill
            )));
        }
        let release: Self = serde_json::from_slice(document).map_err(|error| damaged(in_short(&error)))?;
        release.check()?;
        Ok(release)
    }

    /// `NAME VERSION`, for people.
    pub fn title(&self) -> String {
        format!("{} {}", self.name, self.version)
    }

    fn check(&self) -> Result<(), RegistryError> {
        let invalid = |why: String| Err(RegistryError::Invalid(format!("{}: {why}", self.title())));
        if self.sample.len() > MAX_SAMPLE_FILES {
            return invalid(format!("the sample has {} files; at most {MAX_SAMPLE_FILES}", self.sample.len()));
        }
        for path in self.sample.keys() {
            if path.len() > 512 || path.contains('\0') || path.split('/').any(|part| matches!(part, "" | "." | "..")) {
                return invalid(format!("the sample's path {:?} is not a plain relative path", in_short(path)));
            }
        }
        let size = self.sample.values().fold(0, |sum: u64, blob| sum.saturating_add(blob.size));
        if size > MAX_SAMPLE {
            return invalid(format!("the sample has {size} bytes; at most {MAX_SAMPLE}"));
        }
        let blobs = [self.dataset, self.component].into_iter().chain(self.sample.values().copied());
        if let Some(blob) = blobs.into_iter().find(|blob| blob.size > MAX_BLOB) {
            return invalid(format!("{} has {} bytes; at most {MAX_BLOB}", blob.digest, blob.size));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(sample: &[(&str, &'static str)]) -> Result<Package, RegistryError> {
        let sample = sample.iter().map(|(path, text)| ((*path).to_owned(), Bytes::from(*text))).collect();
        Package::new("d".parse()?, "0.1.0".parse()?, "toml".into(), "wasm".into(), sample)
    }

    #[test]
    fn the_same_parts_are_the_same_release() {
        let (one, two) = (package(&[("a/b", "x"), ("c", "y")]).unwrap(), package(&[("c", "y"), ("a/b", "x")]).unwrap());
        assert_eq!(one.digest(), two.digest());
        assert_ne!(one.digest(), package(&[("a/b", "x")]).unwrap().digest());
        assert_eq!(Release::parse(&one.document).unwrap(), one.release);
        assert_eq!(one.blobs.len(), 4);
    }

    #[test]
    fn a_sample_stays_in_its_folder() {
        for path in ["../x", "a/../../x", "/etc/passwd", "a//b", ".", "a/", "a\0b"] {
            let refused = package(&[(path, "x")]).unwrap_err();
            assert!(refused.to_string().contains("not a plain relative path"), "{path:?}: {refused}");
        }
    }

    #[test]
    fn a_document_of_another_kind_is_refused_in_one_sentence() {
        for (document, expected) in [
            ("{", "EOF"),
            (r#"{"gristmill":2}"#, "version 2"),
            (r#"{"gristmill":1,"name":"../x"}"#, "not the name of a dataset"),
            (r#"{"gristmill":1,"surprise":1}"#, "surprise"),
        ] {
            let refused = Release::parse(document.as_bytes()).unwrap_err().to_string();
            assert!(refused.contains(expected) && refused.contains("sha256:"), "{refused}");
        }
    }
}
